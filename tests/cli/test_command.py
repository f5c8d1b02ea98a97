"""Errors of the library speak of arguments; the command line says which option was meant."""

import pytest

from mmoverlock.cli.command import in_flags

GIVEN = dict(device='tpu', train=True, score_thr=30.0, resume='a.pth', cfg_options={'a': 1})


@pytest.mark.parametrize(
    ('message', 'expected'),
    [
        ("device='tpu': allowed are cpu", '--device tpu: allowed are cpu'),
        ("device='gpu': allowed are cpu", "device='gpu': allowed are cpu"),  # another one
        ('train=True needs an optimizer', '--train needs an optimizer'),
        ('score_thr=30.0: a score from 0 to 1', '--score-thr 30.0: a score from 0 to 1'),
        ("resume: checkpoint 'a.pth' has", "--resume: checkpoint 'a.pth' has"),
        ('num_classes=9 is not a number', 'num_classes=9 is not a number'),  # not given
        ("config 'a.py': device='tpu'", "config 'a.py': device='tpu'"),
        ('', ''),
    ],
)
def test_in_flags(message, expected):
    assert in_flags(message, GIVEN) == expected
