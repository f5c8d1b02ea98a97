"""Images of more than 8 bits: read by their real depth, or refused, never cut in silence."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from mmcv.transforms import Compose, LoadImageFromFile
from mmengine.config import Config
from PIL import Image

from mmoverlock.datasets.image_bits import DeepLoadImageFromFile, check_image_bits, use_image_bits
from mmoverlock.runtime.images import as_picture, read_image
from mmoverlock.utils.errors import ImageError

RAMP = np.linspace(0, 4000, 48 * 64).reshape(48, 64).astype(np.uint16)
COLOUR = np.dstack([RAMP, RAMP // 2, RAMP // 4])


def write(folder, name, array):
    path = folder / name
    assert cv2.imwrite(str(path), array)
    return path


def load(path, **options):
    kind = DeepLoadImageFromFile if 'bits' in options else LoadImageFromFile
    return kind(**options)(dict(img_path=str(path)))['img']


@pytest.mark.parametrize('suffix', ['.png', '.tif', '.pgm', '.jp2'])
@pytest.mark.parametrize('bits', [12, 16])
def test_training_and_inference_see_the_same_pixels(tmp_path, suffix, bits):
    grey = suffix == '.pgm'
    path = write(tmp_path, 'a' + suffix, RAMP if grey else COLOUR)
    expected = (cv2.imread(str(path), cv2.IMREAD_UNCHANGED) >> (bits - 8)).astype(np.uint8)
    expected = np.dstack([expected] * 3) if grey else expected
    assert expected.max() == (250 if bits == 12 else 15)
    assert np.array_equal(load(path, bits=bits), expected)
    assert np.array_equal(read_image(path, bits), expected)
    floats = load(path, bits=bits, to_float32=True)
    assert floats.dtype == np.float32 and np.array_equal(floats, expected)
    assert np.array_equal(load(path, bits=bits, color_type='grayscale').shape, RAMP.shape)


def test_16_bits_are_what_they_always_were(tmp_path):
    path = write(tmp_path, 'a.png', COLOUR * 16)
    assert np.array_equal(load(path, bits=16), load(path))
    assert np.array_equal(read_image(path), load(path))


def test_images_of_8_bits_are_read_as_ever(tmp_path):
    path = write(tmp_path, 'a.png', (COLOUR >> 4).astype(np.uint8))
    assert np.array_equal(load(path, bits=12), load(path))
    assert np.array_equal(read_image(path, 12), load(path))


def test_values_that_do_not_fit_are_refused(tmp_path):
    path = write(tmp_path, 'a.png', COLOUR)
    for read in (lambda: load(path, bits=10), lambda: read_image(path, 10)):
        with pytest.raises(
            ImageError, match=r"'.*a.png' holds values up to 4000, more than image_bits=10"
        ):
            read()
    with pytest.raises(
        ImageError, match=r"'.*a.png' holds 16-bit values up to 4000: .*image_bits=12"
    ):
        read_image(path)


@pytest.mark.parametrize('dtype', [np.float32, np.int32])
def test_32_bits_are_refused(tmp_path, dtype):
    path = tmp_path / 'a.tif'
    Image.fromarray(RAMP.astype(dtype)).save(path)
    with pytest.raises(ValueError, match=r"'.*a.tif' cannot be read: it has 32 bits"):
        read_image(path)


def test_odd_kinds_of_8_bits(tmp_path):
    """Each gives three channels; alpha is left out, of several frames the first is read."""
    picture = Image.fromarray((COLOUR[..., ::-1] >> 4).astype(np.uint8))
    other = picture.rotate(180)
    kinds = {
        'alpha.png': picture.convert('RGBA'), 'grey_alpha.png': picture.convert('LA'),
        'grey.png': picture.convert('L'), 'palette.png': picture.quantize(256),
        'bit.png': picture.convert('1'), 'cmyk.jpg': picture.convert('CMYK'), 'frames.gif': picture,
        'frames.webp': picture,
    }  # fmt: skip
    for name, image in kinds.items():
        more = dict(save_all=True, append_images=[other]) if name.startswith('frames') else {}
        image.save(tmp_path / name, **more)
        read = read_image(tmp_path / name)
        assert np.array_equal(read, load(tmp_path / name)), name
        wanted = np.asarray(image.convert('RGB'))[..., ::-1].astype(int)
        assert read.shape == wanted.shape and np.abs(read - wanted).mean() < 12, name


def of(*paths, load=None, **options):
    """A data set of these files."""
    load = load or (DeepLoadImageFromFile if 'bits' in options else LoadImageFromFile)

    class Files(list):
        pipeline = Compose([load(**options)])

        def get_data_info(self, index):
            return dict(img_path=str(self[index]))

    return Files(paths)


def test_a_data_set_is_looked_at_before_a_run(tmp_path, monkeypatch):
    told = []
    path = 'mmoverlock.datasets.image_bits.print_log'
    monkeypatch.setattr(path, lambda text, **_: told.append(text))
    deep = write(tmp_path, 'deep.png', COLOUR)
    full = write(tmp_path, 'full.tif', COLOUR * 16)
    plain = write(tmp_path, 'plain.png', COLOUR.astype(np.uint8))
    check_image_bits(of(plain, plain), 'here')
    check_image_bits(of(deep, plain, bits=12), 'here')
    check_image_bits(of(deep, color_type='unchanged'), 'here')  # whoever asks for them gets them
    assert not told
    with pytest.raises(
        ValueError, match=r"here: 1 of 2 images .* up to 4000 \('.*deep.png'\).*image_bits=12"
    ):
        check_image_bits(of(plain, deep), 'here')
    with pytest.raises(
        ValueError, match=r"here: '.*deep.png' holds values up to 4000, more than image_bits=10"
    ):
        check_image_bits(of(deep, bits=10), 'here')
    with pytest.raises(
        ValueError, match="here: '.*full.tif' has 16 bits .*imdecode_backend='pillow'"
    ):
        check_image_bits(of(full, imdecode_backend='pillow'), 'here')
    check_image_bits(of(full, deep), 'here')
    assert told == ['here: images have 16 bits per channel; the upper 8 are used (image_bits=16)']


def test_the_config_says_it_once():
    step = dict(type='LoadImageFromFile', backend_args=None)
    cfg = Config(dict(
        image_bits=12, train_dataloader=dict(dataset=dict(dataset=dict(pipeline=[step]))),
        tta_pipeline=[dict(step, type='mmdet.LoadImageFromFile')],
    ))  # fmt: skip
    use_image_bits(cfg)
    use_image_bits(cfg)
    deep = dict(type='DeepLoadImageFromFile', backend_args=None, bits=12)
    assert cfg.train_dataloader.dataset.dataset.pipeline == cfg.tta_pipeline == [deep]
    for wrong in (7, 17, 'all', True):
        with pytest.raises(ValueError, match=f'image_bits={wrong!r} is not a whole number'):
            use_image_bits(Config(dict(image_bits=wrong)))


PICTURE = (COLOUR >> 4).astype(np.uint8)


@pytest.mark.parametrize(('array', 'expected'), [
    (PICTURE, PICTURE), (PICTURE[..., 0], PICTURE[..., [0] * 3]),
    (PICTURE[..., :1], PICTURE[..., [0] * 3]), (np.dstack([PICTURE, PICTURE[..., 0]]), PICTURE),
    (PICTURE[:, ::-1], PICTURE[:, ::-1]), (COLOUR * 16, PICTURE),
])  # fmt: skip
def test_arrays_that_are_pictures(array, expected):
    assert np.array_equal(as_picture(array), expected)
    assert as_picture(array).flags.c_contiguous
    assert as_picture(array).dtype == np.uint8


@pytest.mark.parametrize(('array', 'message'), [
    (PICTURE / 255, r'\(48, 64, 3\) and dtype float64, values 0 to 0.98.*255 \* image'),
    (PICTURE.astype(np.float32), r'dtype float32, values 0 to 250'), (COLOUR.astype(int), 'int64'),
    (PICTURE > 9, 'bool'), (PICTURE.transpose(2, 0, 1), r'\(3, 48, 64\)'), (PICTURE[None], r'\(1, 48'),
    (PICTURE[:0], 'no pixels'), (COLOUR, 'dtype uint16 holds 16-bit values up to 4000'),
    (PICTURE[0, 0], r'shape \(3,\)'), (np.full((4, 4, 3), np.nan), 'values nan to nan'),
])  # fmt: skip
def test_arrays_that_are_none(array, message):
    with pytest.raises(ValueError, match=message):
        as_picture(array)
