"""The figures of mmdet's CocoMetric, from the data set alone."""

import json

import numpy as np
import pytest
import torch
from mmdet.datasets import CocoDataset
from mmdet.evaluation import CocoMetric
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmoverlock.analysis.detection.average_precision import average_precision
from mmoverlock.analysis.detection.sample import samples

from .scenes import found, sample, truth

CLASSES = 'cat', 'dog', 'eel'
IDS = dict(dog=3, eel=11, cat=7)  # in the order of the file
SIDE = 200


class Subject:
    """What samples are made of."""

    def __init__(self, dataset, predictions):
        self.dataset, self._predictions = dataset, predictions

    def predictions(self):
        yield from enumerate(self._predictions)


@pytest.fixture(scope='module')
def file(tmp_path_factory):
    """Objects of all sizes, crowds, one to be ignored, one without a mask, one outside the picture."""
    rng = np.random.default_rng(0)
    images = [dict(id=i, file_name=f'{i}.png', height=SIDE, width=SIDE) for i in (9, 4, 0, 2, 7)]
    objects = []
    for image in images[:4]:
        for number in range(8):
            x, y, *size = [*rng.integers(0, 60, 2), *rng.integers(8, 140, 2)]
            width, height = (min(side, SIDE - at) for side, at in zip(size, (x, y), strict=True))
            x, y, width, height = (float(value) for value in (x, y, width, height))
            corners = [x, y, x + width, y, x + width, y + height, x, y + height]
            objects.append(
                dict(
                    id=len(objects), image_id=image['id'], bbox=[x, y, width, height],
                    category_id=list(IDS.values())[number % 3], iscrowd=int(number == 7),
                    area=0.9 * width * height, segmentation=[corners],
                )
            )  # fmt: skip
    objects[3]['ignore'] = 1
    objects[4]['segmentation'] = []
    objects[5]['bbox'][0] = 210.0
    for one in objects:
        if one['iscrowd']:
            x, y, width, height = map(int, one['bbox'])
            mask = np.zeros((SIDE, SIDE), np.uint8)
            mask[y : y + height, x : x + width] = 1
            change = np.flatnonzero(np.diff(mask.T.ravel(), prepend=0)).tolist()
            counts = np.diff([0, *change, SIDE * SIDE]).tolist()
            one['segmentation'] = dict(size=[SIDE, SIDE], counts=counts)
    categories = [dict(id=number, name=name) for name, number in IDS.items()]
    path = tmp_path_factory.mktemp('coco') / 'a.json'
    path.write_text(json.dumps(dict(images=images, annotations=objects, categories=categories)))
    return path


def predictions(dataset):
    """Objects moved a bit, some with other classes, some twice, and equal scores."""
    rng = np.random.default_rng(1)
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        rows = [
            (*(np.array(one['bbox']) + rng.normal(0, 4, 4)), one['bbox_label'])
            for one in info['instances']
            for _ in range(rng.integers(0, 3))
        ]
        table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 5)
        boxes = table[:, :4].clamp(0, SIDE)
        labels = (table[:, 4].long() + torch.from_numpy(rng.random(len(table)) < 0.2)) % 3
        grid = torch.arange(SIDE)
        inside = (grid >= boxes[:, None, 0::2].min(2)[0].round()) & (
            grid < boxes[:, None, 0::2].max(2)[0].round()
        )
        down = (grid >= boxes[:, None, 1::2].min(2)[0].round()) & (
            grid < boxes[:, None, 1::2].max(2)[0].round()
        )
        instances = InstanceData(
            bboxes=boxes, labels=labels, masks=down[:, :, None] & inside[:, None],
            scores=torch.from_numpy(rng.integers(1, 6, len(table)) / 6).float(),
        )  # fmt: skip
        meta = dict(img_id=info['img_id'], ori_shape=(SIDE, SIDE))
        yield DetDataSample(pred_instances=instances, metainfo=meta)


def test_equal_to_mmdet(file):
    meta = dict(classes=CLASSES)
    dataset = CocoDataset(
        ann_file=str(file), data_prefix=dict(img=''), metainfo=meta, pipeline=[], test_mode=True
    )
    found = [*predictions(dataset)]
    metric = CocoMetric(str(file), ['bbox', 'segm'], classwise=True)
    metric.dataset_meta = meta
    metric.process({}, [one.to_dict() for one in found])
    seen = [*samples(Subject(dataset, found))]
    for kind in ('bbox', 'segm'):
        metric.metrics = [kind]
        theirs = metric.compute_metrics(metric.results)
        result = average_precision(seen, kind, len(CLASSES))
        ours = result.figures()
        names = dict(
            mAP='AP', mAP_50='AP50', mAP_75='AP75', mAP_s='AP_small', mAP_m='AP_medium',
            mAP_l='AP_large',
        )  # fmt: skip
        for name, own in names.items():
            assert round(ours[own], 3) == theirs[f'{kind}_{name}'], (kind, name)
        for label, name in enumerate(CLASSES):
            assert round(result.figures(label)['AP'], 3) == theirs[f'{name}_precision']
        assert 0.1 < ours['AP'] < 0.9
    # The one without a mask does not count among masks, nor do the crowds.
    assert result.objects.sum() == 4 * 7 - 1


def test_by_hand():
    # One of two objects is found: at recalls up to 0.5, 51 of 101. IoU 0.8: at 7 of 10 thresholds.
    one = sample(found((0, 0, 0, 8, 10, 0.9)), truth((0, 0, 0, 10, 10), (0, 50, 50, 40, 40)))
    result = average_precision([one], 'bbox', 2)
    figures = result.figures()
    assert figures['AP50'] == figures['AP75'] == pytest.approx(51 / 101)
    assert figures['AP'] == pytest.approx(0.7 * 51 / 101)
    assert figures['AR'] == pytest.approx(0.7 * 0.5)
    assert figures['AP_small'] == pytest.approx(0.7) and figures['AP_medium'] == 0
    assert figures['AP_large'] is None
    assert set(result.figures(1).values()) == {None}
    assert result.objects.tolist() == [2, 0]
    assert np.count_nonzero(result.curves[0, :, 0]) == 51 and np.isnan(result.curves[:, :, 1]).all()


def test_nothing():
    result = average_precision([sample(found(), truth((0, 0, 0, 10, 10)))], 'bbox', 1)
    assert result.figures()['AP'] == 0
    result = average_precision([sample(found((0, 0, 0, 10, 10, 0.9)), truth())], 'bbox', 1)
    assert result.figures()['AP'] is None
