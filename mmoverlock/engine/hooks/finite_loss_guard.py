"""A hook that heals a run whose losses or gradients are NaN or infinite."""

import logging
import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import torch
from mmengine import dist
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from mmoverlock.engine.snapshot import Snapshot, optim_wrappers, trained_modules
from mmoverlock.utils.errors import shown

ON_RETURN = (None, 'halve_lr', 'bfloat16', 'float32')
SUSPICIOUS = 3  # skipped steps in a row: one or two may be due to their data
DTYPE = 'finite_loss_guard_dtype'  # in the message hub, and so in checkpoints
REMEDY = (
    'lower the learning rate (optim_wrapper.optimizer.lr), clip the gradients '
    '(optim_wrapper.clip_grad=dict(max_norm=1)) or, in float16, train in bfloat16 or float32'
)


@HOOKS.register_module()
class FiniteLossGuard(Hook):
    """Skips steps whose loss or gradient is not finite; returns to good weights if they persist.

    A skipped step leaves no trace in weights, optimizer and buffers (such as the statistics of
    batch norms): the run is one without that batch, except that the schedule and moving averages of
    the weights (EMAHook) go on. With accumulated gradients all batches of the step are left out.
    All processes decide alike. Skipped steps are counted and logged: each of the first, then ever
    fewer. Their losses are left out of the log's means.

    In float16, MMEngine's loss scaler skips steps whose scaled gradient overflows, and halves the
    scale. That is normal, is counted apart, and is a fault only below a scale of 1.

    After `patience` faulty steps in a row the run returns to weights and optimizer state that gave
    a finite loss and gradient, at most `snapshot_interval` steps old. They are kept in the CPU's
    memory: with Adam, the size of the weights three times, with a moving average four times, in
    each process.

    The check of the gradients waits for the device before each step; with
    ``clip_grad=dict(max_norm=...)``, which computes their norm and waits, it costs nothing more.
    MMEngine waits for the losses in each iteration in any case.

    Args:
        patience: Faulty steps in a row before the run returns.
        max_returns: Returns in a run before it gives up; 0: give up instead of returning.
        on_return: What to change on each return: None; 'halve_lr', the learning rates from here on;
            'bfloat16' or 'float32', the number format of mixed precision (without it: nothing).
        snapshot_interval: Optimizer steps between two copies of the good state.
        interval: Of earlier versions; has no effect, each iteration is watched.

    Raises:
        ValueError: An argument is out of range.
        FloatingPointError: While training: the run cannot be healed, or ends in faulty steps that
            are at least half of all. No checkpoint of weights that are not finite is written.
    """

    priority = 'HIGHEST'  # before losses are logged, weights averaged and checkpoints written

    def __init__(
        self,
        patience: int = 10,
        max_returns: int = 3,
        on_return: str | None = None,
        snapshot_interval: int = 500,
        interval: int | None = None,
    ) -> None:
        counts = dict(patience=patience, snapshot_interval=snapshot_interval)
        for name, value in {**counts, 'max_returns': max_returns}.items():
            least = int(name in counts)
            if not isinstance(value, int) or value < least:
                raise ValueError(f'FiniteLossGuard: {name}={value!r}: {least} or more is needed')
        if on_return not in ON_RETURN:
            raise ValueError(
                f'FiniteLossGuard: {on_return=}: allowed are None, {shown(ON_RETURN[1:])}'
            )
        self.patience, self.max_returns = patience, max_returns
        self.on_return, self.snapshot_interval = on_return, snapshot_interval
        self.snapshot: Snapshot | None = None
        self.handles: list[Any] = []

    # ------------------------------------------------------------------ watching

    def before_train(self, runner: Runner) -> None:
        """Watch the model's losses and the optimizers' steps."""
        self.snapshot, self.since_snapshot = None, 0
        self.steps = self.skipped = self.in_row = self.overflows = self.returns = 0
        self.stepped = self.stopped = False  # in this iteration
        self.reason = ''  # of the last skip
        self.losses_finite: Tensor | None = None  # in the batches of this step
        self.buffers = list(runner.model.buffers())
        self.good_buffers = [buffer.clone() for buffer in self.buffers]
        # A buffer may hold infinity on purpose, such as a mask of attention.
        self.exempt = {
            id(tensor)
            for module in trained_modules(runner)
            for tensor in module.buffers()
            if not _finite([tensor])
        }
        self.watched = [buffer for buffer in self.buffers if id(buffer) not in self.exempt]
        self.local_decision = dist.get_world_size() == 1 or isinstance(
            runner.model, DistributedDataParallel
        )  # DDP adds up the gradients: each process has the same
        self.handles = [runner.model.register_forward_hook(self._watch_losses, with_kwargs=True)]
        for wrapper in optim_wrappers(runner):
            check = partial(self._before_step, runner, wrapper)
            self.handles.append(wrapper.optimizer.register_step_pre_hook(check))
        dtype = runner.message_hub.runtime_info.get(DTYPE)
        if dtype is not None:  # a resumed run
            self._set_dtype(runner, dtype)

    def _watch_losses(self, model: nn.Module, args: tuple, kwargs: dict, losses: Any) -> None:
        """If a loss is not finite, give the model a gradient of NaN.

        So the step is skipped even if the gradient happens to be finite; data parallelism carries
        it to the other processes; and nothing waits for the device.
        """
        if kwargs.get('mode') != 'loss' or not isinstance(losses, Mapping):
            return
        values = [
            value
            for name, part in losses.items()
            if 'loss' in name
            for value in (part if isinstance(part, (list, tuple)) else [part])
            if isinstance(value, Tensor)
        ]
        if not values:
            return
        finite = torch.stack([value.detach().float().mean() for value in values]).isfinite().all()
        before = self.losses_finite
        self.losses_finite = finite if before is None else before & finite
        for value in values:
            if value.requires_grad:
                value.register_hook(lambda grad: torch.where(finite, grad, math.nan))
                return

    @torch.no_grad()
    def _before_step(
        self, runner: Runner, wrapper: OptimWrapper, optimizer: Optimizer, args: Any, kwargs: Any
    ) -> None:
        """Turn the step into none if a gradient is not finite: optimizers pass over None."""
        groups = optimizer.param_groups
        grads = [p.grad for group in groups for p in group['params'] if p.grad is not None]
        if grads and wrapper.clip_grad_kwargs and wrapper.grad_name == 'grad_norm':
            finite = math.isfinite(runner.message_hub.get_scalar('train/grad_norm').current())
        else:
            finite = _finite(grads)
        if not (finite if self.local_decision else _in_all_processes(finite)):
            optimizer.zero_grad(set_to_none=True)
            self.stopped = True
            return
        self.stepped = True
        due = self.snapshot is None or self.since_snapshot >= self.snapshot_interval
        if self.max_returns and due:  # the weights are good: they gave a finite loss and gradient
            self.snapshot, self.since_snapshot = None, 0  # frees the memory of the last one
            self.snapshot = Snapshot(runner)

    # ------------------------------------------------------------------ healing

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Undo and count the step if it was skipped; return to good weights if too many were."""
        self._judge_step(runner, data_batch, {} if outputs is None else outputs)
        if any(isinstance(hook, CheckpointHook) and _saves(hook, runner) for hook in runner.hooks):
            self._check_weights(runner)

    def _judge_step(self, runner: Runner, data_batch: Any, outputs: dict[str, Any]) -> None:
        stepped, stopped = self.stepped, self.stopped
        scalers = [one for one in optim_wrappers(runner) if hasattr(one, 'loss_scaler')]
        by_scaler = scalers and all(one.should_update() for one in scalers)
        if not (stepped or stopped or by_scaler):  # gradients are being accumulated
            if self.losses_finite is not None and not self.losses_finite:
                self._drop_traces(outputs)
            return
        losses_finite, self.losses_finite = self.losses_finite, None
        self.stepped = self.stopped = False
        self.steps += 1
        if stepped and not stopped:
            self.since_snapshot += 1
            self.in_row = 0
            if _finite(self.watched):
                _copy(self.buffers, self.good_buffers)
            else:  # of this process alone: others may have stepped
                _copy(self.good_buffers, self.buffers)
            return
        bad = self._drop_traces(outputs)
        for wrapper in optim_wrappers(runner):  # the loss of one may have spoilt another's
            wrapper.zero_grad()
        losses_finite = _in_all_processes(losses_finite is None or bool(losses_finite))
        if losses_finite and any(_overflow_is_normal(one) for one in scalers):
            self.overflows += 1
            if _worth_a_line(self.overflows):
                scale = scalers[0].loss_scaler.get_scale()
                self._log(f'{self.overflows} steps skipped: float16 overflowed, scale is {scale:g}')
            return
        self.skipped += 1
        self.in_row += 1
        self.reason = reason = _reason(bad, losses_finite)
        if _worth_a_line(self.skipped):
            self._log(
                f'{reason} in iteration {runner.iter + 1}{_images(data_batch) if bad else ""}: '
                f'step skipped, {self.skipped} of {self.steps} so far'
            )
        if self.in_row >= self.patience:
            self._return(runner, f'{reason}, as in {self.in_row} steps in a row')
        elif runner.iter + 1 >= runner.max_iters and 2 * self.skipped >= self.steps:
            raise FloatingPointError(
                f'{reason} in the last iteration, {self.skipped} of {self.steps} steps were '
                f'skipped: {REMEDY}'
            )

    def _drop_traces(self, outputs: dict[str, Any]) -> dict[str, float]:
        """Undo what a batch did to the buffers; take bad losses out of the log, and return them."""
        _copy(self.good_buffers, self.buffers)
        values = {name: float(torch.as_tensor(one).detach()) for name, one in outputs.items()}
        bad = {name: value for name, value in values.items() if not math.isfinite(value)}
        for name in bad:
            del outputs[name]
        return {name: value for name, value in bad.items() if 'loss' in name}

    def _return(self, runner: Runner, reason: str) -> None:
        """Return to the last good state, or give up."""
        if self.snapshot is None or self.returns >= self.max_returns:
            tried = f', after {self.returns} returns to earlier weights' if self.returns else ''
            raise FloatingPointError(
                f'{reason} (iteration {runner.iter + 1}){tried}, {self.skipped} of {self.steps} '
                f'steps were skipped: {REMEDY}'
            )
        self.returns += 1
        self.in_row = 0
        self.snapshot.restore(runner)
        _copy(self.buffers, self.good_buffers)
        change = ''
        if self.on_return == 'halve_lr':
            scale_lr(runner, 0.5)
            change = ', with half the learning rate'
        elif self.on_return and self._set_dtype(runner, self.on_return):
            runner.message_hub.update_info(DTYPE, self.on_return)
            change = f', in {self.on_return}'
        self._log(
            f'{reason} (iteration {runner.iter + 1}): return {self.returns} of {self.max_returns}, '
            f'to the weights of iteration {self.snapshot.iteration}{change}'
        )

    @staticmethod
    def _set_dtype(runner: Runner, name: str) -> bool:
        """Change the format of mixed precision, where it is used, and scale the loss no more."""
        wrappers = [one for one in optim_wrappers(runner) if hasattr(one, 'cast_dtype')]
        for wrapper in wrappers:
            wrapper.cast_dtype = getattr(torch, name)
            if name == 'float32':  # without autocast
                wrapper.optim_context = partial(OptimWrapper.optim_context, wrapper)
            wrapper._scale_update_param = 1.0
            wrapper.loss_scaler.load_state_dict({**wrapper.loss_scaler.state_dict(), 'scale': 1.0})
        return bool(wrappers)

    def after_train_epoch(self, runner: Runner) -> None:
        """Have good weights for a checkpoint."""
        self._check_weights(runner)

    def before_val(self, runner: Runner) -> None:
        """Have good weights for the validation, and for a checkpoint of the best ones."""
        if self.handles:
            self._check_weights(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Raise FloatingPointError rather than save NaN. Only the first process comes here."""
        if self.handles and not self._weights_finite(runner):
            raise FloatingPointError(f'a weight is not finite, no checkpoint is saved: {REMEDY}')

    def _check_weights(self, runner: Runner) -> None:
        """Return to good weights, in all processes, if these are not finite, or are suspect."""
        if not _in_all_processes(self._weights_finite(runner)):
            self._return(runner, 'a weight is not finite, and they are to be saved or evaluated')
        elif self.in_row >= SUSPICIOUS:
            self._return(runner, f'{self.reason}, as in {self.in_row} steps in a row')

    def _weights_finite(self, runner: Runner) -> bool:
        return _finite(
            tensor
            for module in trained_modules(runner)
            for tensor in (*module.parameters(), *module.buffers())
            if id(tensor) not in self.exempt
        )

    def after_train(self, runner: Runner) -> None:
        """Watch no more; say how many steps were skipped."""
        for handle in self.handles:
            handle.remove()
        self.handles, self.snapshot = [], None
        if self.skipped:
            self._log(
                f'{self.skipped} of {self.steps} steps were skipped as their loss or gradient was '
                f'not finite, {self.returns} returns to earlier weights'
            )

    @staticmethod
    def _log(text: str) -> None:
        print_log(text, logger='current', level=logging.WARNING)


