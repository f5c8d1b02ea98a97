"""Pictures of average precision: bars of the classes, and curves of precision and recall."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmoverlock.visualization.fonts import drawable

from ..figures.style import save_figure, style
from .average_precision import AveragePrecision

MOST = 100  # bars
EACH = 3  # best and worst classes


def draw_classes(
    figures: Mapping[str, Sequence[float | None]], names: Sequence[str], path: Path
) -> None:
    """Draw the AP of each class as a bar, the best on top.

    Args:
        figures: By what is compared, such as 'box': the AP of each class, None without objects.
        names: Of the classes. Of more than 100 the best and the worst 50 are drawn.
        path: The PNG file.
    """
    first = next(iter(figures.values()))
    known = sorted(
        (i for i, value in enumerate(first) if value is not None), key=lambda i: first[i]
    )
    left_out = len(known) > MOST
    shown = [*known[: MOST // 2], *known[-MOST // 2 :]] if left_out else known
    labels = [_short(names[i]) for i in shown]
    height = 0.8 / len(figures)
    with style(''.join(labels)):
        figure = Figure(
            (7, 1.4 + max(len(shown), 2) * (0.2 if len(shown) > 30 else 0.32)), layout='constrained'
        )
        axes = figure.subplots()
        for number, (what, values) in enumerate(figures.items()):
            bars = [np.nan if values[i] is None else values[i] for i in shown]
            places = np.arange(len(shown)) + ((len(figures) - 1) / 2 - number) * height
            known_values = [value for value in values if value is not None]
            mean = np.mean(known_values) if known_values else np.nan
            axes.barh(places, bars, height, label=f'{what} AP, mean {mean:.3f}', color=f'C{number}')
            axes.axvline(mean, color=f'C{number}', linestyle='--', linewidth=1)
        axes.set_yticks(range(len(shown)), labels, fontsize=8 if len(shown) > 30 else 10)
        axes.set_ylim(-0.6, len(shown) - 0.4)
        axes.set_xlim(0, 1)
        axes.set_xlabel('average precision, IoU 0.50 to 0.95')
        axes.grid(axis='y', visible=False)
        if left_out:
            axes.set_title(f'the best and the worst {MOST // 2} of {len(known)} classes')
            axes.axhline(MOST // 2 - 0.5, color='grey', linewidth=1)
        figure.legend(loc='outside upper center', ncols=2)
        save_figure(figure, path)


def draw_curves(found: Mapping[str, AveragePrecision], names: Sequence[str], path: Path) -> None:
    """Draw precision against recall: of all classes together, and of the best and worst ones.

    Args:
        found: By what is compared, such as 'box': a row of the picture each.
        names: Of the classes.
        path: The PNG file.
    """
    with style(''.join(names)):
        figure = Figure((11, 4.2 * len(found)), layout='constrained')
        rows = figure.subplots(len(found), 2, squeeze=False)
        for (left, right), (what, one) in zip(rows, found.items(), strict=True):
            _all_classes(left, what, one)
            _some_classes(right, what, one, names)
            for axes in (left, right):
                axes.set(xlabel='recall', ylabel='precision', xlim=(0, 1), ylim=(0, 1.02))
                if axes.lines:
                    axes.legend(fontsize=8, loc='best')
        save_figure(figure, path)


def _all_classes(axes: Axes, what: str, found: AveragePrecision) -> None:
    axes.set_title(f'{what}: mean of all classes')
    curves = found.curves[:, :, found.objects > 0].mean(2) if found.objects.any() else None
    if curves is not None:
        for name, curve in (
            ('IoU 0.50', curves[0]),
            ('IoU 0.75', curves[5]),
            ('mean of 0.50 to 0.95', curves.mean(0)),
        ):
            axes.plot(found.recalls, curve, label=f'{name}: {curve.mean():.3f}')


def _some_classes(axes: Axes, what: str, found: AveragePrecision, names: Sequence[str]) -> None:
    curves = found.curves[0]
    known = [label for label in range(len(names)) if found.objects[label]]
    known.sort(key=lambda label: -curves[:, label].mean())
    few = len(known) <= 2 * EACH
    shown = known if few else known[:EACH] + known[-EACH:]
    axes.set_title(f'{what}: {"each class" if few else "best and worst classes"}, IoU 0.50')
    for number, label in enumerate(shown):
        curve = curves[:, label]
        line = '-' if few or number < EACH else '--'
        name = f'{_short(names[label])}: {curve.mean():.3f}'
        axes.plot(found.recalls, curve, line, color=f'C{number}', label=name)


def _short(name: str) -> str:
    return drawable(name if len(name) <= 24 else f'{name[:23]}…')
