"""Going through pictures and videos: results, drawn, and in a JSON file."""

import contextlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from mmoverlock.utils.errors import one_line
from mmoverlock.utils.files import removed_on_error
from mmoverlock.utils.json import dumps

from .images import VIDEO_SUFFIXES, as_picture, find_images, new_file, read_image
from .videos import JsonList, Video, VideoWriter


class Task(Protocol):
    """What a model says about a picture, and how it is drawn.

    ``predict`` takes pictures (H, W, 3) in BGR, ``draw`` takes and returns them in RGB; the frames
    of a video come out in one size. ``shares`` says how much of a frame each class, label and name,
    has: the sum over a video, divided by the number of frames, sums it up.

    Attributes:
        classes: Names by label.
        image_bits: That the values of 16-bit pictures have; None: all 16.
        turns: Whether pictures are turned as their EXIF tags say.
    """

    classes: list[str]
    image_bits: int | None
    turns: bool

    def predict(self, picture: np.ndarray) -> dict[str, Any]: ...

    def draw(
        self, picture: np.ndarray, result: dict[str, Any], frame: bool = False
    ) -> np.ndarray: ...

    def shares(self, result: dict[str, Any]) -> dict[tuple[int, str], float]: ...


class PictureModel:
    """A classifier, detector or segmentor, ready for pictures and videos.

    Args:
        task: What it does with each.

    Attributes:
        classes: Names of the classes, by label.
    """

    def __init__(self, task: Task):
        self._task = task
        self.classes = list(task.classes)

    def predict(self, image: str | os.PathLike | np.ndarray) -> dict[str, Any]:
        """What the model says about one picture.

        Args:
            image: A file, or (H, W, 3) uint8 in BGR, as OpenCV reads it; see :func:`as_picture`
                for grey and transparent ones, and those of 16 bits.

        Returns:
            Of a classifier ``top``: label, name and score of the best classes, best first. Of a
            detector ``objects``: label, name, score, ``box`` (x1, y1, x2, y2 in pixels) and, if it
            makes them, ``mask`` (COCO's run lengths), best first. Of a segmentor ``labels``, an
            array (H, W), and ``classes``: label, name and ``share`` of the pixels, largest first.

        Raises:
            ValueError: if it cannot be read, is no picture, or is too small for the model.
        """
        if isinstance(image, np.ndarray):
            return self._task.predict(as_picture(image, self._task.image_bits))
        if not isinstance(image, (str, os.PathLike)):
            raise ValueError(f'{type(image).__name__} is neither a file nor a NumPy array')
        return self._task.predict(self._read(Path(image)))

    def _read(self, path: Path) -> np.ndarray:
        return read_image(path, self._task.image_bits, self._task.turns)

    def run(
        self,
        images: str | os.PathLike | Iterable[str | os.PathLike],
        out_dir: str | os.PathLike | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Go through pictures and videos; what cannot be read is reported, and the rest goes on.

        Args:
            images: Files, folders and patterns, see :func:`find_images`.
            out_dir: Where the drawn pictures and videos and, at the end, `predictions.json` go;
                existing files are left alone, the new ones then get a number.

        Yields:
            For each picture the dict of :meth:`predict`, with ``image``, its path, and, if drawn,
            ``picture``; of a segmentor also ``label_map``, a PNG of the labels. For one that
            cannot be used ``image`` and ``error``.

            For each video ``video``, its path, the number of ``frames``, how many the file
            ``announced``, and ``classes``: label, name and ``share``, largest first. A detector's
            share is that of the frames in which it finds the class, a classifier's that of the
            frames whose best class it is, a segmentor's that of the pixels. If drawn, also
            ``picture``, an MP4 file, and ``predictions``, a JSON list of what :meth:`predict` says
            about each ``frame``, counted from 0.
        """
        paths = find_images(images)
        if out_dir is not None:
            out_dir = Path(out_dir)
            out_dir.mkdir(parents=True, exist_ok=True)
        done = []
        try:
            for path in paths:
                video = path.suffix.lower() in VIDEO_SUFFIXES
                result = self._video(path, out_dir) if video else self._one(path, out_dir)
                done.append(_without_arrays(result))
                yield result
        finally:
            if out_dir is not None and done:
                text, file = dumps(done, indent=1) + '\n', new_file(out_dir, 'predictions.json')
                with removed_on_error(file):
                    file.write_text(text, encoding='utf-8')

    def _one(self, path: Path, out_dir: Path | None) -> dict[str, Any]:
        try:
            picture = self._read(path)
            result = dict(image=str(path), **self._task.predict(picture))
        except ValueError as error:
            return dict(image=str(path), error=_reason(error, f"image '{path}'", path))
        if out_dir is None:
            return result
        suffix = '.jpg' if path.suffix.lower() in ('.jpg', '.jpeg') else '.png'
        drawn = self._task.draw(picture[..., ::-1], result)[..., ::-1]  # drawn in RGB
        result['picture'] = str(new_file(out_dir, path.stem + suffix))
        _write(drawn, result['picture'])
        if 'labels' in result:
            labels = result['labels'].astype(
                np.uint8 if len(self._task.classes) <= 256 else np.uint16
            )
            result['label_map'] = str(new_file(out_dir, f'{path.stem}_labels.png'))
            _write(labels, result['label_map'])
        return result

    def _video(self, path: Path, out_dir: Path | None) -> dict[str, Any]:
        frames, total, files = 0, Counter(), {}
        with contextlib.ExitStack() as closing:
            try:
                video = Video(path)
                for frame in video:
                    result = self._task.predict(frame)
                    total.update(self._task.shares(result))
                    if out_dir is not None:
                        if not files:
                            files['picture'] = new_file(out_dir, f'{path.stem}.mp4')
                            files['predictions'] = new_file(out_dir, f'{path.stem}.json')
                            drawn = VideoWriter(files['picture'], video.rate)
                            found = JsonList(files['predictions'])
                            closing.callback(drawn.close)
                            closing.callback(found.close)
                        rgb = self._task.draw(frame[..., ::-1], result, frame=True)
                        drawn.write(np.ascontiguousarray(rgb[..., ::-1]))
                        found.write(dict(frame=frames, **_without_arrays(result)))
                    frames += 1
            except ValueError as error:
                return dict(video=str(path), error=_reason(error, f"video '{path}'", path))
        shares = [
            dict(label=label, name=name, share=amount / frames)
            for (label, name), amount in total.most_common()
        ]
        names = {key: str(file) for key, file in files.items()}
        return dict(
            video=str(path), frames=frames, announced=video.announced, classes=shares, **names
        )


def _write(picture: np.ndarray, path: str) -> None:
    _, encoded = cv2.imencode(Path(path).suffix, picture)
    with removed_on_error(path):
        Path(path).write_bytes(encoded)


def _without_arrays(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result as it goes into a JSON file."""
    return {key: value for key, value in result.items() if key != 'labels'}


def _reason(error: ValueError, where: str, path: Path) -> str:
    reason = one_line(error)
    return reason if str(path) in reason else f'{where}: {reason}'


def describe(result: Mapping[str, Any]) -> str:
    """A result in a few lines for the terminal."""
    if 'error' in result:
        return result['error']
    lines = [result.get('image') or result['video']]
    if 'picture' in result:
        lines[0] += f' -> {result["picture"]}'
    if 'frames' in result:
        frames, announced = result['frames'], result['announced']
        lines[0] += f': {frames} frames'
        if announced > frames:
            lines[0] += f', of {announced} that the file announces'
    if 'objects' in result:
        counts = Counter(found['name'] for found in result['objects'])
        lines += [f'  {count:>5} {name}' for name, count in counts.items()] or ['  nothing found']
    for one in result.get('top', ()):
        lines.append(f'  {one["score"]:.3f} {one["name"]}')
    for one in result.get('classes', ()):
        if one['share'] >= 0.01:
            lines.append(f'  {one["share"]:>6.1%} {one["name"]}')
    return '\n'.join(lines)
