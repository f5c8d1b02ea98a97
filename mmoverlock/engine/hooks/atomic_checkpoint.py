"""A hook that saves checkpoints and loses none."""

import logging
import os
from collections import deque
from pathlib import Path
from typing import Any

from mmengine.dist import barrier, is_main_process, master_only
from mmengine.hooks import CheckpointHook
from mmengine.logging import MessageHub, print_log
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner, find_latest_checkpoint

from mmoverlock.engine.run_files import is_checkpoint_name
from mmoverlock.utils.checkpoint import read_checkpoint
from mmoverlock.utils.files import remove_temporaries, write_whole
from mmoverlock.utils.plain import same_data, to_plain

# Ours in the message hub: file names, a file name, and the iteration of the last validation.
_OUTDATED, _INTERIM, _VALIDATED = 'outdated_ckpts', 'interim_ckpt', 'last_val_iter'


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """MMEngine's CheckpointHook, which removes an old checkpoint only when the new one is there.

    MMEngine removes first and then writes in place: a full disk or a kill in between leaves
    nothing. Here a file is written aside and renamed (see :func:`write_whole`), ``last_checkpoint``
    is changed, and then what is no longer wanted is removed, by the next run if this one is killed.
    Only files in the run's own folder are removed, also when the run was resumed from another
    folder's checkpoint or its own was moved. :meth:`save_now` saves outside the schedule.

    With ``save_best``, a validation that was killed is run when the run is resumed, so that the
    best checkpoint is that of a run without a kill.

    All options are those of MMEngine's hook.
    """

    def before_train(self, runner: Runner) -> None:
        """See to what an earlier process of this run left."""
        hub = runner.message_hub
        names = 'keep_ckpt_ids', 'last_ckpt', 'best_ckpt', _OUTDATED, _INTERIM
        earlier = {
            name: _forget(hub, name)
            for name in list(hub.runtime_info)
            if name in names or name.startswith('best_ckpt_')
        }
        super().before_train(runner)
        self.file_backend = _RemovesLater(self.file_backend)
        self.outdated: set[str] = set()
        self.saved: tuple[int, int | None] = -1, None  # iteration, and its last validation
        resumed = None
        if runner._resume:
            resumed = runner._load_from or find_latest_checkpoint(runner.work_dir)
        own = bool(resumed) and _same_folder(os.path.dirname(resumed), self.out_dir)
        for name, path in earlier.items():
            if name.startswith('best_ckpt') and path:
                self._take_over_best(hub, name, str(path), own)
        if own:
            self._take_over_files(hub, earlier)
            self._take_over_unrecorded_best(runner)
            barrier()  # every process has looked at the files
            self._name_last(runner, self.file_backend.join_path(self.out_dir, _name(resumed)))
            self._remove_outdated(runner, keep=_name(resumed))
        self._remove_temporaries(runner)
        if self.save_best and resumed and _validation_is_due(runner):
            if hub.runtime_info.get(_VALIDATED, runner.iter) < runner.iter:
                print_log('validate first: the run ended before it had', logger='current')
                if own:  # to be written again, with the score
                    self.last_ckpt = self.file_backend.join_path(self.out_dir, _name(resumed))
                    self.saved = runner.iter, None
                runner.val_loop.run()
        elif self.save_best and not resumed:
            hub.update_info(_VALIDATED, 0)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Spare a run MMEngine's warning about equal data in other types."""
        meta = checkpoint.get('meta')
        if not runner._resume or not isinstance(meta, dict):
            return
        now = getattr(runner.train_dataloader.dataset, 'metainfo', None)
        if now is not None and same_data(meta.get('dataset_meta'), to_plain(now)):
            meta['dataset_meta'] = now

    def save_now(self, runner: Runner, epoch: int, iteration: int) -> str:
        """Save a checkpoint outside the schedule, to go on from exactly here.

        ``last_checkpoint`` names it, and the next regular checkpoint replaces it. Every process
        calls this.

        Args:
            runner: Of the training.
            epoch: How many epochs are complete.
            iteration: How many iterations are.

        Returns:
            The path of the file.
        """
        meta = dict(epoch=epoch, iter=iteration)
        if not self.by_epoch:
            self._save_checkpoint_with_step(runner, iteration, meta)
            return self.last_ckpt
        name = f'iter_{iteration}.pth'
        self._replace_interim(runner.message_hub)
        runner.message_hub.update_info(_INTERIM, name)
        self._write(runner, name, meta)
        return self.last_ckpt

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, int]) -> None:
        if self.max_keep_ckpts > 0 and list(self.keep_ckpt_ids)[-1:] != [step]:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                self.outdated.add(self.filename_tmpl.format(self.keep_ckpt_ids[0]))
            self.keep_ckpt_ids.append(step)  # the first one drops out
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        self._replace_interim(runner.message_hub)
        self._write(runner, self.filename_tmpl.format(step), meta)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, float]) -> None:
        if not self.save_best:
            return
        runner.message_hub.update_info(_VALIDATED, runner.iter)
        super()._save_best_checkpoint(runner, metrics)
        self._remove_outdated(runner)
        iteration, validated = self.saved
        if iteration == runner.iter != validated:  # its checkpoint does not know of the validation
            meta = dict(epoch=runner.epoch, iter=runner.iter)
            step = runner.epoch if self.by_epoch else runner.iter
            self._save_checkpoint_with_step(runner, step, meta)

    def _write(self, runner: Runner, name: str, meta: dict[str, int]) -> None:
        self._note_outdated()
        self.saved = meta['iter'], runner.message_hub.runtime_info.get(_VALIDATED)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.message_hub.update_info(_OUTDATED, sorted(self.outdated - self._current()))
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        self._name_last(runner, self.last_ckpt)
        self._remove_outdated(runner)

    @master_only
    def _name_last(self, runner: Runner, path: str) -> None:
        write_whole(Path(runner.work_dir, 'last_checkpoint'), path.encode())

    def _replace_interim(self, hub: MessageHub) -> None:
        interim = _forget(hub, _INTERIM)
        if interim:
            self.outdated.add(interim)

    def _note_outdated(self) -> None:
        """Take in what MMEngine wanted to remove, if it is in the run's folder."""
        for path in self.file_backend.removed:
            if _same_folder(os.path.dirname(path), self.out_dir):
                self.outdated.add(_name(path))
        self.file_backend.removed.clear()

    def _remove_outdated(self, runner: Runner, keep: str = '') -> None:
        self._note_outdated()
        if is_main_process():
            for name in sorted(self.outdated - self._current() - {keep}):
                try:
                    self.file_backend.remove_now(self.file_backend.join_path(self.out_dir, name))
                except OSError as error:  # the new checkpoint is saved: the run goes on
                    print_log(
                        f'an old checkpoint cannot be removed: {error}',
                        logger='current',
                        level=logging.WARNING,
                    )
        self.outdated.clear()

    def _current(self) -> set[str]:
        """The names of the last checkpoint and of the best ones."""
        best = []
        if self.save_best is not None and len(self.key_indicators) == 1:
            best = [self.best_ckpt_path]
        elif self.save_best is not None:
            best = self.best_ckpt_path_dict.values()
        return {_name(path) for path in (self.last_ckpt, *best) if path}

    def _set_best(self, hub: MessageHub, name: str, path: str) -> None:
        hub.update_info(name, path)
        if self.save_best is None:
            return
        if len(self.key_indicators) > 1:
            self.best_ckpt_path_dict[name.removeprefix('best_ckpt_')] = path
        elif name == 'best_ckpt':
            self.best_ckpt_path = path

    def _take_over_best(self, hub: MessageHub, name: str, path: str, own: bool) -> None:
        """Find the best checkpoint so far; forget its score if it is gone."""
        here = self.file_backend.join_path(self.out_dir, _name(path))
        if own and self._is_ours(_name(path)) and self.file_backend.exists(here):
            self._set_best(hub, name, here)
        elif '://' in path or os.path.exists(path):
            print_log(f"the best checkpoint so far is '{path}', which stays", logger='current')
        else:
            _forget(hub, name.replace('best_ckpt', 'best_score', 1))
            print_log(
                f"the best checkpoint so far, '{path}', does not exist: its score is forgotten",
                logger='current',
                level=logging.WARNING,
            )

    def _take_over_files(self, hub: MessageHub, earlier: dict[str, Any]) -> None:
        if self.max_keep_ckpts > 0:
            ids = [one for one in earlier.get('keep_ckpt_ids') or [] if isinstance(one, int)]
            surplus = ids[: -self.max_keep_ckpts]
            self.outdated.update(self.filename_tmpl.format(one) for one in surplus)
            self.keep_ckpt_ids = deque(ids, self.max_keep_ckpts)
            hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        names = [_name(str(name)) for name in earlier.get(_OUTDATED) or []]
        self.outdated.update(filter(self._is_ours, names))
        interim = _name(str(earlier.get(_INTERIM) or ''))
        if self._is_ours(interim):
            hub.update_info(_INTERIM, interim)

    def _take_over_unrecorded_best(self, runner: Runner) -> None:
        """Count a best checkpoint of this step: a kill kept it out of the one that is resumed."""
        hub, keys = runner.message_hub, self.key_indicators if self.save_best else []
        step = runner.epoch if self.by_epoch else runner.iter
        for key in set(keys) - {'auto'}:
            end = f'_{key}' if len(keys) > 1 else ''
            name = f'best_{key}_{self.filename_tmpl.format(step)}'.replace('/', '_')
            path = os.path.join(self.out_dir, name)
            old = hub.runtime_info.get(f'best_ckpt{end}')
            if path == old or not os.path.isfile(path):
                continue
            try:
                info = read_checkpoint(path, mmap=True)['message_hub']['runtime_info']
                score = info[f'best_score{end}']
            except (ValueError, OSError, KeyError, TypeError):
                continue  # not written by this hook, or not whole
            now = hub.runtime_info.get(f'best_score{end}')
            if now is None or self.is_better_than[key](score, now):
                hub.update_info(f'best_score{end}', score)
                self._set_best(hub, f'best_ckpt{end}', path)
                if old:
                    self.file_backend.remove(old)

    def _is_ours(self, name: str) -> bool:
        return is_checkpoint_name(name, self.filename_tmpl)

    @master_only
    def _remove_temporaries(self, runner: Runner) -> None:
        folders = {os.path.realpath(runner.work_dir)}
        if '://' not in self.out_dir:
            folders.add(os.path.realpath(self.out_dir))
        count = sum(remove_temporaries(folder) for folder in folders)
        if count:
            print_log(f'removed {count} unfinished file(s) of a killed run', logger='current')


