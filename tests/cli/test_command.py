"""Errors of the library speak of arguments; the command line says which option was meant."""

import errno

import pytest
from mmengine.logging import MMLogger

from mmoverlock.cli.command import ERROR_FILE, command, in_flags

from ..user import file_limit

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


@pytest.mark.parametrize(
    ('error', 'code', 'line'),
    [
        (OSError(errno.ENOSPC, 'No space left on device'), 2, '[Errno 28] No space left on device'),
        (ValueError('wrong'), 2, 'wrong'),
        (KeyError('wrong'), 1, 'KeyError: wrong (run again with --debug for the traceback)'),
    ],
)
@pytest.mark.parametrize('torchrun', [False, True])
def test_no_room_for_the_traceback(tmp_path, monkeypatch, capsys, error, code, line, torchrun):
    """The log file and torchrun's cannot be written: the command ends as it would have."""
    monkeypatch.setattr(MMLogger, '_instance_dict', {})
    logger = MMLogger.get_instance('full', log_file=str(tmp_path / 'run.log'))
    logger.info('a line')
    if torchrun:
        monkeypatch.setenv(ERROR_FILE, str(tmp_path / 'error.json'))
        monkeypatch.setattr('os._exit', exit)

    def fail(args):
        raise error

    with file_limit(1), pytest.raises(SystemExit) as stop:
        command(lambda parser: None, 'Fail.')(fail)([])
    assert stop.value.code == code
    assert capsys.readouterr().err == ('' if torchrun else f'error: {line}\n')
    assert 'Traceback' not in (tmp_path / 'run.log').read_text()
