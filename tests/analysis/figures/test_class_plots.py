"""Pictures of many classes: what is written in them, and that nothing is cut off or lost."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from mmoverlock.analysis.figures.class_bars import draw_class_bars
from mmoverlock.analysis.figures.confusion_matrix import draw_confusion


@pytest.fixture
def texts(monkeypatch):
    """The texts of the figure that is saved, with whether they are inside it."""
    found = {}
    save = Figure.savefig

    def saving(figure, *args, **options):
        save(figure, *args, **options)
        figure.set_dpi(options['dpi'])
        figure.draw_without_rendering()
        width, height = figure.bbox.size
        for one in figure.findobj(Text):
            if one.get_text() and '−' not in one.get_text():  # a tick outside of the axis
                box = one.get_window_extent()
                inside = -1 < min(box.x0, box.y0) and box.x1 < width + 1 and box.y1 < height + 1
                found[one.get_text()] = inside

    monkeypatch.setattr(Figure, 'savefig', saving)
    return found


@pytest.mark.parametrize('number', [11, 60, 200])
def test_confusion(number, texts, tmp_path):
    matrix = np.eye(number, dtype=int) * 1000
    matrix[0, 1] = 250
    matrix[-1] = 0  # a class without pixels
    names = [f'name {i}' for i in range(number)]
    draw_confusion(matrix, names, tmp_path / 'a.png')
    assert Image.open(tmp_path / 'a.png').size[0] >= 400
    assert all(texts.values())
    if number <= 25:
        assert {'80', '20'} <= set(texts)
    else:
        assert {'name 0 → name 1', '20.0%'} <= set(texts)
    assert (f'name {number - 1}' in texts) == (number <= 160)


def test_confusion_of_nothing(tmp_path):
    draw_confusion(np.zeros((3, 3), int), list('abc'), tmp_path / 'a.png')
    assert Image.open(tmp_path / 'a.png').size[0] >= 400


@pytest.mark.parametrize('number', [2, 150])
def test_bars(number, texts, tmp_path):
    values = np.linspace(0.2, 1, number)
    values[0] = np.nan
    names = [f'name {i}' for i in range(number - 1)] + ['a name that is much too long']
    draw_class_bars(values, names, 'IoU', tmp_path / 'a.png')
    assert {'none', '100.0%', 'name 0', 'a name that is mu…'} <= set(texts)
    assert all(texts.values())
    height, width = Image.open(tmp_path / 'a.png').size
    assert height < 2000 and width < 2000
