"""The words of error messages."""

from mmoverlock.utils.errors import did_you_mean, one_line


def test_errors_in_one_line():
    assert one_line(KeyError('a key')) == 'a key'
    assert one_line(ValueError('two\n  lines')) == 'two lines'
    assert one_line(ValueError()) == 'ValueError'
    worker = 'Caught OSError in a worker.\nOriginal Traceback:\n  File\nOSError: no such picture\n'
    assert one_line(OSError(worker)) == 'OSError: no such picture'


def test_did_you_mean():
    assert did_you_mean('overlok', ['OverLoCK', 'ResNet']) == ", did you mean 'OverLoCK'?"
    assert did_you_mean('x', ['OverLoCK']) == ''
