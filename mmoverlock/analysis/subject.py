"""What is analysed: a trained model, and the test set of its config."""

import os
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, DefaultScope
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import Subset

from mmoverlock.apis.loading import load_model
from mmoverlock.apis.names import class_names, colours
from mmoverlock.datasets.image_bits import KEY as IMAGE_BITS
from mmoverlock.runtime.images import as_picture, read_image
from mmoverlock.utils.config import require
from mmoverlock.utils.datasets import delivers_bgr, leaf_dataset, spread_indices
from mmoverlock.utils.device import pick_device
from mmoverlock.utils.models import library_of
from mmoverlock.utils.registry import build

from .progress import progress

TASKS = {'mmpretrain': 'classification', 'mmdet': 'detection', 'mmseg': 'segmentation'}


class Subject:
    """A trained classifier, detector or segmentor, with the pictures it is analysed on.

    Args:
        cfg: Of mmpretrain, mmdet or mmseg; its ``test_dataloader`` says which pictures, in what
            batches, by how many workers.
        checkpoint: File or URL; every tensor of the model must come from it.
        device: 'cpu', 'cuda' or 'cuda:N'; by default a GPU if there is one.
        max_images: How many pictures at most, spread over the test set; by default all.

    Raises:
        ValueError, OSError: the config or an argument is wrong, the test set is empty, or the
            checkpoint is unsafe or does not belong to the config.

    Attributes:
        task: 'classification', 'detection' or 'segmentation'.
        model: On `device`, in evaluation mode, large-kernel branches merged.
        classes: Names by label.
        colours: RGB, 0 to 255, by label.
        dataset: The whole test set.
        indices: Of the pictures, in `dataset`.
        speeds: Images per second of each batch that was predicted, without loading.
    """

    def __init__(
        self,
        cfg: Config,
        checkpoint: str | os.PathLike,
        device: str | None = None,
        max_images: int | None = None,
    ):
        require(cfg, 'model', 'test_dataloader')
        self.cfg, self.checkpoint = cfg, str(checkpoint)
        self.device = pick_device(device)
        with self._scope():
            self.model, loaded = load_model(cfg, self.checkpoint)
            self.model.to(self.device)
            self.task = TASKS[library_of(self.model)]
            if self.task == 'classification':
                _check_head(self.model)
            self.dataset = build(DATASETS, cfg.test_dataloader.dataset, 'test_dataloader.dataset')
            if hasattr(self.dataset, 'full_init'):
                self.dataset.full_init()
        if not len(self.dataset):
            raise ValueError('test_dataloader.dataset is empty: there is nothing to analyse')
        number = len(self.dataset)
        self.indices = spread_indices(number, min(max_images or number, number))
        self.speeds: list[float] = []
        part = leaf_dataset(cfg.test_dataloader.dataset)
        known = {**part, 'metainfo': getattr(self.dataset, 'metainfo', None)}  # names of folders
        self.classes = class_names(known, loaded, self.model)
        self.colours = colours(known, loaded, len(self.classes))

    def _scope(self) -> Any:
        return DefaultScope.overwrite_default_scope(self.cfg.get('default_scope'))

    def predictions(self) -> Iterator[tuple[int, Any]]:
        """Predict every picture in the batches of the config.

        Yields:
            Its index in `dataset`, and the library's data sample, on the CPU.
        """
        loader = dict(self.cfg.test_dataloader, dataset=Subset(self.dataset, self.indices))
        loader['sampler'] = dict(type='DefaultSampler', shuffle=False)
        loader.pop('batch_sampler', None)
        indices = iter(self.indices)
        with self._scope():
            batches = Runner.build_dataloader(loader)
            for batch in progress(batches, 'predict', len(batches)):
                start = time.perf_counter()
                with torch.no_grad():
                    samples = [sample.cpu() for sample in self.model.test_step(batch)]
                self.speeds.append(len(samples) / (time.perf_counter() - start))
                for sample in samples:
                    yield next(indices), sample

    def batch(self, index: int) -> dict[str, Any]:
        """A batch of one picture, as the model's data preprocessor takes it."""
        with self._scope():
            return pseudo_collate([self.dataset[index]])

    def predict(self, index: int) -> Any:
        """The library's data sample of one picture, on the CPU."""
        with self._scope(), torch.no_grad():
            (sample,) = self.model.test_step(self.batch(index))
        return sample.cpu()

    def inputs(self, index: int) -> Tensor:
        """What the model gets of a picture: (1, 3, H, W), normalized and padded, on `device`."""
        return self.model.data_preprocessor(self.batch(index), False)['inputs']

    def shown(self, inputs: Tensor) -> np.ndarray:
        """An input (1, 3, H, W) of the model as a picture (H, W, 3) uint8 in RGB."""
        preprocessor = self.model.data_preprocessor
        values = inputs[0].detach().float().cpu()
        if hasattr(preprocessor, 'mean'):
            values = values * preprocessor.std.cpu() + preprocessor.mean.cpu()
        picture = values.clamp(0, 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        if picture.shape[2] == 1:
            picture = picture.repeat(3, 2)
        return np.ascontiguousarray(picture if self._inputs_are_rgb else picture[..., ::-1])

    @cached_property
    def _inputs_are_rgb(self) -> bool:
        preprocessor = self.model.data_preprocessor
        turned = any(
            getattr(preprocessor, name, False) for name in ('to_rgb', '_channel_conversion')
        )
        return turned == delivers_bgr(self.cfg, 'test_dataloader')

    def picture(self, index: int) -> np.ndarray:
        """A picture of the test set as it is on the disk: (H, W, 3) uint8 in RGB."""
        info = self.dataset.get_data_info(index)
        if info.get('img_path'):
            return read_image(Path(info['img_path']), self.cfg.get(IMAGE_BITS))[..., ::-1]
        return as_picture(np.asarray(info['img']))

    def name(self, index: int) -> str:
        """The picture's file, or its number where there is none."""
        path = self.dataset.get_data_info(index).get('img_path')
        return Path(path).name if path else f'#{index}'


def _check_head(model: nn.Module) -> None:
    """Raise ValueError unless a classifier has a head that gives each picture one class."""
    from mmpretrain.models.heads import MultiLabelClsHead

    if not isinstance(getattr(model, 'head', None), nn.Module):
        raise ValueError(
            f'{type(model).__name__} has no head: only classifiers with one are analysed'
        )
    if isinstance(model.head, MultiLabelClsHead):
        kind = type(model.head).__name__
        raise ValueError(f'{kind} gives several classes: only classifiers of one are analysed')
