"""Whatever a user gets wrong: one line, exit code 2, no traceback, and nothing touched."""

import subprocess
import sys

import pytest
import torch

from ..user import ROOT, check, snapshot

CONFIG_CASES = [
    ('no.py', "config 'no.py' does not exist"),
    ('config.txt', "config 'config.txt' is not one of .py, .json, .yaml, .yml"),
    ('syntax.py', "config 'syntax.py', line 2: '(' was never closed"),
    ('orphan.py', "nowhere.py' does not exist"),
    ('foreign_base.py', "config 'foreign_base.py': "),
    ('fails.py', "config 'fails.py': NameError: name 'undefined_name' is not defined"),
    ('no_model.py', "config 'no_model.py' has no model"),
]

TRAIN_CASES = [
    (['det.py', '--what'], 'unrecognized arguments: --what'),
    (['det.py', '--launcher', 'ssh'], "argument --launcher: invalid choice: 'ssh'"),
    (['det.py', '--launcher', 'pytorch'], '--launcher pytorch: RANK is not set'),
    (['det.py', '--work-dir', 'work'], "work_dir 'work' holds the checkpoints of another run"),
    (['det.py', '--work-dir', 'a_file'], "work_dir 'a_file' is a file, not a directory"),
    (['det.py', '--resume', '--work-dir', 'full'], "--resume: no checkpoint in work_dir 'full'"),
    (['det.py', '--resume', 'no.pth'], "--resume: checkpoint 'no.pth' does not exist"),
    (['det.py', '--resume', 'det.pth'], "--resume: checkpoint 'det.pth' has no 'meta', it holds"),
    (['det.py', '--resume', 'code.pth'], "checkpoint 'code.pth' refused: it carries code (posix."),
    (
        ['det.py', '--resume', '--work-dir', 'work'],
        "--resume: no checkpoint in work_dir 'work': passed over iter_9.pth (is a text file",
    ),
    (['det.py', '--resume', '--overwrite'], '--resume and --overwrite contradict each other'),
    (
        ['no_base_batch.py', '--auto-scale-lr'],
        '--auto-scale-lr needs auto_scale_lr.base_batch_size',
    ),
]

TEST_CASES = [
    (['det.py', 'no_mask_head.pth'], "checkpoint 'no_mask_head.pth' lacks "),
    (
        ['det.py', 'det.pth', '--eval', 'mIoU'],
        "--eval: 'CocoMetric' cannot evaluate 'mIoU'; allowed: 'bbox', ",
    ),
    (
        ['cls.py', 'cls.pth', '--eval', 'bbox'],
        "'Accuracy' cannot evaluate 'bbox'; allowed: 'accuracy'",
    ),
    (
        ['seg.py', 'seg.pth', '--eval', 'accuracy'],
        "cannot evaluate 'accuracy'; allowed: 'mIoU', 'mDice', 'mFscore'",
    ),
    (['det.py', 'det.pth', '--tta'], '--tta: mmdet merges boxes, not masks: choose --eval bbox'),
    (
        ['cls.py', 'cls.pth', '--tta', '--show-dir', 'new'],
        '--show-dir: mmpretrain cannot draw with --tta: leave out one of the two',
    ),
    (['no_masks.py', 'no_mask_head.pth', '--eval', 'segm'], 'the model has no mask head'),
    (['det.py', 'det.pth', '--out', 'old.pkl'], "--out: 'old.pkl' exists"),
    (['det.py', 'det.pth', '--out', 'new.txt'], "--out: 'new.txt' does not end in .pkl or .pickle"),
    (['det.py', 'det.pth', '--out', 'no/new.pkl'], "--out: the folder of 'no/new.pkl' does not"),
    (['det.py', 'det.pth', '--out', 'not_coco.json'], "--out: 'not_coco.json' exists"),
    (['det.py', 'det.pth', '--out', 'no/new.json'], "--out: the folder of 'no/new.json' does not"),
    (['seg.py', 'seg.pth', '--out', 'new.json'], "--out: 'new.json' is for detectors of mmdet"),
    (
        ['det.py', 'det.pth', '--pseudo-labels', 'not_coco.json'],
        "--pseudo-labels: 'not_coco.json' exists",
    ),
    (
        ['det.py', 'det.pth', '--pseudo-labels', 'new'],
        "--pseudo-labels: 'new' does not end in .json",
    ),
    (
        ['det.py', 'det.pth', '--pseudo-labels', 'new.json', '--score-thr', '50'],
        '--score-thr 50.0: a score from 0 to 1 is needed',
    ),
    (
        ['det.py', 'det.pth', '--pseudo-labels', 'new.json', '--out', 'new.json'],
        "--out and --pseudo-labels are both 'new.json'",
    ),
    (['det.py', 'det.pth', '--score-thr', '0.5'], '--score-thr requires --pseudo-labels'),
    (
        ['seg.py', 'seg.pth', '--pseudo-labels', 'full'],
        "--pseudo-labels: 'full' is not an empty folder",
    ),
    (
        ['seg.py', 'seg.pth', '--pseudo-labels', 'new', '--score-thr', '0.5'],
        "--score-thr is for detectors: a segmentor's label maps are complete",
    ),
    (
        ['cls.py', 'cls.pth', '--pseudo-labels', 'new.json'],
        '--pseudo-labels is for detectors of mmdet and segmentors of mmseg',
    ),
    (['det.py', 'det.pth', '--show-dir', 'full'], "--show-dir: 'full' is not an empty folder"),
    (
        ['det.py', 'det.pth', '--show-dir', 'new', '--launcher', 'pytorch'],
        '--show-dir works in one',
    ),
    (['cls.py', 'det.pth'], "checkpoint 'det.pth' lacks "),
    (['det.py'], 'the following arguments are required: checkpoint'),
]


