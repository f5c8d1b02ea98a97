"""Ranks and process groups before there is any."""

import pytest
import torch
from mmengine.config import Config

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


@pytest.mark.skipif(torch.cuda.is_available(), reason='needs a machine without a GPU')
def test_synchronised_norms_are_ordinary_ones_without_gpus(monkeypatch):
    for name, value in dict(RANK=0, WORLD_SIZE=1, MASTER_ADDR='127.0.0.1', MASTER_PORT=0).items():
        monkeypatch.setenv(name, str(value))
    norm_cfg = dict(type='SyncBN', requires_grad=True)
    head = dict(type='FCNHead', norm_cfg=dict(norm_cfg))
    model = dict(backbone=dict(type='OverLoCK', norm_cfg=norm_cfg), auxiliary_head=[head])
    cfg = Config(dict(launcher='pytorch', sync_bn='torch', model=model))
    with process_group(cfg):
        assert cfg.model.backbone.norm_cfg == dict(type='BN', requires_grad=True)
        assert cfg.model.auxiliary_head[0].norm_cfg.type == 'BN'
        assert 'sync_bn' not in cfg
