"""What makes a run slower than it need be, and how to leave it."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
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


def unfolded_contmix(now: Situation) -> str | None:
    if 'reference' not in now.explanation.backends('contmix'):
        return None
    able = available_backends(now.device)
    if able[0] != 'reference':
        return f'ContMix unfolds its maps: unset MMOVERLOCK_BACKEND to run {able[0]}'
    package = 'numba' if now.device.type == 'cpu' else 'triton'
    (reason,) = now.explanation.reasons('contmix', package)
    return f'ContMix unfolds its maps: {reason}'


def layer_by_layer(now: Situation) -> str | None:
    for operator in ('dilated_branches', 'conv_mlp'):
        for reason in sorted(now.explanation.reasons(operator, 'numba')):
            expected = any(text in reason for text in EXPECTED)
            asked = reason.endswith('asked for')  # the line on ContMix says how to change that
            if 'reference' in now.explanation.backends(operator) and not (expected or asked):
                return f'{operator} runs layer by layer: {reason}'
    return None


def unmerged_branches(now: Situation) -> str | None:
    modules = (m for m in now.model.modules() if isinstance(m, DilatedReparam))
    if now.train or all(module.deploy for module in modules):
        return None
    return 'the large-kernel branches are not merged (merge=False)'


def full_precision(now: Situation) -> str | None:
    exact = torch.get_float32_matmul_precision() == 'highest'
    if now.device.type != 'cuda' or now.half or not exact:
        return None
    return (
        "float32 without tensor cores: use amp='bfloat16', or set "
        'TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=1 for TF32'
    )


def gradient_checkpointing(now: Situation) -> str | None:
    def active(module: nn.Module) -> bool:
        counts = getattr(module, 'use_checkpoint', False)
        counts = any(counts) if isinstance(counts, (list, tuple)) else counts
        return bool(counts or getattr(module, 'with_cp', False))

    if not now.train or not any(active(module) for module in now.model.modules()):
        return None
    return (
        'gradient checkpointing runs blocks twice to save memory: '
        'model.backbone.use_checkpoint=[0,0,0,0] (with_cp=False elsewhere) turns it off'
    )


def one_thread(now: Situation) -> str | None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    if now.device.type != 'cpu' or torch.get_num_threads() > 1 or cores == 1:
        return None
    return f'one thread of {cores} cores: set OMP_NUM_THREADS={cores}'


def mapped_memory(now: Situation) -> str | None:
    """glibc takes every large map from the system anew, unless told to keep what is freed."""
    tunable = 'MALLOC_MMAP_THRESHOLD_'
    if now.device.type != 'cpu' or platform.libc_ver()[0] != 'glibc' or tunable in os.environ:
        return None
    small = now.peak is not None and now.peak < MMAP_THRESHOLD
    if small or 'malloc' in os.environ.get('LD_PRELOAD', ''):
        return None
    return (
        'maps of more than 32 MB are new memory every time: set '
        f'{tunable}=4294967296 MALLOC_TRIM_THRESHOLD_=4294967296 to keep it'
    )


CHECKS: tuple[Callable[[Situation], str | None], ...] = (
    unfolded_contmix,
    layer_by_layer,
    unmerged_branches,
    full_precision,
    gradient_checkpointing,
    one_thread,
    mapped_memory,
)


def slow_paths(now: Situation) -> list[str]:
    """What is slow in this situation, one line each, with the way to leave it."""
    return [message for check in CHECKS if (message := check(now))]
