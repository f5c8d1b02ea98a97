"""Label images, and which label is ignored, are checked before a segmentor's run."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from torch import nn

from mmoverlock.checks.classes import check_data_classes, check_ignored_label

from ..fake_data import picture
from .built import KEY, checked


def segmentation(folder: Path, **changes) -> dict:
    for name in 'ab':
        picture(folder / f'img/{name}.png', (8, 8))
        (folder / 'map').mkdir(exist_ok=True)
        labels = np.kron([[0, 1], [2, 255]], np.ones((4, 4))).astype(np.uint8)  # (8, 8)
        Image.fromarray(labels).save(folder / f'map/{name}.png')
    steps = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
    whole = dict(
        type='BaseSegDataset', data_root=str(folder), img_suffix='.png', seg_map_suffix='.png',
        data_prefix=dict(img_path='img', seg_map_path='map'), metainfo=dict(classes=tuple('xyz')),
        pipeline=[*steps, dict(type='PackSegInputs')],
    )  # fmt: skip
    return whole | changes


def test_label_images(tmp_path, said):
    checked('mmseg', segmentation(tmp_path))
    assert said == []
    shutil.copy(tmp_path / 'map/a.png', tmp_path / 'map/z.png')
    shutil.copy(tmp_path / 'img/a.png', tmp_path / 'img/z.webp')
    checked('mmseg', segmentation(tmp_path))
    assert f"{KEY}.img_suffix: 1 of 3 images are left out, as it does not have '.webp'" in said[0]
    assert '1 of 3 label images belong to no image, the first is' in said[1]
    two = segmentation(tmp_path, metainfo=dict(classes=tuple('xy')))
    with pytest.raises(ValueError, match='label 2 in .*a.png. is no class: 0 to 1 and 255'):
        checked('mmseg', two)
    checked('mmseg', dict(two, reduce_zero_label=True))
    cfg = segmentation(tmp_path)
    Image.new('RGB', (2, 2)).save(tmp_path / 'map/b.png')
    with pytest.raises(ValueError, match='b.png. has 3 channels'):
        checked('mmseg', cfg)
    (tmp_path / 'map/b.png').unlink()
    with pytest.raises(ValueError, match='map/b.png. does not exist: 1 of 2 label images'):
        checked('mmseg', cfg)


TWO = dict(metainfo=dict(classes=tuple('xy')))


@pytest.mark.parametrize('other', [{0}, {0, 255}])
def test_masks_of_0_and_255(tmp_path, other):
    cfg = segmentation(tmp_path, **TWO)
    mask = np.uint8([[0, 255]]).repeat(8, 0).repeat(4, 1)
    for name in 'ab':
        Image.fromarray(mask).save(tmp_path / f'map/{name}.png')
    with pytest.raises(ValueError, match='hold 0 and 255 alone, .* Write 0 and 1, .* data-root'):
        checked('mmseg', cfg)
    with pytest.raises(ValueError, match='Write 1 and 2'):
        checked('mmseg', dict(cfg, reduce_zero_label=True))
    checked('mmseg', dict(cfg, metainfo=dict(classes=tuple('xyz'))))
    for i in range(50):  # a rare class in an image that is not among those looked at
        picture(tmp_path / f'img/c{i:02}.png', (8, 8))
        found = mask // 255 if i == 31 else mask * (255 in other)
        Image.fromarray(found).save(tmp_path / f'map/c{i:02}.png')
    assert len(checked('mmseg', cfg)[0]) == 52


@pytest.mark.parametrize('value', [256, 299, 65534])
def test_label_images_of_16_bits(tmp_path, value):
    cfg = segmentation(tmp_path)
    labels = np.uint16([[0, 1], [2, value]]).repeat(4, 0).repeat(4, 1)
    Image.fromarray(labels).save(tmp_path / 'map/b.png')
    with pytest.raises(ValueError, match=f'b.png. holds {value}, but mmseg reads labels of 8 bits'):
        checked('mmseg', cfg)
    labels[labels == value] = 65535  # of which mmseg makes 255
    Image.fromarray(labels).save(tmp_path / 'map/b.png')
    checked('mmseg', cfg)


def test_palettes_that_opencv_makes_colours_of(tmp_path):
    cfg = segmentation(tmp_path)
    labels = Image.frombytes('P', (8, 8), bytes([0, 1, 2, 0] * 16))
    labels.putpalette([0, 0, 0, 200, 10, 10, 9, 9, 9])
    labels.save(tmp_path / 'map/a.png')
    checked('mmseg', cfg)
    cfg['pipeline'][1]['imdecode_backend'] = 'cv2'
    with pytest.raises(ValueError, match="a.png. has 3 channels, .*'cv2' makes .* use 'pillow'"):
        checked('mmseg', cfg)


@pytest.mark.parametrize('size', [(4, 4), (8, 7), (16, 16)])
def test_label_images_of_another_size(tmp_path, size):
    cfg = segmentation(tmp_path)
    Image.new('L', size).save(tmp_path / 'map/b.png')
    message = f'b.png. has {size[0]}x{size[1]} pixels, but its image .*img/b.png. has 8x8'
    with pytest.raises(ValueError, match=message):
        checked('mmseg', cfg)


@pytest.mark.parametrize('kind', ['jpg', 'png'])
@pytest.mark.parametrize(
    ('tag', 'size', 'label_size', 'label_tag', 'said_of'),
    [
        (1, (16, 8), (16, 8), 1, None),
        (6, (16, 8), (8, 16), 1, None),
        (6, (16, 8), (16, 8), 1, 'refused'),
        (6, (8, 8), (8, 8), 1, 'noted'),
        (3, (16, 8), (16, 8), 1, 'noted'),
        (3, (16, 8), (16, 8), 3, 'refused'),
    ],
)
def test_label_images_of_turned_images(
    tmp_path, said, kind, tag, size, label_size, label_tag, said_of
):
    cfg = segmentation(tmp_path, img_suffix=f'.{kind}')
    for path in (*(tmp_path / 'img').iterdir(), tmp_path / 'map/b.png'):
        path.unlink()
    exif = Image.Exif()
    exif[0x112] = tag
    Image.new('RGB', size).save(tmp_path / f'img/a.{kind}', exif=exif)
    exif[0x112] = label_tag
    Image.new('L', label_size).save(tmp_path / 'map/a.png', exif=exif)
    if said_of == 'refused':
        with pytest.raises(
            ValueError, match='is turned .* and its label .* is not: turn the label'
        ):
            checked('mmseg', cfg)
    else:
        checked('mmseg', cfg)
    assert ['EXIF tags turn 1 of 1 images looked at, such as' in one for one in said] == [True] * (
        said_of == 'noted'
    )
    cfg['pipeline'][0]['color_type'] = 'color_ignore_orientation'
    if size == label_size:
        del said[:]
        checked('mmseg', cfg)
        assert said == []


HEADS = dict(decode_head=255, auxiliary_head=255)


@pytest.mark.parametrize(
    ('heads', 'metric', 'data', 'message'),
    [
        (HEADS, 255, 255, None),
        (dict(decode_head=None), 255, 255, None),
        (dict(decode_head=0), 0, 0, None),
        (dict(decode_head=0), 0, 255, None),  # mmseg's HSI Drive
        (
            dict(decode_head=0),
            255,
            255,
            'e.ignore_index is 255, but that of model.decode_head is 0',
        ),
        (HEADS, 1, 255, 'e.ignore_index is 1, but that of model.decode_head is 255'),
        (HEADS, 255, 254, 'd.ignore_index is 254, but that of model.decode_head is 255'),
        (
            dict(HEADS, auxiliary_head=254),
            255,
            255,
            'model.auxiliary_head.ignore_index is 254, but that of model.decode_head is 255',
        ),
    ],
)
def test_labels_that_are_ignored_differ(heads, metric, data, message):
    model = nn.ModuleDict({name: nn.Identity() for name in heads})
    for name, value in heads.items():
        model[name].ignore_index = value
    metrics = dict(e=SimpleNamespace(ignore_index=metric), f=SimpleNamespace())
    datasets = dict(d=SimpleNamespace(ignore_index=data, reduce_zero_label=False))
    if message is None:
        check_ignored_label(model, metrics, datasets)
    else:
        with pytest.raises(ValueError, match=message):
            check_ignored_label(model, metrics, datasets)


def test_label_coding_differs(tmp_path):
    train, classes = checked('mmseg', segmentation(tmp_path))
    val, _ = checked('mmseg', segmentation(tmp_path, reduce_zero_label=True))
    with pytest.raises(ValueError, match='v.reduce_zero_label is True, but that of t is False'):
        check_data_classes(dict(t=train, v=val), dict(t=classes, v=classes))
