"""Predictions of segmentors as the analyses get them."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmoverlock.analysis.segmentation.sample import gives_scores, samples, to_probabilities
from mmoverlock.analysis.subject import Subject


def test_probabilities_of_logits_are_made_in_their_memory():
    logits = torch.randn(5, 3, 4) * 100
    expected = logits.softmax(0)
    address = logits.data_ptr()
    found = to_probabilities(logits)
    assert found.ctypes.data == address
    assert np.allclose(found, expected, atol=1e-6) and found.dtype == np.float32


def test_probabilities_of_one_output_and_of_scores():
    found = to_probabilities(torch.tensor([[[0.3, 0.9]]]))  # mmseg's sigmoid has been applied
    assert found == pytest.approx(np.array([[[0.7, 0.1]], [[0.3, 0.9]]]), abs=1e-6)
    scores = torch.tensor([[[2.0, 0.0]], [[6.0, 0.0]]])
    found = to_probabilities(scores, scores=True)
    assert found == pytest.approx(np.array([[[0.25, 0.5]], [[0.75, 0.5]]]), abs=1e-6)


def test_which_heads_give_scores():
    head = type('MaskFormerHead', (nn.Module,), {})
    own = type('OwnHead', (head,), {})
    assert gives_scores(SimpleNamespace(decode_head=own()))
    assert gives_scores(SimpleNamespace(decode_head=nn.ModuleList([nn.Identity(), head()])))
    assert not gives_scores(SimpleNamespace(decode_head=nn.Identity()))


def _subject(**dataset):
    cfg = Config.fromfile('seg.py')
    for key, value in dataset.items():  # `update` would merge
        cfg.test_dataloader.dataset[key] = value
    return cfg, Subject(cfg, 'seg.pth', 'cpu')


LOADING = dict(type='LoadImageFromFile')
PACKING = dict(type='PackSegInputs')


def test_samples_with_labels(at_home):
    _, subject = _subject()
    found = list(samples(subject))
    assert [one.index for one in found] == [0, 1]
    for one in found:
        assert one.probabilities.shape == (11, 64, 64)
        assert one.probabilities.sum(0) == pytest.approx(np.ones((64, 64)), abs=1e-5)
        assert np.array_equal(one.prediction, one.probabilities.argmax(0))
        path = subject.dataset.get_data_info(one.index)['seg_map_path']
        assert np.array_equal(one.truth, cv2.imread(path, cv2.IMREAD_UNCHANGED))
        assert one.confusion.sum() == 64 * 64


@pytest.mark.parametrize(
    'pipeline',
    [
        [LOADING, PACKING],
        # mmseg leaves labels that are loaded before the resizing at the new size
        [LOADING, dict(type='LoadAnnotations'), dict(type='Resize', scale=(96, 96)), PACKING],
    ],
)
def test_labels_that_the_pipeline_does_not_give_are_read_by_the_data_sets_rules(at_home, pipeline):
    _, subject = _subject(pipeline=pipeline, reduce_zero_label=True)
    one = next(samples(subject))
    path = subject.dataset.get_data_info(0)['seg_map_path']
    stored = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    assert one.truth.shape == one.prediction.shape == (64, 64)
    assert set(one.truth[stored == 0]) == {255}
    assert np.array_equal(one.truth[stored > 0], stored[stored > 0] - 1)


def test_no_labels(at_home):
    for prefix in (dict(img_path='val'), dict(img_path='val', seg_map_path='nowhere')):
        _, subject = _subject(pipeline=[LOADING, PACKING], data_prefix=prefix)
        one = next(samples(subject))
        assert one.truth is None and not one.confusion.any()


def test_labels_that_do_not_fit(at_home, tmp_path):
    for values, size, message in (
        (11, (64, 64), "'000000.png': its label map has label 11; allowed are 0 to 10, and 255"),
        (1, (64, 32), "'000000.png': the picture has 64 x 64 pixels, its labels 32 x 64"),
    ):
        for name in ('000000.png', '000001.png'):
            cv2.imwrite(str(tmp_path / name), np.full(size, values, np.uint8))
        prefix = dict(img_path='val', seg_map_path=str(tmp_path))
        _, subject = _subject(pipeline=[LOADING, PACKING], data_prefix=prefix)
        with pytest.raises(ValueError, match=message):
            next(samples(subject))


def test_another_ignored_label(at_home):
    _, subject = _subject(ignore_index=0)
    one = next(samples(subject))
    assert 0 not in one.truth and 255 in one.truth
