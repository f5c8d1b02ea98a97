"""Videos in and out, frame by frame: memory does not grow with their length."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmoverlock.utils.json import dumps

CODEC = 'mp4v'  # MPEG-4, which every OpenCV can write
USUAL_RATE = 25.0  # frames per second, where the file does not say


class Video:
    """A video file, read once from its first frame to its last.

    Iterating yields frames: (H, W, 3) uint8, BGR, turned as the file says.

    Raises:
        ValueError: naming the file, if it is missing, empty, damaged or no video.

    Attributes:
        rate: Frames per second.
        announced: How many frames the file says it holds, which may be an estimate.
    """

    def __init__(self, path: Path):
        self.path = path
        if not path.is_file():
            raise ValueError(f"video '{path}' cannot be read: No such file")
        if path.stat().st_size == 0:
            raise ValueError(f"video '{path}' cannot be read: the file is empty")
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise ValueError(f"video '{path}' cannot be read: no video, or damaged")
        self.announced = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if math.isfinite(rate) and rate > 0 else USUAL_RATE

    def __iter__(self) -> Iterator[np.ndarray]:
        try:
            found, frame = self._capture.read()
            if not found:
                raise ValueError(f"video '{self.path}' cannot be read: it holds no frame")
            while found:
                yield frame
                found, frame = self._capture.read()
        finally:
            self._capture.release()


class VideoWriter:
    """Writes frames (H, W, 3) uint8, BGR, into an MP4 file; the first one sets the size.

    Raises:
        OSError: if the file cannot be written.
    """

    def __init__(self, path: Path, rate: float):
        self.path, self.rate = path, rate
        self._writer: cv2.VideoWriter | None = None

    def write(self, frame: np.ndarray) -> None:
        if self._writer is None:
            size, code = frame.shape[1::-1], cv2.VideoWriter_fourcc(*CODEC)
            self._writer = cv2.VideoWriter(str(self.path), code, self.rate, size)
            if not self._writer.isOpened():
                raise OSError(f"video '{self.path}' cannot be written")
        self._writer.write(frame)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.release()


class JsonList:
    """Writes a JSON list item by item, each on a line."""

    def __init__(self, path: Path):
        self._file = path.open('w', encoding='utf-8')
        self._before = '[\n'

    def write(self, item: Mapping[str, Any]) -> None:
        self._file.write(self._before + dumps(item))
        self._before = ',\n'

    def close(self) -> None:
        self._file.write(('' if self._before == ',\n' else '[') + '\n]\n')
        self._file.close()
