"""What the readers make of splits, names, EXIF tags and masks."""

from functools import partial

import pytest
from mmcv import imfrombytes
from PIL import Image

from mmoverlock.datasets.formats import read_objects

from . import scenes

FLAT = dict(
    coco=partial(scenes.coco, annotations='all.json', images=''),
    yolo=partial(scenes.yolo, images='images', labels='labels', data_yaml=None),
    voc=partial(scenes.voc, lists=None),
    labelme=scenes.labelme,
)
DIVIDED = dict(
    coco=partial(scenes.coco, annotations='{split}/_annotations.coco.json'),
    yolo=partial(scenes.yolo, images='{split}/images', labels='{split}/labels', data_yaml=None),
    voc=partial(scenes.voc, images='{split}', annotations='{split}', lists=None),
    labelme=partial(scenes.labelme, images='{split}', annotations='{split}'),
)
ODD_NAMES = ['00 ä, #1 50%.png', '日本.png', "a+b&c;(2)'.png", *scenes.NAMES[3:]]


def names(data):
    return {
        split: [one['file_name'] for one in content['images']]
        for split, content in data.splits.items()
    }


@pytest.mark.parametrize('name', FLAT)
def test_odd_file_names(tmp_path, monkeypatch, name):
    monkeypatch.setattr(scenes, 'NAMES', ODD_NAMES)
    root = FLAT[name](tmp_path / 'ünï cödé, #2 100%')
    data = read_objects(root)
    found = [one for split in names(data).values() for one in split]
    assert {one.rpartition('/')[2] for one in found} == {*ODD_NAMES}
    assert all((root / one).is_file() for one in found) and len(found) == 10


@pytest.mark.parametrize('name', FLAT)
def test_every_fifth_is_held_out_always_the_same(tmp_path, name):
    data = read_objects(FLAT[name](tmp_path))
    assert [one[-6:] for one in names(data)['val']] == ['04.png', '09.png']
    assert names(data) == names(read_objects(tmp_path)) and data.notes == []


@pytest.mark.parametrize('name', FLAT)
def test_four_images_are_too_few_to_hold_out(tmp_path, monkeypatch, name):
    monkeypatch.setattr(scenes, 'NAMES', scenes.NAMES[:4])
    with pytest.raises(ValueError, match='4 images and none for validation: at least 5 are'):
        read_objects(FLAT[name](tmp_path))


@pytest.mark.parametrize('name', ['yolo', 'voc', 'labelme'])
def test_images_beside_the_splits(tmp_path, name):
    makers = dict(DIVIDED, yolo=partial(scenes.yolo, data_yaml=None))
    root = makers[name](tmp_path)
    for path in [*root.rglob('01.*')]:
        path.rename(path.parents[1] / path.name)
    with pytest.raises(ValueError, match=r"01.png' belongs to no split"):
        read_objects(root)


def test_lists_of_voc(tmp_path):
    root = scenes.voc(tmp_path)
    lists = root / 'ImageSets/Main'
    (lists / 'val.txt').unlink()
    scenes.text(lists / 'trainval.txt', '00\n01\n02\n03\n05\n06\n99\n')
    scenes.text(lists / 'test.txt', '04\n09\n')
    data = read_objects(root)
    assert [len(one) for one in names(data).values()] == [5, 1, 2]
    assert names(data)['test'] == ['JPEGImages/04.png', 'JPEGImages/09.png']


def test_a_test_split_is_kept(tmp_path):
    root = scenes.yolo(tmp_path, data_yaml='test: images/val\n' + scenes.YOLO)
    data = read_objects(root)
    assert [*data.splits] == ['train', 'val', 'test']
    assert names(data)['test'] == names(data)['val']


def test_absolute_file_names(tmp_path):
    root = scenes.coco(tmp_path / 'data')
    outside = scenes.image(tmp_path / 'elsewhere' / 'x.png')

    def change(content):
        for one in content['images']:
            one['file_name'] = str(root / 'train' / one['file_name'])
        content['images'][0]['file_name'] = str(outside)

    scenes.edit(root / 'annotations/instances_train.json', change)
    data = read_objects(root)
    assert names(data)['train'][:2] == [str(outside), 'train/01.png'] and data.notes == []


@pytest.mark.parametrize('as_stored', [True, False])
@pytest.mark.parametrize('name', ['coco', 'voc', 'labelme'])
def test_exif_tags(tmp_path, name, as_stored):
    root = FLAT[name](tmp_path)
    tags = Image.Exif()
    tags[0x0112] = 8
    stored = (scenes.WIDTH, scenes.HEIGHT)[:: 1 if as_stored else -1]
    for path in [path for path in root.rglob('*.png') if path.stem != '05']:
        scenes.image(path, stored, exif=tags)
    data = read_objects(root)
    assert data.ignore_orientation == as_stored
    images = data.splits['train']['images']
    assert {(one['width'], one['height']) for one in images} == {(scenes.WIDTH, scenes.HEIGHT)}


def test_yolo_is_for_turned_images(tmp_path):
    root = FLAT['yolo'](tmp_path)
    tags = Image.Exif()
    tags[0x0112] = 6
    scenes.image(root / 'images/00.png', (scenes.HEIGHT, scenes.WIDTH), exif=tags)
    data = read_objects(root)
    assert not data.ignore_orientation
    assert data.splits['train']['annotations'][0]['bbox'] == pytest.approx(
        [30, 10, 25, 25], abs=0.01
    )


