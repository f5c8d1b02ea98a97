"""COCO's evaluation of a model that finds nothing, and of unusual annotation ids; mean IoU."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmengine.evaluator import Evaluator
from mmseg.evaluation import IoUMetric

from mmoverlock.engine import EvaluationGuard
from mmoverlock.engine.class_metrics import ClasswiseMetric
from mmoverlock.engine.hooks import evaluation_guard

BOXES = [[10, 10, 20, 20], [40, 40, 15, 15]]


def truth(tmp_path, ids, boxes=BOXES):
    """A file of one image, of boxes of the first of two categories."""
    one = dict(image_id=7, category_id=1, iscrowd=0)
    annotations = [
        dict(**one, id=i, bbox=box, area=box[2] * box[3]) for i, box in zip(ids, boxes, strict=True)
    ]
    data = dict(
        images=[dict(id=7, file_name='a.png', width=64, height=64)],
        categories=[dict(id=1, name='cat'), dict(id=2, name='dog')],
        annotations=annotations,
    )
    file = tmp_path / 'truth.json'
    file.write_text(json.dumps(data))
    return str(file)


def sample(boxes=BOXES, instances=()):
    corners = torch.tensor([[x, y, x + w, y + h] for x, y, w, h in boxes]).float().reshape(-1, 4)
    number = len(corners)
    found = dict(
        bboxes=corners,
        scores=torch.full((number,), 0.9),
        labels=torch.zeros(number, dtype=torch.long),
        masks=torch.ones(number, 64, 64, dtype=torch.bool),
    )
    return dict(
        img_id=7, img_path='a.png', ori_shape=(64, 64), pred_instances=found, instances=instances
    )


def evaluate(metric, *samples, mode='val'):
    metric.dataset_meta = dict(classes=('cat', 'dog'))
    evaluator = Evaluator([metric])
    loop = SimpleNamespace(evaluator=evaluator)
    guard = EvaluationGuard()
    for _ in range(2):  # as in a training, which evaluates many times
        getattr(guard, f'before_{mode}')(SimpleNamespace(**{f'{mode}_loop': loop}))
        evaluator.process(samples)
        found = evaluator.evaluate(len(samples))
    return found


@pytest.fixture
def lines(monkeypatch):
    lines = []
    monkeypatch.setattr(
        evaluation_guard, 'print_log', lambda text, level=logging.INFO, **_: lines.append(text)
    )
    return lines


@pytest.mark.parametrize('mode', ['val', 'test'])
@pytest.mark.parametrize('ids', [(0, 1), (3, 3), (-1, 1), ('a', 'b'), (1.5, 2.5), (2**40, 5)])
def test_perfect_boxes_have_an_ap_of_1(tmp_path, lines, ids, mode):
    found = evaluate(CocoMetric(truth(tmp_path, ids)), sample(), mode=mode)
    assert found['coco/bbox_mAP'] == found['coco/bbox_mAP_50'] == 1


def test_images_that_the_model_did_not_get(tmp_path, lines):
    file = Path(truth(tmp_path, (1, 2)))
    data = json.loads(file.read_text())
    for number, other in ((8, 'b'), (9, 'c')):  # of these, one has objects
        data['images'].append(dict(data['images'][0], id=number, file_name=f'{other}.png'))
    data['annotations'] += [dict(one, id=one['id'] + 2, image_id=8) for one in data['annotations']]
    file.write_text(json.dumps(data))
    assert 0.49 < evaluate(CocoMetric(str(file)), sample())['coco/bbox_mAP'] < 0.52
    assert (
        lines
        == [
            '1 of 2 images with annotated objects were not given to the model: their objects count as '
            'missed, and AP and AR are too low'
        ]
        * 2
    )


def test_a_metric_of_classes_is_guarded_too(tmp_path, lines):
    metric = ClasswiseMetric(CocoMetric(truth(tmp_path, (0, 1))))
    assert evaluate(metric, sample())['coco/bbox_mAP'] == 1
    assert metric.rows[0] == {'class': 'cat', 'bbox_AP': 1.0}


@pytest.mark.parametrize('classwise', [False, True])
def test_of_no_detections_the_ap_is_0(tmp_path, lines, classwise):
    metric = CocoMetric(
        truth(tmp_path, (1, 2)), metric=['bbox', 'segm', 'proposal', 'proposal_fast']
    )
    del metric.metrics[1]  # boxes alone have no masks to compare with
    metric = ClasswiseMetric(metric) if classwise else metric
    found = evaluate(metric, sample([]))
    assert found['coco/bbox_mAP'] == found['coco/bbox_mAP_s'] == found['coco/AR@100'] == 0
    assert found['coco/bbox_mAP_l'] == -1  # no such object
    evaluations = 2 * (3 if classwise else 1)
    assert lines == ['no detections in 1 images with 2 annotated objects: AP and AR are 0'] * (
        evaluations
    )
    if classwise:
        assert metric.rows[0] == {'class': 'cat', 'bbox_AP': 0.0}
        assert metric.rows[1]['bbox_AP'] != metric.rows[1]['bbox_AP']  # NaN: there is no dog


def test_of_no_masks_the_ap_is_0(tmp_path, lines):
    file = truth(tmp_path, (1, 2))
    data = json.loads((tmp_path / 'truth.json').read_text())
    for one in data['annotations']:
        one['segmentation'] = [[1, 1, 9, 1, 9, 9]]
    (tmp_path / 'truth.json').write_text(json.dumps(data))
    found = evaluate(CocoMetric(file, metric=['bbox', 'segm']), sample([]))
    assert found['coco/bbox_mAP'] == found['coco/segm_mAP'] == 0


def test_nothing_to_find_and_nothing_found(tmp_path, lines):
    assert evaluate(CocoMetric(truth(tmp_path, (), ())), sample([]))['coco/bbox_mAP'] == -1


@pytest.mark.parametrize('boxes', [BOXES, []])
def test_annotations_that_come_with_the_images(lines, boxes):
    instances = [dict(bbox=[x, y, x + w, y + h], bbox_label=0) for x, y, w, h in BOXES]
    found = evaluate(CocoMetric(), sample(boxes, instances))
    assert found['coco/bbox_mAP'] == bool(boxes)


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (
            {},
            ['mIoU is the mean of 2 of 3 classes: the others have no pixel, neither labelled nor'],
        ),
        (dict(nan_to_num=0), []),
    ],
)
def test_classes_without_a_pixel_are_counted(lines, options, expected):
    metric = IoUMetric(**options)
    metric.dataset_meta = dict(classes=tuple('abc'))
    loop = SimpleNamespace(evaluator=SimpleNamespace(metrics=[ClasswiseMetric(metric)]))
    labels = torch.tensor([[0, 1], [1, 255]])
    samples = [dict(pred_sem_seg=dict(data=labels % 255), gt_sem_seg=dict(data=labels))]
    guard = EvaluationGuard()
    for _ in range(2):
        guard.before_val(SimpleNamespace(val_loop=loop))
    metric.process({}, samples)
    assert metric.evaluate(1)['mIoU'] == (100 if not options else 66.67)
    assert [line[: len(expected[0])] for line in lines] == expected
