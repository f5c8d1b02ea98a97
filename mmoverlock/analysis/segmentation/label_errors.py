"""Pictures whose labels are likely wrong."""

import numpy as np

from ..extras import extra
from ..measures.label_errors import label_errors
from ..measures.label_maps import IGNORED
from ..measures.pixels import PixelSample
from ..section import Table
from ..subject import Subject
from .sample import Sample

MARGIN = 2  # pixels: closer to a boundary labels are imprecise, not wrong
FEWEST = 20  # pixels that cleanlab needs to say something
PICTURES = 15


class LabelErrors:
    """Confident learning (Northcutt et al., 2021), by cleanlab, on a sample of pixels.

    Args:
        subject: What is analysed.

    Raises:
        ValueError: cleanlab is not installed.
    """

    def __init__(self, subject: Subject):
        self.subject = subject
        extra('cleanlab.filter')
        self.sample = PixelSample(len(subject.indices), len(subject.classes))
        self.indices: list[int] = []

    def add(self, sample: Sample, distance: np.ndarray) -> None:
        """Draw pixels of a picture, away from the boundaries; `distance` (H, W) is that to them."""
        valid = (sample.truth != IGNORED) & (distance > MARGIN)
        self.sample.add(sample.probabilities, sample.truth, valid)
        self.indices.append(sample.index)

    @property
    def text(self) -> str:
        return (
            'Likely label errors are pixels whose label the model contradicts with more than its '
            f'usual confidence. Up to {self.sample.quota:,} of each image were looked at, over '
            f'{MARGIN} pixels from boundaries. A model that is wrong in a systematic way names its '
            'own errors.'
        )

    def tables(self) -> list[Table]:
        """The pictures with most such pixels, if there are any."""
        probabilities, truth = self.sample.of()
        if len(truth) < FEWEST:
            return []
        labels = truth.astype(int)
        issues = np.zeros(len(labels), bool)
        issues[label_errors(probabilities, labels)] = True
        numbers = [len(one) for one in self.sample.truth]
        parts = np.split(np.arange(len(truth)), np.cumsum(numbers)[:-1])
        shares = np.array([issues[part].mean() if len(part) else 0 for part in parts])
        names, rows = self.subject.classes, []
        for place in np.argsort(-shares, kind='stable')[:PICTURES]:
            if shares[place]:
                part = parts[place][issues[parts[place]]]
                pairs = labels[part] * len(names) + probabilities[part].argmax(1)
                label, better = divmod(int(np.bincount(pairs).argmax()), len(names))
                name = self.subject.name(self.indices[place])
                pair = f'{names[label]} → {names[better]}'
                rows.append([name, float(shares[place]), pair])
        columns = ['file', 'share of its pixels', 'label → what it may be']
        return [Table('Likely label errors', columns, rows)] if rows else []
