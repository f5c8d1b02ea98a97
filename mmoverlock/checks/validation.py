"""One validation image before a training, from its file to the metrics.

A validation first runs when an epoch of training is over; what is wrong with it is found out here.
"""

import contextlib
import logging
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.logging import print_log
from torch import nn

from mmoverlock.engine.hooks.evaluation_guard import guard_metrics
from mmoverlock.utils.config import each, type_name
from mmoverlock.utils.errors import one_line
from mmoverlock.utils.models import library_of
from mmoverlock.utils.silence import silence

from .loaders import build_loader


def try_validation(
    cfg: Config, model: nn.Module, dataset: Any, metrics: Mapping[str, BaseMetric]
) -> list[str] | None:
    """Validate the first image where the training will run, on the GPU if there is one.

    What is given is changed, and to be thrown away. A metric that cannot be computed of one image
    is logged.

    Args:
        cfg: Of a training with a validation.
        model: Of the config.
        dataset: That of the validation, built.
        metrics: Those of the validation, built, by their keys.

    Returns:
        The names of what the metrics compute; None if they are not known, as the loop, the model or
        a metric is not a usual one.

    Raises:
        ValueError: the pipeline, the model or a metric fails.
    """
    if type_name(cfg.val_cfg) not in ('', 'ValLoop') or not _is_usual(model):
        return None
    image = _first_image(dataset)
    with _told(f'val_dataloader.dataset: the pipeline fails on {image}'):
        batch = build_loader(cfg.val_dataloader, dataset, 'val_dataloader').collate_fn([dataset[0]])
    try:
        with _told(f'val_dataloader: the model fails on {image}'), torch.no_grad():
            samples = model.to(get_device()).eval().val_step(batch)
    except (torch.OutOfMemoryError, MemoryError):  # maybe others use the GPU now
        return None
    names: list[str] | None = []
    for key, part in each(cfg.val_evaluator, 'val_evaluator'):
        writes = any(name.startswith('out') and value for name, value in part.items())
        found = {} if writes else _evaluate(metrics[key], key, dataset, batch, samples, image)
        names = None if names is None or not found else [*names, *found]
    return names


def _evaluate(
    metric: BaseMetric, key: str, dataset: Any, batch: Any, samples: Any, image: str
) -> dict[str, Any]:
    """What a metric computes of `samples`; nothing if it cannot of one image."""
    evaluator = Evaluator([metric])
    evaluator.dataset_meta = getattr(dataset, 'metainfo', None)
    guard_metrics([metric])
    if hasattr(metric, 'img_ids'):  # COCO's would take all images of the file
        metric.img_ids = [getattr(samples[0], 'img_id', None)]
    with silence(logging.CRITICAL + 1):
        with _told(f'{key} fails on {image} as val_dataloader.dataset.pipeline gives it'):
            evaluator.process(samples, batch)
        try:
            return evaluator.evaluate(1)
        except Exception as error:  # maybe of a metric that needs several images
            failure = _reason(error)
    print_log(
        f'{key}: {type(metric).__name__} fails when it is tried on one image: {failure}',
        logger='current',
        level=logging.WARNING,
    )
    return {}


def _is_usual(model: nn.Module) -> bool:
    """Whether the model needs nothing but images, such as the prototypes of a retrieval."""
    try:
        return bool(library_of(model))
    except ValueError:
        return False


def _first_image(dataset: Any) -> str:
    path = ''
    with contextlib.suppress(Exception):  # data sets without files, or of another kind
        path = dataset.get_data_info(0).get('img_path') or ''
    return f'the first validation image{path and f" ({path})"}'


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:  # of what the user's words have built: anything may fail in it
        raise ValueError(f'{what}: {_reason(error)}') from error


def _reason(error: Exception) -> str:
    message = one_line(error)
    if isinstance(error, ValueError):
        return message
    if isinstance(error, KeyError):
        message = f"'{message}'"
    elif not str(error):  # of an assertion without a message: what it asserts
        message = traceback.extract_tb(error.__traceback__)[-1].line or ''
    return f'{type(error).__name__}: {message}'
