"""Which analyses there are for a task."""

import pytest

from mmoverlock.analysis.analysis import Analysis
from mmoverlock.analysis.catalog import _CLASSES, NAMES, check_name, find_analysis, names_of

PAIRS = [(task, name) for task in _CLASSES for name in NAMES]


@pytest.mark.parametrize(('task', 'name'), PAIRS)
def test_find_analysis(task, name):
    if name in names_of(task):
        assert issubclass(find_analysis(task, name), Analysis)
    else:
        with pytest.raises(ValueError, match=f"analysis '{name}' is not for {task}"):
            find_analysis(task, name)


def test_names():
    assert all({*names} <= {*NAMES} for names in _CLASSES.values())
    assert check_name('all') == 'all' and check_name('erf') == 'erf'
    with pytest.raises(ValueError, match="'confuse' does not exist, did you mean 'confusion'?"):
        check_name('confuse')
