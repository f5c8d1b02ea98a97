"""Compose one digits scene: a stack of layers, digits among clutter, on a textured background.

Every layer is an opacity map and a textured colour. What a later layer covers is cut from the
visible mask of the digits below it, and no layer may cover too much of a digit.
"""

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

# How hard the scenes are: a small detector must learn them from nothing within minutes.
NUM_DIGITS = (2, 6)
GLYPH_SIZE = (0.19, 0.38)  # height of a digit as a fraction of the image side
ASPECT = (0.9, 1.1)  # width to height of the scan
TURN = 6  # degrees to either side
SHEAR = 0.08
MIN_VISIBLE = 0.85  # of a digit's mask, however many layers come later
MIN_CONTRAST = 0.6  # RGB distance between a digit and what it covers, channels in 0..1
BACKGROUND_TEXTURE = 0.1  # amplitude, channels in 0..1
PAINT_TEXTURE = 0.05
PLACE_TRIES = 10
LETTERS = 'AEFHKMNRTVWXY'  # distractors: none is easily read as a digit


@dataclass
class Digit:
    """A placed digit: its class, its scan's index, and its (S, S) bool masks."""

    label: int
    scan: int
    mask: np.ndarray
    visible: np.ndarray


def compose_scene(
    rng: Generator, size: int, scans: np.ndarray, labels: np.ndarray, chosen: np.ndarray
) -> tuple[np.ndarray, list[Digit]]:
    """Compose one picture and tell which digits stand where in it.

    A layer that would hide too much of a digit is placed anew, or left out after some tries, so
    that every digit in the picture is annotated and well visible.

    Args:
        rng: Decides everything that is not given.
        size: Side S of the picture in pixels.
        scans: (N, 8, 8) float32 in 0..1.
        labels: (N,) class of each scan.
        chosen: Indices of the scans that may be used.

    Returns:
        The picture, (S, S, 3) uint8, and its digits from bottom to top, at least one.
    """
    canvas = _textured(rng, size, _dark(rng), BACKGROUND_TEXTURE)
    beneath = ['clutter'] * rng.integers(1, 5)
    above = ['digit'] * rng.integers(NUM_DIGITS[0], NUM_DIGITS[1] + 1)
    above += ['clutter'] * rng.integers(0, 2)
    digits: list[Digit] = []
    for kind in [*beneath, *rng.permutation(above)]:
        scan = int(rng.choice(chosen))
        for _ in range(PLACE_TRIES):
            alpha = _glyph(rng, size, scans[scan]) if kind == 'digit' else _clutter(rng, size)
            mask = alpha >= 0.5
            if all((d.visible & ~mask).sum() >= MIN_VISIBLE * d.mask.sum() for d in digits):
                break
        else:
            continue
        for digit in digits:
            digit.visible &= ~mask
        if kind == 'digit':
            digits.append(Digit(int(labels[scan]), scan, mask, mask.copy()))
            colour = _bright(rng, unlike=canvas[mask].mean(axis=0))
        else:
            colour = _dark(rng)
        canvas = _lay_over(rng, canvas, alpha, colour)
    return _photograph(rng, canvas), digits


def _lay_over(
    rng: Generator, canvas: np.ndarray, alpha: np.ndarray, colour: np.ndarray
) -> np.ndarray:
    """Paint a layer of opacity ``alpha`` (S, S), at times with a soft shadow, on (S, S, 3)."""
    size = len(canvas)
    if rng.random() < 0.3:
        offset = np.float32([[1, 0, rng.uniform(-3, 3)], [0, 1, rng.uniform(1, 4)]])
        shadow = cv2.GaussianBlur(cv2.warpAffine(alpha, offset, (size, size)), (0, 0), 1.5)
        canvas = canvas * (1 - 0.45 * shadow[..., None])
    paint = _textured(rng, size, colour, PAINT_TEXTURE)
    return canvas + alpha[..., None] * (paint - canvas)


def _photograph(rng: Generator, canvas: np.ndarray) -> np.ndarray:
    """Blur, change contrast and brightness, add noise; (S, S, 3) in 0..1 to uint8."""
    if rng.random() < 0.3:
        canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.4, 0.9))
    canvas = (canvas - 0.5) * rng.uniform(0.75, 1.1) + 0.5 + rng.uniform(-0.08, 0.08)
    canvas = canvas + rng.uniform(0.005, 0.03) * rng.standard_normal(canvas.shape, np.float32)
    return np.round(canvas.clip(0, 1) * 255).astype(np.uint8)


