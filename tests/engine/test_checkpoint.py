"""Checkpoints are read without running code, by whatever path MMEngine reads them."""

import argparse
import functools
import http.server
import os
import pickle
import threading

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.model.weight_init import PretrainedInit
from mmengine.runner import Runner
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn
from torch.utils.data import DataLoader, Dataset

from mmoverlock.engine import read_checkpoint
from mmoverlock.models.overlock.checkpoint import state_dict_of

WEIGHTS = {'weight': torch.arange(6.0).reshape(2, 3), 'bias': torch.ones(2)}


class Code:
    """Pickled, it is the call `function(*arguments)`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


CALLS = [
    Code(os.mkdir, 'ran'),
    Code(eval, "__import__('os').mkdir('ran')"),
    Code(getattr, HistoryBuffer, '__init__'),
    Code(getattr, WEIGHTS, 'clear'),
    Code(functools.partial, os.mkdir, 'ran'),
    nn.Linear(2, 2),
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
@pytest.mark.parametrize('code', CALLS, ids=lambda code: str(getattr(code, 'call', 'module')))
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


@pytest.fixture
def server(tmp_path):
    """Serves tmp_path/site; gives its URL."""
    site = tmp_path / 'site'
    site.mkdir()
    torch.save(dict(WEIGHTS, extra=CALLS[0]), site / 'code.pth')
    torch.save(WEIGHTS, site / 'good.pth')

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{served.server_port}'
        served.shutdown()


def test_no_path_into_mmengine_runs_code(tmp_path, monkeypatch, server):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    models = dict(evil=f'{server}/code.pth')
    for name in ('get_torchvision_models', 'get_external_models', 'get_mmcls_models'):
        monkeypatch.setattr(mmengine_checkpoint, name, lambda: models)
    local = str(tmp_path / 'site/code.pth')
    for path in [
        local, f'{server}/code.pth', 'torchvision://evil', 'open-mmlab://evil', 'mmcls://evil',
    ]:  # fmt: skip
        with pytest.raises(ValueError, match='refused: it carries code'):
            CheckpointLoader.load_checkpoint(path, map_location='cpu')
    with pytest.raises(ValueError, match='refused: it carries code'):
        PretrainedInit(checkpoint=local)(nn.Linear(3, 2))
    with open(local, 'rb') as file, pytest.raises(ValueError, match='refused: it carries code'):
        mmengine_checkpoint._safe_torch_load(file, weights_only=False)
    assert not (tmp_path / 'ran').exists()


def test_downloads_once(tmp_path, monkeypatch, server):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    for _ in range(2):
        loaded = CheckpointLoader.load_checkpoint(f'{server}/good.pth')
        torch.testing.assert_close(loaded, WEIGHTS)
        (tmp_path / 'site/good.pth').unlink(missing_ok=True)
    with pytest.raises(ValueError, match=f"^cannot download checkpoint '{server}/none.pth': .*404"):
        CheckpointLoader.load_checkpoint(f'{server}/none.pth')


class Points(Dataset):
    metainfo = dict(classes=('a', 'b'), palette=np.zeros((2, 3)))

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return torch.full((3,), float(index)), index % 2


class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)

    def forward(self, points, labels, mode='tensor'):
        scores = self.fc(points)
        return (
            dict(loss=nn.functional.cross_entropy(scores, labels)) if mode == 'loss' else [scores]
        )


class Score(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        return dict(score=np.float64(0.5))


def run(work_dir, epochs, resume):
    runner = Runner(
        Model(),
        work_dir=str(work_dir),
        train_dataloader=DataLoader(Points(), 2),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        val_dataloader=DataLoader(Points(), 2),
        val_cfg=dict(),
        val_evaluator=[Score()],
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1)),
        param_scheduler=dict(type='OneCycleLR', eta_max=0.1, total_steps=8, by_epoch=False),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', save_best='auto', rule='greater')
        ),
        custom_hooks=[dict(type='EMAHook'), dict(type='CheckpointGuard')],
        resume=resume,
        experiment_name=f'{work_dir.name}_{epochs}',
    )
    runner.train()
    return runner


def test_resumes_a_genuine_training_checkpoint(tmp_path):
    """With optimizer, schedulers, EMA, best score, numpy values and the message hub's history."""
    run(tmp_path, epochs=1, resume=False)
    resumed = run(tmp_path, epochs=2, resume=True)
    assert resumed.iter == 4
    history, _ = resumed.message_hub.get_scalar('train/loss').data
    assert len(history) == 4
    assert read_checkpoint(tmp_path / 'epoch_2.pth')['optimizer']['state'][0]['step'] == 4
