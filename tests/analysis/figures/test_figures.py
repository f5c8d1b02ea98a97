"""Pictures of many classes: what is written in them, and that nothing is cut off or lost."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from mmoverlock.analysis.figures.class_bars import draw_classes
from mmoverlock.analysis.figures.confusion_matrix import draw_confusion
from mmoverlock.analysis.figures.reliability import draw_reliability
from mmoverlock.analysis.measures.calibration import ReliabilityBins


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


@pytest.mark.parametrize('background', [False, True])
@pytest.mark.parametrize('number', [2, 11, 60, 200])
def test_confusion(number, background, texts, tmp_path):
    matrix = np.eye(number, dtype=int) * 1000
    matrix[0, 1] = 250
    matrix[-1] = 0  # a class that has none
    matrix[0, -1] += 2000 * background
    names = [f'name {i}' for i in range(number)]
    note = draw_confusion(matrix, names, tmp_path / 'a.png', background)
    assert all(300 < side < 2300 for side in Image.open(tmp_path / 'a.png').size)
    assert all(texts.values())
    if number == 60:
        assert {'name 0 → name 1', '7.7%' if background else '20.0%'} <= set(texts)
        assert 'name 0 → name 59' not in texts
    if number == 11:
        assert {'8', '31', '62'} <= set(texts) if background else {'80', '20'} <= set(texts)
    assert (f'name {number - 1}' in texts) == (number <= 160)
    assert ('Of 200 classes the 2 ' in note) == (number > 160)


def test_confusion_of_nothing(tmp_path):
    draw_confusion(np.zeros((3, 3), int), list('abc'), tmp_path / 'a.png')
    draw_confusion(np.diag(np.ones(200, int)), ['a'] * 200, tmp_path / 'b.png')
    assert min(Image.open(tmp_path / f'{name}.png').size[0] for name in 'ab') >= 400


@pytest.mark.parametrize('two', [False, True])
@pytest.mark.parametrize('number', [2, 150, 1000])
def test_bars(number, two, texts, tmp_path):
    values = np.linspace(0.2, 1, number)
    values[number // 2 - 1] = np.nan
    names = [f'name {i}' for i in range(number - 1)] + ['a name that is much too long']
    series = dict(box=values, mask=values / 2) if two else dict(box=values)
    note = draw_classes(series, names, 'AP', tmp_path / 'a.png')
    assert '1 classes without' in note
    shown = {'a name that is much…', '1.000'} if number < 1000 else {'name 0', 'name 49', '0.200'}
    assert shown <= set(texts) and f'name {number // 2 - 1}' not in texts
    assert f'box, mean {np.nanmean(values):.3f}' in texts
    assert all(texts.values())
    assert all(side < 2300 for side in Image.open(tmp_path / 'a.png').size)


def test_reliability(texts, tmp_path):
    bins = ReliabilityBins()
    bins.add(np.array([0.9, 0.9, 0.3]), np.array([True, False, False]))
    draw_reliability(dict(before=bins, after=ReliabilityBins()), 'images', tmp_path / 'a.png')
    title = f'before\nECE {(2 * 0.4 + 0.3) / 3:.3f}'
    assert {title, 'score too high', 'share of images'} <= set(texts)
    assert all(texts.values())
