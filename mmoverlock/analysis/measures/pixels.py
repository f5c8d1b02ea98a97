"""Probabilities of pixels: their entropy, and a sample of them that fits into memory."""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import entr

VALUES = 30_000_000  # probabilities in a sample at most: 120 MB
PIXELS = 200_000  # likewise


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Entropy in nats, (...) from probabilities (C, ...); one class after the other, for memory."""
    total = np.zeros(probabilities.shape[1:], np.float32)
    for one in probabilities:
        total += entr(one)
    return total


@dataclass
class PixelSample:
    """Pixels drawn by chance, but always the same, as many from each picture.

    Args:
        pictures: How many will come.
        classes: Number of classes, C.

    Attributes:
        quota: Pixels of a picture at most.
        probabilities: A list of (n, C) float32, one for each picture.
        truth: Likewise of (n,) uint8.
    """

    pictures: int
    classes: int
    probabilities: list[np.ndarray] = field(default_factory=list)
    truth: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        total = min(PIXELS, VALUES // self.classes)
        self.quota = max(1, total // self.pictures)

    def add(self, probabilities: np.ndarray, truth: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Draw pixels of a picture.

        Args:
            probabilities: (C, H, W).
            truth: (H, W) uint8.
            valid: Which may be drawn, (H, W) bool.

        Returns:
            Their places in the flattened picture, (n,).
        """
        places = np.flatnonzero(valid)
        if len(places) > self.quota:
            rng = np.random.default_rng(len(self.truth))
            places = np.sort(rng.choice(places, self.quota, replace=False))
        self.probabilities.append(probabilities.reshape(len(probabilities), -1)[:, places].T)
        self.truth.append(truth.ravel()[places])
        return places

    def of(self, pictures: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (N, C) and truth (N,) of some of the images, in the order of coming."""
        empty = np.empty((0, self.classes), np.float32), np.empty(0, np.uint8)
        return (
            np.concatenate([empty[0], *self.probabilities[pictures]]),
            np.concatenate([empty[1], *self.truth[pictures]]),
        )
