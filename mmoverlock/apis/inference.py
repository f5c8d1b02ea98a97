"""From a config, a checkpoint and pictures or videos to results, drawn, and in a JSON file."""

import contextlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmoverlock.datasets.image_bits import KEY, use_image_bits
from mmoverlock.engine.calibrators import read_calibrator
from mmoverlock.utils.config import read_config, require
from mmoverlock.utils.datasets import leaf_dataset
from mmoverlock.utils.device import pick_device
from mmoverlock.utils.errors import one_line
from mmoverlock.utils.files import removed_on_error
from mmoverlock.utils.json import dumps
from mmoverlock.utils.models import library_of

from .images import VIDEO_SUFFIXES, as_picture, find_images, new_file, read_image
from .loading import load_model
from .names import class_names, colours
from .slices import SlicedDetector
from .tasks import TASKS, Classifier, Detector, Segmentor
from .videos import JsonList, Video, VideoWriter


class Inferencer:
    """A trained classifier, detector or segmentor, ready for pictures.

    Args:
        config: The config, or its file.
        checkpoint: File or URL; every tensor of the model must come from it.
        device: 'cpu', 'cuda' or 'cuda:N'; by default a GPU if there is one.
        topk: How many classes a classifier names.
        score_thr: Least score, from 0 to 1, of the objects that a detector reports.
        merge: Merge the large-kernel branches, which is faster and exact.
        slice: For detectors and large pictures: side of the tiles, in pixels, into which a picture
            is cut; see :class:`~mmoverlock.apis.slices.SlicedDetector`. Needs supervision.
        calibration: For classifiers: a calibrator's file, as ``mmoverlock analyze`` writes it,
            which is applied to the scores.

    Raises:
        ValueError, OSError: if the config or an argument is wrong, or the checkpoint is unsafe or
            does not belong to the config.

    Attributes:
        classes: Names of the classes: the checkpoint's, else those of the config's data set.
    """

    def __init__(
        self,
        config: str | os.PathLike | Config,
        checkpoint: str | os.PathLike,
        device: str | None = None,
        topk: int = 5,
        score_thr: float = 0.3,
        merge: bool = True,
        slice: int | None = None,
        calibration: str | os.PathLike | None = None,
    ):
        if topk < 1:
            raise ValueError(f'topk={topk}: at least 1 is needed')
        if not 0 <= score_thr <= 1:
            raise ValueError(f'score_thr={score_thr}: a score from 0 to 1 is needed')
        if slice is not None and slice < 1:
            raise ValueError(f'slice={slice}: at least 1 pixel is needed')
        cfg = config if isinstance(config, Config) else read_config(config)
        require(cfg, 'model', 'test_dataloader')
        use_image_bits(cfg)
        self._bits = cfg.get(KEY)
        dataset = leaf_dataset(cfg.test_dataloader.dataset)
        if dataset.get('pipeline') is None:
            raise ValueError(f"config '{cfg.filename}': test_dataloader.dataset has no pipeline")
        place = pick_device(device)
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
            model, loaded = load_model(cfg, str(checkpoint), merge)
            model.to(place)
            self.classes = class_names(dataset, loaded, model)
            palette = colours(dataset, loaded, len(self.classes))
            model.dataset_meta = dict(classes=self.classes, palette=palette)
            task = TASKS[library_of(model)]
            if slice is None:
                self._task = task(model, dataset.pipeline, topk, score_thr)
            elif task is Detector:
                self._task = SlicedDetector(model, dataset.pipeline, topk, score_thr, slice)
            else:
                raise ValueError(
                    f'slice={slice} is for detectors; segmentors have model.test_cfg.mode=slide'
                )
        if calibration is not None:
            if task is not Classifier:
                raise ValueError(f'calibration={str(calibration)!r} is for classifiers')
            self._task.calibrator = read_calibrator(calibration, self.classes)

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
            return self._task.predict(as_picture(image, self._bits))
        if not isinstance(image, (str, os.PathLike)):
            raise ValueError(f'{type(image).__name__} is neither a file nor a NumPy array')
        return self._task.predict(self.read(Path(image)))

    @property
    def task(self) -> str:
        """'classification', 'detection' or 'segmentation'."""
        return self._task.name

    def draw(
        self, picture: np.ndarray, result: Mapping[str, Any], opacity: float | None = None
    ) -> np.ndarray:
        """Draw a result of :meth:`predict`.

        Args:
            picture: (H, W, 3) uint8, BGR; it is not changed.
            result: What was found in it.
            opacity: Of a segmentor's colours, from 0 to 1; by default 0.6.

        Returns:
            The drawn picture, uint8, BGR; tiny pictures are enlarged, bars stand below.

        Raises:
            ValueError: opacity is given, but the model is not a segmentor.
        """
        rgb = picture[..., ::-1]
        if opacity is None:
            return self._task.draw(rgb, result)[..., ::-1]
        if not isinstance(self._task, Segmentor):
            raise ValueError(f'opacity={opacity} is for segmentors')
        return self._task.draw(rgb, result, opacity=opacity)[..., ::-1]

    def read(self, path: Path) -> np.ndarray:
        """A picture as the test pipeline reads it: see :func:`~.images.read_image`."""
        return read_image(path, self._bits, self._task.turns)

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
            picture = self.read(path)
            result = dict(image=str(path), **self._task.predict(picture))
        except ValueError as error:
            return dict(image=str(path), error=_reason(error, f"image '{path}'", path))
        if out_dir is None:
            return result
        suffix = '.jpg' if path.suffix.lower() in ('.jpg', '.jpeg') else '.png'
        drawn = self.draw(picture, result)
        result['picture'] = str(new_file(out_dir, path.stem + suffix))
        _write(drawn, result['picture'])
        if 'labels' in result:
            labels = result['labels'].astype(np.uint8 if len(self.classes) <= 256 else np.uint16)
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
    with removed_on_error(path):
        mmcv.imwrite(picture, path)


def _without_arrays(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result as it goes into a JSON file."""
    return {key: value for key, value in result.items() if key != 'labels'}


def _reason(error: ValueError, where: str, path: Path) -> str:
    reason = one_line(error)
    return reason if str(path) in reason else f'{where}: {reason}'


def infer(
    config: str | os.PathLike | Config,
    checkpoint: str | os.PathLike,
    images: str | os.PathLike | Iterable[str | os.PathLike],
    out_dir: str | os.PathLike | None = None,
    **options: Any,
) -> list[dict[str, Any]]:
    """Load a model and go through pictures: what :meth:`Inferencer.run` yields, as a list.

    The options are those of :class:`Inferencer`.
    """
    return list(Inferencer(config, checkpoint, **options).run(images, out_dir))


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
