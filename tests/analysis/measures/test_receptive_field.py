"""Effective receptive fields against theory, and areas counted by hand."""

import math
from functools import reduce

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d
from torch import nn

from mmoverlock.analysis.attention.erf import field_size
from mmoverlock.analysis.measures.receptive_field import area_shares, receptive_fields


def test_stack_of_convolutions():
    """The field of n 3x3 convolutions is the n-fold convolution of the kernel."""
    kernel = torch.rand(1, 1, 3, 3) + 0.1
    for n in (1, 2, 5):
        layers = [nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(n)]
        for layer in layers:
            layer.weight.data = kernel
        model = nn.Sequential(*layers)
        pictures = torch.randn(3, 1, 1, 17, 17)
        (field,) = receptive_fields(lambda x, model=model: {'c2': model(x)}, pictures).values()
        expected = reduce(convolve2d, [kernel[0, 0].numpy()] * n)
        radius = (17 - (2 * n + 1)) // 2
        # The gradient has the kernel as it is: the output correlates, the gradient of it convolves.
        np.testing.assert_allclose(field, np.pad(expected, radius), rtol=1e-5, atol=1e-7)
        assert (field > 0).sum() == (2 * n + 1) ** 2


def test_depthwise_convolution():
    """One k x k depthwise convolution: exactly the absolute values of its kernels, added."""
    conv = nn.Conv2d(2, 2, 7, padding=3, groups=2)
    pictures = [torch.randn(1, 2, 15, 15)]
    found = receptive_fields(lambda x: {'c2': conv(x), 'c3': 2 * conv(x)}, pictures)
    expected = np.pad(conv.weight.detach().abs().sum((0, 1)).numpy(), 4)
    np.testing.assert_array_equal(found['c2'].astype(np.float32), expected)
    np.testing.assert_array_equal(found['c3'], 2 * found['c2'])


def test_average_of_pictures():
    """The gradient of a square is twice the picture: the mean over pictures counts."""
    pictures = [torch.full((1, 1, 3, 3), value) for value in (1.0, 2.0)]
    field = receptive_fields(lambda x: {'c2': x**2}, pictures)['c2']
    assert field[1, 1] == 3 and field.sum() == 3


def test_area_shares():
    field = np.zeros((7, 7))
    field[2:5, 2:5] = 1  # 9 in all, 1 of it in the centre
    assert area_shares(field, [0.1, 0.2, 0.99]) == [(1, 1 / 49), (3, 9 / 49), (3, 9 / 49)]
    # More than the threshold: the centre's ninth is not more than a ninth.
    assert area_shares(field, [1 / 9]) == [(3, 9 / 49)]
    field[0, 0] = 91
    assert area_shares(field) == [(7, 1.0)] * 4


def test_areas_outside_do_not_count():
    """Of an even side, the square around pixel 2 of 4 reaches beyond the last pixel."""
    field = np.zeros((4, 6))
    field[0, 0] = 1
    assert area_shares(field, [0.5]) == [(7, 1.0)]
    field[2, 3] = 2
    assert area_shares(field, [0.5, 0.7]) == [(1, 1 / 24), (7, 1.0)]


def test_dead_field():
    ((side, area),) = area_shares(np.zeros((5, 5)), [0.5])
    assert side == 0 and math.isnan(area)


@pytest.mark.parametrize(
    ('tested', 'side'), [((32, 32), 128), ((20, 20), 128), ((800, 1344), 512), ((48, 40), 192)]
)
def test_field_size(tested, side):
    assert field_size(tested) == side
