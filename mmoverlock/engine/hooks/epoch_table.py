"""A hook that keeps a table of a run's epochs, and the reader of such a table."""

import csv
import io
import itertools
import logging
import os
import time
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_reduce, is_main_process, master_only
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from mmoverlock.utils.files import write_whole

COLUMNS = (
    'epoch', 'train_loss', 'train_loss_aux', 'epoch_time', 'val_loss', 'acc_top1', 'acc_top5',
)  # fmt: skip
# Column: the name of what the training step reports, and its end for what the evaluation does.
TRAINED = dict(train_loss='loss', train_loss_aux='loss_aux')
EVALUATED = dict(val_loss='val/cross_entropy', acc_top1='/top1', acc_top5='/top5')


@HOOKS.register_module()
class EpochTable(Hook):
    """Writes ``epochs.csv`` into the work_dir, a row for each epoch.

    Its columns: ``epoch``, from 1; ``train_loss`` and ``train_loss_aux``, the log's ``loss`` (of
    :class:`OverLoCKHead`: of the main logits) and ``loss_aux`` (weighted), means over the epoch's
    iterations and over the processes; ``epoch_time``, the seconds of training, without validation;
    ``val_loss`` (by :class:`ValLoss`), ``acc_top1`` and ``acc_top5`` (percent; by mmpretrain's
    Accuracy). What an epoch does not have stays empty.

    A run that is resumed keeps the rows up to the epoch where it goes on, and the sums of a broken
    epoch are in the checkpoint; a new run begins a new table.
    """

    priority = 'LOW'  # after the hooks that evaluate

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, Any]] = {}
        self.sums: dict[str, torch.Tensor] | None = None  # within an epoch
        self.broken: dict[str, Any] = {}  # what a checkpoint holds of the epoch it was saved in

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        if runner._resume:
            self.broken = checkpoint.get('epoch_table', {})

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        if self.sums is not None:
            seconds = time.perf_counter() - self.start
            checkpoint['epoch_table'] = dict(epoch=runner.epoch, sums=self.sums, seconds=seconds)

    def before_stop(self, runner: Runner, validate: bool) -> None:
        """Take the mean over the processes: the first one saves it."""
        for column in TRAINED if self.sums is not None else ():
            self.sums[column] = self._sum(column)
            all_reduce(self.sums[column], 'mean')

    def before_train(self, runner: Runner) -> None:
        self.path = Path(runner.work_dir, 'epochs.csv')
        rows = self._earlier()
        self.rows = {row['epoch']: row for row in rows if row['epoch'] <= runner.epoch}

    def _earlier(self) -> list[dict[str, Any]]:
        """The rows that are there; a file that is no such table is put aside."""
        if not self.path.is_file():
            return []
        try:
            return read_epochs(self.path)
        except ValueError as error:
            aside = new_name(self.path)
            if is_main_process():
                os.replace(self.path, aside)
            message = f"{error}: it is now '{aside}', and a new table is begun"
            print_log(message, logger='current', level=logging.WARNING)
            return []

    def before_train_epoch(self, runner: Runner) -> None:
        self.start = time.perf_counter()
        self.sums = {}
        if self.broken.get('epoch') == runner.epoch:
            self.start -= self.broken['seconds']
            self.sums = self.broken['sums']
        self.broken = {}

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        for column, name in TRAINED.items():
            if name in (outputs or {}):
                value = torch.as_tensor(outputs[name]).detach().double()
                one = torch.stack([value, torch.ones_like(value)])
                self.sums[column] = self._sum(column).to(one.device) + one

    def after_train_epoch(self, runner: Runner) -> None:
        row = dict(epoch=runner.epoch + 1)
        for column in TRAINED:  # FiniteLossGuard takes out losses of NaN, in one process perhaps
            both = self._sum(column)
            all_reduce(both)
            if both[1]:
                row[column] = (both[0] / both[1]).item()
        row['epoch_time'] = time.perf_counter() - self.start
        self.sums = None
        self.rows[row['epoch']] = row
        self._write()

    def _sum(self, column: str) -> torch.Tensor:
        """The sum of the epoch's values so far, and their number."""
        return self.sums.get(column, torch.zeros(2, dtype=torch.float64))

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        if runner.epoch not in self.rows:  # an evaluation without training
            return
        for column, end in EVALUATED.items():
            for name, value in (metrics or {}).items():
                if name.endswith(end):
                    self.rows[runner.epoch][column] = float(value)
        self._write()

    @master_only
    def _write(self) -> None:
        text = io.StringIO(newline='')
        table = csv.DictWriter(text, COLUMNS, restval='')
        table.writeheader()
        for _, row in sorted(self.rows.items()):
            numbers = {key: f'{value:.6g}' for key, value in row.items()}
            table.writerow({**numbers, 'epoch': row['epoch']})
        try:
            write_whole(self.path, text.getvalue().encode())
        except OSError as error:  # the next one has its rows too, and a checkpoint is worth more
            print_log(str(error), logger='current', level=logging.WARNING)


def new_name(path: Path) -> Path:
    """``epochs_old.csv`` for ``epochs.csv``, or ``epochs_old_1.csv`` and so on."""
    for number in itertools.count():
        end = f'_{number}' if number else ''
        other = path.with_name(f'{path.stem}_old{end}{path.suffix}')
        if not other.exists():
            return other


def read_epochs(path: str | os.PathLike) -> list[dict[str, Any]]:
    """The rows of an ``epochs.csv``: numbers, without the columns that are empty.

    A last line that is cut, without a line break, is left out; a warning says so.

    Raises:
        ValueError: if the file is no such table.
    """
    *lines, rest = Path(path).read_text('utf-8', 'replace').split('\n')
    if rest:
        message = f"'{path}': its last line is cut and left out"
        print_log(message, logger='current', level=logging.WARNING)
    table = csv.DictReader(lines)
    try:
        if tuple(table.fieldnames or ()) != COLUMNS:
            raise ValueError(f"'{path}' is no table of epochs: its columns are {table.fieldnames}")
        rows = [{name: float(text) for name, text in row.items() if text} for row in table]
        return [{**row, 'epoch': int(row['epoch'])} for row in rows]
    except csv.Error as error:
        raise ValueError(f"'{path}' is no table of epochs: {error}") from error
    except (TypeError, ValueError, KeyError) as error:
        if 'is no table' in str(error):
            raise
        raise ValueError(f"'{path}', line {table.line_num}: not a row of numbers") from error
