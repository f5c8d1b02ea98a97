"""A hook that stops a run whose loss is NaN or infinite."""

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


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
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
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