def test_names_of_yaml_are_as_written(tmp_path):
    written = 'train: images/train\nval: images/val\nnames:\n  0: no\n  1: 007\n'
    assert read_objects(scenes.yolo(tmp_path, data_yaml=written)).classes == ('no', '007')


def test_numbers_of_yaml_may_have_gaps(tmp_path):
    root = scenes.yolo(tmp_path, data_yaml=scenes.YOLO.replace('[cat, dog]', '{0: cat, 3: dog}'))
    for path in root.rglob('*.txt'):
        path.write_text(path.read_text().replace('1 ', '3 '))
    assert read_objects(root).classes == ('cat', 'dog')


def test_groups_of_labelme(tmp_path):
    root = scenes.labelme(tmp_path)
    parts = [[[1, 1], [9, 1], [9, 9]], [[20, 20], [30, 20], [30, 30]], [[40, 1], [50, 9]]]
    kinds = ['polygon', 'polygon', 'rectangle']
    shapes = [
        dict(label='cat', shape_type=kind, points=points, group_id=1)
        for kind, points in zip(kinds, parts, strict=True)
    ]
    shapes.append(dict(shapes[0], label='dog'))
    scenes.edit(root / '00.json', lambda content: content.update(shapes=shapes))
    data = read_objects(root)
    cat, dog = [one for one in data.splits['train']['annotations'] if one['image_id'] == 1]
    assert cat['bbox'] == [1, 1, 49, 29] and dog['bbox'] == [1, 1, 8, 8]
    assert [len(part) for part in cat['segmentation']] == [6, 6, 8] and data.with_masks
    assert cat['area'] == 32 + 50 + 80


def test_a_polygon_is_clipped_exactly(tmp_path):
    root = scenes.coco(tmp_path)
    diamond = [0, -10, 20, 10, 0, 30, -20, 10]  # a quarter and a quarter are inside

    def change(content):
        content['annotations'][0].update(segmentation=[diamond], bbox=[-20, -10, 40, 40])

    scenes.edit(root / 'annotations/instances_train.json', change)
    first = read_objects(root).splits['train']['annotations'][0]
    assert first['bbox'] == [0, 0, 20, 30] and first['area'] == 350
    (polygon,) = first['segmentation']
    assert sorted(zip(polygon[::2], polygon[1::2], strict=True)) == [
        (0, 0), (0, 30), (10, 0), (20, 10),
    ]  # fmt: skip


def test_ignored_objects_have_masks_too(tmp_path):
    root = scenes.voc(tmp_path, polygons=True)
    path = root / 'Annotations/00.xml'
    path.write_text(path.read_text().replace('<difficult>0', '<difficult>1'))
    text = path.read_text()
    path.write_text(text[: text.index('<polygon>')] + text[text.index('</polygon>') + 10 :])
    data = read_objects(root)
    first = data.splits['train']['annotations'][0]
    assert data.with_masks and first['iscrowd'] == 1
    assert first['segmentation'] == [[30, 10, 55, 10, 55, 35, 30, 35]]


def test_a_circle_of_links_is_not_followed(tmp_path):
    root = FLAT['labelme'](tmp_path / 'data')
    (root / 'again').symlink_to(root)
    assert len(read_objects(root).splits['train']['images']) == 8


def test_images_without_objects_are_kept(tmp_path):
    root = FLAT['coco'](tmp_path)

    def change(content):
        content['annotations'] = [a for a in content['annotations'] if a['image_id'] != 10]

    scenes.edit(root / 'all.json', change)
    data = read_objects(root)
    assert len(data.splits['train']['images']) == 8 and data.notes == []
    assert 10 not in {one['image_id'] for one in data.splits['train']['annotations']}


def test_empty_masks_of_box_data(tmp_path):
    root = FLAT['coco'](tmp_path)

    def change(content):
        for index, one in enumerate(content['annotations']):
            one['segmentation'] = [[], [[]], {}, [[0, 0, 0, 0]]][index % 4]

    scenes.edit(root / 'all.json', change)
    data = read_objects(root)
    assert not data.with_masks and data.notes == []
    objects = [one for split in data.splits.values() for one in split['annotations']]
    assert len(objects) == 16 and not any(one['iscrowd'] for one in objects)


@pytest.mark.parametrize('name', FLAT)
def test_other_names_of_splits(tmp_path, name):
    root = DIVIDED[name](tmp_path)
    (root / 'val').rename(root / 'valid')
    (root / 'train').rename(root / 'Training')
    assert [len(one) for one in names(read_objects(root)).values()] == [8, 2]


def test_kinds_of_images(tmp_path):
    root = FLAT['yolo'](tmp_path)
    kinds = {'I;16': 'png'} | dict(L='png', P='png', LA='png', CMYK='jpg', RGB='webp', RGBA='tif')
    for index, (mode, suffix) in enumerate(kinds.items()):
        (root / f'images/0{index}.png').unlink()
        image = Image.new(mode, (scenes.WIDTH, scenes.HEIGHT))
        options = dict(save_all=True, append_images=[image]) if suffix in ('webp', 'tif') else {}
        image.save(root / f'images/0{index}.{suffix}', **options)
    data = read_objects(root)
    for one in (one for split in data.splits.values() for one in split['images']):
        pixels = imfrombytes((root / one['file_name']).read_bytes())  # as in training
        assert pixels.shape == (one['height'], one['width'], 3) and pixels.dtype == 'uint8'
