"""Faults of a config's own COCO files: mended for training and evaluation alike, or told."""

from __future__ import annotations

import copy
import json
import math

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS, METRICS, DefaultScope

from mmoverlock.datasets import coco_annotations
from mmoverlock.datasets.coco_annotations import mend, read_annotations
from mmoverlock.datasets.formats.notes import Notes
from mmoverlock.engine.predictions import CocoPredictions

from ..fake_data import picture

SQUARE = [4.0, 4, 20, 4, 20, 20, 4, 20]
BOX = [4, 4, 16, 16]
CROWD = dict(size=[32, 40], counts=[0, 32, 32 * 39])


def one(**changes) -> dict:
    """The annotation 7 of image 1; a value `...` leaves the key out."""
    whole = dict(
        id=7, image_id=1, category_id=3, bbox=BOX, area=256, iscrowd=0, segmentation=[SQUARE]
    )
    return {key: value for key, value in (whole | changes).items() if value is not ...}


def content(*annotations: dict, **lists) -> dict:
    images = [dict(id=i, file_name=f'{i}.png', width=40, height=32) for i in (1, 2)]
    categories = [dict(id=3, name='dog'), dict(id=2, name='cat')]
    whole = dict(images=images, categories=categories, annotations=list(annotations))
    return copy.deepcopy(whole | lists)


@pytest.fixture
def build(tmp_path):
    """Write content as a JSON file; return the data set of mmdet and its CocoMetric."""
    for number in (1, 2):
        picture(tmp_path / f'{number}.png', (40, 32))

    def build_both(data: dict, classes=('cat', 'dog'), metric=('bbox', 'segm'), masks=True):
        (tmp_path / 'a.json').write_text(json.dumps(data))
        load = dict(type='LoadAnnotations', with_bbox=True, with_mask=masks)
        pipeline = [dict(type='LoadImageFromFile'), load, dict(type='PackDetInputs')]
        with DefaultScope.overwrite_default_scope('mmdet'):
            dataset = DATASETS.build(
                dict(
                    type='CocoDataset', data_root=str(tmp_path), ann_file='a.json',
                    data_prefix=dict(img=''), metainfo=dict(classes=classes), pipeline=pipeline,
                )
            )  # fmt: skip
            cfg = dict(type='CocoMetric', ann_file=str(tmp_path / 'a.json'), metric=list(metric))
            return dataset, METRICS.build(cfg)

    return build_both


def perfect(dataset, metric, missed: str | None = None) -> dict:
    """The figures of a detector that finds just what the data set says, but for one class."""
    samples = []
    for i in range(len(dataset)):
        sample = dataset[i]['data_samples']
        truth = sample.gt_instances
        boxes = truth.bboxes.tensor
        found = dict(bboxes=boxes, labels=truth.labels, scores=torch.ones(len(boxes)))
        if 'masks' in truth:
            found['masks'] = torch.from_numpy(truth.masks.to_ndarray()).bool()
        seen = [dataset.metainfo['classes'][label] != missed for label in truth.labels]
        found = {key: values[torch.tensor(seen, dtype=torch.bool)] for key, values in found.items()}
        info = dict(img_id=sample.img_id, ori_shape=sample.ori_shape)
        samples.append(dict(info, pred_instances=found))
    evaluator = Evaluator([metric])
    evaluator.dataset_meta = dataset.metainfo
    evaluator.process(samples)
    return evaluator.evaluate(len(samples))


