"""Curves and prediction sheets, from files as a run leaves them."""

from __future__ import annotations

import json

import cv2
import mmengine
import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from mmoverlock.analysis.curves import draw_curves, read_points, read_scalars
from mmoverlock.analysis.predictions import draw_predictions


@pytest.fixture
def work_dir(tmp_path):
    rows = [dict(loss=5.0 / step, loss_cls=2.0 / step, lr=1e-3, step=step) for step in (1, 2, 3, 4)]
    rows.insert(2, {'coco/bbox_mAP': 0.2, 'coco/segm_mAP': 0.1, 'step': 0})
    rows.append({'coco/bbox_mAP': 0.6, 'coco/segm_mAP': 0.5, 'step': 4})
    for number, part in enumerate((rows[:3], rows[3:])):  # a resumed run goes on in a new file
        folder = tmp_path / f'2026_{number}' / 'vis_data'
        folder.mkdir(parents=True)
        (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, part)) + '\n')
    return tmp_path


def ink(path) -> np.ndarray:
    """Which pixels of a picture are not white."""
    return (cv2.imread(str(path)) < 250).any(axis=2)


def test_curves(work_dir):
    assert len(read_scalars(work_dir)) == 6
    draw_curves(work_dir, work_dir / 'curves.png')
    height, width = (drawn := ink(work_dir / 'curves.png')).shape
    for half in (drawn[:, : width // 2], drawn[:, width // 2 :]):
        assert 0.01 < half.mean() < 0.5


def test_points_of_a_classifier(tmp_path):
    """Step 2 is trained twice: the run was killed in it and resumed."""
    rows = [dict(loss=3.0, loss_aux=1.0, step=1), {'accuracy/top1': 10.0, 'step': 1}]
    rows += [dict(loss=9.0, step=2), dict(loss=2.0, loss_aux=0.5, step=2)]
    rows.append({'accuracy/top1': 60.0, 'accuracy/top5': 90.0, 'val/cross_entropy': 1.5, 'step': 2})
    (tmp_path / 'a/vis_data').mkdir(parents=True)
    (tmp_path / 'a/vis_data/scalars.json').write_text('\n'.join(map(json.dumps, rows)))
    trained, evaluated = read_points(tmp_path)
    assert trained == dict(loss={1: 3.0, 2: 2.0}, loss_aux={1: 1.0, 2: 0.5})
    assert evaluated == {
        'accuracy/top1': {1: 10.0, 2: 60.0},
        'accuracy/top5': {2: 90.0},
        'val/cross_entropy': {2: 1.5},
    }
    draw_curves(tmp_path, tmp_path / 'curves.png')
    assert 0.01 < ink(tmp_path / 'curves.png').mean() < 0.5


def test_curves_of_nothing(tmp_path):
    with pytest.raises(ValueError, match='holds no'):
        draw_curves(tmp_path, tmp_path / 'curves.png')


@pytest.fixture
def predictions(tmp_path):
    """Two grey pictures, one with an object of score 0.9 and one of 0.1."""
    samples = []
    for i in range(2):
        path = tmp_path / f'{i}.png'
        cv2.imwrite(str(path), np.full((40, 60, 3), 128, np.uint8))
        mask = np.zeros((40, 60), np.uint8, order='F')
        mask[10:30, 20:40] = 1
        found = dict(
            bboxes=torch.tensor([[20.0, 10.0, 40.0, 30.0]] * 2),
            scores=torch.tensor([0.9, 0.1]) if i == 0 else torch.tensor([0.1, 0.1]),
            labels=torch.tensor([1, 0]),
            masks=[coco_mask.encode(mask)] * 2,
        )
        samples.append(dict(img_path=str(path), pred_instances=found))
    file = tmp_path / 'predictions.pkl'
    mmengine.dump(samples, file)
    return file


def test_predictions_shows_pictures_and_what_is_sure(predictions, tmp_path):
    draw_predictions(predictions, ['cat', 'dog'], tmp_path / 'sheet.png')
    sheet = cv2.imread(str(tmp_path / 'sheet.png')).astype(int)
    grey = (abs(sheet - 128) <= 2).all(axis=2)
    left, right = np.array_split(grey, 2, axis=1)
    assert right.mean() > 0.3  # the picture itself
    assert 0.2 < left.mean() < 0.95 * right.mean()  # something is drawn on the first alone


def test_predictions_of_a_missing_picture(predictions, tmp_path):
    (tmp_path / '0.png').unlink()
    with pytest.raises(ValueError, match=r"0.png' of .* does not exist"):
        draw_predictions(predictions, ['cat', 'dog'], tmp_path / 'sheet.png')


def test_predictions_of_another_kind(tmp_path):
    mmengine.dump([dict(pred_label=1)], tmp_path / 'labels.pkl')
    with pytest.raises(ValueError, match='holds no detections'):
        draw_predictions(tmp_path / 'labels.pkl', ['cat'], tmp_path / 'sheet.png')
