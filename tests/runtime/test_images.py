"""Pictures in and out: which files are meant, what is in them, names that are free."""

import numpy as np
import pytest
from PIL import Image

from mmoverlock.runtime.images import find_images, new_file, read_image


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
    (folder / 'film.MP4').write_text('a video')
    assert names(['*.MP4', folder]) == ['film.MP4', 'a.JPG', 'b.png']
    Image.new('RGB', (4, 3)).save('odd[1].png')
    assert names('odd[1].png') == ['odd[1].png']


def test_says_where_there_is_nothing(folder):
    (folder / 'empty').mkdir()
    with pytest.raises(ValueError, match=r"folder '.*empty' holds no image"):
        find_images(folder / 'empty')
    with pytest.raises(ValueError, match=r"pattern '.*\*\.txt' matches no image"):
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
    [(b'', 'the file is empty'), (b'text', 'no image, or damaged'), (None, 'No such file')],
)
def test_unreadable(tmp_path, data, reason):
    if data is not None:
        (tmp_path / 'a.png').write_bytes(data)
    with pytest.raises(ValueError, match=f"image '.*a.png' cannot be read: {reason}"):
        read_image(tmp_path / 'a.png')


def test_writes_beside_what_is_there(tmp_path):
    (tmp_path / 'a.png').write_text('mine')
    assert new_file(tmp_path, 'a.png').name == 'a_1.png'
    (tmp_path / 'a_1.png').write_text('mine, too')
    assert new_file(tmp_path, 'a.png').name == 'a_2.png'
    assert new_file(tmp_path, 'b.png').name == 'b.png'
