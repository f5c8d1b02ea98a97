"""Known messages of imported packages are left out, and nothing else is."""

from __future__ import annotations

import logging
import warnings

import mmengine.logging
import pycocotools.coco
import pytest
from mmengine.logging import MMLogger

from mmoverlock.compat import quiet

from ..user import file_limit

ONEDL = 'Could not import OneDL. Skipping OneDL datasets.'


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    monkeypatch.setenv('MMOVERLOCK_QUIET', '0')


@pytest.mark.parametrize('on', [True, False])
def test_known_messages(on, capsys):
    quiet.leave_out_known_messages(on)
    quiet.leave_out_known_messages(on)
    mmengine.logging.print_log(ONEDL, level=logging.DEBUG)  # as mmdet does
    mmengine.logging.print_log('Could not import OneDL', level=logging.DEBUG)
    logger = MMLogger.get_instance(f'quiet_{on}')
    logger.warning('The prefix is not set in metric class IoUMetric.')
    pycocotools.coco.print('loading annotations into memory...')
    pycocotools.coco.print('Done (t=0.00s)')
    assert bool(capsys.readouterr().out) != on
    mmengine.logging.print_log('Could not import my OneDL data', level=logging.DEBUG)
    logger.warning('The prefix is not set')
    pycocotools.coco.print('loading nothing')
    pycocotools.coco.print('Done')
    assert len(capsys.readouterr().out.splitlines()) == 4


@pytest.mark.parametrize('on', [True, False])
def test_log_lines_that_cannot_be_written(on, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(logging, 'raiseExceptions', True)
    logger = MMLogger.get_instance(f'unwritten_{on}', log_file=str(tmp_path / 'run.log'))
    quiet.leave_out_known_messages(on)
    with file_limit(1):
        logger.warning('a line')
    assert ('Traceback' in capsys.readouterr().err) != on


@pytest.mark.parametrize(('module', 'message'), quiet.WARNED)
def test_warnings_are_known_by_their_module(module, message):
    text = 'faster_coco_eval is not installed' if 'faster' in message else message
    text = (
        text.replace('\\', '').replace('(bbox|polygon|text)', 'bbox').replace('doesn.t', "doesn't")
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        quiet.leave_out_known_messages(True)
        for source in (module.replace('\\', ''), 'the_users_own'):
            warnings.warn_explicit(text + ' and more', UserWarning, 'file.py', 1, source)
            warnings.warn_explicit('something else', UserWarning, 'file.py', 1, source)
    assert len(caught) == 3  # all but the known message from the known module


def test_a_command_shows_them_with_debug_alone(tool, at_home, monkeypatch, capsys):
    for options, shown in ([], False), (['--debug'], True):
        with pytest.raises(SystemExit):
            tool('train')(['nowhere.py', *options])
        mmengine.logging.print_log(ONEDL, level=logging.DEBUG)
        assert (ONEDL in capsys.readouterr().out) == shown
