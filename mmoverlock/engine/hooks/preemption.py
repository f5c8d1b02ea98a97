"""A hook that saves a run which is told to end."""

import signal
import threading
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_reduce, barrier, get_world_size, is_main_process
from mmengine.hooks import EMAHook, Hook
from mmengine.optim import OptimWrapperDict
from mmengine.registry import HOOKS
from mmengine.runner import IterBasedTrainLoop, Runner

from mmoverlock.engine.distributed import under_torchrun
from mmoverlock.engine.workers import shield_workers
from mmoverlock.utils.files import write_whole
from mmoverlock.utils.signals import AT_ONCE, SIGNALS, Stopped, end_forks_by_sigterm

from .atomic_checkpoint import AtomicCheckpointHook


@HOOKS.register_module()
class Preemption(Hook):
    """Saves a run that gets one of :data:`SIGNALS`, and ends it by raising :class:`Stopped`.

    It is saved after the step in which the signal arrives, with gradient accumulation after the
    next update of the weights, and in a validation after the current batch; the resumed run then
    validates first. Of several processes it suffices that one gets the signal: they exchange one
    number after each update, when MMEngine has waited for the GPU anyway to read the losses.

    From the first step to the last the signals are held back; before and after, they do what they
    did. A second SIGTERM or Ctrl-C ends the process at once; under torchrun, that is the
    launcher's business, because one signal may arrive there twice.
    """

    priority = 'LOWEST'  # when the step's checkpoint is written and the learning rate set

    def __init__(self) -> None:
        self.received = 0
        self.handlers: dict[int, Any] = {}  # those that ours replace
        self.holding = False

    def before_train(self, runner: Runner) -> None:
        """Shield the data loader's workers, which have not started yet."""
        shield_workers(runner.train_dataloader)

    def before_val(self, runner: Runner) -> None:
        shield_workers(runner.val_dataloader)

    def before_test(self, runner: Runner) -> None:
        shield_workers(runner.test_dataloader)

    def before_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Hold the signals back from the first step on."""
        if self.holding or threading.current_thread() is not threading.main_thread():
            return
        self.holding, self.received = True, 0
        end_forks_by_sigterm()
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as by nohup
                self.handlers[number] = signal.signal(number, self._receive)

    def _receive(self, number: int, frame: Any) -> None:
        self.received = self.received or number
        if number in AT_ONCE and not under_torchrun():
            for again in AT_ONCE:
                signal.signal(again, signal.SIG_DFL)

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Stop if any process got a signal."""
        if not _at_update(runner):
            return
        number = self._agreed()
        if number:
            due = _validation_due(runner)
            self._stop(runner, number, runner.epoch, runner.iter + 1, due)

    def before_val_epoch(self, runner: Runner) -> None:
        self.validated = 0
        if self.holding:
            batches = torch.tensor(len(runner.val_dataloader))
            all_reduce(batches, 'min')
            self.val_batches = int(batches)

    def after_val_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Stop, in the validation of a training, if any process got a signal."""
        self.validated += 1
        # What comes after that many batches is a hook's second round, or has no partner.
        if not self.holding or self.validated > self.val_batches:
            return
        number = self._agreed()
        if number:
            for hook in runner.hooks:  # they have put the averages into the model
                if isinstance(hook, EMAHook) and getattr(hook, 'evaluate_on_ema', True):
                    hook._swap_ema_parameters()
            self._stop(runner, number, runner.epoch, runner.iter, True)

    def after_train(self, runner: Runner) -> None:
        """Give the signals back."""
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        self.handlers, self.holding = {}, False

    def _agreed(self) -> int:
        """The signal that any of the processes got, or 0."""
        if get_world_size() == 1:
            return self.received
        number = torch.tensor(self.received)
        all_reduce(number, 'max')
        return int(number)

    def _stop(self, runner: Runner, number: int, epoch: int, step: int, validate: bool) -> None:
        runner.call_hook('before_stop', validate=validate)
        path = _save(runner, epoch, step)
        barrier()  # nobody leaves, and has the others ended, before the file is written
        for other in self.handlers:
            signal.signal(other, signal.SIG_IGN)
        raise Stopped(number, step, path)


def _save(runner: Runner, epoch: int, step: int) -> str:
    """Save a checkpoint after so many whole epochs and steps; return its path."""
    for hook in runner.hooks:
        if isinstance(hook, AtomicCheckpointHook):
            return hook.save_now(runner, epoch, step)
    name = f'iter_{step}.pth'  # the config has no checkpoint hook, or one of its own kind
    runner.save_checkpoint(runner.work_dir, name, meta=dict(epoch=epoch, iter=step), by_epoch=False)
    path = Path(runner.work_dir, name)
    if is_main_process():
        write_whole(path.with_name('last_checkpoint'), str(path).encode())
    return str(path)


def _at_update(runner: Runner) -> bool:
    """Whether the step has changed the weights: gradients that are summed up are not saved."""
    wrapper = runner.optim_wrapper
    wrappers = wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
    return all(one.should_update() for one in wrappers)


def _validation_due(runner: Runner) -> bool:
    """Whether a loop of iterations validates after this step; one of epochs does so by itself."""
    loop, step = runner.train_loop, runner.iter + 1
    if not isinstance(loop, IterBasedTrainLoop) or runner.val_loop is None:
        return False
    return step >= loop.val_begin and (step % loop.val_interval == 0 or step == loop.max_iters)
