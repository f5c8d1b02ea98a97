"""Analyse a model: choose, compute, write, report."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log

from mmoverlock.utils.errors import did_you_mean

from .analysis import Options
from .catalog import NAMES, find_analysis, names_of, samples_of
from .record import Record
from .report import write_report
from .subject import Subject

REPORT = 'report.html'


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
    those of the same name are replaced.

    Args:
        cfg: Of mmpretrain, mmdet or mmseg.
        checkpoint: File or URL.
        names: Of the analyses, see :data:`.catalog.NAMES`; 'all' are those that the task has.
        output_dir: Where files go; by default ``analysis`` in the config's work_dir.
        device: 'cpu', 'cuda' or 'cuda:N'; by default a GPU if there is one.
        max_images: How many pictures at most, spread over the test set; by default all.
        options: Of the analyses.
        command: The command line, for the report.

    Returns:
        The report, an HTML file. Beside it, ``analysis.json`` has its content as data.

    Raises:
        ValueError, OSError: an argument is wrong, the checkpoint does not belong to the config, the
            folder holds something else, or cannot be written.
    """
    for name in names:
        if name not in ('all', *NAMES):
            hint = did_you_mean(name, NAMES)
            raise ValueError(f"analysis '{name}' does not exist{hint}: all, {', '.join(NAMES)}")
    record = Record(Path(output_dir or Path(cfg.work_dir, 'analysis')), str(checkpoint))
    subject = Subject(cfg, checkpoint, device, max_images)
    chosen = names_of(subject.task) if 'all' in names else names
    classes = {name: find_analysis(subject.task, name) for name in NAMES if name in chosen}
    record.folder.mkdir(parents=True, exist_ok=True)
    analyses = {
        name: cls(subject, record.folder, options or Options()) for name, cls in classes.items()
    }
    seeing = [one for one in analyses.values() if one.sees]
    if seeing:
        for sample in samples_of(subject):
            for analysis in seeing:
                analysis.see(sample)
    for name, analysis in analyses.items():
        start = time.perf_counter()
        section = analysis.finish()
        record.add(name, section, subject, command)
        print_log(f'{name}: {time.perf_counter() - start:.1f} s', logger='current')
    record.write()
    report = record.folder / REPORT
    write_report(record, report)
    return report