# What is wrong: annotations, and the line that says so.
MENDED = [
    ([one(id=1), one(id=8, image_id=2, segmentation=[])], 'objects without a usable mask among others with one, ignored where masks are used: 1 (first: annotation 8)'),
    ([one(id=1), one(id=8, image_id=2, segmentation=...)], 'ignored where masks are used: 1 (first: annotation 8)'),
    ([one(id=1), one(id=8, image_id=2, segmentation=[[]])], 'ignored where masks are used: 1 (first: annotation 8)'),
    ([one(id=1), one(id=8, image_id=2, segmentation={})], 'ignored where masks are used: 1 (first: annotation 8)'),
    ([one(id=1), one(id=8, image_id=2, segmentation=None)], 'ignored where masks are used: 1 (first: annotation 8)'),
    ([one(id=1), one(id=8, segmentation=[[4, 4, 20, 20]])], 'polygons of fewer than three points or an odd number of values, left out: 1 (first: annotation 8)'),
    ([one(segmentation=[SQUARE, [1, 2, 3, 4]])], 'left out: 1 (first: annotation 7)'),
    ([one(segmentation=[SQUARE, [*SQUARE, 1]])], 'polygons of fewer than three points or an odd number of values, left out: 1'),
    ([one(iscrowd=...)], 'objects without a usable iscrowd, taken as single objects: 1 (first: annotation 7)'),
    ([one(iscrowd=None)], 'taken as single objects: 1'),
    ([one(area=...)], 'objects without a usable area, computed: 1 (first: annotation 7)'),
    ([one(area=0)], 'objects without a usable area, computed: 1'),
    ([one(area=math.nan)], 'objects without a usable area, computed: 1'),
    ([one(area='12')], 'objects without a usable area, computed: 1'),
    ([one(bbox=...)], 'objects without a usable box, that of the mask is taken: 1 (first: annotation 7)'),
    ([one(bbox=[math.nan] * 4)], 'that of the mask is taken: 1'),
    ([one(bbox=[4, 4, 0, 16])], 'that of the mask is taken: 1'),
    ([one(bbox=['4', '4', '16', 16])], 'objects whose box is given as text, read as numbers: 1'),
    ([one(), one(id=8, bbox=[9, 9, -3, 4], segmentation=...)], 'objects whose box has no width or height, left out: 1 (first: annotation 8)'),
    ([one(), one(id=8, bbox=[50, 40, 9, 9], segmentation=...)], 'objects outside their image, left out: 1 (first: annotation 8)'),
    ([one(segmentation=[[4, 4, 1e30, 4, 20, 1e30]])], 'objects that reach far outside their image, clipped: 1 (first: annotation 7)'),
    ([one(bbox=[-1e30, 4, 2e30, 9], segmentation=[SQUARE])], 'objects that reach far outside their image, clipped: 1'),
    ([one(), one(id=8, image_id=9)], 'annotations of images that are not listed, left out: 1 (first: annotation 8)'),
    ([one(), one(id=8, category_id=9)], 'annotations of categories that are not listed, left out: 1 (first: annotation 8)'),
    ([one(id=0), one(id=1, image_id=2)], 'annotations numbered again, as ids are missing, 0, twice or text: 1 (first: annotation 0)'),
    ([one(), one(image_id=2)], 'twice or text: 1 (first: annotation 7)'),
    ([one(id=10**400), one(image_id=2)], 'twice or text: 1'),
    ([one(id='a'), one(id=..., image_id=2)], 'twice or text: 2'),
]  # fmt: skip


@pytest.mark.parametrize(('annotations', 'line'), MENDED)
def test_what_is_mended_trains_and_evaluates(build, monkeypatch, annotations, line):
    said = []
    monkeypatch.setattr(coco_annotations, 'print_log', lambda text, **kwargs: said.append(text))
    boxes = perfect(*build(content(*annotations), masks=False, metric=['bbox']))
    masks = perfect(*build(content(*annotations)))
    assert boxes['coco/bbox_mAP'] == masks['coco/segm_mAP'] == 1
    assert len([one for one in said if line in one and 'a.json' in one]) == 1  # of four readings


def test_the_file_is_left_alone(build, tmp_path):
    build(content(one(iscrowd=..., id=0)))
    assert json.loads((tmp_path / 'a.json').read_text()) == content(one(iscrowd=..., id=0))


