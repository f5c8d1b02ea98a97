"""Boundary errors of a square that is shifted by one pixel, counted by hand."""

import numpy as np
import pytest

from mmoverlock.analysis.measures.boundaries import (
    BANDS,
    banded_confusion,
    boundary_distance,
    boundary_overlap,
)
from mmoverlock.analysis.measures.label_maps import class_scores


@pytest.fixture
def square():
    """A square of 6 x 6 pixels in 20 x 20, and the same one pixel to the right."""
    maps = np.zeros((2, 20, 20), np.uint8)
    maps[0, 7:13, 7:13] = maps[1, 7:13, 8:14] = 1
    return maps


def test_distance_from_a_straight_boundary():
    labels = np.zeros((3, 8), np.uint8)
    labels[:, 4:] = 1
    assert boundary_distance(labels).tolist() == [[4, 3, 2, 1, 1, 2, 3, 4]] * 3


def test_distance_from_a_corner_is_euclidean(square):
    distance = boundary_distance(square[0])
    assert distance[7, 7] == distance[6, 7] == distance[12, 13] == 1
    assert distance[6, 6] == 2  # beside pixels that are at the boundary
    assert distance[3, 3] == pytest.approx(1 + 5, abs=1e-5)  # from (6, 7): 3 and 4 pixels
    assert np.isinf(boundary_distance(np.zeros((4, 4), np.uint8))).all()


def test_ignored_pixels_have_a_boundary_and_are_not_counted():
    truth = np.zeros((1, 4), np.uint8)
    truth[0, 0] = 255
    distance = boundary_distance(truth)
    assert distance.tolist() == [[1, 1, 2, 3]]
    confusion = banded_confusion(truth, np.ones_like(truth), distance, 2)
    assert confusion[:, 0, 1].tolist() == [1, 1, 1, 0, 0, 0, 0]
    assert confusion.sum() == 3


def test_bands_of_a_shifted_square(square):
    truth, found = square
    bands = banded_confusion(truth, found, boundary_distance(truth), 2)
    assert bands.shape == (len(BANDS) + 1, 2, 2)
    assert bands.sum() == 400
    # Beside the boundary: 24 pixels outside, 20 inside, of which 6 and 6 are wrong.
    assert bands[0].tolist() == [[18, 6], [6, 14]]
    assert class_scores(bands[0])['IoU'].tolist() == pytest.approx([18 / 30, 14 / 26])
    assert bands[1:, 0, 1].sum() == bands[1:, 1, 0].sum() == 0
    assert bands[1, 1, 1] == 12  # the next ring inside; the last, of 4 pixels, is 3 away
    assert bands[2, 1, 1] == 4


def test_boundary_iou_of_a_shifted_square(square):
    overlap = boundary_overlap(*square, 3, width=1)
    # Rims of 20 pixels share 5 of the upper and 5 of the lower side.
    assert overlap[:, 1].tolist() == [10, 30]
    # The ground's rim: 76 pixels at the edge, and 28 around the square (with corners), of which
    # 6 + 6 above and below, 8 at the left and 8 at the right. After the shift, 7 + 7 are shared.
    assert overlap[:, 0].tolist() == [76 + 14, 76 + 28 + 28 - 14]
    assert overlap[:, 2].tolist() == [0, 0]
    whole = boundary_overlap(*square, 3, width=20)  # all of the squares: their IoU
    assert whole[:, 1].tolist() == [30, 42]
    assert (boundary_overlap(square[0], square[0], 2)[0] > 0).all()
    assert (boundary_overlap(square[0], square[1], 2) == boundary_overlap(*square, 2, 1)).all()


def test_ignored_pixels_have_no_part_in_the_boundary_iou(square):
    truth, found = square
    truth[truth != found] = 255
    overlap = boundary_overlap(truth, found, 2, width=1)
    assert (overlap[0] == overlap[1]).all() and overlap.all()
