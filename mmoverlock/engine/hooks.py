"""Hooks that stop a run which would silently do something else than asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from mmoverlock.models.overlock.checkpoint import LoadReport, match_state_dict, state_dict_of


def fit_state_dict(
    model: nn.Module, checkpoint: Mapping[str, Any], strict: bool = False
) -> tuple[dict[str, Tensor], LoadReport]:
    """Bring a checkpoint's state dict, published or ours, into the model's names.

    Args:
        model: The model, possibly in a data-parallel wrapper.
        checkpoint: A state dict or a training checkpoint around one.
        strict: Whether the file must hold all of the model's tensors.

    Returns:
        The tensors that fit, under the model's names, and the report.

    Raises:
        ValueError: if nothing fits, the backbone is of another size, or `strict` and some tensors
            are missing (their number and the first name are given).
    """
    fits, report = match_state_dict(model, state_dict_of(checkpoint))
    if strict and report.missing:
        raise ValueError(
            f"checkpoint lacks {len(report.missing)} of the model's tensors, the first is "
            f"'{report.missing[0]}': it belongs to another config"
        )
    return fits, report


@HOOKS.register_module()
class CheckpointGuard(Hook):
    """Loads published checkpoints under the model's names and refuses those that do not fit.

    MMEngine loads by name and only warns of what does not match, so that a foreign file leaves the
    model as it was. This hook logs one report and raises when nothing fits.

    Args:
        strict: Whether every tensor of the model must come from the file, as in testing; in
            resuming it must in any case.
    """

    priority = 'VERY_HIGH'  # before EMAHook, which loads the same names

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Replace the checkpoint's state dict by what fits the model."""
        strict = self.strict or runner._resume
        fits, report = fit_state_dict(runner.model, checkpoint, strict)
        print_log(f'checkpoint: {report}', logger='current')
        checkpoint['state_dict'] = fits


@HOOKS.register_module()
class FiniteLossGuard(Hook):
    """Stops a run whose loss is no longer a finite number.

    Args:
        interval: Look at every so many iterations; a look waits for the GPU.
    """

    priority = 'VERY_HIGH'  # before the checkpoint is written

    def __init__(self, interval: int = 50) -> None:
        self.interval = interval

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Raise FloatingPointError if one of the iteration's losses is NaN or infinite."""
        last = self.end_of_epoch(runner.train_dataloader, batch_idx)
        if not (last or self.every_n_train_iters(runner, self.interval)):
            return
        for name, value in (outputs or {}).items():
            value = torch.as_tensor(value).detach()
            if 'loss' in name and not value.isfinite():
                raise FloatingPointError(
                    f'{name} is {value.item()} in iteration {runner.iter + 1}: lower the learning '
                    'rate or clip the gradients'
                )
