"""Pictures with what was found in them: bars below, or boxes, masks and captions inside.

Pictures go in and come out as (H, W, 3) uint8 in RGB; tiny ones are enlarged.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from matplotlib import colormaps
from PIL import Image, ImageDraw

from .fonts import Font

Colour = tuple[int, int, int]

SMALLEST = 360  # pixels; smaller pictures are enlarged, for the text's sake
INK: Colour = (33, 37, 41)
BAR: Colour = (66, 133, 244)
PAPER: Colour = (255, 255, 255)
TRACK: Colour = (233, 236, 239)
MASK_OPACITY = 0.45
LABEL_OPACITY = 0.6


def usual_colours(number: int) -> list[Colour]:
    """As many colours (RGB, 0 to 255), the first ones easy to tell apart."""
    table = [colour for name in ('tab10', 'Set2', 'Dark2') for colour in colormaps[name].colors]
    rounded = [tuple(round(255 * part) for part in colour) for colour in table]
    return [rounded[index % len(rounded)] for index in range(number)]


def scale_of(picture: np.ndarray) -> int:
    """By which whole number a picture (H, W, 3) is enlarged: 1, except for tiny ones."""
    return -(-SMALLEST // min(max(picture.shape[:2]), SMALLEST))


def draw_bars(
    picture: np.ndarray, bars: Sequence[tuple[str, float, Colour]], rows: int = 0
) -> np.ndarray:
    """Put bars (name, value from 0 to 1, colour) below a picture, on a white strip.

    The strip has room for `rows` bars at least.
    """
    factor = scale_of(picture)
    picture = picture.repeat(factor, 0).repeat(factor, 1)
    height, width = picture.shape[:2]
    full_width = max(width, SMALLEST)
    font = font_for(full_width)
    row, margin = round(1.7 * font.size), round(font.size)
    canvas = Image.new('RGB', (full_width, height + row * max(len(bars), rows) + margin), PAPER)
    canvas.paste(Image.fromarray(np.ascontiguousarray(picture)), ((full_width - width) // 2, 0))
    draw = ImageDraw.Draw(canvas)

    name_width = full_width // 2
    left = margin + name_width + margin // 2
    right = full_width - 2 * margin - round(font.getlength('100.0%'))
    for index, (name, value, colour) in enumerate(bars):
        middle = height + margin // 2 + row * index + row // 2
        font.draw(draw, (margin, middle), shortened(name, font, name_width), INK)
        top, bottom = middle - font.size // 3, middle + font.size // 3
        draw.rectangle((left, top, right, bottom), TRACK)
        draw.rectangle((left, top, left + round(value * (right - left)), bottom), colour)
        font.draw(draw, (full_width - margin, middle), f'{value:.1%}', INK, 'rm')
    return np.asarray(canvas)


def draw_objects(
    picture: np.ndarray, objects: Sequence[Mapping[str, Any]], colours: Sequence[Colour]
) -> np.ndarray:
    """Enlarge a tiny picture, and draw objects into a copy: see :func:`put_objects`."""
    factor = scale_of(picture)
    canvas = np.ascontiguousarray(picture.repeat(factor, 0).repeat(factor, 1))
    return put_objects(canvas, objects, colours, factor)


def put_objects(
    canvas: np.ndarray,
    objects: Sequence[Mapping[str, Any]],
    colours: Sequence[Colour],
    factor: int = 1,
    apart: bool = False,
) -> np.ndarray:
    """Draw masks, then boxes, then captions; of two that overlap, the first comes on top.

    Args:
        canvas: The picture, contiguous; masks are painted into it.
        objects: The best first: ``label``, ``name``, ``box`` (x1, y1, x2, y2 in pixels) and, if
            known, ``score`` and ``mask`` (COCO's run lengths).
        colours: Of the labels.
        factor: By which whole number the canvas is larger than what boxes and masks are for.
        apart: Leave out the captions that would lie on others.
    """
    font = font_for(canvas.shape[1])
    line = max(2, font.size // 8)
    found = [(one, [factor * x for x in one['box']], colours[one['label']]) for one in objects]
    for one, _, colour in reversed(found):
        if 'mask' in one:
            from pycocotools import mask as coco_mask  # comes with mmdet

            mask = coco_mask.decode(one['mask']).repeat(factor, 0).repeat(factor, 1)
            paint(canvas, mask.astype(bool), colour)
            contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
            cv2.drawContours(canvas, contours, -1, colour, line // 2, cv2.LINE_AA)
    image = Image.fromarray(canvas)
    draw = ImageDraw.Draw(image)
    for _, box, colour in reversed(found):
        draw.rectangle(box, outline=colour, width=line)
    captions = []
    for one, (x1, y1, *_), colour in found:
        name = shortened(one['name'], font, 0.8 * canvas.shape[1])
        text = f'{name} {one["score"]:.0%}' if 'score' in one else name
        width, height = font.getlength(text) + font.size // 2, 1.3 * font.size
        x = min(max(x1, 0), image.width - width)
        y = min(max(y1 - height, 0), image.height - height)
        place = (x, y, x + width, y + height)
        if not apart or not any(_overlap(place, other) for other, *_ in captions):
            captions.append((place, text, colour))
    for (x, y, right, bottom), text, colour in reversed(captions):
        draw.rectangle((x, y, right, bottom), colour)
        ink = INK if np.dot(colour, (0.299, 0.587, 0.114)) > 150 else PAPER
        font.draw(draw, (x + font.size // 4, (y + bottom) / 2), text, ink)
    return np.asarray(image)


def _overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two boxes (x1, y1, x2, y2) have area in common."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def draw_labels(picture: np.ndarray, labels: np.ndarray, colours: Sequence[Colour]) -> np.ndarray:
    """Lay the colours of labels (H, W) over the picture (H, W, 3), and outline them.

    Labels without a colour, such as 255 for no class, leave the picture as it is.
    """
    factor = scale_of(picture)
    canvas = np.ascontiguousarray(picture.repeat(factor, 0).repeat(factor, 1))
    labels = labels.repeat(factor, 0).repeat(factor, 1)
    for label in np.unique(labels):
        if label < len(colours):
            mask = labels == label
            colour = tuple(int(part) for part in colours[label])
            paint(canvas, mask, colour, LABEL_OPACITY)
            contours, _ = cv2.findContours(
                mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE
            )
            cv2.drawContours(canvas, contours, -1, colour, 1, cv2.LINE_AA)
    return canvas


def paint(
    picture: np.ndarray, mask: np.ndarray, colour: Colour, opacity: float = MASK_OPACITY
) -> None:
    """Lay a colour over the pixels (H, W) of `mask`, in place."""
    picture[mask] = ((1 - opacity) * picture[mask] + opacity * np.array(colour)).astype(np.uint8)


def font_for(width: int) -> Font:
    """A font that is legible in a picture of this width."""
    return Font(min(max(width // 36, 13), 40))


def shortened(text: str, font: Font, room: float) -> str:
    """The text, its end replaced by '…' if it is wider than `room` pixels."""
    lengths = range(len(text), 0, -1)
    shorter = (text[:i] + '…' for i in lengths if font.getlength(text[:i] + '…') <= room)
    return text if font.getlength(text) <= room else next(shorter, '…')
