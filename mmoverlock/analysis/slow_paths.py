"""What makes a run slower than it need be, and how to leave it."""

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from mmoverlock.models.overlock.reparam import DilatedReparam
from mmoverlock.ops import available_backends
from mmoverlock.ops.conv_mlp import MMAP_THRESHOLD
from mmoverlock.ops.explain import Explanation

# Why fused operators run layer by layer although nothing can be done, or need be.
EXPECTED = 'the map is large', 'torch.compile', 'numba runs on the CPU', 'evaluation mode'


@dataclass(frozen=True)
class Situation:
    """A model that ran on `device`, in mixed precision if `half`, in `peak` bytes of memory."""

    model: nn.Module
    device: torch.device
    train: bool
    half: bool
    peak: int | None = None
    explanation: Explanation = Explanation(())  # of the operators' backends


def slow_paths(now: Situation) -> list[str]:
    """What is slow in this situation, one line each, with the way to leave it."""
    return [*_operators(now), *_model(now), *_process(now)]


def _operators(now: Situation) -> Iterator[str]:
    ran = now.explanation
    if 'reference' in ran.backends('contmix'):
        able = available_backends(now.device)[0]
        advice = f'unset MMOVERLOCK_BACKEND to run {able}'
        if able == 'reference':
            package = 'numba' if now.device.type == 'cpu' else 'triton'
            (advice,) = ran.reasons('contmix', package)
        yield f'ContMix unfolds its maps: {advice}'
    for operator in ('dilated_branches', 'conv_mlp'):
        for reason in sorted(ran.reasons(operator, 'numba')):
            expected = any(text in reason for text in EXPECTED)
            asked = reason.endswith('asked for')  # the line on ContMix says how to change that
            if 'reference' in ran.backends(operator) and not (expected or asked):
                yield f'{operator} runs layer by layer: {reason}'
                return


def _model(now: Situation) -> Iterator[str]:
    modules = [*now.model.modules()]
    if not now.train and not all(m.deploy for m in modules if isinstance(m, DilatedReparam)):
        yield 'the large-kernel branches are not merged (merge=False)'
    exact = torch.get_float32_matmul_precision() == 'highest'
    if now.device.type == 'cuda' and not now.half and exact:
        yield (
            "float32 without tensor cores: use amp='bfloat16', or set "
            'TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=1 for TF32'
        )
    if now.train and any(map(_checkpoints, modules)):
        yield (
            'gradient checkpointing runs blocks twice to save memory: '
            'model.backbone.use_checkpoint=[0,0,0,0] (with_cp=False elsewhere) turns it off'
        )


def _checkpoints(module: nn.Module) -> bool:
    counts = getattr(module, 'use_checkpoint', False)
    counts = any(counts) if isinstance(counts, (list, tuple)) else counts
    return bool(counts or getattr(module, 'with_cp', False))


def _process(now: Situation) -> Iterator[str]:
    if now.device.type != 'cpu':
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    if torch.get_num_threads() == 1 and cores != 1:
        yield f'one thread of {cores} cores: set OMP_NUM_THREADS={cores}'
    # glibc requests every large map from the system, unless told to keep what is freed.
    tunable = 'MALLOC_MMAP_THRESHOLD_'
    told = tunable in os.environ or 'malloc' in os.environ.get('LD_PRELOAD', '')
    small = now.peak is not None and now.peak < MMAP_THRESHOLD
    if platform.libc_ver()[0] == 'glibc' and not told and not small:
        yield (
            'maps of more than 32 MB are new memory every time: set '
            f'{tunable}=4294967296 MALLOC_TRIM_THRESHOLD_=4294967296 to keep it'
        )
