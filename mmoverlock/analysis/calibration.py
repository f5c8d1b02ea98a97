"""What the sections about calibration share, of any task."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .files import save_arrays
from .measures.calibration import BINS, ReliabilityBins
from .section import Table

STATS, DIAGRAM = 'calibration_stats.npz', 'reliability.png'
FIGURES = dict(
    accuracy='accuracy', ece='ECE', mce='MCE', classwise_ece='classwise ECE', nll='NLL',
    brier='Brier score',
)  # fmt: skip
NOTE = (
    'Blue, dark and light, is the share that is right, by score; dark blue and red reach up to the '
    'mean score. Calibrated scores have neither red nor light blue: their bars end on the dashed '
    'line. Below: how frequent such scores are.'
)
Figures = Mapping[str, Mapping[str, float]]


def save_stats(
    folder: Path, bins: Mapping[str, ReliabilityBins], figures: Figures, **more: Any
) -> None:
    """Write ``calibration_stats.npz``.

    Args:
        folder: Where.
        bins: By method.
        figures: Those of :data:`FIGURES`, by method.
        more: Arrays of the task's own; None is left out.
    """
    rows, all_bins = [*figures.values()], [*bins.values()]
    arrays = dict(
        methods=[*bins],
        edges=np.linspace(0, 1, BINS + 1),
        **{
            name: np.stack([getattr(one, name) for one in all_bins])
            for name in ('counts', 'mean_scores', 'accuracies')
        },
        **{key: [row[key] for row in rows] for key in FIGURES if key in rows[0]},
        **{key: value for key, value in more.items() if value is not None},
    )
    save_arrays(folder / STATS, arrays)


def errors_table(figures: Figures) -> Table:
    """A row for each method, by its title."""
    keys = [key for key in FIGURES if key in next(iter(figures.values()))]
    of_each = 'Classwise ECE: the mean of this over the scores of each class. '
    note = (
        'Lower is better, except for accuracy. ECE and MCE: mean and greatest difference between '
        f'the score of the predicted class and its accuracy, in {BINS} bins. '
        + of_each * ('classwise_ece' in keys)
        + 'NLL: negative log-likelihood, in nats. The Brier score runs from 0 to 2.'
    )
    rows = [[title, *(row[key] for key in keys)] for title, row in figures.items()]
    return Table('Calibration errors', ['method', *(FIGURES[key] for key in keys)], rows, note)
