"""A contact sheet: many labelled pictures in a grid, with a legend of the classes below."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw

from .drawing import INK, PAPER, TRACK, Colour, font_for, paint, put_objects, shortened
from .fonts import Font

COLUMNS = 6
WIDTH = 320  # of a panel, in pixels
GAP = 12
LEGEND = 48  # classes at most
IGNORED = -1  # in label maps: pixels without a class
OUTSIDE = -2  # likewise: around the picture
GREY: Colour = (120, 124, 128)
_SHAPES = (0.6, 1.4)  # least and greatest height of a panel, as a multiple of its width
_HATCH = 8  # pixels: width of the stripes that mark what is ignored
_STRIPES: tuple[Colour, Colour] = ((90, 90, 90), (200, 200, 200))


@dataclass
class Panel:
    """A picture with its labels.

    Attributes:
        picture: (H, W, 3) uint8, RGB.
        title: Below it, on the right; the file's name, of which the end matters most.
        caption: Below it, on the left; the picture's class.
        objects: As of :func:`mmoverlock.visualization.drawing.put_objects`, but with masks as
            (H, W) bool.
        labels: (H, W) integers, a class for each pixel, or -1.
    """

    picture: np.ndarray
    title: str = ''
    caption: str = ''
    objects: Sequence[Mapping[str, Any]] = ()
    labels: np.ndarray | None = None


def draw_sheet(
    panels: Sequence[Panel],
    names: Sequence[str],
    colours: Sequence[Colour],
    columns: int = COLUMNS,
) -> np.ndarray:
    """Draw a contact sheet (H, W, 3) in RGB; at least one panel is needed.

    Args:
        panels: Its pictures, row by row, each fitted into a panel of the same size.
        names: Of the labels.
        colours: Of the labels.
        columns: How many pictures stand side by side.
    """
    colours = [*colours, _STRIPES[0]]  # the last is that of IGNORED
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    font = font_for(WIDTH)
    line = round(1.6 * font.size)
    shape = median(panel.picture.shape[0] / panel.picture.shape[1] for panel in panels)
    height = round(WIDTH * min(max(shape, _SHAPES[0]), _SHAPES[1]))
    legend = legend_of(panels, names)
    full_width = columns * (WIDTH + GAP) + GAP
    full_height = rows * (height + line + GAP) + GAP
    longest = max((font.getlength(text) for _, text in legend), default=0)
    entry = round(min(longest + 4 * font.size, full_width - GAP))
    in_a_row = (full_width - GAP) // entry
    legend_rows = -(-len(legend) // in_a_row)
    sheet = Image.new('RGB', (full_width, full_height + line * legend_rows), PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, panel in enumerate(panels):
        row, column = divmod(index, columns)
        x, y = GAP + column * (WIDTH + GAP), GAP + row * (height + line + GAP)
        drawn = draw_panel(panel, (WIDTH, height), colours)
        sheet.paste(Image.fromarray(drawn), (x, y))
        middle = y + height + line / 2
        caption = shortened(panel.caption, font, WIDTH * 0.6)
        font.draw(draw, (x, middle), caption, INK)
        room = WIDTH - font.getlength(caption) - (font.size if caption else 0)
        font.draw(draw, (x + WIDTH, middle), _end(panel.title, font, room), GREY, 'rm')
    for index, (label, text) in enumerate(legend):
        row, column = divmod(index, in_a_row)
        x, y = GAP + column * entry, full_height + row * line
        if label is not None:
            draw.rectangle((x, y + 2, x + font.size, y + 2 + font.size), colours[label])
        room = entry - 3 * font.size
        place = (x + 1.5 * font.size, y + 2 + font.size / 2)
        font.draw(draw, place, shortened(text, font, room), INK)
    return np.asarray(sheet)


def draw_panel(panel: Panel, room: tuple[int, int], colours: Sequence[Colour]) -> np.ndarray:
    """A panel's picture in the middle of `room` (width, height), as large as fits, labels drawn."""
    scale = min(room[0] / panel.picture.shape[1], room[1] / panel.picture.shape[0])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    canvas = _fitted(panel.picture, room, TRACK, method)
    if panel.labels is not None:
        labels = _fitted(panel.labels.astype(np.int32), room, OUTSIDE)
        for label in np.unique(labels).tolist():
            where = labels == label
            if label == IGNORED:
                stripes = np.add.outer(np.arange(room[1]), np.arange(room[0])) // _HATCH % 2
                canvas[where] = np.array(_STRIPES, np.uint8)[stripes[where]]
            elif label != OUTSIDE and any(colours[label]):  # black is the usual background
                paint(canvas, where, colours[label])
    objects = []
    for one in panel.objects:
        x, y = _corner(panel.picture, scale, room)
        box = [scale * number + start for number, start in zip(one['box'], (x, y) * 2, strict=True)]
        objects.append(dict(one, box=box))
        if 'mask' in one:
            from pycocotools import mask as coco_mask  # comes with mmdet

            mask = _fitted(one['mask'].astype(np.uint8), room, 0)
            objects[-1]['mask'] = coco_mask.encode(np.asfortranarray(mask))
    return put_objects(canvas, objects, colours, apart=True)