def scale_lr(runner: Runner, factor: float) -> None:
    """Multiply the learning rates, from here on, and what schedules compute them from."""
    for wrapper in optim_wrappers(runner):
        for group in wrapper.param_groups:
            for name in ('lr', 'initial_lr', 'max_lr', 'min_lr'):
                if name in group:
                    group[name] *= factor
    schedulers = runner.param_schedulers or []
    if isinstance(schedulers, dict):
        schedulers = [one for some in schedulers.values() for one in some]
    for scheduler in schedulers:
        if scheduler.param_name == 'lr' and hasattr(scheduler, 'base_values'):
            scheduler.base_values = [value * factor for value in scheduler.base_values]


def _saves(hook: CheckpointHook, runner: Runner) -> bool:
    """Whether it saves after this iteration."""
    return not hook.by_epoch and (
        hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
        or (hook.save_last and hook.is_last_train_iter(runner))
    )


def _finite(tensors: Iterable[Tensor]) -> bool:
    """Whether all elements of all floating-point tensors are finite."""
    values = [one.coalesce().values() if one.is_sparse else one for one in tensors]
    values = [one for one in values if one.is_floating_point() and one.numel()]
    # The norm of order 2 is the fast one, but may overflow where no element does.
    return not values or any(bool(get_total_norm(values, p).isfinite()) for p in (2.0, math.inf))


