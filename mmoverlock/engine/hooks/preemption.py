"""A hook that saves a run which is told to end."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_reduce, barrier, get_world_size, is_main_process
from mmengine.hooks import CheckpointHook, EMAHook, Hook
from mmengine.optim import OptimWrapperDict
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from mmoverlock.engine.workers import shield_workers

SAVED = 75  # EX_TEMPFAIL of sysexits.h: saved, start again to go on
SIGNALS = [getattr(signal, name) for name in ('SIGTERM', 'SIGUSR1', 'SIGINT') if hasattr(signal, name)]
AT_ONCE = (signal.SIGTERM, signal.SIGINT)  # when they come a second time


class Stopped(SystemExit):
    """Training was stopped by a signal, and saved.

    Its exit code is 130 after Ctrl-C, and else `SAVED`, on which a scheduler may start it again.

    Attributes:
        signal: Which signal.
        step: After how many steps.
        path: The checkpoint.
    """

    def __init__(self, number: int, step: int, path: str) -> None:
        self.signal, self.step, self.path = signal.Signals(number), step, path
        super().__init__(130 if number == signal.SIGINT else SAVED)


@HOOKS.register_module()
class Preemption(Hook):
    """Saves a run on SIGTERM, SIGUSR1 and Ctrl-C, and ends it by raising :class:`Stopped`.

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
        self.process = 0
        self.stale: Path | None = None  # the file of the last preemption

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        if runner._resume and checkpoint.get('meta', {}).get('preempted'):
            path = Path(runner._load_from)
            self.stale = path if path.parent == Path(runner.work_dir) else None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        self._remove_stale(runner)

    def before_train(self, runner: Runner) -> None:
        """Shield the data loaders' workers, which have not started yet."""
        shield_workers(runner.train_dataloader)
        if runner.val_loop is not None:
            shield_workers(runner.val_dataloader)

    def before_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Hold the signals back from the first step on."""
        if self.process or threading.current_thread() is not threading.main_thread():
            return
        self.process, self.received = os.getpid(), 0
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as by nohup
                self.handlers[number] = signal.signal(number, self._receive)

    def _receive(self, number: int, frame: Any) -> None:
        if os.getpid() != self.process:  # a worker that has just been forked
            return
        self.received = self.received or number
        if number in AT_ONCE and 'TORCHELASTIC_RUN_ID' not in os.environ:
            for again in AT_ONCE:
                signal.signal(again, signal.SIG_DFL)

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Stop if any process got a signal."""
        if not _at_update(runner):
            return
        number = self._agreed()
        if number:
            due = _validation_due(runner)
            self._stop(runner, number, dict(epoch=runner.epoch, iter=runner.iter + 1), due)

    def before_val_epoch(self, runner: Runner) -> None:
        self.validated = 0
        if self.process:
            batches = torch.tensor(len(runner.val_dataloader))
            all_reduce(batches, 'min')
            self.val_batches = int(batches)

    def after_val_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Stop, in the validation of a training, if any process got a signal."""
        self.validated += 1
        # What comes after that many batches is a hook's second round, or has no partner.
        if not self.process or self.validated > self.val_batches:
            return
        number = self._agreed()
        if number:
            for hook in runner.hooks:  # they have put the averages into the model
                if isinstance(hook, EMAHook) and getattr(hook, 'evaluate_on_ema', True):
                    hook._swap_ema_parameters()
            self._stop(runner, number, dict(epoch=runner.epoch, iter=runner.iter), True)

    def after_train(self, runner: Runner) -> None:
        """Give the signals back."""
        self._remove_stale(runner)
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        self.handlers, self.process = {}, 0

    def _agreed(self) -> int:
        """The signal that any of the processes got, or 0."""
        if get_world_size() == 1:
            return self.received
        number = torch.tensor(self.received)
        all_reduce(number, 'max')
        return int(number)

    def _stop(self, runner: Runner, number: int, meta: dict[str, Any], validate: bool) -> None:
        runner.call_hook('before_stop', validate=validate)
        path = _save(runner, meta)
        if is_main_process() and self.stale is not None and self.stale != Path(path):
            self.stale.unlink(missing_ok=True)
        barrier()  # nobody leaves, and has the others ended, before the file is written
        for other in self.handlers:
            signal.signal(other, signal.SIG_IGN)
        raise Stopped(number, meta['iter'], path)

    def _remove_stale(self, runner: Runner) -> None:
        """Remove the file of the last preemption when the run has a later one."""
        last = next((hook.last_ckpt for hook in _checkpoint_hooks(runner)), None)
        if self.stale is None or last is None or Path(last) == self.stale:
            return
        if Path(last).is_file() and is_main_process():
            self.stale.unlink(missing_ok=True)
            self.stale = None
