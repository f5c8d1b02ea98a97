"""Pictures of effective receptive fields."""

from collections.abc import Mapping

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..measures.receptive_field import area_shares
from .style import style

FLOOR = 1e-4  # of the largest contribution: what is smaller has the darkest colour
SQUARES = {0.5: 'white', 0.99: 'cyan'}


def draw_fields(fields: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """A row for each model, a column for each stage; fields are (H, W)."""
    columns = max(map(len, fields.values()))
    norm = LogNorm(FLOOR, 1)
    with style(''.join(fields)):
        figure = Figure(figsize=(2.9 * columns + 1.2, 3.3 * len(fields)), layout='constrained')
        grid = figure.subplots(len(fields), columns, squeeze=False)
        for (label, found), row in zip(fields.items(), grid, strict=True):
            for axes in row[len(found) :]:
                axes.set_visible(False)
            for (stage, field), axes in zip(found.items(), row, strict=False):
                relative = np.maximum(field / max(field.max(), 1e-300), FLOOR)
                axes.imshow(relative, cmap='inferno', norm=norm)
                height, width = field.shape
                centre = width // 2, height // 2
                parts = []
                for (share, colour), (side, area) in zip(
                    SQUARES.items(), area_shares(field, [*SQUARES]), strict=True
                ):
                    corner = [at - side / 2 for at in centre]
                    axes.add_patch(Rectangle(corner, side, side, fill=False, color=colour))
                    parts.append(f'{share:.0%} in {area:.1%}')
                axes.set_xlim(-0.5, width - 0.5)
                axes.set_ylim(height - 0.5, -0.5)
                axes.set_title(f'{stage}: {", ".join(parts)}', fontsize=9)
                axes.set_xlabel('pixels', fontsize=8)
                axes.tick_params(labelsize=7)
                axes.grid(False)
            row[0].set_ylabel(f'{label}\npixels', fontsize=9)
        bar = figure.colorbar(ScalarMappable(norm, 'inferno'), ax=grid, shrink=0.9)
        bar.set_label('contribution, relative to the largest')
    return figure
