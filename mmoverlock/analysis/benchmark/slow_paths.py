"""What makes a run slower than it need be, and how to leave it."""

import os
import platform
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from mmoverlock.models.overlock.reparam import DilatedReparam
from mmoverlock.ops import available_backends
from mmoverlock.ops.explain import Explanation
from mmoverlock.ops.residual_conv import MMAP_THRESHOLD

# Why fused operators run layer by layer although nothing can be done, or need be.
EXPECTED = 'the map is large', 'torch.compile', 'numba runs on the CPU', 'evaluation mode'


def slow_operators(ran: Explanation, device: torch.device) -> Iterator[str]:
    """What is slow about the backends that ran on `device`, with the way to leave it."""
    if 'reference' in ran.backends('contmix'):
        able = available_backends(device)[0]
        advice = f'unset MMOVERLOCK_BACKEND to run {able}'
        if able == 'reference':
            (advice,) = ran.reasons('contmix', 'numba' if device.type == 'cpu' else 'triton')
        yield f'ContMix runs in plain PyTorch: {advice}'
    for operator in ('dilated_branches', 'conv_mlp'):
        for reason in sorted(ran.reasons(operator, 'numba')):
            expected = any(text in reason for text in EXPECTED)
            asked = reason.endswith('asked for')  # the line on ContMix says how to change that
            if 'reference' in ran.backends(operator) and not (expected or asked):
                yield f'{operator} runs layer by layer: {reason}'
                return


def slow_model(model: nn.Module, device: torch.device, half: bool) -> Iterator[str]:
    """What is slow about a model in its mode, in mixed precision if `half`."""
    modules = [*model.modules()]
    if not model.training and not all(m.deploy for m in modules if isinstance(m, DilatedReparam)):
        yield 'the large-kernel branches are not merged (merge=False)'
    exact = torch.get_float32_matmul_precision() == 'highest'
    if device.type == 'cuda' and not half and exact:
        yield (
            "float32 without tensor cores: use amp='bfloat16', or set "
            'TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=1 for TF32'
        )
    checkpoints = [getattr(m, name, 0) for m in modules for name in ('use_checkpoint', 'with_cp')]
    if model.training and any(map(np.any, checkpoints)):
        yield (
            'gradient checkpointing runs blocks twice to save memory: '
            'model.backbone.use_checkpoint=[0,0,0,0] (with_cp=False elsewhere) turns it off'
        )


def slow_process(peak: int | None = None) -> Iterator[str]:
    """What is slow about a process on the CPU that held `peak` bytes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    if torch.get_num_threads() == 1 and cores != 1:
        yield f'one thread of {cores} cores: set OMP_NUM_THREADS={cores}'
    # glibc requests every large map from the system, unless told to keep what is freed.
    tunable = 'MALLOC_MMAP_THRESHOLD_'
    told = tunable in os.environ or 'malloc' in os.environ.get('LD_PRELOAD', '')
    small = peak is not None and peak < MMAP_THRESHOLD
    if platform.libc_ver()[0] == 'glibc' and not told and not small:
        yield (
            'maps of more than 32 MB are new memory every time: set '
            f'{tunable}=4294967296 MALLOC_TRIM_THRESHOLD_=4294967296 to keep it'
        )
