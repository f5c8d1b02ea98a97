"""The figures of each class, against other libraries' or a formula's."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
import torch
from mmengine.evaluator import Evaluator
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmoverlock.datasets import make_digits_scenes
from mmoverlock.engine.class_metrics import ClasswiseMetric, class_table

DIGITS = tuple('0123456789')


def evaluate(metric, samples, classes):
    """The metrics, and the table of the classes."""
    wrapped = ClasswiseMetric(metric)
    evaluator = Evaluator([wrapped])
    evaluator.dataset_meta = dict(classes=classes)
    evaluator.process(samples)
    return evaluator.evaluate(len(samples)), class_table(evaluator.metrics)


@pytest.fixture(scope='module')
def scenes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('scenes')
    make_digits_scenes(folder, num_train=1, num_val=8, image_size=96)
    return folder / 'annotations/instances_val.json'


@pytest.fixture(scope='module')
def detections(scenes) -> list[dict]:
    """What a poor detector might find: boxes and masks that are moved, and some wrong labels."""
    truth, rng = COCO(str(scenes)), np.random.default_rng(0)
    samples = []
    for image_id, image in truth.imgs.items():
        annotations = truth.imgToAnns[image_id]
        boxes = np.array([one['bbox'] for one in annotations], np.float32)
        boxes[:, 2:] += boxes[:, :2]
        labels = np.array([one['category_id'] - 1 for one in annotations])
        wrong = rng.random(len(labels)) < 0.2
        labels[wrong] = rng.integers(0, 10, wrong.sum())
        masks = [np.roll(truth.annToMask(one), rng.integers(0, 3)) for one in annotations]
        found = dict(
            bboxes=torch.from_numpy(boxes + rng.normal(0, 1.5, boxes.shape).astype(np.float32)),
            labels=torch.from_numpy(labels),
            scores=torch.from_numpy(rng.random(len(labels), np.float32)),
            masks=torch.from_numpy(np.stack(masks).astype(bool)),
        )
        size = (image['height'], image['width'])
        samples.append(dict(img_id=image_id, ori_shape=size, pred_instances=found))
    return samples


def class_aps(annotations: Path, samples: list[dict], kind: str) -> list[float]:
    """pycocotools' AP of each class."""
    truth, results = COCO(str(annotations)), []
    for sample in samples:
        found = sample['pred_instances']
        for i, (x1, y1, x2, y2) in enumerate(found['bboxes'].tolist()):
            one = dict(image_id=sample['img_id'], category_id=found['labels'][i].item() + 1)
            one['score'] = found['scores'][i].item()
            if kind == 'bbox':
                one['bbox'] = [x1, y1, x2 - x1, y2 - y1]
            else:
                one['segmentation'] = coco_mask.encode(np.asfortranarray(found['masks'][i].numpy()))
            results.append(one)
    evaluation = COCOeval(truth, truth.loadRes(results), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    precisions = evaluation.eval['precision'][:, :, :, 0, -1]  # IoU, recall, class
    return [table[table > -1].mean() for table in np.moveaxis(precisions, 2, 0)]


@pytest.mark.parametrize('classwise', [False, True])
def test_ap_of_boxes_and_masks_is_that_of_pycocotools(scenes, detections, classwise):
    from mmdet.evaluation import CocoMetric

    options = dict(ann_file=str(scenes), metric=['bbox', 'segm'], classwise=classwise)
    metrics, table = evaluate(CocoMetric(**options), detections, DIGITS)
    assert [row['class'] for row in table] == list(DIGITS)
    for kind in ('bbox', 'segm'):
        aps = class_aps(scenes, detections, kind)
        assert 0.05 < np.nanmean(aps) < 0.95
        expected = [None if math.isnan(ap) else pytest.approx(ap, abs=5.1e-4) for ap in aps]
        assert [row[f'{kind}_AP'] for row in table] == expected
    assert [row['bbox_AP'] for row in table] != [row['segm_AP'] for row in table]
    plain = CocoMetric(**options)
    plain.dataset_meta = dict(classes=DIGITS)
    plain.process({}, detections)
    assert metrics == pytest.approx(plain.evaluate(len(detections)), nan_ok=True)
    assert ('coco/3_precision' in metrics) == classwise


def test_voc():
    """Of two cats one is found, with a false alarm before it; the dog is missed; no bird is there."""
    from mmdet.evaluation import VOCMetric

    def boxes(*corners):
        return torch.tensor([[x, x, x + 10, x + 10] for x in corners], dtype=torch.float32)

    nothing = dict(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    sample = dict(
        gt_instances=dict(bboxes=boxes(0, 20, 40), labels=torch.tensor([0, 0, 1])),
        ignored_instances=nothing,
        pred_instances=dict(
            bboxes=boxes(60, 20, 0),
            labels=torch.tensor([0, 0, 2]),
            scores=torch.tensor([0.9, 0.8, 0.7]),
        ),
    )
    metrics, table = evaluate(VOCMetric(eval_mode='area'), [sample], ('cat', 'dog', 'bird'))
    assert [row['class'] for row in table] == ['cat', 'dog', 'bird']
    assert [row['AP50'] for row in table] == [pytest.approx(0.25), 0, None]
    assert metrics['pascal_voc/mAP'] == pytest.approx(0.125)


def test_segmentation():
    from mmseg.evaluation import IoUMetric

    rng = np.random.default_rng(0)
    truth, guess = rng.integers(0, 3, (2, 4, 1, 20, 30))
    truth[0, 0, :5] = 255  # ignored
    samples = [
        dict(
            pred_sem_seg=dict(data=torch.from_numpy(guess[i])),
            gt_sem_seg=dict(data=torch.from_numpy(truth[i])),
        )
        for i in range(4)
    ]
    metric = IoUMetric(iou_metrics=['mIoU', 'mDice'])
    metrics, table = evaluate(metric, samples, ('sky', 'sea', 'land', 'sun'))
    seen = truth != 255
    for label, row in enumerate(table[:3]):
        a, b = (truth == label) & seen, (guess == label) & seen
        assert row['IoU'] == pytest.approx(100 * (a & b).sum() / (a | b).sum(), abs=0.01)
        assert row['Acc'] == pytest.approx(100 * (a & b).sum() / a.sum(), abs=0.01)
        assert row['Dice'] == pytest.approx(200 * (a & b).sum() / (a.sum() + b.sum()), abs=0.01)
    assert table[3] == {'class': 'sun', 'IoU': None, 'Acc': None, 'Dice': None}
    assert metrics['mIoU'] == pytest.approx(np.mean([row['IoU'] for row in table[:3]]), abs=0.02)


def test_classification():
    from mmpretrain.evaluation import Accuracy

    rng = np.random.default_rng(0)
    truth, scores = rng.integers(0, 3, 40), rng.random((40, 3), np.float32)
    samples = [
        dict(pred_score=torch.from_numpy(score), gt_label=torch.tensor([label]))
        for score, label in zip(scores, truth, strict=True)
    ]
    metrics, table = evaluate(Accuracy(), samples, ('a', 'b', 'c'))
    expected = sklearn.metrics.precision_recall_fscore_support(truth, scores.argmax(1))
    for label, row in enumerate(table):
        *shares, support = (column[label] for column in expected)
        found = [row[name] / 100 for name in ('precision', 'recall', 'f1-score')]
        assert found == pytest.approx(shares) and row['support'] == support
    assert metrics == {'accuracy/top1': pytest.approx(100 * (scores.argmax(1) == truth).mean())}


def test_tables_of_several_metrics_are_one():
    from mmpretrain.evaluation import Accuracy, SingleLabelMetric

    metrics = [ClasswiseMetric(kind()) for kind in (Accuracy, SingleLabelMetric)]
    evaluator = Evaluator(metrics)
    evaluator.dataset_meta = dict(classes=('a', 'b'))
    evaluator.process([dict(pred_score=torch.tensor([0.2, 0.8]), gt_label=torch.tensor([1]))])
    assert {'accuracy/top1', 'single-label/recall'} <= evaluator.evaluate(1).keys()
    (a, b) = class_table(metrics)
    assert (a['class'], a['support'], b['class'], b['support']) == ('a', 0, 'b', 1)
    json.dumps([a, b], allow_nan=False)
