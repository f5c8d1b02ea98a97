"""Where a segmentor is wrong: at the boundaries of objects, or inside them."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ..analysis import NO_LABELS, Analysis, Options
from ..figures.style import save_figure, style
from ..measures.boundaries import BANDS, banded_confusion, boundary_distance, boundary_overlap
from ..measures.confusion import worst_pairs
from ..measures.label_maps import class_scores, mean, mean_scores
from ..section import Picture, Section, Table
from ..subject import Subject
from .label_errors import LabelErrors
from .sample import Sample

FILE = 'boundary_errors.png'
NEAR = BANDS.index(4)  # what is called near a boundary
PAIRS = 20


class Errors(Analysis):
    """Errors by distance from the true boundaries, boundary IoU, and likely label errors."""

    def __init__(self, subject: Subject, folder: Path, options: Options):
        super().__init__(subject, folder, options)
        self.classes = len(subject.classes)
        self.confusion = np.zeros((len(BANDS) + 1, self.classes, self.classes), np.int64)
        self.overlap = np.zeros((2, self.classes), np.int64)
        self.labels = LabelErrors(subject)

    def see(self, sample: Sample) -> None:
        if sample.truth is None:
            return
        distance = boundary_distance(sample.truth)
        maps = sample.truth, sample.prediction
        self.confusion += banded_confusion(*maps, distance, self.classes)
        self.overlap += boundary_overlap(*maps, self.classes)
        self.labels.add(sample, distance)

    def finish(self) -> Section:
        if not self.confusion.any():
            return Section('Errors', text=[NO_LABELS])
        total = self.confusion.sum(0)
        with np.errstate(invalid='ignore'):
            boundary_iou = self.overlap[0] / self.overlap[1]
        pixels = self.confusion.sum((1, 2))
        wrong = pixels - np.trace(self.confusion, axis1=1, axis2=2)
        facts = {'boundary IoU': mean(boundary_iou), 'mIoU': mean_scores(total)['mIoU']}
        if wrong.sum():
            near = wrong[: NEAR + 1].sum() / wrong.sum()
            facts[f'errors within {BANDS[NEAR]} pixels of a boundary'] = float(near)
        facts[f'pixels within {BANDS[NEAR]} pixels of a boundary'] = float(
            pixels[: NEAR + 1].sum() / pixels.sum()
        )
        _draw(self.confusion, pixels, wrong, self.folder / FILE)
        tables = [self._bands(pixels, wrong), self._pairs(total), self._of_classes(boundary_iou)]
        picture = Picture(
            'Errors and boundaries', FILE,
            'If errors gather at boundaries much more than pixels do, outlines are imprecise; if '
            'not, whole objects are taken for others.',
        )  # fmt: skip
        text = [
            'Boundaries are where the true label changes, also to pixels without a class; the two '
            'pixels at a boundary are 1 from it. The boundary IoU (Cheng et al., 2021) compares '
            'only the rims of classes, as wide as 2% of the diagonal.',
            self.labels.text,
        ]
        return Section('Errors', facts, text, [*tables, *self.labels.tables()], [picture])

    def _bands(self, pixels: np.ndarray, wrong: np.ndarray) -> Table:
        rows = []
        for number, name in enumerate(band_names()):
            rate = float(wrong[number] / pixels[number]) if pixels[number] else None
            iou = mean_scores(self.confusion[: number + 1].sum(0))['mIoU']
            rows.append([name, int(pixels[number]), int(wrong[number]), rate, iou])
        columns = ['distance in pixels', 'pixels', 'wrong', 'share wrong', 'mIoU up to here']
        return Table('Distance from the boundary', columns, rows)

    def _pairs(self, total: np.ndarray) -> Table:
        names, near = self.subject.classes, self.confusion[: NEAR + 1].sum(0)
        rows = [
            [names[a], names[b], count, float(near[a, b] / count)]
            for a, b, count, _ in worst_pairs(total, PAIRS)
        ]
        columns = ['true class', 'predicted class', 'pixels', f'within {BANDS[NEAR]} pixels']
        note = 'What share of the confused pixels is near a boundary.'
        return Table('Confusion at boundaries', columns, rows, note)

    def _of_classes(self, boundary_iou: np.ndarray) -> Table:
        iou = class_scores(self.confusion.sum(0))['IoU']
        rows = [
            [name, float(iou[label]), float(boundary_iou[label])]
            for label, name in enumerate(self.subject.classes)
        ]
        return Table('Boundaries of classes', ['class', 'IoU', 'boundary IoU'], rows)


def band_names() -> list[str]:
    """What to call the bands: '≤ 1', '1–2', ..., '> 32'."""
    between = [f'{low}–{high}' for low, high in zip(BANDS, BANDS[1:], strict=False)]
    return [f'≤ {BANDS[0]}', *between, f'> {BANDS[-1]}']


def _draw(confusion: np.ndarray, pixels: np.ndarray, wrong: np.ndarray, path: Path) -> None:
    """Three diagrams: mIoU in bands, shares of errors and pixels, error rates by distance."""
    with style(), np.errstate(invalid='ignore'):
        figure = Figure(figsize=(15, 4.4), layout='constrained')
        bands, shares, rates = figure.subplots(1, 3)
        iou = [mean_scores(part)['mIoU'] for part in confusion.cumsum(0)]
        bands.plot(BANDS, iou[:-1], marker='o', color='#4285f4', label='in the band')
        bands.axhline(iou[-1], color='#5f6368', linestyle='--', label='of all pixels')
        bands.set(title='IoU in bands around boundaries', ylabel='mIoU', ylim=(0, 1))
        for values, colour, name in ((wrong, '#d93025', 'errors'), (pixels, '#5f6368', 'pixels')):
            values = values.cumsum()[:-1] / values.sum()
            shares.plot(BANDS, values, marker='o', color=colour, label=f'of all {name}')
        shares.set(title='How near to boundaries errors are', ylabel='share in the band')
        shares.set(ylim=(0, 1.02))
        for axes in (bands, shares):
            axes.set_xscale('log', base=2)
            axes.set_xticks(BANDS, BANDS)
            axes.set_xlabel('width of the band: pixels on each side')
            axes.legend()
        bars = rates.bar(band_names(), np.nan_to_num(wrong / pixels), color='#d93025')
        texts = ['none' if not n else f'{x / n:.1%}' for x, n in zip(wrong, pixels, strict=True)]
        rates.bar_label(bars, texts, padding=2, fontsize=9)
        rates.margins(y=0.12)
        rates.set(title='Error rate by distance', xlabel='pixels from the boundary')
        rates.set_ylabel('share of pixels that are wrong')
        save_figure(figure, path)
