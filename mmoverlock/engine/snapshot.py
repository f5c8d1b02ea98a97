"""The state of a training run, kept in memory to return to."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor, nn


def optim_wrappers(runner: Runner) -> list[OptimWrapper]:
    """The run's optimizer wrappers: usually one."""
    wrapper = runner.optim_wrapper
    return list(wrapper.values()) if isinstance(wrapper, OptimWrapperDict) else [wrapper]


def trained_modules(runner: Runner) -> Iterator[nn.Module]:
    """The model, without its wrapper, and the moving averages of it that hooks keep."""
    yield getattr(runner.model, 'module', runner.model)
    for hook in runner.hooks:
        if isinstance(getattr(hook, 'ema_model', None), nn.Module):
            yield hook.ema_model


def _tensors(runner: Runner) -> Iterator[Tensor]:
    for module in trained_modules(runner):
        yield from module.parameters()
        yield from module.buffers()


def _on_cpu(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().to('cpu', copy=True)
    if isinstance(value, dict):
        return {key: _on_cpu(part) for key, part in value.items()}
    return deepcopy(value)


class Snapshot:
    """A copy, in the CPU's memory, of what training changes.

    It holds the model's weights and buffers, those of its moving averages, the optimizers' state
    (not their learning rates, which the schedule sets) and the loss scale.

    Args:
        runner: Of the run.
    """

    def __init__(self, runner: Runner) -> None:
        self.iteration = runner.iter
        self.tensors = [_on_cpu(tensor) for tensor in _tensors(runner)]
        self.states = [
            _on_cpu(one.optimizer.state_dict()['state']) for one in optim_wrappers(runner)
        ]
        self.scales = [
            one.loss_scaler.state_dict() if hasattr(one, 'loss_scaler') else {}
            for one in optim_wrappers(runner)
        ]

    @torch.no_grad()
    def restore(self, runner: Runner) -> None:
        """Bring the run back to this state. Its iteration and its schedules go on."""
        for tensor, kept in zip(_tensors(runner), self.tensors, strict=True):
            tensor.copy_(kept)
        for wrapper, state, scale in zip(
            optim_wrappers(runner), self.states, self.scales, strict=True
        ):
            groups = wrapper.optimizer.state_dict()['param_groups']
            # The optimizer would share the snapshot's tensors, and change them.
            wrapper.optimizer.load_state_dict(dict(state=deepcopy(state), param_groups=groups))
            if scale:
                wrapper.loss_scaler.load_state_dict(scale)
