"""The same scenes in every format and layout give the same annotations."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from mmdet.datasets import CocoDataset
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mmoverlock.datasets.formats import FORMATS, find_format, read_objects, write_coco

from . import scenes

FLAT_YOLO = partial(scenes.yolo, images='images', labels='labels')
LAYOUTS = {
    'coco-standard': scenes.coco,
    'coco-2017': partial(
        scenes.coco, annotations='annotations/instances_{split}2017.json', images='{split}2017'
    ),
    'coco-images-split': partial(scenes.coco, images='images/{split}'),
    'coco-images': partial(scenes.coco, images='images'),
    'coco-root': partial(scenes.coco, images=''),
    'coco-other-names': partial(scenes.coco, annotations='{split}.json', images='images'),
    'coco-roboflow': partial(scenes.coco, annotations='{split}/_annotations.coco.json'),
    'coco-split-images': partial(
        scenes.coco, annotations='{split}/labels.json', images='{split}/images'
    ),
    'coco-cvat': partial(
        scenes.coco, annotations='annotations/instances_default.json', images='images/default'
    ),
    'coco-fiftyone': partial(scenes.coco, annotations='{split}/labels.json', images='{split}/data'),
    'coco-deep': partial(scenes.coco, images='a/b/{split}'),
    'coco-undivided': partial(scenes.coco, annotations='annotations/all.json', images='images'),
    'coco-undivided-root': partial(scenes.coco, annotations='result.json', images=''),
    'yolo-images-split': scenes.yolo,
    'yolo-split-images': partial(
        scenes.yolo,
        images='{split}/images',
        labels='{split}/labels',
        data_yaml='train: ../train/images\nval: ../val/images\nnc: 2\nnames: {0: cat, 1: dog}\n',
    ),
    'yolo-path': partial(
        scenes.yolo,
        images='data/images/{split}',
        labels='data/labels/{split}',
        data_yaml='path: data\n' + scenes.YOLO,
    ),
    'yolo-polygons': partial(scenes.yolo, polygons=True),
    'yolo-no-yaml': partial(scenes.yolo, data_yaml=None),
    'yolo-no-yaml-split-images': partial(
        scenes.yolo, images='{split}/images', labels='{split}/labels', data_yaml=None
    ),
    'yolo-yaml-names-only': partial(scenes.yolo, data_yaml='names: [cat, dog]\n'),
    'yolo-undivided': partial(FLAT_YOLO, data_yaml='train: images\nnames: [cat, dog]\n'),
    'yolo-undivided-no-yaml': partial(FLAT_YOLO, data_yaml=None),
    'yolo-one-folder': partial(scenes.yolo, images='', labels='', data_yaml=None),
    'yolo-cvat': lambda root: (
        scenes.yolo(root, images='obj_train_data', labels='obj_train_data', data_yaml=None)
        and (root / 'classes.txt').rename(root / 'obj.names')
        and root
    ),
    'voc-lists': scenes.voc,
    'voc-nested': lambda root: scenes.voc(root / 'VOCdevkit/VOC2007') and root,
    'voc-polygons': partial(scenes.voc, polygons=True),
    'voc-undivided': partial(scenes.voc, lists=None),
    'voc-beside': partial(scenes.voc, images='{split}', annotations='{split}', lists=None),
    'voc-split-folders': partial(
        scenes.voc, images='{split}/images', annotations='{split}/annotations', lists=None
    ),
    'labelme-flat': scenes.labelme,
    'labelme-boxes': partial(scenes.labelme, polygons=False),
    'labelme-split': partial(scenes.labelme, images='{split}', annotations='{split}'),
    'labelme-apart': partial(
        scenes.labelme, images='images', annotations='annotations', folder='../images/'
    ),
    'labelme-apart-split': partial(
        scenes.labelme, images='images/{split}', annotations='labels/{split}', folder='C:\\x\\'
    ),
}


def by_image(data):
    """Split, class, box and mask (or None) of each image's objects."""
    found = {}
    for split, content in data.splits.items():
        images = {one['id']: one for one in content['images']}
        for one in content['images']:
            assert (data.root / one['file_name']).is_file()
            assert (one['width'], one['height']) == (scenes.WIDTH, scenes.HEIGHT)
            found[Path(one['file_name']).name] = []
        for one in content['annotations']:
            name = Path(images[one['image_id']]['file_name']).name
            mask = decode(one['segmentation']) if 'segmentation' in one else None
            row = split, data.classes[one['category_id'] - 1], one['bbox'], mask
            found[name].append(row)
    return found


