"""A run whose loss is NaN stops before its checkpoint is written."""

import pytest

from .test_epoch_table import Model, run


def test_guard_stops_a_run_of_nan(tmp_path):
    with pytest.raises(FloatingPointError, match='^loss is nan in iteration 6: lower'):
        run(tmp_path, epochs=4, model=Model(bad=5), hooks=[dict(type='FiniteLossGuard')])
    assert [path.name for path in tmp_path.glob('*.pth')] == ['epoch_1.pth']