def test_an_object_without_a_mask_counts_for_boxes_alone(build):
    """In one run, epoch after epoch."""
    dataset, metric = build(content(one(), one(id=8, image_id=2, segmentation=[])))
    sample = dataset[1]['data_samples']
    assert len(sample.gt_instances) == 0 and len(sample.ignored_instances) == 1
    boxes, _ = build(content(one(), one(id=8, image_id=2, segmentation=[])), masks=False)
    assert len(boxes[1]['data_samples'].gt_instances) == 1
    missed = [perfect(dataset, metric) for _ in range(2)]
    assert [found['coco/bbox_mAP'] for found in missed] == [pytest.approx(0.5, abs=0.01)] * 2
    assert [found['coco/segm_mAP'] for found in missed] == [1, 1]


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        (content(one(bbox=..., segmentation=...)), '1 of 1 annotations of .*a.json. cannot be used, the first: annotation 7: it has neither a box nor a mask'),
        (content(one(), one(id=8, bbox=['a'] * 4, segmentation=[])), '1 of 2 .* annotation 8: the box .* is not x, y, width, height'),
        (content(one(bbox='4444', segmentation=[])), 'is not x, y, width, height'),
        (content(one(bbox=[10**400] * 4, segmentation=[])), 'is not x, y, width, height'),
        (content(one(bbox=[1, 2, 3], segmentation=[])), 'is not x, y, width, height'),
        (content(one(segmentation=[['a'] * 6])), 'annotation 7: the polygon .* is not an even number of finite numbers'),
        (content(one(segmentation=[[math.nan] * 6])), 'is not an even number of finite numbers'),
        (content(one(segmentation='text')), 'annotation 7: the mask .* is neither a list of polygons nor run lengths'),
        (content(one(segmentation=dict(CROWD, size=[40, 32]))), 'annotation 7: the run lengths are for a size .* of .40, 32., but the image has .32, 40.'),
        (content(one(segmentation=dict(CROWD, counts=[5]))), 'annotation 7: the run lengths'),
        (content(one(image_id=[1])), 'annotation 7: image_id is .1.: a number or a text is needed'),
        (content(one(category_id=...)), 'annotation 7: category_id is None'),
        (content(one(image_id=9)), 'no annotation of .*a.json. is of an image that is listed'),
        (content(*[one(id=i, bbox=[90, 9, 4, 4], segmentation=...) for i in range(1, 11)]), '10 of 10 objects of .* are outside their image .* another unit or order'),
        (content(images=[dict(id=1, file_name='1.png', width=40)]), 'image 1: height is None: a number of pixels up to 1048576 is needed'),
        (content(images=[dict(id=1, width=40, height=32)]), 'image 1 has no file_name'),
        (content(images=[dict(id=1, file_name=n, width=4, height=4) for n in 'ab']), 'two images have the id 1'),
        (content(categories=[dict(id=1, name='cat'), dict(id=1, name='dog')]), 'two categories have the id 1'),
        (content(categories=[dict(id=1, name='cat'), dict(id=2, name=' cat')]), "two categories have the name 'cat'"),
        (content(categories=5), 'has no list .categories.'),
        (content(None), "None in the list 'annotations' is not an object"),
        (content(categories=[dict(id=1, name='cat'), dict(id='a', name='dog')]), 'some ids of categories are numbers and some are not'),
        (content('text'), "'text' in the list 'annotations' is not an object"),
    ],
)  # fmt: skip
def test_what_has_no_meaning_is_refused(build, data, message):
    with pytest.raises(ValueError, match=message):
        build(data)


def test_ids_as_text_are_numbers(build):
    data = content(one(image_id='1', category_id='3'))
    data['images'][0]['id'], data['categories'][0]['id'] = '1', '3'
    assert perfect(*build(data))['coco/bbox_mAP'] == 1


def test_a_supercategory_of_the_same_name_is_dropped(build):
    names = [dict(id=0, name='cat'), dict(id=3, name='cat', supercategory='cat')]
    dataset, metric = build(content(one(), categories=names), classes=('cat',))
    assert perfect(dataset, metric)['coco/bbox_mAP'] == 1


@pytest.mark.parametrize(
    'text', ['[' * 100_000, '{"images": 1' + '0' * 5000 + '}', '{', '[]', 'null', '3']
)
def test_no_coco_file(tmp_path, text):
    (tmp_path / 'a.json').write_text(text)
    with pytest.raises(ValueError, match='a.json'):
        read_annotations(str(tmp_path / 'a.json'))


def copies(number: int) -> list[dict]:
    """Objects of which no two are alike."""
    return [one(id=100 + i, bbox=[4, 4, 16, 1 + i / 100]) for i in range(number)]


ODD = {
    'tiny': ([one(bbox=[4, 4, 0.5, 9])], 'objects narrower than a pixel, which are evaluated but train nothing: 1 (first: annotation 7)'),
    'ignore': ([one(ignore=1), one(id=8, image_id=2, iscrowd=1, ignore=1), one(id=9, bbox=[1, 1, 3, 3], ignore=0)], 'objects with "ignore" but no "iscrowd", which are evaluated but train nothing: 1 (first: annotation 7)'),
    'twice': ([one(), one(id=8), one(id=9, segmentation=[SQUARE[2:]]), one(id=10), one(id=11, image_id=2), one(id=12, category_id=2)], 'objects listed before, with the same image, category, box and mask, used again: 2 (first: annotation 8)'),
    'corners': ([one(id=i, bbox=[20, 15, 20 + 2 * i, 20]) for i in range(1, 11)], 'boxes that end beyond their image (are they x, y, right, bottom instead of x, y, width, height?): 10 (first: annotation 1)'),
}  # fmt: skip


