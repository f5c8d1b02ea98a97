"""The truth comes from annotations, whatever wraps the data set."""

import json

import numpy as np
import pytest
from mmdet.datasets import CocoDataset, XMLDataset
from mmengine.dataset import ConcatDataset, RepeatDataset
from pycocotools import mask as coco_mask

from mmoverlock.analysis.detection.truth import TrueObjects, leaf_of, run_lengths

BOX = [10.0, 20.0, 30.0, 40.0]


def coco(folder, name, annotations, classes=('a', 'b')):
    """A data set of two pictures; the annotations are rows (image, category, more)."""
    data = dict(
        images=[dict(id=i, file_name=f'{i}.png', height=100, width=100) for i in (5, 8)],
        categories=[dict(id=2, name='b'), dict(id=9, name='a')],
        annotations=[
            dict(id=number, image_id=image, category_id=category, bbox=BOX, area=700, **more)
            for number, (image, category, more) in enumerate(annotations, 1)
        ],
    )
    (folder / name).write_text(json.dumps(data))
    return CocoDataset(
        ann_file=str(folder / name), data_prefix=dict(img=''), metainfo=dict(classes=classes),
        pipeline=[], test_mode=True,
    )  # fmt: skip


def test_coco(tmp_path):
    rows = [(8, 2, dict(iscrowd=0)), (8, 9, dict(iscrowd=1)), (8, 2, dict(iscrowd=0))]
    objects = TrueObjects(coco(tmp_path, 'a.json', rows))
    one = objects.of(1)
    assert one.labels.tolist() == [1, 0, 1]  # by name, not in the order of the ids
    assert one.boxes.tolist() == [[10, 20, 40, 60]] * 3
    assert one.areas.tolist() == [700] * 3
    assert one.crowds.tolist() == [False, True, False]
    assert one.masks is None
    empty = objects.of(0)
    assert len(empty) == 0 and empty.boxes.shape == (0, 4)


def test_classes_that_are_not_asked_for(tmp_path):
    rows = [(5, 2, dict(iscrowd=0)), (5, 9, dict(iscrowd=0))]
    assert TrueObjects(coco(tmp_path, 'a.json', rows, ('b',))).of(0).labels.tolist() == [0]


def test_masks(tmp_path):
    square = [10, 20, 40, 20, 40, 60, 10, 60]
    rows = [
        (5, 9, dict(iscrowd=0, segmentation=[square])),
        (5, 9, dict(iscrowd=0, segmentation=[])),
    ]
    one = TrueObjects(coco(tmp_path, 'a.json', rows)).of(0)
    assert [coco_mask.area(mask) for mask in one.masks] == [1200, 0]
    assert not one.crowds.any() and one.mask_crowds.tolist() == [False, True]


def test_without_annotations(tmp_path):
    both = ConcatDataset(
        [coco(tmp_path, 'a.json', []), coco(tmp_path, 'b.json', [(5, 9, dict(iscrowd=0))])]
    )
    objects = TrueObjects(both)
    assert [objects.of(i) is None for i in range(4)] == [True, True, False, False]


def test_wrappers(tmp_path):
    first = coco(tmp_path, 'a.json', [(8, 9, dict(iscrowd=0))])
    second = coco(tmp_path, 'b.json', [(5, 2, dict(iscrowd=0))] * 2)
    dataset = ConcatDataset([first, second])
    assert [leaf_of(dataset, i) for i in (1, 2)] == [(first, 1), (second, 0)]
    assert [len(TrueObjects(dataset).of(i)) for i in range(4)] == [0, 1, 2, 0]
    assert [len(TrueObjects(RepeatDataset(first, 2)).of(i)) for i in range(4)] == [0, 1, 0, 1]


def test_voc(tmp_path):
    text = """<annotation><size><width>100</width><height>100</height></size>{}</annotation>"""
    row = """<object><name>{}</name><difficult>{}</difficult><bndbox><xmin>11</xmin><ymin>21</ymin>
    <xmax>41</xmax><ymax>61</ymax></bndbox></object>"""
    (tmp_path / 'Annotations').mkdir()
    for name, objects in (('x', [('b', 0), ('a', 1)]), ('y', [])):
        rows = ''.join(row.format(*one) for one in objects)
        (tmp_path / 'Annotations' / f'{name}.xml').write_text(text.format(rows))
    (tmp_path / 'set.txt').write_text('x\ny\n')
    dataset = XMLDataset(
        ann_file='set.txt', data_root=str(tmp_path), data_prefix=dict(sub_data_root=''),
        metainfo=dict(classes=('a', 'b')), pipeline=[], test_mode=True,
    )  # fmt: skip
    objects = TrueObjects(dataset)
    one = objects.of(0)
    assert one.labels.tolist() == [1, 0] and one.crowds.tolist() == [False, True]
    assert one.boxes[0].tolist() == [10, 20, 40, 60] and one.areas[0] == 1200
    assert one.masks is None and len(objects.of(1)) == 0


@pytest.mark.parametrize('counts', ([6, 4, 6], None))
def test_run_lengths(counts):
    """The second of four columns, written down or as a polygon."""
    mask = dict(size=[4, 4], counts=counts) if counts else [[1, 2, 2, 2, 2, 4, 1, 4, 1, 2]]
    expected = np.zeros((4, 4))
    if counts:
        expected.T.flat[6:10] = 1
    else:
        expected[2:, 1] = 1
    found = run_lengths(mask, 4, 4)
    assert coco_mask.decode(found).tolist() == expected.tolist()
    assert run_lengths(found, 4, 4) == found
    assert coco_mask.area(run_lengths([], 4, 4)) == 0
