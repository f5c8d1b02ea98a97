"""Curves as lines in panels."""

import math

import pytest

from mmoverlock.analysis.curves.keys import select
from mmoverlock.analysis.curves.layout import lay_out, smoothed, time_unit
from mmoverlock.analysis.curves.runs import read_runs

from ...run_logs import classifier, detector, write_log, write_table


def test_smoothing_by_hand():
    """Weights 1; 1/2, 1; 1/4, 1/2, 1 at a weight of 0.5."""
    assert smoothed([1, 2, 4], 0.5) == pytest.approx([1, 2.5 / 1.5, 5.25 / 1.75])
    assert smoothed([3, 3, 3, 3], 0.9) == pytest.approx([3, 3, 3, 3])  # no bias
    assert smoothed([1, 2, 4], 0) == [1, 2, 4]


def test_smoothing_passes_over_gaps():
    first, gap, infinite, last = smoothed([1, math.nan, math.inf, 2], 0.5)
    assert (first, infinite, last) == (1, math.inf, pytest.approx(2.5 / 1.5))
    assert math.isnan(gap)


def test_smoothing_keeps_the_raw_line_and_leaves_metrics_and_rates(tmp_path):
    panels, _ = lay_out(select(read_runs([detector(tmp_path)])), smooth=0.5)
    losses, rate, metric = (panel.lines[0] for panel in panels)
    assert losses.raw == [3, 1.5, 1] and losses.y == pytest.approx([3, 2, 2.5 / 1.75])
    assert rate.raw is None and metric.raw is None and metric.marked


def test_panels_of_different_tasks(tmp_path):
    """Fractions and percentages are apart; colours are those of the runs."""
    runs = select(read_runs([detector(tmp_path / 'a'), classifier(tmp_path / 'b')]))
    panels, xlabel = lay_out(runs, log_y=True)
    assert xlabel == 'step'
    assert [(panel.label, panel.log) for panel in panels] == [
        ('loss', True), ('learning rate', True), ('metric', False), ('metric (%)', False),
    ]  # fmt: skip
    found = [[(line.run, line.key) for line in panel.lines] for panel in panels]
    assert found[0] == [(0, 'loss'), (1, 'loss'), (1, 'val/cross_entropy')]
    assert found[2:] == [[(0, 'coco/bbox_mAP')], [(1, 'accuracy/top1')]]


def test_a_low_accuracy_is_a_percentage_by_its_name(tmp_path):
    write_log(tmp_path, [dict(loss=1.0, step=1), {'accuracy/top1': 0.1, 'step': 1}])
    panels, _ = lay_out(select(read_runs([tmp_path])))
    assert [panel.label for panel in panels] == ['loss', 'metric (%)']


def test_nothing_to_find_is_a_gap(tmp_path):
    runs = select(read_runs([detector(tmp_path, (-1.0, 0.5))]), ['bbox_mAP'])
    ((panel,), _) = lay_out(runs)
    assert math.isnan(panel.lines[0].y[0]) and panel.lines[0].y[1] == 0.5


@pytest.mark.parametrize(
    ('x', 'xlabel', 'xs'),
    [
        (None, 'step', [1, 3, 5, 7, 9, 11]),
        ('epoch', 'epoch', [0.25, 0.75, 1.25, 1.75, 2.25, 2.75]),
        ('time', 'training time (s)', [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]),
    ],
)
def test_horizontal_axes(tmp_path, x, xlabel, xs):
    ((panel,), label) = lay_out(select(read_runs([classifier(tmp_path)]), ['loss']), x)
    assert (panel.lines[0].x, label) == (xs, xlabel)


def test_a_table_makes_the_axis_one_of_epochs(tmp_path):
    runs = select(
        read_runs([classifier(tmp_path / 'a'), write_table(tmp_path / 'b', '1,3,,10,,,')])
    )
    assert lay_out(runs)[1] == 'epoch'


def test_an_axis_that_a_run_does_not_know(tmp_path):
    runs = select(read_runs([detector(tmp_path / 'a')]))
    with pytest.raises(ValueError, match="^x='epoch': run 'a' does not tell the epoch of 'l"):
        lay_out(runs, 'epoch')


def test_units_of_time():
    assert [time_unit([1, longest]) for longest in (100, 120, 7199, 7200)] == [
        's',
        'min',
        'min',
        'h',
    ]
