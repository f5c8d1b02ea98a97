"""Class activation maps whose values are known."""

import numpy as np
import pytest
import torch

from mmoverlock.analysis.measures.activation_maps import activation_maps, enlarged, stride_of


def test_grad_cam():
    """Of a linear head on averaged channels, the map is the channels' weighted sum, above 0."""
    maps = torch.randn(1, 5, 4, 6, requires_grad=True)
    weights = torch.randn(5)
    (slopes,) = torch.autograd.grad((maps.mean((2, 3)) * weights).sum(), maps)
    found = activation_maps(maps, slopes)['Grad-CAM']
    expected = torch.einsum('c,chw->hw', weights, maps[0]).clamp(min=0) / 24
    torch.testing.assert_close(found, expected.detach())


def test_grad_cam_plus_plus():
    """Equation 19 for one channel: weights are the sum of alpha times the gradients above 0."""
    maps = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    slopes = torch.tensor([[[[0.5, -1.0], [0.0, 2.0]]]])
    total = 10.0
    alpha = {g: g**2 / (2 * g**2 + total * g**3 + 1e-6) for g in (0.5, 2.0)}
    weight = sum(a * g for g, a in alpha.items())
    found = activation_maps(maps, slopes, ['Grad-CAM++'])['Grad-CAM++']
    torch.testing.assert_close(found, weight * maps[0, 0])


@pytest.mark.parametrize('sign', [1, -1])
def test_eigen_cam(sign):
    """Of channels in proportion to one map, it is that map, whichever their signs."""
    pattern = torch.zeros(5, 7)
    pattern[2, 3] = 1
    channels = sign * torch.tensor([3.0, -4.0, 0.0]).view(1, 3, 1, 1) * pattern
    found = activation_maps(channels, None, ['EigenCAM'])['EigenCAM']
    expected = 5 * (pattern - pattern.mean()).clamp(min=0)
    torch.testing.assert_close(found, expected)


def test_place():
    """Positions lie in the middle of their cells."""
    one = torch.zeros(4, 6)
    one[1, 2] = 7
    found = enlarged(one, (32, 48))
    ys, xs = np.nonzero(found == found.max())
    assert (ys.mean(), xs.mean()) == (8 + 3.5, 16 + 3.5)
    assert not enlarged(torch.zeros(4, 6), (32, 48)).any()


@pytest.mark.parametrize('size', [(32, 48), (29, 41), (25, 44)])
def test_mirrored(size):
    """A mirrored map is the mirrored overlay, also where the stride does not divide the size."""
    one = torch.rand(4, 6)
    np.testing.assert_allclose(
        enlarged(one.flip(0, 1), size), enlarged(one, size)[::-1, ::-1], atol=1e-6
    )


def test_stride():
    assert stride_of(224, 7) == 32
    assert stride_of(65, 3) == 32
    assert stride_of(96, 32) == 3
