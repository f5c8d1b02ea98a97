"""All predictions of a classifier: one copy for every analysis of a run."""

from functools import cached_property

import numpy as np

from ..subject import Subject

NO_LABEL = -1


class Results:
    """Predictions, in the order of the test set.

    Those of 50,000 pictures and 1,000 classes take 200 MB: all analyses look at one table.
    """

    def __init__(self, subject: Subject):
        self.subject = subject
        self._columns: dict[str, np.ndarray] = {}
        self._count = 0

    def add(self, index: int, scores: np.ndarray, label: int | None, features: np.ndarray) -> None:
        """Take in the next prediction.

        Args:
            index: Of the picture in the test set.
            scores: Probabilities of the classes, (C,) float32.
            label: The true class, or None if the test set has no labels.
            features: What the head gets, averaged over positions, (D,) float32.

        Raises:
            ValueError: a score is not finite, or the label is none of the model's.
        """
        if not np.isfinite(scores).all():
            name = self.subject.name(index)
            raise ValueError(f"picture '{name}': the model's scores are not finite")
        label = NO_LABEL if label is None else label
        if label >= len(scores):
            name, number = self.subject.name(index), len(scores)
            raise ValueError(f"picture '{name}' has label {label}, the model {number} classes")
        row = dict(
            indices=np.int64(index), labels=np.int64(label), scores=scores, features=features
        )
        for key, value in row.items():
            if key not in self._columns:
                shape = len(self.subject.indices), *value.shape
                self._columns[key] = np.empty(shape, value.dtype)
            self._columns[key][self._count] = value
        self._count += 1

    def __len__(self) -> int:
        return self._count

    @property
    def indices(self) -> np.ndarray:
        """Of the pictures in the test set, (N,)."""
        return self._columns['indices'][: self._count]

    @property
    def scores(self) -> np.ndarray:
        """Probabilities, (N, C) float32."""
        return self._columns['scores'][: self._count]

    @property
    def features(self) -> np.ndarray:
        """What the head gets, averaged over positions, (N, D) float32."""
        return self._columns['features'][: self._count]

    @property
    def labels(self) -> np.ndarray:
        """True classes, (N,); -1 where none is known."""
        return self._columns['labels'][: self._count]

    @cached_property
    def predicted(self) -> np.ndarray:
        """Classes of the highest scores, (N,)."""
        return self.scores.argmax(1)

    @property
    def labelled(self) -> bool:
        """Whether the true class of every picture is known."""
        return bool((self.labels >= 0).all())

    @cached_property
    def names(self) -> list[str]:
        """One for each class."""
        known, number = self.subject.classes, self.scores.shape[1]
        return [*known[:number], *(f'class {label}' for label in range(len(known), number))]

    def file(self, position: int) -> str:
        """Name of the picture in row `position`."""
        return self.subject.name(int(self.indices[position]))

    def picture(self, position: int) -> np.ndarray:
        """The picture in row `position`, (H, W, 3) uint8 in RGB."""
        return self.subject.picture(int(self.indices[position]))
