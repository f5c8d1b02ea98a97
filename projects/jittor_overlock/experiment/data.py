"""The data set as arrays, which both frameworks read, and its batches in an order of their own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Split:
    """Pictures (N, H, W, 3) uint8 in RGB, all of one size, and labels (N,)."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Data:
    """A data set of pictures.

    Attributes:
        train: To learn from.
        val: To measure on.
        classes: Names.
        mean: Of the pixels, three numbers.
        std: Their standard deviation, three numbers.
        mirrored: Whether a mirrored picture still shows its class.
    """

    train: Split
    val: Split
    classes: list[str]
    mean: np.ndarray
    std: np.ndarray
    mirrored: bool

    def normalised(self, images: np.ndarray) -> np.ndarray:
        """(N, H, W, 3) uint8 → (N, 3, H, W) float32."""
        x = (images.astype(np.float32) - self.mean) / self.std
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2))

    def spread(self, number: int) -> np.ndarray:
        """Positions of validation pictures, spread over the set."""
        return np.linspace(0, len(self.val.labels) - 1, number).astype(int)

    def training_batches(
        self, epoch: int, seed: int, size: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Normalised pictures and labels of one epoch, shuffled, shifted and, perhaps, mirrored.

        They depend on `seed` and `epoch` alone. What fills no batch at the end is left out.
        """
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(len(self.train.labels))
        for start in range(0, len(order) - size + 1, size):
            chosen = order[start : start + size]
            images = shifted(self.train.images[chosen], rng)
            if self.mirrored:
                turned = rng.random(size) < 0.5
                images[turned] = images[turned, :, ::-1]
            yield self.normalised(images), self.train.labels[chosen]

    def validation_batches(self, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Normalised pictures and labels, in order; the last batch may be smaller."""
        for start in range(0, len(self.val.labels), size):
            part = slice(start, start + size)
            yield self.normalised(self.val.images[part]), self.val.labels[part]


def shifted(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Crops of the pictures' own size, out of pictures with a mirrored border of an eighth."""
    number, height, width, _ = images.shape
    border = height // 8
    around = (0, 0), (border, border), (border, border), (0, 0)
    wide = np.pad(images, around, mode='reflect')
    tops, lefts = rng.integers(0, 2 * border + 1, (2, number))
    return np.stack(
        [
            one[top : top + height, left : left + width]
            for one, top, left in zip(wide, tops, lefts, strict=True)
        ]
    )


def save(data: Data, file: Path) -> None:
    """Write a data set as one file."""
    splits = {
        f'{name}_{part}': getattr(getattr(data, name), part)
        for name in ('train', 'val')
        for part in ('images', 'labels')
    }
    rest = {name: getattr(data, name) for name in ('classes', 'mean', 'std', 'mirrored')}
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(file, **splits, **rest)


def load(file: Path) -> Data:
    """Read what :func:`save` wrote."""
    with np.load(file) as arrays:
        splits = [
            Split(arrays[f'{name}_images'], arrays[f'{name}_labels']) for name in ('train', 'val')
        ]
        classes, mirrored = arrays['classes'].tolist(), bool(arrays['mirrored'])
        return Data(*splits, classes, arrays['mean'], arrays['std'], mirrored)