def _in_all_processes(flag: bool) -> bool:
    number = torch.tensor(float(flag))
    dist.all_reduce(number, 'min')
    return bool(number)


def _copy(sources: list[Tensor], targets: list[Tensor]) -> None:
    if sources:
        with torch.no_grad():
            torch._foreach_copy_(targets, sources)


def _overflow_is_normal(wrapper: OptimWrapper) -> bool:
    """Whether the loss scaler halves its scale, and has not run out of it."""
    return wrapper._scale_update_param is None and wrapper.loss_scaler.get_scale() >= 1


def _worth_a_line(count: int) -> bool:
    """The first three and the powers of two."""
    return count <= 3 or count.bit_count() == 1


def _reason(bad: Mapping[str, float], losses_finite: bool) -> str:
    if bad:
        name = min(bad, key=lambda name: name == 'loss')  # a part rather than the sum
        return f'{name} is {bad[name]}'
    return 'a gradient is not finite' if losses_finite else 'a loss of the step is not finite'


def _images(data_batch: Any) -> str:
    """The batch's images, for a message."""
    samples = data_batch.get('data_samples') if isinstance(data_batch, Mapping) else None
    paths = [getattr(sample, 'img_path', None) for sample in samples or ()]
    names = shown([path for path in paths if path], 4)
    return f' (images {names})' if names else ''
