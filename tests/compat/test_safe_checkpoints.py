"""By whatever path MMEngine reads a checkpoint, no code runs."""

import functools
import http.server
import os
import threading

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.model.weight_init import PretrainedInit
from mmengine.runner import Runner
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn
from torch.utils.data import DataLoader, Dataset

from mmoverlock.utils.checkpoint import read_checkpoint

from ..user import Code

WEIGHTS = {'weight': torch.arange(6.0).reshape(2, 3), 'bias': torch.ones(2)}


@pytest.fixture
def server(tmp_path):
    """Serves tmp_path/site; gives its URL."""
    site = tmp_path / 'site'
    site.mkdir()
    torch.save(dict(WEIGHTS, extra=Code(os.mkdir, 'ran')), site / 'code.pth')
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
