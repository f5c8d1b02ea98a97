"""Videos in and out, and lists that are written item by item."""

import json

import cv2
import numpy as np
import pytest

from mmoverlock.runtime.videos import JsonList, Video, VideoWriter

GREYS = [10, 90, 170, 250]


@pytest.fixture
def film(tmp_path):
    writer = VideoWriter(tmp_path / 'film.mp4', 12.5)
    for grey in GREYS:
        writer.write(np.full((48, 64, 3), grey, np.uint8))
    writer.close()
    return tmp_path / 'film.mp4'


def test_frames_come_in_order(film):
    video = Video(film)
    assert (video.rate, video.announced) == (12.5, 4)
    frames = list(video)
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 4
    assert [frame.mean() for frame in frames] == pytest.approx(GREYS, abs=4)


def test_colours_are_bgr(tmp_path):
    frame = np.full((48, 64, 3), (200, 100, 30), np.uint8)
    writer = VideoWriter(tmp_path / 'a.mp4', 25)
    writer.write(frame)
    writer.close()
    (read,) = Video(tmp_path / 'a.mp4')
    assert np.abs(read.astype(int) - frame).max() < 8
    assert np.abs(cv2.VideoCapture(str(tmp_path / 'a.mp4')).read()[1].astype(int) - frame).max() < 8


@pytest.mark.parametrize(
    ('data', 'reason'),
    [(b'', 'the file is empty'), (b'text' * 50, 'no video, or damaged'), (None, 'No such file')],
)
def test_unreadable(tmp_path, data, reason):
    if data is not None:
        (tmp_path / 'a.mp4').write_bytes(data)
    with pytest.raises(ValueError, match=f"video '.*a.mp4' cannot be read: {reason}"):
        Video(tmp_path / 'a.mp4')


def test_without_frames(tmp_path):
    file = tmp_path / 'a.avi'
    cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*'MJPG'), 10, (64, 48)).release()
    with pytest.raises(ValueError, match="video '.*a.avi' cannot be read: "):
        list(Video(file))


def test_of_a_damaged_video_the_readable_frames_are_read(tmp_path):
    file = tmp_path / 'a.avi'
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*'MJPG'), 10, (64, 48))
    for seed in range(8):
        noise = np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        writer.write(noise)
    writer.release()
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    video = Video(file)
    assert 0 < len(list(video)) < video.announced == 8


def test_unwritable(tmp_path):
    writer = VideoWriter(tmp_path / 'gone/a.mp4', 25)
    with pytest.raises(OSError, match="video '.*gone/a.mp4' cannot be written"):
        writer.write(np.zeros((48, 64, 3), np.uint8))


@pytest.mark.parametrize('items', [[], [dict(a=1)], [dict(name='Ü'), dict(name='"')]])
def test_json_list(tmp_path, items):
    file = JsonList(tmp_path / 'a.json')
    for item in items:
        file.write(item)
    file.close()
    text = (tmp_path / 'a.json').read_text(encoding='utf-8')
    assert json.loads(text) == items
    assert len(text.splitlines()) == len(items) + 2
