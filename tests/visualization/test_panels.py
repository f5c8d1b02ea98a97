"""Lines of runs in panels: what is drawn where."""

import math
import xml.etree.ElementTree as xml

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from mmoverlock.visualization.panels import Line, Panel, draw_panels


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved."""
    figures = []
    save = Figure.savefig

    def savefig(self, *args, **kwargs):
        figures.append(self)
        save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, 'savefig', savefig)
    return figures


def legend_of(owner) -> list[str]:
    return [text.get_text() for text in owner.get_texts()]


def line(run: int, key: str, **more) -> Line:
    return Line(run, key, [1, 2, 3], [0.5 + run, 1, 2], **more)


def test_runs_have_colours_and_keys_styles(tmp_path, figures):
    lines = [line(run, key) for key in ('loss', 'val_loss') for run in range(6)]
    names = [f'run {index}' for index in range(6)]
    draw_panels(
        [Panel('loss', lines), Panel('metric', [line(0, 'top1')])],
        names,
        'step',
        tmp_path / 'a.png',
    )
    (figure,) = figures
    losses, metric = figure.axes
    drawn = losses.lines
    assert len({one.get_color() for one in drawn}) == 6
    assert [one.get_color() for one in drawn[:6]] == [one.get_color() for one in drawn[6:]]
    assert {one.get_linestyle() for one in drawn[:6]} == {'-'}
    assert {one.get_linestyle() for one in drawn[6:]} == {'--'}
    assert legend_of(losses.get_legend()) == ['loss', 'val_loss']
    assert legend_of(figure.legends[0]) == names
    assert losses.get_xlim() == metric.get_xlim() and metric.get_xlabel() == 'step'


def test_legends_cover_no_axes(tmp_path, figures):
    keys = [f'loss_{index}' for index in range(30)]
    names = [f'a long name of a run, {index}, as configs have them' for index in range(6)]
    lines = [line(run, key) for key in keys for run in range(6)]
    draw_panels([Panel('loss', lines)], names, 'step', tmp_path / 'a.png')
    (figure,) = figures
    axes = figure.axes[0]
    inside = axes.get_window_extent()
    for legend in (axes.get_legend(), figure.legends[0]):
        box = legend.get_window_extent()
        assert not box.overlaps(inside)
        assert (
            box.x0 >= 0
            and box.y0 >= 0
            and box.x1 <= figure.bbox.x1 + 1
            and box.y1 <= figure.bbox.y1 + 1
        )
    assert legend_of(axes.get_legend())[-1] == 'and 18 more'
    assert inside.height > 250 and inside.width > 400


def test_one_run_has_a_colour_for_each_key(tmp_path, figures):
    draw_panels(
        [Panel('loss', [line(0, 'loss'), line(0, 'loss_cls')])], ['a'], 'step', tmp_path / 'a.png'
    )
    (figure,) = figures
    assert len({one.get_color() for one in figure.axes[0].lines}) == 2
    assert figure.legends == [] and figure.get_suptitle() == 'a'


def test_raw_values_are_faint_behind(tmp_path, figures):
    draw_panels(
        [Panel('loss', [line(0, 'loss', raw=[1, 3, 1])])], ['a'], 'step', tmp_path / 'a.png'
    )
    raw, smooth = figures[0].axes[0].lines
    assert raw.get_alpha() < 0.5 and list(raw.get_ydata()) == [1, 3, 1]
    assert smooth.get_alpha() is None and raw.get_color() == smooth.get_color()


@pytest.mark.parametrize('log', [False, True])
def test_gaps_and_values_that_no_axis_has(tmp_path, figures, log):
    """A missing glyph or an overflow would be a warning, and an error here."""
    lines = [
        Line(0, 'nothing', [1, 2], [math.nan, math.nan]),
        Line(1, 'infinite', [1, 2, 3], [math.inf, 1.0, -1.0]),
    ]
    panels = [Panel('loss', lines, log), Panel('none', lines[:1], log)]
    draw_panels(panels, ['_a $x$ \\alpha', '狗' * 100], 'step', tmp_path / 'a.png')
    assert [axes.get_yscale() for axes in figures[0].axes] == ['log' if log else 'linear', 'linear']
    assert (cv2.imread(str(tmp_path / 'a.png')) < 250).any(axis=2).mean() > 0.01
    first, second = legend_of(figures[0].legends[0])
    assert first == '_a \\$x\\$ \\alpha' and ' … ' in second


def test_many_runs_have_colours_that_differ(tmp_path, figures):
    names = [str(index) for index in range(14)]
    draw_panels(
        [Panel('loss', [line(run, 'loss') for run in range(14)])], names, 'step', tmp_path / 'a.png'
    )
    colors = np.array([one.get_color()[:3] for one in figures[0].axes[0].lines])
    assert len(np.unique(colors, axis=0)) == 14
    assert legend_of(figures[0].legends[0]) == names


def test_formats(tmp_path):
    for suffix, start in (('png', b'\x89PNG'), ('pdf', b'%PDF'), ('svg', b'<?xml')):
        path = tmp_path / f'a.{suffix}'
        draw_panels([Panel('loss', [line(0, 'loss')])], ['a'], 'step', path)
        assert path.read_bytes().startswith(start)
    assert xml.parse(tmp_path / 'a.svg').getroot().tag.endswith('svg')
