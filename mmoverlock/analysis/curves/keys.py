"""Which curves are drawn: those that patterns name, or the usual ones."""

import difflib
import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from mmoverlock.utils.errors import shown
from mmoverlock.visualization.curves import MAIN, VAL_LOSS

from .runs import LOSS, METRIC, RATE, TWINS, Curve, Run


def select(runs: Sequence[Run], keys: Sequence[str] | None = None) -> list[Run]:
    """The runs with the curves that are to be drawn, which may be none of some of them.

    By default: the losses (of several runs the total, and that of validation), the learning rate,
    and the main metrics; all metrics of a run that has none of these. What epochs.csv and the
    scalars both have is drawn from the scalars; if a run has epochs.csv alone, from epochs.csv.

    Args:
        runs: As they were read.
        keys: Names, or patterns as in a shell: ``*loss*``. One that fits no whole name is
            compared with what comes after the last slash, so that ``bbox_mAP`` is
            ``coco/bbox_mAP``.

    Raises:
        ValueError: one fits no name.
    """
    if keys is None:
        return [_usual(run, runs) for run in runs]
    known = list(dict.fromkeys(key for run in runs for key in run.curves))
    chosen = dict.fromkeys(name for key in keys for name in match(key, known))
    return [
        Run(run.name, {key: run.curves[key] for key in chosen if key in run.curves}) for run in runs
    ]


def match(pattern: str, known: Sequence[str]) -> list[str]:
    """The known names that a pattern fits.

    Raises:
        ValueError: it fits none; the message has the nearest names.
    """
    whole = [key for key in known if fnmatchcase(key, pattern)]
    found = whole or [key for key in known if fnmatchcase(key.rpartition('/')[2], pattern)]
    if not found:
        near = shown(nearest(pattern, known), 8)
        raise ValueError(f"keys: no run has '{pattern}', but there is {near}")
    return found


def nearest(pattern: str, known: Sequence[str]) -> list[str]:
    """The known names like a pattern, the most similar first; all, if none is like it."""
    word = pattern.strip('*').lower()
    holding = [key for key in known if word and word in key.lower()]
    names = {key.lower(): key for key in known}
    close = [names[key] for key in difflib.get_close_matches(word, names, n=5, cutoff=0.5)]
    return list(dict.fromkeys([*close, *holding])) or list(known)


def _usual(run: Run, runs: Sequence[Run]) -> Run:
    twice = {key for column in TWINS for key in _repeated(column, run, runs)}
    curves = {key: curve for key, curve in run.curves.items() if key not in twice}
    main = any(curve.kind == METRIC and _is_main(key) for key, curve in curves.items())
    kept: dict[str, Callable[[str, Curve], bool]] = {
        LOSS: lambda key, _: len(runs) == 1 or key in ('loss', VAL_LOSS, 'train_loss', 'val_loss'),
        RATE: lambda key, _: re.search(r'(^|\.)lr$', key) is not None,
        METRIC: lambda key, curve: curve.evaluated and (_is_main(key) or not main),
    }
    usual = {
        key: curve
        for key, curve in curves.items()
        if curve.kind in kept and kept[curve.kind](key, curve)
    }
    return Run(run.name, usual)


def _is_main(key: str) -> bool:
    return key.endswith(MAIN)


def _repeated(column: str, run: Run, runs: Sequence[Run]) -> list[str]:
    """What of a run is not drawn, because its epochs.csv and its scalars both have it."""
    if column not in run.curves or not _twins(column, run):
        return []
    only_table = any(column in one.curves and not _twins(column, one) for one in runs)
    return _twins(column, run) if only_table else [column]


def _twins(column: str, run: Run) -> list[str]:
    """The curves of the scalars with the values of a column of epochs.csv."""
    end = TWINS[column]
    return [key for key in run.curves if (key.endswith(end) if end[0] == '/' else key == end)]
