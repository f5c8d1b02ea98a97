"""Process groups: NCCL on GPUs, gloo where there is none, so that a laptop runs real DDP too."""

import contextlib
import datetime
import gc
import os
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import init_dist
from mmengine.logging import print_log
from mmengine.utils.dl_utils import set_multi_processing
from torch import distributed

from mmoverlock.utils.config import type_name, walk

# Launcher: the variables of a process's rank among all, and on its machine.
RANKS = dict(
    pytorch=('RANK', 'LOCAL_RANK'),
    slurm=('SLURM_PROCID', 'SLURM_LOCALID'),
    mpi=('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_LOCAL_RANK'),
)

# Their names, and in pure-Python configs their classes'.
SYNC_NORMS = 'SyncBN', 'MMSyncBN', 'naiveSyncBN', 'SyncBatchNorm', 'NaiveSyncBatchNorm'
WORLDS = dict(pytorch='WORLD_SIZE', slurm='SLURM_NTASKS', mpi='OMPI_COMM_WORLD_SIZE')


def env_world_size(launcher: str) -> int:
    """How many processes a launcher started, before there is a process group."""
    return int(os.environ.get(WORLDS.get(launcher, ''), 1))


def env_rank(local: bool = False) -> int:
    """This process's rank, before there is a process group; 0 without a launcher."""
    names = (pair[local] for pair in RANKS.values())
    return next((int(os.environ[name]) for name in names if name in os.environ), 0)


@contextlib.contextmanager
def process_group(cfg: Config) -> Iterator[None]:
    """Join the process group that ``cfg.launcher`` started, until the run succeeds.

    On a machine without GPU the group is of gloo, the model's wrapper is told that there are no
    devices, and synchronised batch norms, which have no CPU form, are ordinary ones. The caller
    keeps no reference to the runner. After a failure the group is left alone: other processes may
    be waiting in it.

    Raises:
        ValueError: the launcher did not start this process, or needs GPUs.
    """
    if cfg.launcher == 'none':
        for part in _sync_norms(cfg):
            part['type'] = 'SyncBN'  # of these the Runner makes ordinary ones
        yield
        return
    variable = RANKS[cfg.launcher][0]
    if variable not in os.environ:
        raise ValueError(
            f'launcher={cfg.launcher!r}: {variable} is not set, start it by tools/dist_*.sh '
            'or tools/slurm_*.sh'
        )
    env_cfg = cfg.get('env_cfg') or {}
    set_multi_processing(**env_cfg.get('mp_cfg', {}), distributed=True)
    dist_cfg = dict(env_cfg.get('dist_cfg', {}))
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        init_dist(cfg.launcher, **dist_cfg)
    elif cfg.launcher == 'pytorch':
        timeout = datetime.timedelta(seconds=dist_cfg.get('timeout', 1800))
        distributed.init_process_group('gloo', timeout=timeout)
    else:
        raise ValueError(f'launcher={cfg.launcher!r} needs GPUs, use pytorch on the CPU')
    _wrap(cfg, on_gpu)
    yield
    # A gloo thread that still holds a tensor when Python ends aborts the process. Destroying the
    # group joins these threads, if nothing refers to it any more: so free the runner's model first.
    gc.collect()
    distributed.destroy_process_group()


def _wrap(cfg: Config, on_gpu: bool) -> None:
    """Have the model wrapped by :class:`NamingDataParallel`, if the config does not choose."""
    given = cfg.get('model_wrapper_cfg') or {}
    own = type_name(given) in ('', 'MMDistributedDataParallel', 'NamingDataParallel')
    if on_gpu and not own:
        return
    defaults = dict(
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )
    wrapper = {**defaults, **given}
    if own:
        wrapper['type'] = 'NamingDataParallel'
    if not on_gpu:
        wrapper['device_ids'] = None
        _without_sync_bn(cfg, own)
    cfg.model_wrapper_cfg = wrapper


def _without_sync_bn(cfg: Config, own: bool) -> None:
    """Say that norms are not synchronised, and see to it where our own wrapper does not."""
    if has_sync_bn(cfg):
        print_log('SyncBN is BN here: there is no GPU', logger='current')
    cfg.pop('sync_bn', None)
    for part in () if own else _sync_norms(cfg):
        part['type'] = 'BN'


def has_sync_bn(cfg: Config) -> bool:
    """Whether a config asks for synchronised batch norms."""
    return bool(cfg.get('sync_bn') or _sync_norms(cfg))


def _sync_norms(cfg: Config) -> list[Any]:
    return [part for _, part in walk(cfg.get('model')) if type_name(part) in SYNC_NORMS]
