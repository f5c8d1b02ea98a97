"""From a config, a checkpoint and pictures or videos to results, drawn, and in a JSON file."""

import os
from collections.abc import Iterable
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmoverlock.datasets.image_bits import use_image_bits
from mmoverlock.runtime.calibrators import read_calibrator
from mmoverlock.runtime.pictures import PictureModel
from mmoverlock.runtime.results import check_options
from mmoverlock.utils.bits import KEY
from mmoverlock.utils.config import read_config, require
from mmoverlock.utils.datasets import leaf_dataset
from mmoverlock.utils.device import pick_device
from mmoverlock.utils.models import library_of

from .loading import load_model
from .names import class_names, colours
from .slices import SlicedDetector
from .tasks import TASKS, Classifier, Detector


class Inferencer(PictureModel):
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
        check_options(topk, score_thr)
        if slice is not None and slice < 1:
            raise ValueError(f'slice={slice}: at least 1 pixel is needed')
        cfg = config if isinstance(config, Config) else read_config(config)
        require(cfg, 'model', 'test_dataloader')
        use_image_bits(cfg)
        dataset = leaf_dataset(cfg.test_dataloader.dataset)
        if dataset.get('pipeline') is None:
            raise ValueError(f"config '{cfg.filename}': test_dataloader.dataset has no pipeline")
        place = pick_device(device)
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
            model, loaded = load_model(cfg, str(checkpoint), merge)
            model.to(place)
            classes = class_names(dataset, loaded, model)
            palette = colours(dataset, loaded, len(classes))
            model.dataset_meta = dict(classes=classes, palette=palette)
            kind = TASKS[library_of(model)]
            if slice is None:
                task = kind(model, dataset.pipeline, topk, score_thr)
            elif kind is Detector:
                task = SlicedDetector(model, dataset.pipeline, topk, score_thr, slice)
            else:
                raise ValueError(
                    f'slice={slice} is for detectors; segmentors have model.test_cfg.mode=slide'
                )
        task.image_bits = cfg.get(KEY)
        if calibration is not None:
            if kind is not Classifier:
                raise ValueError(f'calibration={str(calibration)!r} is for classifiers')
            task.calibrator = read_calibrator(calibration, classes)
        super().__init__(task)


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
