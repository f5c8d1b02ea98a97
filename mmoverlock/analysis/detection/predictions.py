"""The pictures that a detector does worst and best on."""

from pathlib import Path

from ..analysis import Analysis, Options
from ..figures.style import save_picture
from ..section import Picture, Section
from ..subject import Subject
from .matching import MIN_IOU, MIN_SCORE, match
from .panels import draw_pairs, pair_of
from .sample import Sample

WORST, BEST = 12, 6


def count_errors(sample: Sample, min_score: float = MIN_SCORE) -> tuple[float, int, int]:
    """F1 of a picture that has a truth, missed objects, and false detections.

    A detection is right if it matches an object of its class with an IoU of at least 0.5. F1 is 1
    where nothing is and nothing was found.
    """
    matches = match(sample.found, sample.truth, min_score=min_score)
    right, false = int(matches.hits.sum()), int(matches.false.sum())
    missed = int(matches.missed(sample.truth).sum())
    total = 2 * right + missed + false
    return (2 * right / total if total else 1.0), missed, false


class Predictions(Analysis):
    """A grid of the worst and the best pictures, truth beside prediction.

    The worst are those with the lowest F1 (:func:`count_errors`), and of these those with the most
    errors; the best have the most right objects of those with the highest F1. Without annotations
    they are the first pictures. Writes ``predictions_grid.png``.
    """

    def __init__(self, subject: Subject, folder: Path, options: Options):
        super().__init__(subject, folder, options)
        self.worst: list[tuple[tuple, str, Sample]] = []
        self.best: list[tuple[tuple, str, Sample]] = []

    def see(self, sample: Sample) -> None:
        if sample.truth is None:
            f1, errors, caption = 0.0, 0, 'found'
        else:
            f1, missed, false = count_errors(sample)
            errors = missed + false
            caption = f'F1 {f1:.2f}: {missed} missed, {false} false'
        self.worst = _least(self.worst, ((f1, -errors, sample.index), caption, sample), WORST)
        if sample.truth is not None:
            key = -f1, -len(sample.truth), sample.index
            self.best = _least(self.best, (key, caption, sample), BEST)

    def finish(self) -> Section:
        shown = {sample.index for *_, sample in self.worst}
        best = [one for one in self.best if one[2].index not in shown]
        pairs = [
            pair_of(self.subject, sample, caption, slice(None), sample.found.scores >= MIN_SCORE)
            for _, caption, sample in [*self.worst, *best]
        ]
        save_picture(draw_pairs(self.subject, pairs), self.folder / 'predictions_grid.png')
        if self.best:
            note = (
                f'Truth on the left, detections with a score of at least {MIN_SCORE:g} on the '
                f'right; first the {len(self.worst)} images with the lowest F1, then the '
                f'{len(best)} with the highest. A detection is right if its class and place (IoU '
                f'{MIN_IOU:g}) are.'
            )
        else:
            note = f'Right: detections with a score of at least {MIN_SCORE:g}.'
        return Section(
            'Predictions', pictures=[Picture('Worst and best', 'predictions_grid.png', note)]
        )


def _least(kept: list, one: tuple, number: int) -> list:
    """The `number` least entries, by their keys."""
    return sorted([*kept, one], key=lambda entry: entry[0])[:number]
