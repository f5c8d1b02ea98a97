"""Preprocessing in the graph does to a picture what the libraries' pipelines do."""

import mmcv
import numpy as np
import pytest
import torch
from mmpretrain.datasets.transforms import CenterCrop as TheirCenterCrop
from mmpretrain.datasets.transforms import ResizeEdge
from mmseg.datasets.transforms import ResizeToMultiple
from torch import nn

from mmoverlock.deploy.preprocess import Preprocessed, split
from mmoverlock.runtime.spec import CenterCrop, Normalize, Pad, Resize

NORMALIZE = Normalize((10.0, 20.0, 30.0), (2.0, 4.0, 8.0))


class Echo(nn.Module):
    """Returns its input, under the name of an output, and keeps what it was told."""

    outputs = ('scores',)

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, image, size=None):
        self.size = size
        return (image,)


def processed(picture: np.ndarray, *steps) -> tuple[np.ndarray, tuple | None]:
    network = Echo()
    image = torch.from_numpy(picture.transpose(2, 0, 1)[None].copy()).float()
    with torch.no_grad():
        (result,) = Preprocessed(network, steps)(image)
    return result[0].numpy().transpose(1, 2, 0), network.size


@pytest.fixture
def picture():
    rng = np.random.default_rng(0)
    return mmcv.imresize(rng.integers(0, 256, (12, 17, 3), np.uint8), (131, 97))


@pytest.mark.parametrize(
    'theirs, ours',
    [
        (
            ResizeEdge(scale=50, backend='pillow', interpolation='bicubic'),
            Resize('short_edge', (50,), 'bicubic', 'pillow'),
        ),
        (ResizeEdge(scale=150, edge='long'), Resize('long_edge', (150,))),
        (ResizeToMultiple(size_divisor=32), Resize('multiple', (32,))),
        (TheirCenterCrop(crop_size=(64, 63)), CenterCrop((63, 64))),
        (TheirCenterCrop(crop_size=64), CenterCrop((64, 64))),
    ],
    ids=lambda one: type(one).__name__,
)
def test_like_the_libraries(picture, theirs, ours):
    expected = theirs(dict(img=picture, img_shape=picture.shape[:2]))['img']
    actual, _ = processed(picture, ours)
    assert actual.shape == expected.shape
    assert np.abs(actual - expected.astype(np.float32)).max() <= 1  # one of 255: they round within


@pytest.mark.parametrize('scale', [(200, 80), (80, 80), (333, 101)])
def test_inside_a_scale(picture, scale):
    expected = mmcv.imrescale(picture, scale)
    actual, _ = processed(picture, Resize('inside', scale[::-1]))
    assert actual.shape == expected.shape
    assert np.abs(actual - expected.astype(np.float32)).max() <= 1


def test_normalized_and_padded(picture):
    result, size = processed(picture, NORMALIZE, Pad(32, value=7.0))
    assert result.shape == (128, 160, 3) and size == (97, 131)
    expected = (picture - np.float32(NORMALIZE.mean)) / np.float32(NORMALIZE.std)
    np.testing.assert_allclose(result[:97, :131], expected, rtol=1e-6)
    assert (result[97:] == 7).all() and (result[:, 131:] == 7).all()


def test_padded_to_a_size_or_a_square(picture):
    assert processed(picture, Pad(1, (100, 100)))[0].shape == (100, 131, 3)
    assert processed(picture, Pad(32, square=True))[0].shape == (160, 160, 3)


def test_what_is_inside():
    steps = (Resize('short_edge', (256,)), CenterCrop((224, 224)), NORMALIZE, Pad(32))
    assert split(steps, 'none') == (steps, ())
    assert split(steps, 'normalize') == (steps[:2], steps[2:])
    assert split(steps, 'resize') == ((), steps)


@pytest.mark.parametrize(
    'steps, preprocess, message',
    [
        ([Resize('exact', (9, 9), 'lanczos')], 'resize', 'lanczos interpolation of cv2 cannot be'),
        ([Pad(32), Resize('exact', (9, 9))], 'resize', 'pictures are padded before'),
        ([], 'all', "preprocess='all': allowed are"),
    ],
)
def test_what_cannot_be_inside(steps, preprocess, message):
    with pytest.raises(ValueError, match=message):
        split(steps, preprocess)


class Found(Echo):
    """Says where it looked: a box in the resized picture."""

    outputs = ('boxes',)

    def forward(self, image, size=None):
        height, width = image.shape[2:] if size is None else size
        return (torch.tensor([[[0.0, 0.0, width, height / 2]]]),)


def test_boxes_are_in_pixels_of_the_input():
    with torch.no_grad():
        (boxes,) = Preprocessed(Found(), [Resize('exact', (40, 80)), Pad(32)])(
            torch.zeros(1, 3, 100, 50)
        )
    assert boxes.tolist() == [[[0.0, 0.0, 50.0, 50.0]]]