class _RemovesLater:
    """A file backend that only notes what is to be removed."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.removed: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self.removed.append(path)

    rmtree = remove

    def remove_now(self, path: str) -> None:
        """Remove a file, or a folder: DeepSpeed's checkpoints are some."""
        if self._backend.isfile(path):
            self._backend.remove(path)
        elif self._backend.isdir(path):
            self._backend.rmtree(path)


def _forget(hub: MessageHub, name: str) -> Any:
    hub._resumed_keys.pop(name, None)
    return hub.runtime_info.pop(name, None)


def _validation_is_due(runner: Runner) -> bool:
    """Whether the training loop validates at the step that the run is at."""
    loop = runner.train_loop
    if runner._val_loop is None or not isinstance(loop, (EpochBasedTrainLoop, IterBasedTrainLoop)):
        return False
    by_epoch = isinstance(loop, EpochBasedTrainLoop)
    if by_epoch and loop.iter != loop.epoch * len(loop.dataloader):  # within an epoch
        return False
    step, end = (loop.epoch, loop.max_epochs) if by_epoch else (loop.iter, loop.max_iters)
    loop._decide_current_val_interval()
    return step >= loop.val_begin and (step % loop.val_interval == 0 or step == end)


def _name(path: str) -> str:
    return os.path.basename(path)


def _same_folder(one: str, other: str) -> bool:
    if '://' in one or '://' in other:
        return one.rstrip('/') == other.rstrip('/')
    return os.path.realpath(one) == os.path.realpath(other)
