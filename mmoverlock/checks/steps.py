"""Checks of the steps of a run: batches, schedules, what a resumed run goes on with."""

import logging
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.optim import OptimWrapperDict
from torch import nn

from mmoverlock.engine.distributed import env_world_size
from mmoverlock.engine.scale_lr import lr_ratio, scale_bounds

from .batch_norm import check_single_images
from .loaders import Batches, check_ends, check_loader
from .loops import run_length
from .resume import resume_notes
from .resume_state import try_step
from .schedule import check_optimizer, check_schedulers, schedule_notes


def check_steps(
    cfg: Config,
    model: nn.Module,
    datasets: Mapping[str, Any],
    resumed: Mapping[str, Any] | None,
) -> None:
    """Check a run's loaders and, for training, its schedule; log what is odd but allowed.

    Args:
        cfg: Of the run.
        model: Of the config.
        datasets: By the keys of their loaders.
        resumed: The checkpoint of a run that is resumed.

    Raises:
        ValueError: in one line, what is wrong and how to change it.
    """
    processes = env_world_size(cfg.get('launcher', 'none'))
    found = {key: check_loader(cfg[key], one, key, processes) for key, one in datasets.items()}
    for key, batches in found.items():
        by_epoch = key != 'train_dataloader' or 'max_epochs' in cfg.train_cfg
        check_ends(cfg[key], batches, key, by_epoch)
    if 'train_dataloader' not in found:
        return
    batches = found['train_dataloader']
    check_single_images(cfg, model, datasets['train_dataloader'], batches)
    for note in _training_notes(cfg, model, batches, processes, resumed):
        print_log(note, logger='current', level=logging.WARNING)


def _training_notes(
    cfg: Config,
    model: nn.Module,
    batches: Batches,
    processes: int,
    resumed: Mapping[str, Any] | None,
) -> list[str]:
    wrapper = check_optimizer(cfg, model)
    length = run_length(cfg, batches)
    one = next(iter(wrapper.values())) if isinstance(wrapper, OptimWrapperDict) else wrapper
    images = batches.size * processes * one._accumulative_counts
    ratio = lr_ratio(cfg.get('auto_scale_lr'), images)
    cfg = deepcopy(cfg)
    scale_bounds(cfg.get('param_scheduler'), ratio)
    schedulers = check_schedulers(cfg, wrapper, length, batches.steps or batches.images)
    notes = []
    if resumed:
        notes = resume_notes(
            resumed, wrapper, schedulers, ratio, length, batches.steps, cfg.load_from
        )
    notes += schedule_notes(schedulers, length)
    if resumed:
        try_step(wrapper, schedulers, resumed['optimizer'], cfg.load_from)
    return notes
