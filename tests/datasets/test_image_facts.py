"""What image files are: kinds, sizes as training sees them, damage."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mmoverlock.datasets.image_facts import look_at, read_facts, repeated
from mmoverlock.runtime.images import read_image

NOISE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
DEEP = np.full((20, 30), 4000, np.uint16)


def animated(path) -> None:
    black, white = Image.new('L', (30, 20)), Image.new('L', (30, 20), 255)
    black.save(path, save_all=True, append_images=[white])


def turned(path, tag: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = tag
    Image.fromarray(NOISE).save(path, exif=exif)


@pytest.mark.parametrize(
    ('name', 'save', 'kinds'),
    [
        ('usual.jpg', Image.fromarray(NOISE).save, ()),
        ('usual.png', Image.fromarray(NOISE).save, ()),
        ('grey.jpg', Image.fromarray(NOISE[..., 0]).save, ('grey',)),
        ('two.png', Image.new('1', (30, 20)).save, ('grey',)),
        ('deep.png', Image.fromarray(DEEP).save, ('16-bit',)),
        ('deep.tif', Image.fromarray(DEEP).save, ('16-bit',)),
        ('print.jpg', Image.new('CMYK', (30, 20)).save, ('CMYK',)),
        ('palette.png', Image.new('P', (30, 20)).save, ('palette',)),
        ('clear.png', Image.new('RGBA', (30, 20)).save, ('transparent',)),
        ('grey_clear.png', Image.new('LA', (30, 20)).save, ('grey', 'transparent')),
        ('moving.gif', animated, ('palette', 'several frames')),
        ('upright.jpg', lambda path: turned(path, 1), ()),
        ('turned.jpg', lambda path: turned(path, 6), ('turned by EXIF',)),
        ('mirrored.png', lambda path: turned(path, 2), ('turned by EXIF',)),
        ('turned.tif', lambda path: turned(path, 6), ()),
    ],
)
def test_kinds_and_the_size_that_training_sees(tmp_path, name, save, kinds):
    path = tmp_path / name
    save(path)
    facts = look_at(str(path))
    assert facts.problem is None
    assert facts.kinds == kinds
    assert (facts.height, facts.width) == read_image(path, bits=12).shape[:2]


def test_orientation_may_be_ignored(tmp_path):
    turned(tmp_path / 'a.jpg', 6)
    assert look_at(str(tmp_path / 'a.jpg')).width == 20
    assert look_at(str(tmp_path / 'a.jpg'), ignore_orientation=True).width == 30


def test_16_bits_of_colour(tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / 'a.png'), NOISE.astype(np.uint16) * 256)
    assert look_at(str(tmp_path / 'a.png')).kinds == ('16-bit',)


@pytest.mark.parametrize(
    ('content', 'problem'),
    [
        (lambda whole: b'', 'it is empty (0 bytes)'),
        (lambda whole: whole[: len(whole) // 2], 'it is cut short'),
        (lambda whole: b'no picture', 'it is damaged, or no image'),
    ],
)
@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_damage(tmp_path, content, problem, suffix):
    path = tmp_path / f'a{suffix}'
    Image.fromarray(NOISE).save(path)
    path.write_bytes(content(path.read_bytes()))
    assert look_at(str(path)).problem == problem


def test_what_pillow_reads_but_opencv_does_not(tmp_path, capfd):
    Image.fromarray(np.zeros((20, 30), np.float32)).save(tmp_path / 'a.tif')
    assert look_at(str(tmp_path / 'a.tif')).problem == 'OpenCV cannot decode it (TIFF of 32-bit)'
    assert capfd.readouterr().err == ''


def test_missing(tmp_path):
    assert look_at(str(tmp_path / 'a.jpg')).problem == 'it does not exist'


def test_same_files_are_found_in_parallel_too(tmp_path):
    for index in range(70):
        Image.fromarray(NOISE[:, : 5 + index % 20]).save(tmp_path / f'{index:02d}.png')
    facts = read_facts([str(path) for path in sorted(tmp_path.iterdir())], 'images')
    assert [one.width for one in facts] == [5 + index % 20 for index in range(70)]
    groups = repeated(facts)
    assert len(groups) == 20 and all(len({one.width for one in group}) == 1 for group in groups)
    assert repeated(facts[:20]) == []
