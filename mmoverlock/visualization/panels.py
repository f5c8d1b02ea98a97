"""Lines of one or several runs in panels, one for each kind of quantity."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rich.cells import cell_len

from mmoverlock.utils.files import write_whole

from .fonts import drawable, families

SUFFIXES = ('.png', '.pdf', '.svg')
DPI = 110
WIDTH, HEIGHT = 5.5, 4.0  # of a panel, in inches
STYLES = (
    '-', '--', ':', '-.', (0, (7, 1.5)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 4)), (0, (9, 2, 3, 2)),
)  # fmt: skip
DENSE = 500  # points of a line that is drawn thinner
MARKERS = 'os^D'  # of the first keys, of as many again, and so on
NAMED = dict(keys=12, runs=40)  # as many a legend has at most
ROW = 0.19  # height of a legend's row, in inches
CHARACTERS = 14  # of a legend's small type, in an inch


@dataclass(frozen=True)
class Line:
    """A curve.

    Attributes:
        run: Index of the run.
        key: What is drawn, for the legend.
        x, y: Coordinates; a value that is not finite is a gap.
        raw: Values before smoothing, drawn faintly behind.
        marked: Whether each point gets a marker: there are few.
    """

    run: int
    key: str
    x: Sequence[float]
    y: Sequence[float]
    raw: Sequence[float] | None = None
    marked: bool = False


@dataclass(frozen=True)
class Panel:
    """Lines with a common vertical axis.

    Attributes:
        label: Of the vertical axis.
        lines: What is drawn.
        log: Whether the axis is logarithmic; a linear one is used if no value is above 0.
    """

    label: str
    lines: list[Line] = field(default_factory=list)
    log: bool = False


def draw_panels(
    panels: Sequence[Panel], runs: Sequence[str], xlabel: str, path: str | Path
) -> None:
    """Draw the panels to a picture: PNG, PDF or SVG, by the suffix of `path`.

    Several runs have a colour each, and the keys of a panel a line style; of one run the keys have
    colours. The legends stand outside the axes.

    Args:
        panels: One at least.
        runs: Names of the runs, empty ones are not drawn.
        xlabel: Of the horizontal axes.
        path: The picture.
    """
    texts = [*runs, *(text for panel in panels for text in _keys(panel))]
    with rc_context({'font.family': families(''.join(texts))}):
        columns = len(panels) if len(panels) < 4 else 2 if len(panels) == 4 else 3
        rows = -(-len(panels) // columns)
        size = (WIDTH * columns, HEIGHT * rows)
        figure = Figure(figsize=size, layout='constrained')
        legend_rows = []
        for index, panel in enumerate(panels, 1):
            first = figure.axes[0] if figure.axes else None
            axes = figure.add_subplot(rows, columns, index, sharex=first)
            axes.set_xlabel(xlabel)
            legend_rows.append(_draw(axes, panel, runs))
        taller = rows * max(legend_rows)
        if len(runs) > 1:
            handles = [Line2D([], [], color=color, linewidth=3) for color in _colors(len(runs))]
            place = dict(loc='outside lower center')
            taller += _legend(figure, handles, runs, size[0], NAMED['runs'], place)
        elif runs[0]:
            figure.suptitle(_shown(runs[0]))
        figure.set_figheight(size[1] + ROW * taller)
        picture = io.BytesIO()
        figure.savefig(picture, format=Path(path).suffix[1:], dpi=DPI)
    write_whole(path, picture.getvalue())


def _draw(axes: Axes, panel: Panel, runs: Sequence[str]) -> int:
    """Draw a panel; return the number of rows of its legend."""
    keys = _keys(panel)
    looks = {key: _look(index, len(keys), len(runs) > 1) for index, key in enumerate(keys)}
    colors = _colors(len(runs))
    for line in panel.lines:
        look = dict(looks[line.key])
        if len(runs) > 1:
            look['color'] = colors[line.run]
        if not line.marked and len(line.x) > 1:
            look['marker'] = ''
        if len(line.x) > DENSE:
            look['linewidth'] = 0.8
        if line.raw is not None:
            axes.plot(line.x, line.raw, **{**look, 'linewidth': 0.8, 'alpha': 0.25})
        axes.plot(line.x, line.y, **look)
    if panel.log and any(np.greater(line.y, 0).any() for line in panel.lines):
        axes.set_yscale('log', nonpositive='mask')
    axes.set_ylabel(_shown(panel.label))
    axes.locator_params('x', nbins=6)  # room for six digits
    axes.grid(alpha=0.3)
    marked = {line.key for line in panel.lines if line.marked}
    handles = [
        Line2D([], [], **{**look, 'marker': look['marker'] if key in marked else ''})
        for key, look in looks.items()
    ]
    place = dict(loc='lower left', bbox_to_anchor=(0, 1), borderaxespad=0.2)
    return _legend(axes, handles, keys, WIDTH - 0.8, NAMED['keys'], place)


def _look(index: int, number: int, several: bool) -> dict[str, Any]:
    """How one of so many keys is drawn, of several runs or of one."""
    look = dict(linewidth=1.5, markersize=3.5)
    if not several:
        return {**look, 'color': _colors(number)[index], 'marker': MARKERS[0]}
    round_, style = divmod(index, len(STYLES))
    marker = MARKERS[round_ % len(MARKERS)]
    return {**look, 'color': 'black', 'linestyle': STYLES[style], 'marker': marker}


def _legend(
    owner: Axes | Figure,
    handles: list[Artist],
    labels: Sequence[str],
    width: float,
    limit: int,
    place: dict[str, Any],
) -> int:
    """Name the lines, in as many columns as `width` inches hold; return the number of rows."""
    room = int(width * CHARACTERS) - 6  # without the piece of line
    handles, names = handles[:limit], [_shown(_cut(label, room)) for label in labels[:limit]]
    if len(labels) > limit:
        handles.append(Line2D([], [], linestyle=''))
        names.append(f'and {len(labels) - limit} more')
    columns = max(1, min(len(names), (room + 6) // (max(map(cell_len, names)) + 6)))
    owner.legend(handles, names, ncols=columns, fontsize='small', frameon=False, **place)
    return -(-len(names) // columns)


def _cut(label: str, room: int) -> str:
    """A label without its middle, if it is too long."""
    half = room // 2 - 1
    return label if cell_len(label) <= room else f'{label[:half]} … {label[-half:]}'


def _keys(panel: Panel) -> list[str]:
    """Of the lines of a panel, in order."""
    return list(dict.fromkeys(line.key for line in panel.lines))


def _colors(number: int) -> list[tuple[float, ...]]:
    """As many colours that differ."""
    if number <= 10:
        return list(colormaps['tab10'].colors[:number])
    return [tuple(color) for color in colormaps['turbo'](np.linspace(0.03, 0.97, number))]


def _shown(text: str) -> str:
    """What matplotlib draws as it is: no formula, no missing glyph."""
    return drawable(text).replace('$', r'\$')
