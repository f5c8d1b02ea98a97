"""Annotations, image files and classes of a config's own data sets are checked before a run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.registry import METRICS, DefaultScope
from PIL import Image

from mmoverlock.checks.classes import (
    check_data_classes,
    check_tested_classes,
    classes_of,
)
from mmoverlock.checks.objects import check_evaluator
from mmoverlock.utils.registry import build

from ..fake_data import picture
from .built import KEY, checked


def coco(folder: Path, number: int = 4, **changes) -> dict:
    """Write `number` pictures with an object each, return the config of the data set."""
    images, annotations = [], []
    for i in range(1, number + 1):
        picture(folder / f'{i}.png', (40, 32))
        images.append(dict(id=i, file_name=f'{i}.png', width=40, height=32))
        one = dict(bbox=[4, 4, 16, 16], area=256, iscrowd=0)
        annotations.append(dict(id=i, image_id=i, category_id=1 + i % 2, **one))
    categories = [dict(id=i, name=name) for i, name in enumerate(('cat', 'dog'), 1)]
    data = dict(images=images, annotations=annotations, categories=categories)
    (folder / 'a.json').write_text(json.dumps(data | changes))
    steps = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True)]
    return dict(
        type='CocoDataset', data_root=str(folder), ann_file='a.json', data_prefix=dict(img=''),
        metainfo=dict(classes=('cat', 'dog')), pipeline=[*steps, dict(type='PackDetInputs')],
    )  # fmt: skip


def edit(folder: Path, change) -> None:
    data = json.loads((folder / 'a.json').read_text())
    change(data)
    (folder / 'a.json').write_text(json.dumps(data))


def test_missing_images(tmp_path, said):
    cfg = coco(tmp_path)
    (tmp_path / '2.png').unlink()
    with pytest.raises(
        ValueError, match="2.png', listed in .*a.json', does not exist: 1 of 4 images"
    ):
        checked('mmdet', cfg)
    checked('mmdet', cfg, max_share=0.25)
    assert '1 of 4 images, which training skips' in said[0]


@pytest.mark.parametrize('wrapper', ['RepeatDataset', 'ConcatDataset'])
def test_wrapped_data_sets_are_looked_at(tmp_path, wrapper):
    cfg = coco(tmp_path)
    (tmp_path / '2.png').unlink()
    inner = dict(dataset=cfg, times=2) if wrapper == 'RepeatDataset' else dict(datasets=[cfg])
    with pytest.raises(ValueError, match='does not exist: 1 of 4 images'):
        checked('mmdet', dict(type=wrapper, **inner))


def test_another_size(tmp_path):
    cfg = coco(tmp_path)
    picture(tmp_path / '3.png', (32, 40))
    with pytest.raises(
        ValueError,
        match='1 of 4 images looked at are of another size .*3.png. is stated as 40x32 and loaded as 32x40',
    ):
        checked('mmdet', cfg)


def test_exif_turns_an_image(tmp_path):
    cfg = coco(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', (40, 32)).save(tmp_path / '3.jpg', exif=exif)
    edit(tmp_path, lambda data: data['images'][2].update(file_name='3.jpg'))
    with pytest.raises(
        ValueError, match="color_type='color_ignore_orientation' in LoadImageFromFile"
    ):
        checked('mmdet', cfg)
    cfg['pipeline'][0]['color_type'] = 'color_ignore_orientation'
    checked('mmdet', cfg)
    edit(tmp_path, lambda data: data['images'][2].update(width=32, height=40))
    with pytest.raises(ValueError, match="color_type='color' in"):
        checked('mmdet', cfg)


def test_no_masks_where_masks_are_loaded(tmp_path):
    cfg = coco(tmp_path)
    cfg['pipeline'][1]['with_mask'] = True
    with pytest.raises(ValueError, match='its pipeline loads masks, but 4 of 4 objects have none'):
        checked('mmdet', cfg)


def test_no_objects(tmp_path):
    cfg = coco(tmp_path, annotations=[])
    with pytest.raises(ValueError, match='no object of the classes in 4 images'):
        checked('mmdet', cfg)
    checked('mmdet', cfg, key='val_dataloader.dataset')


def test_images_left_out_are_counted(tmp_path, said):
    cfg = dict(coco(tmp_path), filter_cfg=dict(filter_empty_gt=True, min_size=32))
    picture(tmp_path / '1.png', (40, 20))

    def change(data):
        data['images'][0]['height'] = 20
        del data['annotations'][1]

    edit(tmp_path, change)
    dataset, _ = checked('mmdet', cfg)
    assert len(dataset) == 2
    assert said == [
        f"{KEY}: 2 of 4 images are left out: 1 with a side of fewer than 32 pixels "
        f"(filter_cfg.min_size), the first '{tmp_path}/1.png'; 1 without an object of the classes "
        f"(filter_cfg.filter_empty_gt), the first '{tmp_path}/2.png'"
    ]  # fmt: skip
    cfg['filter_cfg']['min_size'] = 99
    with pytest.raises(
        ValueError, match='no image is left .* 4 of 4 images are left out: 4 with a side'
    ):
        checked('mmdet', cfg)


def test_objects_of_other_categories_are_counted(tmp_path, said):
    cfg = dict(coco(tmp_path), metainfo=dict(classes=('cat',)))
    checked('mmdet', cfg)
    assert said == [
        f"{KEY}: 2 objects are not used, as their categories are not among its classes: 'dog'"
    ]


@pytest.mark.parametrize(
    ('metainfo', 'message'),
    [
        (dict(classes=('cat', 'dog', 'cat ')), "metainfo.classes: 'cat' is there twice"),
        (dict(classes=('cat', 'dog'), palette=[(1, 2, 3)]), 'palette has 1 colours for 2 classes'),
        (dict(classes=('cat', 'Dog')), "1 of its 2 classes are no categories of .*, such as 'Dog'"),
    ],
)
def test_names(tmp_path, metainfo, message):
    with pytest.raises(ValueError, match=message):
        checked('mmdet', dict(coco(tmp_path), metainfo=metainfo))


def voc(folder: Path, box: tuple[int, int, int, int], *names: str) -> dict:
    """Write a picture with an object of each name in a box; return the config of the data set."""
    for part in ('JPEGImages', 'Annotations'):
        (folder / part).mkdir()
    picture(folder / 'JPEGImages/a.jpg', (40, 32))
    sides = ''.join(
        f'<{side}>{value}</{side}>'
        for side, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), box, strict=True)
    )
    (folder / 'Annotations/a.xml').write_text(
        '<a><size><width>40</width><height>32</height></size>'
        + ''.join(f'<object><name>{n}</name><bndbox>{sides}</bndbox></object>' for n in names)
        + '</a>'
    )
    (folder / 'list.txt').write_text('a\n')
    return dict(
        type='XMLDataset', data_root=str(folder), ann_file='list.txt',
        data_prefix=dict(sub_data_root=''), metainfo=dict(classes=('cat',)), pipeline=[],
    )  # fmt: skip


def test_boxes_of_pascal_voc(tmp_path):
    with pytest.raises(
        ValueError,
        match='boxes of 1 of 1 objects have no width or height, the first is .8, 3, 2, 7. .*a.jpg',
    ):
        checked('mmdet', voc(tmp_path, (9, 4, 3, 8), 'cat'))


def test_names_of_pascal_voc(tmp_path, said):
    cfg = voc(tmp_path, (3, 4, 9, 8), 'cat', 'Cat', 'dog', 'Cat')
    for _ in range(2):
        checked('mmdet', cfg)
    line = f"{KEY}: 3 objects are not used, as their names are not among its classes: 'Cat', 'dog'"
    assert said == [line] * 2


def test_classes_without_an_object(tmp_path, said):
    cfg = coco(tmp_path)
    edit(tmp_path, lambda data: data['annotations'].__delitem__(slice(None, None, 2)))
    checked('mmdet', cfg, key='val_dataloader.dataset')
    assert said == []
    checked('mmdet', cfg)
    assert said == [f"{KEY}: nothing to train on for 1 of 2 classes, the first: 'dog'"]


def metric(folder: Path, **cfg):
    with DefaultScope.overwrite_default_scope('mmdet'):
        return build(METRICS, dict(type='CocoMetric', ann_file=str(folder / 'a.json'), **cfg), 'e')


def test_evaluator(tmp_path, said):
    dataset, classes = checked('mmdet', coco(tmp_path / 'data'))
    coco(tmp_path / 'more', 5)
    check_evaluator(metric(tmp_path / 'more'), 'e', dataset, classes)
    assert said == [
        'e.ann_file: 1 of its 5 images are not in the data set; their objects count as not found'
    ]
    coco(tmp_path / 'less', 3)
    cases = [
        (metric(tmp_path / 'less'), classes, '1 of the 4 images that are evaluated are not listed'),
        (metric(tmp_path / 'data'), ('cat', 'cow'), "no categories of it, such as 'cow'; it has"),
        (
            metric(tmp_path / 'data', metric='segm'),
            classes,
            "'segm', but no object of its ann_file",
        ),
    ]
    for one, names, message in cases:
        with pytest.raises(ValueError, match=message):
            check_evaluator(one, 'e', dataset, names)


# Classification


def folders(root: Path, *names: str) -> dict:
    for name in names:
        picture(root / name / 'a.png', (8, 8))
    return dict(type='CustomDataset', data_prefix=str(root), pipeline=[])


def test_files_that_class_folders_skip(tmp_path, said):
    cfg = folders(tmp_path, 'cat', 'dog')
    shutil.copy(tmp_path / 'cat/a.png', tmp_path / 'cat/b.webp')
    (tmp_path / 'cat/notes.txt').touch()
    checked('mmpretrain', cfg)
    assert said == [
        f"{KEY}.extensions: 1 of 3 images are left out, as it does not have '.webp'; the first is "
        f"'{tmp_path}/cat/b.webp'"
    ]
    assert len(checked('mmpretrain', dict(cfg, extensions=('.png', '.webp')))[0]) == 3
    assert len(said) == 1


def test_class_folder_reads_webp(tmp_path, said):
    folders(tmp_path / 'train', 'cat', 'dog')
    folders(tmp_path / 'val', 'cat', 'dog')
    Image.new('RGB', (8, 8)).save(tmp_path / 'train/cat/b.webp')
    dataset, _ = checked('mmpretrain', dict(type='ClassFolder', data_root=str(tmp_path)))
    assert len(dataset) == 3 and said == []


def test_folders_of_classes(tmp_path):
    names = dict(metainfo=dict(classes=('Katze', 'Hund')))
    train, classes = checked('mmpretrain', folders(tmp_path / 'train', 'cat', 'dog') | names)
    val, _ = checked('mmpretrain', folders(tmp_path / 'val', 'cow', 'dog') | names)
    check_data_classes(dict(t=train), dict(t=classes))
    with pytest.raises(ValueError, match="different class folders, .* 'cat', 'cow' only in one"):
        check_data_classes(dict(t=train, v=val), dict(t=classes, v=classes))
    other = folders(tmp_path / 'train') | dict(metainfo=dict(classes=('dog', 'cat')))
    turned, classes = checked('mmpretrain', other)
    with pytest.raises(ValueError, match="t.metainfo.classes are in another order .* 'cat', 'dog'"):
        check_data_classes(dict(t=turned), dict(t=classes))


@pytest.mark.parametrize(('label', 'message'), [(1, None), (7, 'label 7 of .*b.png. is out of')])
def test_several_labels_of_an_image(tmp_path, label, message):
    for name in 'ab':
        picture(tmp_path / f'{name}.png', (8, 8))
    samples = [dict(img_path='a.png', gt_label=[0]), dict(img_path='b.png', gt_label=[0, label])]
    data = dict(metainfo=dict(classes=['x', 'y']), data_list=samples)
    (tmp_path / 'a.json').write_text(json.dumps(data))
    cfg = dict(type='MultiLabelDataset', data_root=str(tmp_path), ann_file='a.json', pipeline=[])
    if message is None:
        checked('mmpretrain', cfg)
    else:
        with pytest.raises(ValueError, match=message):
            checked('mmpretrain', cfg)


@pytest.mark.parametrize(
    ('lines', 'line'),
    [
        ('cat/a.png 0\ndog/a.png 1\n', ''),
        ('cat/a.png 0\n', "nothing to train on for 1 of 2 classes, the first: 'dog'"),
        ('cat/a.png 0\ndog/a.png 1\n' * 2, "2 images are listed before, the first '{}/cat/a.png'"),
        (
            'cat/a.png 0\ndog/a.png 1\ncat/a.png 1\n',
            "1 images are listed before under another label, the first '{}/cat/a.png' as 0 and 1",
        ),
    ],
)
def test_lists_of_images(tmp_path, said, lines, line):
    cfg = folders(tmp_path, 'cat', 'dog')
    (tmp_path / 'list.txt').write_text(lines)
    names = dict(classes=('cat', 'dog'))
    checked('mmpretrain', dict(cfg, ann_file=str(tmp_path / 'list.txt'), metainfo=names))
    assert said == ([f'{KEY}: {line}'.format(tmp_path)] if line else [])


# Checkpoints


def test_classes_of_a_tested_checkpoint(said):
    check_tested_classes(['a', 'b'], ('a', 'b'), 'x.pth')
    check_tested_classes(None, ('a', 'b'), 'x.pth')
    assert said == []
    check_tested_classes(['a', 'b'], ('a', 'c'), 'x.pth')
    assert "'x.pth' is of classes with other names ('a', 'b') than the data ('a', 'c')" in said[0]
    with pytest.raises(ValueError, match="'b' is label 1 there and 0 in the data"):
        check_tested_classes(['a', 'b'], ('b', 'a'), 'x.pth')


@pytest.mark.parametrize('meta', [None, 5, {}, dict(dataset_meta=3), dict(CLASSES='a')])
def test_checkpoints_that_do_not_tell(meta):
    assert classes_of(dict(meta=meta)) is None


def test_test_refuses_classes_in_another_order(bad, at_home, tool, tmp_path, capsys):
    weights = torch.load('det.pth', weights_only=True)['state_dict']
    meta = dict(dataset_meta=dict(classes=list('1023456789')))
    torch.save(dict(state_dict=weights, meta=meta), tmp_path / 'turned.pth')
    with pytest.raises(SystemExit) as stop:
        tool('test')(['det.py', str(tmp_path / 'turned.pth'), '--work-dir', str(tmp_path / 'w')])
    assert stop.value.code == 2
    assert "'0' is label 1 there and 0 in the data" in capsys.readouterr().err
