"""What kinds of errors a detector makes, and what they cost."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ..analysis import Options
from ..extras import extra
from ..figures.style import save_figure, save_picture, style
from ..section import Picture, Section, Table
from ..subject import Subject
from .labelled import Labelled
from .matching import MIN_SCORE
from .objects import KINDS
from .panels import draw_pairs, pair_of
from .sample import Sample
from .tide import BACKGROUND_IOU, TYPES, Case, Errors, find_errors

EXAMPLES = 3  # of each type: a row
MEANINGS = {
    'classification': 'right place, wrong class',
    'localisation': f'right class, IoU between {BACKGROUND_IOU:g} and 0.5',
    'both': 'wrong class and imprecise place',
    'duplicate': 'object found already by a detection of a higher score',
    'background': f'nothing there: IoU below {BACKGROUND_IOU:g}',
    'missed': 'object that no detection is near to, not even a wrong one',
}


class ErrorTypes(Labelled):
    """TIDE's types of errors, for boxes and masks: ``error_types.png``, ``error_examples.png``."""

    title = 'Types of errors'

    def __init__(self, subject: Subject, folder: Path, options: Options):
        super().__init__(subject, folder, options)
        extra('tidecv')
        self.samples: list[Sample] = []

    def compare(self, sample: Sample) -> None:
        self.samples.append(sample)

    def conclude(self) -> Section:
        kinds = [kind for kind in KINDS if all(kind in one.kinds() for one in self.samples)]
        found = {KINDS[kind]: find_errors(self.samples, kind) for kind in kinds}
        if found['box'] is None:
            return Section(self.title, text=['There are no detections, or no true objects.'])
        draw_errors(found, self.folder / 'error_types.png')
        pictures = [
            Picture(
                'What each type costs',
                'error_types.png',
                'By how much AP50 would be higher if the errors of one type were corrected. These '
                'gains do not add up.',
            )
        ]
        if found['box'].cases:
            self._draw_examples(found['box'].cases)
            pictures.append(
                Picture(
                    'Examples',
                    'error_examples.png',
                    'A type in each row: truth on the left; on the right the wrong detection, or, '
                    'if an object was missed, all detections with a score of at least '
                    f'{MIN_SCORE:g}.',
                )
            )
        text = (
            'Types and gains are those of TIDE (Bolya et al. 2020), by tidecv, at the IoU 0.5. All '
            'detections count, those with low scores, too: they are many, and cost little.'
        )
        facts = {f'{name} AP50': errors.ap for name, errors in found.items()}
        tables = [_table(name, errors) for name, errors in found.items()]
        return Section(self.title, facts, [text], tables, pictures)

    def _draw_examples(self, cases: Sequence[Case]) -> None:
        pairs = []
        for name in TYPES.values():
            chosen = self._examples([case for case in cases if case.type == name])
            pairs += [self._pair(case) for case in chosen]
            pairs += [None] * (EXAMPLES - len(chosen) if chosen else 0)
        picture = draw_pairs(self.subject, pairs)
        save_picture(picture, self.folder / 'error_examples.png')

    def _examples(self, cases: Sequence[Case]) -> list[Case]:
        """The errors with the highest scores, or the largest missed objects, a picture each."""

        def weight(case: Case) -> float:
            sample = self.samples[case.sample]
            missed = case.type == 'missed'
            return (sample.truth.areas if missed else sample.found.scores)[case.object]

        first: dict[int, Case] = {}
        for case in sorted(cases, key=weight, reverse=True):
            first.setdefault(case.sample, case)
        return [*first.values()][:EXAMPLES]

    def _pair(self, case: Case) -> tuple:
        sample = self.samples[case.sample]
        one = np.array([case.object])
        missed = case.type == 'missed'
        truth = one if missed else np.arange(len(sample.truth))
        found = sample.found.scores >= MIN_SCORE if missed else one
        return pair_of(self.subject, sample, case.type, truth, found)


def draw_errors(found: dict[str, Errors], path: Path) -> None:
    """Draw the gains of all types, and those of all false detections and all missed objects."""
    labels = [*TYPES.values(), 'all false detections', 'all missed objects']
    height = 0.8 / len(found)
    with style():
        figure = Figure((7.5, 4.2), layout='constrained')
        axes = figure.subplots()
        for number, (name, errors) in enumerate(found.items()):
            gains = [*errors.gains.values(), errors.false_gain, errors.missed_gain]
            places = np.arange(len(labels)) + (number - (len(found) - 1) / 2) * height
            bars = axes.barh(
                places, gains, height, color=f'C{number}', label=f'{name}, AP50 {errors.ap:.3f}'
            )
            axes.bar_label(bars, fmt='{:.3f}', padding=3, fontsize=8)
        axes.axhline(len(TYPES) - 0.5, color='grey', linewidth=1)
        axes.set_yticks(range(len(labels)), labels)
        axes.invert_yaxis()
        axes.grid(axis='y', visible=False)
        axes.margins(x=0.12)
        axes.set_xlim(left=0)
        axes.set_xlabel('gain in AP50 if corrected')
        figure.legend(loc='outside upper center', ncols=2)
        save_figure(figure, path)


def _table(name: str, errors: Errors) -> Table:
    counts = errors.counts()
    rows = [[kind, counts[kind], errors.gains[kind], MEANINGS[kind]] for kind in TYPES.values()]
    rows.append(
        ['all false detections', None, errors.false_gain, 'precision perfect, recall unchanged']
    )
    rows.append(
        ['all missed objects', None, errors.missed_gain, 'recall perfect, precision unchanged']
    )
    return Table(f'Errors, by {name}', ['type', 'errors', 'gain in AP50', 'meaning'], rows)
