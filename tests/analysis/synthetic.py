"""A classifier's predictions whose truth is known."""

from types import SimpleNamespace

import numpy as np

from mmoverlock.analysis.classification.results import Results
from mmoverlock.analysis.measures.calibration import ClassCalibration, classwise_ece
from mmoverlock.runtime.calibrators import softmax


def draw(logits: np.ndarray, temperature: float = 1.0, seed: int = 7) -> np.ndarray:
    """Labels (N,) drawn from softmax(logits / temperature)."""
    chance = np.random.default_rng(seed).random((len(logits), 1))
    return (softmax(logits / temperature).cumsum(1) < chance).sum(1)


def gaussian_logits(number: int, classes: int, spread: float = 3.0, seed: int = 1) -> np.ndarray:
    return spread * np.random.default_rng(seed).standard_normal((number, classes))


def calibration_errors(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Of scores (N, C) and labels (N,)."""
    one = ClassCalibration()
    one.add(scores, scores.argmax(1), labels)
    return dict(one.figures(), classwise_ece=classwise_ece(scores, labels))


class FakeSubject:
    """As far as analyses of predictions alone need a subject, with its predictions."""

    def __init__(self, number: int, classes: int):
        self.indices = list(range(number))
        self.classes = [f'class {label}' for label in range(classes)]
        self.speeds = [10.0]
        self.cfg = SimpleNamespace(test_dataloader={})
        self.results = Results(self)

    def name(self, index: int) -> str:
        return f'{index:06d}.png'

    def picture(self, index: int) -> np.ndarray:
        return np.full((20, 30, 3), index % 256, np.uint8)


def fake_subject(
    scores: np.ndarray, labels: np.ndarray | None, features: np.ndarray | None = None
) -> FakeSubject:
    """A subject with these predictions; features are the scores by default."""
    subject = FakeSubject(*scores.shape)
    features = scores if features is None else features
    for index, row in enumerate(scores.astype(np.float32)):
        label = None if labels is None else int(labels[index])
        subject.results.add(index, row, label, features[index].astype(np.float32))
    return subject
