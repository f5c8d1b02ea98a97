"""The section about a confusion matrix, of any task."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .figures.confusion_matrix import draw_confusion
from .files import save_array
from .measures.confusion import Pair, worst_pairs
from .section import Cell, Picture, Section, Table

LISTED = 50  # pairs
COUNTS, DRAWING = 'confusion_matrix.npy', 'confusion_matrix.png'


def confusion_section(
    matrix: np.ndarray,
    names: Sequence[str],
    unit: str,
    folder: Path,
    facts: Mapping[str, Cell],
    text: Sequence[str] = (),
    tables: Sequence[Table] = (),
    background: bool = False,
) -> Section:
    """Write ``confusion_matrix.npy`` and ``.png``, and say which pairs are confused most.

    Args:
        matrix: Counts, (C, C); rows are true classes.
        names: Of the classes.
        unit: What is counted, such as 'images'.
        folder: Where the files go.
        facts: The task's own, which come first.
        text: Likewise.
        tables: Likewise; these come last.
        background: Whether the last class is none.
    """
    save_array(folder / COUNTS, matrix)
    note = draw_confusion(matrix, names, folder / DRAWING, background)
    pairs = worst_pairs(matrix, LISTED, background=background)
    facts, text, tables = dict(facts), [*text], [*tables]
    if pairs:
        tables.insert(0, pairs_table('Worst-confused pairs', pairs, names, unit))
        worst, total = pairs[0], matrix[pairs[0].true].sum()
        facts['most frequent confusion'] = (
            f'{names[worst.true]} taken for {names[worst.predicted]}: {worst.count:,} of {total:,}'
        )
    else:
        text.append('No two classes are confused.')
    picture = Picture('Confusion matrix', DRAWING, note)
    return Section('Confusion', facts, text, tables, [picture], [COUNTS])


def pairs_table(title: str, pairs: Sequence[Pair], names: Sequence[str], unit: str) -> Table:
    """A row for each pair."""
    columns = ['true class', 'predicted class', unit, 'share of the true class']
    rows = [[names[one.true], names[one.predicted], one.count, one.share] for one in pairs]
    return Table(title, columns, rows)
