"""Process groups: NCCL on GPUs, gloo where there is none, so that a laptop runs real DDP too."""

import contextlib
import datetime
import gc
import os
from collections.abc import Iterator

import torch
from mmengine.config import Config
from mmengine.dist import init_dist
from mmengine.logging import print_log
from mmengine.utils.dl_utils import set_multi_processing
from torch import distributed

from mmoverlock.utils.config import walk

# Launcher: the variables of a process's rank among all, and on its machine.
RANKS = dict(
    pytorch=('RANK', 'LOCAL_RANK'),
    slurm=('SLURM_PROCID', 'SLURM_LOCALID'),
    mpi=('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_LOCAL_RANK'),
)

SYNC_NORMS = 'SyncBN', 'MMSyncBN', 'naiveSyncBN'


def env_rank(local: bool = False) -> int:
    """This process's rank, before there is a process group; 0 without a launcher."""
    names = (pair[local] for pair in RANKS.values())
    return next((int(os.environ[name]) for name in names if name in os.environ), 0)


def under_torchrun() -> bool:
    """Whether torchrun, or a launcher made of it, started this process."""
    return 'TORCHELASTIC_RUN_ID' in os.environ


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
    if torch.cuda.is_available():
        init_dist(cfg.launcher, **dist_cfg)
    elif cfg.launcher == 'pytorch':
        timeout = datetime.timedelta(seconds=dist_cfg.get('timeout', 1800))
        distributed.init_process_group('gloo', timeout=timeout)
        _fit_to_cpu(cfg)
    else:
        raise ValueError(f'launcher={cfg.launcher!r} needs GPUs, use pytorch on the CPU')
    yield
    # A gloo thread that still holds a tensor when Python ends aborts the process. Destroying the
    # group joins these threads, if nothing refers to it any more: so free the runner's model first.
    gc.collect()
    distributed.destroy_process_group()


def _fit_to_cpu(cfg: Config) -> None:
    defaults = dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )
    wrapper = cfg.get('model_wrapper_cfg') or {}
    cfg.model_wrapper_cfg = {**defaults, **wrapper, 'device_ids': None}
    synchronised = [part for _, part in walk(cfg.get('model')) if part.get('type') in SYNC_NORMS]
    for part in synchronised:
        part['type'] = 'BN'
    if cfg.pop('sync_bn', None) or synchronised:
        print_log('SyncBN is BN here: there is no GPU', logger='current')