def _glyph(rng: Generator, size: int, scan: np.ndarray) -> np.ndarray:
    """An 8x8 scan enlarged smoothly, turned, sheared and put somewhere: opacity (S, S) in 0..1."""
    low, high = GLYPH_SIZE
    height = size * low * (high / low) ** rng.random()
    scale = height / len(scan) * np.diag([rng.uniform(*ASPECT), 1.0])
    angle, shear = np.deg2rad(rng.uniform(-TURN, TURN)), rng.uniform(-SHEAR, SHEAR)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.array([[1, shear], [0, 1]]) @ scale
    centre = rng.uniform(0.4 * height, size - 0.4 * height, 2)  # a tenth may lie outside
    offset = centre - linear @ np.full(2, (len(scan) - 1) / 2)
    matrix = np.column_stack([linear, offset])
    value = cv2.warpAffine(scan, matrix, (size, size), flags=cv2.INTER_CUBIC)
    return ((value - 0.45) * height / 16 + 0.5).clip(0, 1)  # about two pixels from 0 to 1


def _clutter(rng: Generator, size: int) -> np.ndarray:
    """The opacity (S, S) in 0..1 of something that is no digit."""
    return rng.choice([_stroke, _blob, _letter], p=[0.45, 0.35, 0.2])(rng, size)


def _letter(rng: Generator, size: int) -> np.ndarray:
    """A letter scanned like the digits: 8x8, then enlarged."""
    sheet = np.zeros((96, 96), np.uint8)
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_TRIPLEX]))
    cv2.putText(sheet, str(rng.choice(list(LETTERS))), (16, 76), font, 2.4, 255, 8)
    x, y, width, height = cv2.boundingRect(sheet)
    crop = sheet[y : y + height, x : x + width].astype(np.float32) / 255
    return _glyph(rng, size, cv2.resize(crop, (8, 8), interpolation=cv2.INTER_AREA))


def _stroke(rng: Generator, size: int) -> np.ndarray:
    """A thin curve through three random points."""
    start, middle, end = rng.uniform(-0.1 * size, 1.1 * size, (3, 2))
    t = np.linspace(0, 1, 24)[:, None]
    curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end
    thickness = int(rng.integers(1, 2 + size // 50))
    points = [curve.astype(np.int32)]
    return _drawn(cv2.polylines, size, points, False, 255, thickness, cv2.LINE_AA)


def _blob(rng: Generator, size: int) -> np.ndarray:
    """A filled ellipse or polygon."""
    centre = rng.uniform(0, size, 2)
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.choice([3, 4, 5, 24])))
    radii = rng.uniform(0.05, 0.2, 2) * size
    points = centre + radii * np.column_stack([np.cos(angles), np.sin(angles)])
    return _drawn(cv2.fillPoly, size, [points.astype(np.int32)], 255, cv2.LINE_AA)


def _drawn(draw: Callable, size: int, *args) -> np.ndarray:
    """What an OpenCV drawing function draws."""
    sheet = np.zeros((size, size), np.uint8)
    draw(sheet, *args)
    return sheet.astype(np.float32) / 255


def _dark(rng: Generator) -> np.ndarray:
    """A colour for what is no digit, (3,) in 0..1."""
    return np.float32(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 0.8), rng.uniform(0, 0.6)))


def _bright(rng: Generator, unlike: np.ndarray) -> np.ndarray:
    """A colour for a digit, (3,) in 0..1: of a few, the first that stands out from ``unlike``."""
    draws = ((rng.random(), rng.uniform(0, 0.6), rng.uniform(0.8, 1)) for _ in range(8))
    colours = np.float32([colorsys.hsv_to_rgb(*draw) for draw in draws])
    distance = np.linalg.norm(colours - unlike, axis=1)
    return colours[np.argmax(np.minimum(distance, MIN_CONTRAST))]


def _textured(rng: Generator, size: int, colour: np.ndarray, strength: float) -> np.ndarray:
    """A colour varied by a gradient, stripes, checks or clouds: (S, S, 3) around 0..1."""
    x, y = np.meshgrid(*2 * [np.linspace(-1, 1, size, dtype=np.float32)])
    angle, phase = rng.uniform(0, 2 * np.pi, 2)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    frequency = rng.uniform(8, 40)
    kind = rng.choice(['gradient', 'stripes', 'checks', 'clouds'])
    if kind == 'gradient':
        pattern = u
    elif kind == 'stripes':
        pattern = np.sin(frequency * u + phase)
    elif kind == 'checks':
        pattern = np.sign(np.sin(frequency * u + phase) * np.sin(frequency * v))
    else:
        cells = int(rng.integers(3, 24))
        coarse = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
        pattern = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    shift = (rng.uniform(-1, 1, 3) * strength).astype(np.float32)
    return (colour + pattern[..., None] * shift).clip(0, 1)
