"""The parts of mmoverlock.apis that need no model; tests/tools/test_infer.py runs the rest."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from mmoverlock.apis import describe, find_images
from mmoverlock.apis.drawing import Bar, Found, draw_bars, draw_objects
from mmoverlock.apis.images import encode, read_image, write_new


@pytest.fixture
def folder(tmp_path):
    for name in ('b.png', 'a.JPG', 'deep/c.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new('RGB', (4, 3), (200, 100, 50)).save(tmp_path / name)
    (tmp_path / 'notes.txt').write_text('no picture')
    return tmp_path


def names(images):
    return [path.name for path in find_images(images)]


def test_finds_files_folders_and_patterns(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert names('b.png') == ['b.png']
    assert names(folder) == ['a.JPG', 'b.png']
    assert names('**/*.png') == ['b.png', 'c.png']
    assert names(['deep', 'b.png', folder / 'b.png', '*.png']) == ['c.png', 'b.png']
    assert names('missing.png') == ['missing.png']  # told when it is read
    Image.new('RGB', (4, 3)).save('odd[1].png')
    assert names('odd[1].png') == ['odd[1].png']


def test_says_where_there_is_nothing(folder):
    (folder / 'empty').mkdir()
    with pytest.raises(ValueError, match=r"folder '.*empty' holds no picture"):
        find_images(folder / 'empty')
    with pytest.raises(ValueError, match=r"pattern '.*\*\.txt' matches no picture"):
        find_images(str(folder / '*.txt'))


def test_reads_bgr_as_the_camera_was_held(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.new('RGB', (40, 30), (200, 100, 50)).save(tmp_path / 'a.jpg', exif=exif)
    picture = read_image(tmp_path / 'a.jpg')
    assert picture.shape == (40, 30, 3)
    assert np.abs(picture[0, 0].astype(int) - (50, 100, 200)).max() < 5


@pytest.mark.parametrize(
    ('data', 'reason'),
    [(b'', 'the file is empty'), (b'text', 'no picture, or damaged'), (None, 'No such file')],
)
def test_unreadable(tmp_path, data, reason):
    if data is not None:
        (tmp_path / 'a.png').write_bytes(data)
    with pytest.raises(ValueError, match=f"image '.*a.png' cannot be read: {reason}"):
        read_image(tmp_path / 'a.png')


def test_writes_beside_what_is_there(tmp_path):
    (tmp_path / 'a.png').write_text('mine')
    assert write_new(tmp_path, 'a.png', b'1').name == 'a_1.png'
    assert write_new(tmp_path, 'a.png', b'2').name == 'a_2.png'
    assert (tmp_path / 'a.png').read_text() == 'mine'
    assert (tmp_path / 'a_1.png').read_bytes() == b'1'


def test_encodes_the_colours_it_gets():
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 2] = 255  # BGR
    for suffix in ('.png', '.jpg'):
        again = cv2.imdecode(np.frombuffer(encode(red, suffix), np.uint8), cv2.IMREAD_COLOR)
        assert np.abs(again.astype(int) - red).max() < 5


@pytest.mark.parametrize(('size', 'factor'), [((400, 500), 1), ((8, 8), 45), ((100, 300), 2)])
def test_bars_stand_below_the_picture(size, factor):
    picture = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    colour = (10, 200, 30)
    drawn = draw_bars(picture, [Bar('all of it', 1.0, colour), Bar('a name' * 50, 0.0, colour)])
    height, width = factor * size[0], factor * size[1]
    left = (drawn.shape[1] - width) // 2
    inside = drawn[:height, left : left + width]
    assert np.array_equal(inside[::factor, ::factor], picture)
    strip = drawn[height:]
    middle = len(strip) // 2
    assert (strip[:middle] == colour).all(2).sum() > 500
    assert (strip[middle:] == colour).all(2).sum() < 60  # the empty bar's first column


def test_objects_are_drawn_where_they_are():
    grey = np.full((400, 400, 3), 128, np.uint8)
    mask = np.zeros((400, 400), bool)
    mask[100:200, 100:200] = True
    objects = [
        Found('first', (100, 100, 200, 200), (255, 0, 0), mask),
        Found('at the edge', (350, 0, 399, 60), (0, 0, 255)),
    ]
    drawn = draw_objects(grey, objects)
    assert drawn.shape == grey.shape and (grey == 128).all()
    assert tuple(drawn[150, 150]) == (185, 70, 70)  # 45 percent red
    assert tuple(drawn[150, 100]) == (255, 0, 0)  # the box
    assert tuple(drawn[300, 300]) == (128, 128, 128)
    blue = (drawn == (0, 0, 255)).all(2)
    assert blue[:, :340].any()  # the caption was pushed into the picture


def test_describes():
    assert describe(dict(image='a.png', error='no')) == 'no'
    found = [dict(name='cat'), dict(name='dog'), dict(name='cat')]
    assert describe(dict(image='a.png', objects=found)).split() == 'a.png 2 cat 1 dog'.split()
    assert 'nothing' in describe(dict(image='a.png', objects=[]))
    assert '0.900 cat' in describe(dict(image='a', picture='b', top=[dict(name='cat', score=0.9)]))
    assert '12.5% sky' in describe(dict(image='a', classes=[dict(name='sky', share=0.125)]))


def test_imports_no_inferencer():
    code = 'import mmoverlock.apis, sys; print([m for m in sys.modules if m in BAD])'
    bad = "BAD = ('mmdet.apis', 'mmseg', 'mmseg.apis')"
    done = subprocess.run([sys.executable, '-c', f'{bad}\n{code}'], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == '[]', done.stderr
