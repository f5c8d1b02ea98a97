"""The grid of predictions, from a file as a test run leaves it."""

from __future__ import annotations

import io
import os

import cv2
import mmengine
import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from mmoverlock.utils.pickles import read_predictions
from mmoverlock.visualization.predictions import draw_predictions

from ..user import MARKER, Code


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


@pytest.fixture
def label_maps(tmp_path):
    """A grey picture whose left half is label 2, and its right half label 0."""
    cv2.imwrite(str(tmp_path / 'grey.png'), np.full((40, 60, 3), 128, np.uint8))
    labels = torch.zeros(1, 40, 60, dtype=torch.long)
    labels[:, :, :30] = 2
    sample = dict(img_path=str(tmp_path / 'grey.png'), pred_sem_seg=dict(data=labels))
    mmengine.dump([sample], tmp_path / 'label_maps.pkl')
    return tmp_path / 'label_maps.pkl'


def test_predictions_shows_labels_with_a_legend(label_maps, tmp_path):
    palette = [(0, 0, 0), (250, 0, 0), (0, 250, 0)]
    draw_predictions(label_maps, ['sky', 'cat', 'dog'], tmp_path / 'sheet.png', palette)
    sheet = cv2.imread(str(tmp_path / 'sheet.png'))[..., ::-1].astype(int)

    def has(colour):
        return (abs(sheet - colour) <= 2).all(axis=2)

    green = has((51, 201, 51))  # 60 percent over grey
    assert 0.2 < green.mean() < 0.6 and has((51, 51, 51)).mean() > 0.2
    panel_end = np.flatnonzero(green.any(axis=1)).max()
    assert has((0, 250, 0))[panel_end + 5 :].any()  # in the legend, undiluted
    assert not has((250, 0, 0)).any()  # no pixel is a cat, so the legend has none either


def test_predictions_of_another_kind(tmp_path):
    mmengine.dump([dict(pred_label=1)], tmp_path / 'labels.pkl')
    with pytest.raises(ValueError, match='holds no detections and no segmentations'):
        draw_predictions(tmp_path / 'labels.pkl', ['cat'], tmp_path / 'sheet.png')


def test_no_code_is_run_from_predictions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inner = io.BytesIO()
    torch.save(Code(os.mkdir, MARKER), inner)
    storage = Code(torch.storage._load_from_bytes, inner.getvalue())  # torch's own way around
    for content in (Code(os.mkdir, MARKER), [dict(pred_instances=storage)]):
        mmengine.dump(content, tmp_path / 'code.pkl')
        with pytest.raises(ValueError, match="file of predictions 'code.pkl' cannot be read"):
            draw_predictions('code.pkl', ['cat'], 'sheet.png')
        assert not (tmp_path / MARKER).exists()


@pytest.mark.parametrize('share', [0, 0.3, 0.99])
def test_predictions_that_are_cut(predictions, tmp_path, share):
    whole = predictions.read_bytes()
    predictions.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match='cannot be read: it is cut short, or no such file'):
        draw_predictions(predictions, ['cat', 'dog'], tmp_path / 'sheet.png')


def test_predictions_hold_what_test_runs_write(tmp_path):
    found = dict(a=torch.arange(3), b=np.arange(3.0), c=np.float32(2), d=[b'x', None, (1, 'é')])
    mmengine.dump([found], tmp_path / 'x.pkl')
    (read,) = read_predictions(tmp_path / 'x.pkl')
    assert torch.equal(read['a'], found['a']) and np.array_equal(read['b'], found['b'])
    assert (read['c'], read['d']) == (found['c'], found['d'])
    mmengine.dump(dict(a=1), tmp_path / 'x.pkl')
    with pytest.raises(ValueError, match='holds no list of samples'):
        read_predictions(tmp_path / 'x.pkl')
