"""A picture in tiles: the objects are those of the whole picture."""

import builtins
import json

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from torch import nn

from mmoverlock.apis.slices import SlicedDetector
from mmoverlock.apis.tasks import Detector
from mmoverlock.runtime.masks import run_lengths

SIDE = 100  # tiles overlap by 20
SMALL = [(5, 5, 17, 23), (72, 60, 88, 79), (95, 150, 103, 165), (240, 100, 258, 118)]
LONG = (30, 180, 230, 196)  # in no tile completely


class Blobs(nn.Module):
    """Stands in for a network: Blobs.predict below finds white rectangles."""

    dataset_meta = dict(classes=('a', 'b'), palette=[])


def find_blobs(self, picture):
    """Rectangles, those that the border of the picture cuts with a lower score."""
    height, width = picture.shape[:2]
    calls.append((height, width))
    _, labels, stats, _ = cv2.connectedComponentsWithStats((picture[..., 0] > 127).astype(np.uint8))
    objects = []
    for index, (x, y, w, h, _) in enumerate(stats[1:].tolist(), 1):
        cut = x == 0 or y == 0 or x + w == width or y + h == height
        one = dict(label=1, name='b', score=0.5 if cut else 0.9, box=[x, y, x + w, y + h])
        if self.masks:
            one['mask'] = run_lengths(labels == index)
        objects.append(one)
    return dict(objects=objects)


calls = []


@pytest.fixture(params=[True, False], ids=['masks', 'boxes'])
def detector(request, monkeypatch):
    monkeypatch.setattr(Detector, 'predict', find_blobs)
    calls.clear()
    detector = SlicedDetector(Blobs(), [], 1, 0.0, SIDE)
    detector.masks = request.param
    return detector


def draw(boxes, size=(220, 280)) -> np.ndarray:
    picture = np.zeros((*size, 3), np.uint8)
    for x1, y1, x2, y2 in boxes:
        picture[y1:y2, x1:x2] = 255
    return picture


def test_objects_that_tiles_cut_are_found_once_and_whole(detector):
    objects = detector.predict(draw(SMALL))['objects']
    assert len(calls) == 3 * 4 + 1  # tiles, and the whole picture
    assert max(map(max, calls)) == SIDE
    assert sorted(tuple(one['box']) for one in objects) == sorted(SMALL)
    for one in objects:
        assert (one['label'], one['name'], one['score']) == (1, 'b', 0.9)
        assert ('mask' in one) == detector.masks
        if detector.masks:
            expected = draw([map(int, one['box'])])[..., 0] > 0
            assert np.array_equal(coco_mask.decode(one['mask']), expected)
    json.dumps(objects)


def test_long_objects_come_from_the_whole_picture(detector):
    (one,) = detector.predict(draw([LONG]))['objects']
    assert one['box'] == pytest.approx(LONG, abs=280 / SIDE)  # it was reduced
    if detector.masks:
        mask, expected = coco_mask.decode(one['mask']), draw([LONG])[..., 0] > 0
        assert (mask & expected).sum() / (mask | expected).sum() > 0.75


def test_best_come_first(detector):
    at_the_border = (0, 40, 12, 52)
    objects = detector.predict(draw([at_the_border, *SMALL]))['objects']
    scores = [one['score'] for one in objects]
    assert scores == sorted(scores, reverse=True) and len(scores) == 5


def test_small_pictures_are_not_cut(detector):
    picture = draw([SMALL[0]], (60, 100))
    assert detector.predict(picture) == find_blobs(detector, picture)
    assert calls == [(60, 100)] * 2


def test_nothing(detector):
    assert detector.predict(draw([])) == dict(objects=[])


def test_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *args):
        if name == 'supervision':
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, '__import__', without)
    with pytest.raises(ValueError, match='slice=100 needs supervision: pip install'):
        SlicedDetector(Blobs(), [], 1, 0.0, 100)
