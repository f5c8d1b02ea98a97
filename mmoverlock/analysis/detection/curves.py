"""Curves of precision and recall."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..figures.style import name_label, save_figure, style
from .average_precision import AveragePrecision

EACH = 3  # best and worst classes


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
        name = f'{name_label(names[label])}: {curve.mean():.3f}'
        axes.plot(found.recalls, curve, line, color=f'C{number}', label=name)