def decode(segmentation):
    runs = coco_mask.frPyObjects(segmentation, scenes.HEIGHT, scenes.WIDTH)
    return coco_mask.decode(coco_mask.merge(runs)).astype(bool)


@pytest.mark.parametrize('layout', LAYOUTS)
def test_every_layout_gives_the_original_annotations(tmp_path, layout):
    root = LAYOUTS[layout](tmp_path)
    assert find_format(root) == layout.split('-')[0]
    data = read_objects(root)
    notes = [note for note in data.notes if 'held out' not in note]
    assert (data.classes, notes) == (scenes.CLASSES, [])
    assert data.with_masks == (layout.startswith(('coco', 'labelme')) or 'polygons' in layout) - (
        layout == 'labelme-boxes'
    )
    found = by_image(data)
    assert [*found] == sorted(scenes.NAMES, key=lambda name: (scenes.split(name), name))
    for index, name in enumerate(scenes.NAMES):
        expected = scenes.objects(index)
        assert len(found[name]) == len(expected)
        for (split, label, box, mask), (name_of_class, polygon) in zip(
            found[name], expected, strict=True
        ):
            assert (split, label) == (scenes.split(name), name_of_class)
            assert box == pytest.approx(scenes.box(polygon), abs=1e-3)
            if data.with_masks:
                wanted = decode([polygon])
                assert (mask & wanted).sum() / (mask | wanted).sum() > 0.99


def test_layouts_cover_all_formats():
    assert {layout.split('-')[0] for layout in LAYOUTS} == {*FORMATS} - {
        'label_images',
        'class_folders',
    }


@pytest.mark.parametrize('polygons', [True, False])
def test_written_files_are_read_by_pycocotools_and_mmdet(tmp_path, polygons):
    data = read_objects(scenes.yolo(tmp_path / 'data', polygons=polygons))
    paths = write_coco(data, tmp_path / 'out')
    assert [path.name for path in paths.values()] == ['instances_train.json', 'instances_val.json']
    before = [path.read_bytes() for path in paths.values()]
    write_coco(read_objects(tmp_path / 'data'), tmp_path / 'out')
    assert before == [path.read_bytes() for path in paths.values()]
    assert {*(tmp_path / 'out').iterdir()} == {*paths.values()}

    coco = COCO(str(paths['val']))
    assert [one['name'] for one in coco.loadCats(coco.getCatIds())] == [*scenes.CLASSES]
    dataset = CocoDataset(
        ann_file=str(paths['val']),
        data_prefix=dict(img=str(tmp_path / 'data')),
        metainfo=dict(classes=data.classes),
        pipeline=[],
    )
    assert len(dataset) == 2
    sample = dataset[0]
    assert Path(sample['img_path']).is_file()
    assert [one['bbox_label'] for one in sample['instances']] == [0, 1]
    assert np.allclose(sample['instances'][1]['bbox'], [30, 10, 55, 35], atol=1e-3)
    assert ('mask' in sample['instances'][0]) == polygons


def test_masks_and_ids_of_coco_are_kept(tmp_path):
    root = scenes.coco(tmp_path)
    path = root / 'annotations/instances_train.json'

    def change(content):
        first, second = content['annotations'][:2]
        counts = [0, 5 * scenes.HEIGHT, scenes.HEIGHT * (scenes.WIDTH - 5)]
        runs = dict(size=[scenes.HEIGHT, scenes.WIDTH], counts=counts)
        first.update(segmentation=runs)
        del first['bbox'], first['area']
        compressed = coco_mask.frPyObjects(runs, scenes.HEIGHT, scenes.WIDTH)
        second.update(segmentation=dict(runs, counts=compressed['counts'].decode()), iscrowd=1)

    scenes.edit(path, change)
    data = read_objects(root)
    first, second, *_ = data.splits['train']['annotations']
    assert first['bbox'] == [0, 0, 5, scenes.HEIGHT] and first['area'] == 5 * scenes.HEIGHT
    assert coco_mask.decode(first['segmentation'])[:, :5].all() and first['iscrowd'] == 0
    assert second['segmentation'] == first['segmentation'] and second['iscrowd'] == 1
    assert [one['id'] for one in data.splits['val']['images']] == [14, 19]
    assert data.with_masks
    assert json.dumps(data.splits)  # nothing of NumPy's
