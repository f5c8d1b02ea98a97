"""Analyse a model: choose, compute, write, report."""

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from mmoverlock.utils.errors import one_line

from .analysis import Analysis, Options, Unsuitable
from .catalog import NAMES, check_name, find_analysis, names_of, samples_of
from .extras import extra
from .record import Record
from .report import write_report
from .subject import Subject

REPORT = 'report.html'
_TAKEN_BY = dict(layers='gradcam', compare='erf')  # options, and the analysis that takes them


def analyze(
    cfg: Config,
    checkpoint: str | os.PathLike,
    names: Sequence[str] = ('all',),
    output_dir: str | os.PathLike | None = None,
    device: str | None = None,
    max_images: int | None = None,
    options: Options | None = None,
    command: str = '',
) -> Path:
    """Analyse a trained model on the test set of its config.

    Sections that earlier calls left in the folder, of the same checkpoint, stay in the report;
    those of the same name are replaced. What an analysis has found is written at once: it is there
    if a later one fails, or the call is interrupted.

    Args:
        cfg: Of mmpretrain, mmdet or mmseg.
        checkpoint: File or URL.
        names: Of the analyses, see :data:`.catalog.NAMES`; 'all' are those that the task has
            and the model suits.
        output_dir: Where files go; by default ``analysis`` in the config's work_dir.
        device: 'cpu', 'cuda' or 'cuda:N'; by default a GPU if there is one.
        max_images: How many pictures at most, spread over the test set; by default all.
        options: Of the analyses.
        command: The command line, for the report.

    Returns:
        The report, an HTML file. Beside it, ``analysis.json`` has its content as data.

    Raises:
        ValueError, OSError: an argument is wrong, the checkpoint does not belong to the config, the
            folder holds something else, or cannot be written; nothing has been written then. Or
            the data do not suit some of the analyses; the report has the others.
    """
    for name in names:
        check_name(name)
    for module in ('jinja2', 'matplotlib', 'sklearn'):  # of nearly every analysis
        extra(module)
    options = options or Options()
    record = Record(output_folder(cfg, output_dir), str(checkpoint))
    subject = Subject(cfg, checkpoint, device, max_images)
    chosen = names_of(subject.task) if 'all' in names else names
    classes = {name: find_analysis(subject.task, name) for name in NAMES if name in chosen}
    for option, name in _TAKEN_BY.items():
        if getattr(options, option) and name not in classes:
            raise ValueError(f"{option}: only the analysis '{name}' takes it, which is not chosen")
    analyses = {}
    for name, cls in classes.items():
        try:
            analyses[name] = cls(subject, record.folder, options)
        except Unsuitable as error:
            if name in names:
                raise ValueError(f'{name}: {error}') from error
            _warn(f'{name} is left out', error)
    record.write()
    report = record.folder / REPORT
    try:
        failed = _see_predictions(subject, analyses)
        failed |= _finish(subject, analyses, record, command)
    finally:
        if record.sections:
            write_report(record, report)
    if failed:
        rest = f'the others are in {report}' if record.sections else 'there is no report'
        message = f'no result of {", ".join(failed)}, see above; {rest}'
        raise ValueError(message) from next(iter(failed.values()))
    return report


def output_folder(cfg: Config, output_dir: str | os.PathLike | None) -> Path:
    """Where the files go: `output_dir`, or by default ``analysis`` in the config's work_dir."""
    return Path(output_dir or Path(cfg.work_dir, 'analysis'))


def _see_predictions(subject: Subject, analyses: dict[str, Analysis]) -> dict[str, ValueError]:
    """Show every prediction to those that need them; remove those that fail, and return why."""
    seeing = {name: one for name, one in analyses.items() if one.sees}
    failed: dict[str, ValueError] = {}
    start = time.perf_counter()
    try:
        for sample in samples_of(subject) if seeing else ():
            failed |= _show(sample, seeing)
            if not seeing:
                break
    except ValueError as error:  # there are no predictions for any of them
        _warn('predictions', error)
        failed |= dict.fromkeys(seeing, error)
        seeing.clear()
    for name in failed:
        del analyses[name]
    if seeing:
        _tell(f'predictions of {len(subject.indices)} images', start)
    return failed


def _show(sample: Any, seeing: dict[str, Analysis]) -> dict[str, ValueError]:
    """Show a prediction; remove the analyses that fail, and return why."""
    failed = {}
    for name, analysis in list(seeing.items()):
        try:
            analysis.see(sample)
        except ValueError as error:
            _warn(name, error)
            failed[name] = error
            del seeing[name]
    return failed


def _finish(
    subject: Subject, analyses: dict[str, Analysis], record: Record, command: str
) -> dict[str, ValueError]:
    """Finish the analyses, which are forgotten one after the other; return why some failed."""
    failed: dict[str, ValueError] = {}
    for name in list(analyses):
        start = time.perf_counter()
        try:
            section = analyses.pop(name).finish()
        except ValueError as error:
            _warn(name, error)
            failed[name] = error
        else:
            record.add(name, section, subject, command)
            _tell(name, start)
    return failed


def _tell(what: str, start: float) -> None:
    print_log(f'{what}: {time.perf_counter() - start:.1f} s', logger='current')


def _warn(what: str, error: ValueError) -> None:
    print_log(f'{what}: {one_line(error)}', logger='current', level=logging.WARNING)
