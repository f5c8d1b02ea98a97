"""How good a detector is: average precision, that of each class, and its curves."""

from collections.abc import Mapping
from pathlib import Path

from ..analysis import Options
from ..figures.class_bars import draw_classes
from ..files import save_arrays, save_json
from ..section import Picture, Section, Table
from ..subject import Subject
from .average_precision import AveragePrecision, average_precision
from .curves import draw_curves
from .labelled import Labelled
from .objects import KINDS, Kind
from .sample import Sample

NOTE = (
    'AP: average precision, mean over the IoUs 0.50, 0.55, ..., 0.95; AP50 and AP75: at the IoU '
    '0.50 and 0.75; small: below 32² pixels, large: from 96² pixels on; AR: average recall.'
)


class Evaluation(Labelled):
    """COCO's average precision and recall, of all and of each class, of boxes and of masks.

    The figures are those of ``mmoverlock test --eval bbox segm``. Writes ``eval_metrics.json``,
    ``eval_classes.png``, ``pr_curves.png`` and ``pr_curves.npz``.
    """

    title = 'Evaluation'

    def __init__(self, subject: Subject, folder: Path, options: Options):
        super().__init__(subject, folder, options)
        self.samples: list[Sample] = []

    def compare(self, sample: Sample) -> None:
        self.samples.append(sample)

    def conclude(self) -> Section:
        names = self.subject.classes
        kinds = [kind for kind in KINDS if all(kind in one.kinds() for one in self.samples)]
        found = {kind: average_precision(self.samples, kind, len(names)) for kind in kinds}
        if not found['bbox'].objects.any():
            return Section(self.title, text=['The images have no objects of these classes.'])
        tables = [_table(one, kind, names) for kind, one in found.items()]
        metrics = {
            kind: one.figures()
            | dict(
                classes=[
                    {'class': name, **one.figures(label), 'objects': int(one.objects[label])}
                    for label, name in enumerate(names)
                ]
            )
            for kind, one in found.items()
        }
        save_json(self.folder / 'eval_metrics.json', metrics)
        note = draw_classes(
            {
                KINDS[kind]: [one.figures(i)['AP'] for i in range(len(names))]
                for kind, one in found.items()
            },
            names,
            'AP',
            self.folder / 'eval_classes.png',
        )
        draw_curves(
            {KINDS[kind]: one for kind, one in found.items()}, names, self.folder / 'pr_curves.png'
        )
        self._save_curves(found)
        facts = {
            f'{KINDS[kind]} {name.replace("_", " ")}': value
            for kind, one in found.items()
            for name, value in one.figures().items()
        }
        pictures = [
            Picture('AP of the classes', 'eval_classes.png', note),
            Picture(
                'Precision and recall',
                'pr_curves.png',
                'Left the mean over all classes; right the best and the worst classes, at the IoU '
                '0.50.',
            ),
        ]
        files = ['eval_metrics.json', 'pr_curves.npz']
        return Section(self.title, facts, tables=tables, pictures=pictures, files=files)

    def _save_curves(self, found: Mapping[Kind, AveragePrecision]) -> None:
        some = next(iter(found.values()))
        arrays = {kind: one.curves for kind, one in found.items()}
        save_arrays(
            self.folder / 'pr_curves.npz',
            dict(recall=some.recalls, iou=some.ious, classes=self.subject.classes, **arrays),
        )


def _table(found: AveragePrecision, kind: Kind, names: list[str]) -> Table:
    columns = [name.replace('_', ' ') for name in found.figures()]
    rows = [
        [name, *found.figures(label).values(), int(found.objects[label])]
        for label, name in enumerate(names)
    ]
    title = f'Classes, by {"boxes" if kind == "bbox" else "masks"}'
    return Table(title, ['class', *columns, 'objects'], rows, NOTE)