@pytest.mark.parametrize(('config', 'message'), CONFIG_CASES)
def test_config(bad, at_home, tool, capsys, config, message):
    check(tool, 'train', [config, '--work-dir', 'full'], message, bad, capsys)


@pytest.mark.parametrize(('arguments', 'message'), TRAIN_CASES)
def test_train(bad, at_home, tool, capsys, arguments, message):
    check(tool, 'train', arguments, message, bad, capsys)


@pytest.mark.skipif(torch.cuda.is_available(), reason='needs a machine without a GPU')
def test_amp_without_gpu(bad, at_home, tool, capsys):
    check(tool, 'train', ['det.py', '--amp'], '--amp needs a GPU', bad, capsys)


@pytest.mark.parametrize(('arguments', 'message'), TEST_CASES)
def test_test(bad, at_home, tool, capsys, arguments, message):
    check(tool, 'test', [*arguments, '--work-dir', 'full'], message, bad, capsys)


def test_debug_shows_the_traceback(bad, at_home, tool, capsys):
    with pytest.raises(SystemExit):
        tool('train')(['no.py', '--debug'])
    errors = capsys.readouterr().err
    assert 'Traceback' in errors
    assert errors.endswith("error: config 'no.py' does not exist\n")


def test_unexpected_failure_is_code_1(at_home, tool, capsys, monkeypatch):
    def fail(path):
        raise ZeroDivisionError('of ours\nand more')

    monkeypatch.setattr('mmoverlock.cli.config.read_config', fail)
    with pytest.raises(SystemExit) as stop:
        tool('train')(['det.py'])
    assert stop.value.code == 1
    assert capsys.readouterr().err.startswith('error: ZeroDivisionError: of ours and more (')


def test_in_a_process_of_its_own(bad):
    """As the others, but with everything Python may print around the error."""
    before = snapshot(bad)
    command = [sys.executable, str(ROOT / 'tools/test.py'), 'det.py', 'code.pth']
    done = subprocess.run(command, cwd=bad, capture_output=True, text=True)
    assert done.returncode == 2
    assert "error: checkpoint 'code.pth' refused" in done.stderr.splitlines()[-1]
    assert done.stderr.count('error: ') == 1
    assert 'Traceback' not in done.stderr
    assert snapshot(bad) == before
