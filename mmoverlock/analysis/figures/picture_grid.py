"""Rows of pictures, each row with a heading and each picture with lines of text below."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from mmoverlock.visualization.contact_sheet import GREY, Panel, draw_panel
from mmoverlock.visualization.drawing import INK, PAPER, shortened
from mmoverlock.visualization.fonts import Font

WIDTH, HEIGHT, GAP = 250, 210, 14  # of a picture, in pixels
FONT, HEADING = Font(14), Font(18)
LINE, HEADING_LINE = 20, 36


@dataclass(frozen=True)
class Tile:
    """A picture with text.

    Attributes:
        picture: (H, W, 3) uint8 in RGB.
        lines: Below it; the first one in grey.
    """

    picture: np.ndarray
    lines: Sequence[str]


@dataclass(frozen=True)
class Row:
    """A row of pictures; of more than fit side by side, several lines.

    Attributes:
        heading: Above it.
        tiles: Its pictures.
    """

    heading: str
    tiles: Sequence[Tile]


def draw_grid(rows: Sequence[Row], columns: int = 6) -> np.ndarray:
    """Draw rows of pictures as one picture (H, W, 3) uint8 in RGB.

    Args:
        rows: At least one.
        columns: Pictures side by side.
    """
    lines = max((len(tile.lines) for row in rows for tile in row.tiles), default=0)
    step = HEIGHT + LINE * lines + GAP
    heights = [HEADING_LINE + step * -(-len(row.tiles) // columns) for row in rows]
    canvas = Image.new('RGB', (columns * (WIDTH + GAP) + GAP, sum(heights) + GAP), PAPER)
    draw = ImageDraw.Draw(canvas)
    top = GAP // 2
    for row, height in zip(rows, heights, strict=True):
        heading = shortened(row.heading, HEADING, canvas.width - 2 * GAP)
        HEADING.draw(draw, (GAP, top + HEADING_LINE / 2), heading, INK)
        for index, tile in enumerate(row.tiles):
            line, column = divmod(index, columns)
            x, y = GAP + column * (WIDTH + GAP), top + HEADING_LINE + line * step
            canvas.paste(
                Image.fromarray(draw_panel(Panel(tile.picture), (WIDTH, HEIGHT), [])), (x, y)
            )
            for number, text in enumerate(tile.lines):
                place = x, y + HEIGHT + LINE * (number + 0.5) + 2
                FONT.draw(draw, place, shortened(text, FONT, WIDTH), INK if number else GREY)
        top += height
    return np.asarray(canvas)
