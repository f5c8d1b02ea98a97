"""Labels of the test set that are likely wrong."""

import csv
import io

from mmoverlock.utils.files import write_whole

from ..figures.picture_grid import Row, Tile, draw_grid
from ..figures.style import save_picture
from ..measures.label_errors import label_errors
from ..section import Picture, Section, Table
from .base import ClassifierAnalysis

FILE, PLOT = 'label_errors.csv', 'label_errors.png'
LISTED, SHOWN = 200, 24
COLUMNS = ['file', 'given class', 'likely class', 'score of the given', 'score of the likely']


class Errors(ClassifierAnalysis):
    """Likely label errors: ``label_errors.csv`` has all, ``label_errors.png`` the likeliest."""

    title = 'Label errors'
    needs = ('cleanlab.filter',)

    def analyze(self) -> Section:
        results, names = self.results, self.results.names
        found = label_errors(results.scores, results.labels)
        rows = []
        for one in found:
            given, likely = int(results.labels[one]), int(results.predicted[one])
            scores = (float(results.scores[one, label]) for label in (given, likely))
            rows.append([results.file(one), names[given], names[likely], *scores])
        text = io.StringIO()
        csv.writer(text, lineterminator='\n').writerows([COLUMNS, *rows])
        write_whole(self.folder / FILE, text.getvalue().encode())
        pictures = []
        if found:
            tiles = [
                Tile(
                    results.picture(one),
                    [file, f'labelled {a:.1%} {given}', f'likely {b:.1%} {likely}'],
                )
                for one, (file, given, likely, a, b) in zip(found[:SHOWN], rows, strict=False)
            ]
            sheet = draw_grid([Row('Likely label errors, with scores of the classes', tiles)])
            save_picture(sheet, self.folder / PLOT)
            pictures.append(Picture('Likely label errors', PLOT))
        note = f'The {LISTED} likeliest; {FILE} has all.' if rows[LISTED:] else ''
        return Section(
            self.title,
            {'likely label errors': len(found), 'images': len(results)},
            [
                'Found by cleanlab where the model is confident of another class than the label. '
                'Look at the images before you change labels: the model may be wrong, too. The '
                'scores must be of images that the model was not trained on.'
            ],
            [Table('Likely label errors', COLUMNS, rows[:LISTED], note)] if rows else [],
            pictures,
            [FILE],
        )
