"""Ranks and process groups before there is any."""

import pytest
import torch
from mmcv.cnn import build_norm_layer
from mmcv.ops import SyncBatchNorm as MMSyncBatchNorm
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.registry import MODEL_WRAPPERS
from torch import nn

from mmoverlock.engine.distributed import env_rank, process_group


def test_ranks_of_the_launchers(monkeypatch):
    for name in ('RANK', 'LOCAL_RANK', 'SLURM_PROCID', 'SLURM_LOCALID'):
        monkeypatch.delenv(name, raising=False)
    assert env_rank() == env_rank(local=True) == 0
    monkeypatch.setenv('SLURM_PROCID', '5')
    monkeypatch.setenv('SLURM_LOCALID', '1')
    assert (env_rank(), env_rank(local=True)) == (5, 1)


@pytest.mark.skipif(torch.cuda.is_available(), reason='needs a machine without a GPU')
def test_slurm_needs_gpus(monkeypatch):
    monkeypatch.setenv('SLURM_PROCID', '0')
    with pytest.raises(ValueError, match="launcher='slurm' needs GPUs, use pytorch on the CPU"):
        with process_group(Config(dict(launcher='slurm'))):
            pass


class Net(BaseModel):
    """Norms of a config, of PyTorch and of mmcv, and a part that the loss may not reach."""

    def __init__(self, *norms: str):
        super().__init__()
        parts = [build_norm_layer(dict(type=norm), 3)[1] for norm in norms]
        self.norms = nn.Sequential(nn.SyncBatchNorm(3), *parts)
        self.head, self.spare = nn.Linear(3, 1), nn.Linear(3, 1)

    def forward(self, inputs, data_samples=None, mode='loss'):
        maps = self.norms(inputs).mean((2, 3))
        return dict(loss=self.head(maps).sum())


@pytest.fixture
def launched(monkeypatch):
    """One process that pytorch's launcher started, and its optimizer wrapper for a model."""
    for name, value in dict(RANK=0, WORLD_SIZE=1, MASTER_ADDR='127.0.0.1', MASTER_PORT=0).items():
        monkeypatch.setenv(name, str(value))
    return lambda model: OptimWrapper(torch.optim.SGD(model.parameters(), 0.1))


def wrapped(cfg: Config, model: nn.Module) -> nn.Module:
    """As the Runner wraps it."""
    return MODEL_WRAPPERS.build(cfg.model_wrapper_cfg, default_args=dict(module=model))


@pytest.mark.skipif(torch.cuda.is_available(), reason='needs a machine without a GPU')
def test_synchronised_norms_are_ordinary_ones_without_gpus(launched):
    norm_cfg = dict(type='SyncBN', requires_grad=True)
    part = dict(type='FCNHead', norm_cfg=norm_cfg)
    cfg = Config(dict(launcher='pytorch', sync_bn='torch', model=dict(auxiliary_head=[part])))
    with process_group(cfg):
        assert 'sync_bn' not in cfg
        cfg.model_wrapper_cfg.find_unused_parameters = True
        model = wrapped(cfg, Net('SyncBN', 'MMSyncBN'))
        kinds = (nn.SyncBatchNorm, MMSyncBatchNorm)
        assert not any(isinstance(module, kinds) for module in model.modules())
        log = model.train_step(dict(inputs=torch.rand(2, 3, 4, 4)), launched(model))
        assert log['loss'].isfinite()
        del model, log


@pytest.mark.skipif(torch.cuda.is_available(), reason='needs a machine without a GPU')
def test_own_wrappers_get_ordinary_norms(launched):
    model = dict(norm_cfg=dict(type='SyncBN', requires_grad=True))
    own = dict(type='MMSeparateDistributedDataParallel')
    cfg = Config(dict(launcher='pytorch', model=model, model_wrapper_cfg=own))
    with process_group(cfg):
        assert cfg.model.norm_cfg == dict(type='BN', requires_grad=True)
        assert cfg.model_wrapper_cfg.type == own['type']


@pytest.mark.skipif(torch.cuda.is_available(), reason='needs a machine without a GPU')
@pytest.mark.parametrize('frozen', [False, True])
def test_parameters_without_gradient_are_named(launched, frozen):
    cfg = Config(dict(launcher='pytorch'))
    net = Net()
    net.spare.requires_grad_(not frozen)
    with process_group(cfg):
        model = wrapped(cfg, net)
        optimizer, data = launched(model), dict(inputs=torch.rand(2, 3, 4, 4))
        if frozen:
            model.train_step(data, optimizer)
            model.train_step(data, optimizer)
        else:
            message = r"2 parameters \('spare.weight', 'spare.bias'\).* find_unused_parameters=True"
            with pytest.raises(ValueError, match=message):
                model.train_step(data, optimizer)
        del model, optimizer
