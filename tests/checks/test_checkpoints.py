"""Checkpoints that cannot be read or do not belong to the model are refused before the run."""

import pytest
import torch

from ..user import MARKER, check

INIT = 'model.backbone.init_cfg'

CHECKPOINT_CASES = [
    ('no.pth', "checkpoint 'no.pth' does not exist"),
    ('directory.pth', "checkpoint 'directory.pth' is a directory, not a file"),
    ('empty.pth', "checkpoint 'empty.pth' is empty (0 bytes)"),
    ('truncated.pth', "checkpoint 'truncated.pth' is damaged: the file is cut short"),
    ('text.pth', "checkpoint 'text.pth' is a text file, not one written by torch.save"),
    ('picture.pth', "checkpoint 'picture.pth' is a file of another kind"),
    ('archive.pth', "checkpoint 'archive.pth' is a file of another kind"),
    ('code.pth', "checkpoint 'code.pth' refused: it carries code (posix.mkdir)"),
    ('old_code.pth', "checkpoint 'old_code.pth' refused: it carries code (posix.mkdir)"),
    ('no_tensors.pth', "checkpoint 'no_tensors.pth' holds no tensors"),
    ('list.pth', "checkpoint 'list.pth' holds a list, not a dict of tensors"),
    ('foreign.pth', "checkpoint 'foreign.pth' fits nothing"),
    ('other_arch.pth', "checkpoint 'other_arch.pth' is of another arch"),
]


@pytest.mark.parametrize(('file', 'message'), CHECKPOINT_CASES)
def test_checkpoint_to_test(bad, at_home, tool, capsys, file, message):
    check(tool, 'test', ['det.py', file, '--work-dir', 'full'], message, bad, capsys)


@pytest.mark.parametrize('key', ['load_from', f'{INIT}.checkpoint'])
@pytest.mark.parametrize(
    'file', ['no.pth', 'truncated.pth', 'text.pth', 'code.pth', 'foreign.pth', 'other_arch.pth']
)
def test_checkpoint_to_start_from(bad, at_home, tool, capsys, key, file):
    options = [f'{key}={file}'] + [f'{INIT}.type=Pretrained'] * (key != 'load_from')
    arguments = ['det.py', '--work-dir', 'full', '--cfg-options', *options]
    check(tool, 'train', arguments, f"'{file}'", bad, capsys)


def test_code_would_run_in_an_unrestricted_reader(bad, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.load(bad / 'code.pth', weights_only=False)
    assert (tmp_path / MARKER).is_dir()
