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
