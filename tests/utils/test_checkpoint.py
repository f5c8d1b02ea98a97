"""Checkpoints are read without running code, by whatever path MMEngine reads them."""

import argparse
import functools
import os
import pickle

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import HistoryBuffer
from torch import nn

from mmoverlock.utils.checkpoint import read_checkpoint, state_dict_of

from ..user import Code

WEIGHTS = {'weight': torch.arange(6.0).reshape(2, 3), 'bias': torch.ones(2)}

CALLS = [
    Code(os.mkdir, 'ran'),
    Code(eval, "__import__('os').mkdir('ran')"),
    Code(getattr, HistoryBuffer, '__init__'),
    Code(getattr, WEIGHTS, 'clear'),
    Code(functools.partial, os.mkdir, 'ran'),
    nn.Linear(2, 2),
    Code(ConfigDict, Code(os.mkdir, 'ran')),
    Code(ConfigDict, [('a', 1)]),
    Code(Config, dict(a=1)),
]


@pytest.mark.parametrize('new', [True, False], ids=['zip', 'legacy'])
def test_reads_both_formats(tmp_path, new):
    path = tmp_path / 'a.pth'
    saved = dict(state_dict=WEIGHTS, args=argparse.Namespace(lr=0.1), score=np.float64(0.5))
    torch.save(saved, path, _use_new_zipfile_serialization=new)
    loaded = read_checkpoint(path)
    assert loaded['args'] == saved['args'] and loaded['score'] == 0.5
    for name, value in WEIGHTS.items():
        torch.testing.assert_close(loaded['state_dict'][name], value)


@pytest.mark.parametrize('new', [True, False], ids=['zip', 'legacy'])
def test_reads_configs_of_mmengine_as_dicts(tmp_path, new):
    """MMEngine saves the nested dicts of a data set's metainfo as they are in the config."""
    metainfo = ConfigDict(classes=('a', 'b'), more=dict(palette=[(0, 0, 0)], deep=dict(x=1)))
    path = tmp_path / 'a.pth'
    torch.save(
        dict(WEIGHTS, meta=dict(dataset_meta=metainfo)), path, _use_new_zipfile_serialization=new
    )
    loaded = read_checkpoint(path)['meta']['dataset_meta']
    assert loaded == metainfo.to_dict()
    assert {type(loaded), type(loaded['more']), type(loaded['more']['deep'])} == {dict}


@pytest.mark.parametrize('new', [True, False], ids=['zip', 'legacy'])
@pytest.mark.parametrize('code', CALLS, ids=range(len(CALLS)))
def test_refuses_code(tmp_path, monkeypatch, code, new):
    monkeypatch.chdir(tmp_path)
    torch.save(dict(WEIGHTS, extra=code), 'code.pth', _use_new_zipfile_serialization=new)
    with pytest.raises(
        ValueError, match=r"^checkpoint 'code.pth' refused: it carries code \(\S+\)"
    ):
        read_checkpoint('code.pth')
    assert os.listdir() == ['code.pth']


@pytest.mark.parametrize('new', [True, False], ids=['zip', 'legacy'])
@pytest.mark.parametrize('kept', [0, 1, 3, 20, 100, 300, 0.5, 0.9])
def test_says_that_a_file_is_cut_short(tmp_path, new, kept):
    path = tmp_path / 'a.pth'
    torch.save(WEIGHTS, path, _use_new_zipfile_serialization=new)
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if kept >= 1 else int(kept * len(whole))])
    with pytest.raises(ValueError) as error:
        read_checkpoint(path)
    assert str(path) in str(error.value) and '\n' not in str(error.value)


def test_says_what_else_is_wrong(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open('pickle.pth', 'wb') as file:
        pickle.dump(WEIGHTS, file)
    torch.jit.script(nn.Linear(2, 2)).save('script.pth')
    torch.save(dict(epoch=1), 'epoch.pth')
    torch.save([torch.ones(1)], 'list.pth')
    for name, message in [
        ('pickle.pth', 'is a file of another kind'),
        ('script.pth', 'is a TorchScript program'),
        ('epoch.pth', 'holds no tensors'),
        ('list.pth', 'holds a list'),
    ]:
        with pytest.raises(ValueError, match=f"^checkpoint '{name}' {message}"):
            read_checkpoint(name)
    with pytest.raises(FileNotFoundError, match="checkpoint 'none.pth' does not exist"):
        read_checkpoint('none.pth')
    with pytest.raises(IsADirectoryError, match='is a directory'):
        read_checkpoint('.')


def test_config_text_of_old_files_is_not_kept(tmp_path):
    """Runner.resume would run it."""
    torch.save(dict(state_dict=WEIGHTS, meta=dict(config='import os', epoch=1)), tmp_path / 'a.pth')
    assert read_checkpoint(tmp_path / 'a.pth')['meta'] == dict(epoch=1)


def test_state_dict_of():
    assert state_dict_of(dict(state_dict=WEIGHTS, meta={})) is WEIGHTS
    assert state_dict_of(dict(model=WEIGHTS)) is WEIGHTS
    assert state_dict_of(WEIGHTS) is WEIGHTS