@pytest.mark.parametrize(('annotations', 'line'), ODD.values(), ids=ODD)
def test_what_is_odd_is_told_and_left_alone(annotations, line):
    data, notes = content(*annotations), Notes()
    before = copy.deepcopy(data)
    mend(data, 'a.json', notes)
    assert data == before and notes.lines() == [line]


def test_a_few_odd_boxes_of_many_are_let_pass():
    """As in published data."""
    beyond = [one(id=i, bbox=[20, 15, 16 + i, 16]) for i in range(1, 10)]
    data, notes = content(*beyond, one(id=20, bbox=[3, 5, 0.4, 0.4]), *copies(1000)), Notes()
    data['annotations'].append(dict(data['annotations'][-1], id=21))
    mend(data, 'a.json', notes)
    assert notes.lines() == []


def test_relative_boxes_are_refused(build):
    relative = [one(id=i, bbox=[0.1, 0.2, 0.3, i / 9], area=...) for i in range(1, 4)]
    message = '3 of 5 boxes of .*a.json. have only values from 0 to 1, .* annotation 1: .* relative'
    with pytest.raises(ValueError, match=message):
        build(content(*relative, *copies(2)))
    build(content(*relative[:2], *copies(3)))


def test_sound_content_stays_as_it_is():
    """Published data give the published figures: no box is clipped, no small object dropped."""
    partly = one(id=8, bbox=[-3, 5, 0.5, 4], area=2, segmentation=[[-3, 5, 9, 5, 9, 9]])
    partly['bbox'] = [-3, 5, 12.5, 4]
    small = one(id=9, bbox=[3, 5, 0.4, 0.4], area=0.1)
    crowd = one(id=10, iscrowd=1, segmentation=CROWD)
    data, notes = content(one(), partly, small, crowd, *copies(1000)), Notes()
    before = copy.deepcopy(data)
    mend(data, 'a.json', notes)
    assert data == before and notes.lines() == []


def test_panoptic_and_caption_files_are_let_pass(tmp_path):
    for odd in (dict(segments_info=[]), dict(caption='a dog')):
        data = dict(images=[dict(id=1)], annotations=[dict(image_id=1, **odd)], categories=[])
        (tmp_path / 'a.json').write_text(json.dumps(data))
        assert read_annotations(str(tmp_path / 'a.json')) == data


@pytest.mark.parametrize('parallel', [False, True])
@pytest.mark.parametrize('classes', [('cat', 'dog'), ('dog', 'cat')])
def test_figures_of_classes_have_their_names(build, classes, parallel):
    """In the order of the ids, that of the config's names or another: the cat comes first."""
    data = content(one(), one(id=8, category_id=2, image_id=2))
    dataset, metric = build(data, classes, metric=['bbox'])
    metric.classwise, metric.use_mp_eval = True, parallel
    found = perfect(dataset, metric, missed='cat')
    assert found['coco/dog_precision'] == 1 and found['coco/cat_precision'] == 0


def test_labels_are_in_the_order_of_the_names(build, tmp_path):
    """Of the config's; in the file the dog comes first."""
    dataset, metric = build(content(one(), one(id=8, category_id=2, image_id=2)))
    labels = [dataset[i]['data_samples'].gt_instances.labels.tolist() for i in range(2)]
    assert [[dataset.metainfo['classes'][i] for i in one] for one in labels] == [['dog'], ['cat']]
    metric.classwise = True
    found = perfect(dataset, metric)
    assert found['coco/dog_precision'] == found['coco/cat_precision'] == 1
    writer = CocoPredictions(dataset, results=tmp_path / 'out.json')
    samples = [
        dict(
            img_id=1, img_path='1.png', ori_shape=(32, 40),
            pred_instances=dict(
                labels=torch.tensor([1]), scores=torch.ones(1), bboxes=torch.ones(1, 4)
            ),
        )
    ]  # fmt: skip
    writer.process(None, samples)
    writer.compute_metrics(writer.results)
    (written,) = json.loads((tmp_path / 'out.json').read_text())
    assert written['category_id'] == 3  # label 1 is the dog


@pytest.mark.parametrize('name', ['dog', ['dog'], ('cat', 'dog'), ['dog', 'cat '], []])
def test_ids_of_names(build, name):
    _, metric = build(content(one()))
    names = [name] if isinstance(name, str) else name
    ids = [dict(dog=3, cat=2)[one.strip()] for one in names] or [3, 2]
    assert metric._coco_api.get_cat_ids(cat_names=name) == ids