def _corner(picture: np.ndarray, scale: float, room: tuple[int, int]) -> tuple[int, int]:
    """Where a scaled picture (H, W, ...) begins if it lies in the middle of `room`: x, y."""
    height, width = (max(1, round(scale * side)) for side in picture.shape[:2])
    return (room[0] - width) // 2, (room[1] - height) // 2


def _fitted(
    picture: np.ndarray, room: tuple[int, int], around: Any, method: int = cv2.INTER_NEAREST
) -> np.ndarray:
    """A picture (H, W, ...) in the middle of `room` (width, height), as large as fits."""
    scale = min(room[0] / picture.shape[1], room[1] / picture.shape[0])
    x, y = _corner(picture, scale, room)
    size = room[0] - 2 * x, room[1] - 2 * y
    canvas = np.empty((room[1], room[0], *picture.shape[2:]), picture.dtype)
    canvas[:] = around
    canvas[y : y + size[1], x : x + size[0]] = cv2.resize(picture, size, interpolation=method)
    return canvas


def _end(text: str, font: Font, room: float) -> str:
    """The text, its beginning replaced by '…' if it is wider than `room` pixels."""
    ends = (f'…{text[i:]}' for i in range(1, len(text)))
    fitting = (end for end in ends if font.getlength(end) <= room)
    return text if font.getlength(text) <= room else next(fitting, '…')


def legend_of(panels: Sequence[Panel], names: Sequence[str]) -> list[tuple[int | None, str]]:
    """Labels and texts, the most frequent first: numbers of objects, or shares of label maps."""
    counts: dict[int, float] = {}
    maps = sum(panel.labels is not None for panel in panels)
    for panel in panels:
        labels, numbers = [one['label'] for one in panel.objects], None
        if panel.labels is not None:
            labels, numbers = np.unique(panel.labels, return_counts=True)
            numbers = numbers / panel.labels.size / maps
        for index, label in enumerate(labels):
            counts[int(label)] = counts.get(int(label), 0) + (
                1 if numbers is None else numbers[index]
            )
    legend: list[tuple[int | None, str]] = []
    for label in sorted(counts, key=lambda label: (label == IGNORED, -counts[label], label)):
        name = 'ignored' if label == IGNORED else names[label]
        count = counts[label]
        legend.append(
            (label, f'{name} ({count:.1%})' if isinstance(count, float) else f'{name} ({count})')
        )
    if legend[LEGEND:]:
        legend[LEGEND - 1 :] = [(None, f'... and {len(legend) - LEGEND + 1} more classes')]
    return legend
