"""Figures are shown with as many digits as mean something."""

import math

import pytest

from mmoverlock.analysis.report.numbers import format_cells


@pytest.mark.parametrize(
    ('cells', 'shown'),
    [
        ([0.585, 1.0, 0.0], ['0.585', '1.000', '0.000']),
        ([5.849, 0.5], ['5.85', '0.50']),
        ([93.456], ['93.5']),
        ([1234567.8], ['1\u202f234\u202f568']),
        ([0.05123], ['0.0512']),
        ([0.5, 1e-5, -1e-5], ['0.500', '<\u202f0.001', '>\u202f−0.001']),
        ([-0.25], ['−0.250']),
        ([12345, 1000, -3], ['12\u202f345', '1000', '−3']),
        ([2, 0.5], ['2', '0.500']),
        ([True, False, None, 'a, b'], ['yes', 'no', '–', 'a, b']),
        ([math.nan, math.inf, 0.5], ['–', '∞', '0.500']),
        ([1500.0, 0.2, 7.5], ['1500', '<\u202f1', '8']),
        ([9999.7], ['10\u202f000']),
        ([], []),
    ],
)
def test_format(cells, shown):
    assert format_cells(cells) == shown
