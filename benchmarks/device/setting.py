"""What the steps of device_check.py share."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace

import torch
from mmengine.logging import MMLogger
from torch import Tensor, nn

from mmoverlock import ops
from mmoverlock.models import OverLoCK, OverLoCKHead
from mmoverlock.models.overlock.arch import Arch

Rows = Iterator[dict]


class Skip(Exception):
    """A step cannot run here; the message names what is missing."""


@dataclass(frozen=True)
class Setting:
    """Where the steps run. `tiny` only shows that they do: small, in Triton's interpreter."""

    device: str
    tiny: bool = False

    @property
    def cuda(self) -> bool:
        return torch.device(self.device).type == 'cuda'

    def prepare(self) -> None:
        """Quiet libraries; and an interpreter that does not check every sum for overflow."""
        MMLogger.get_current_instance().setLevel('ERROR')
        if self.tiny:
            from triton.runtime.interpreter import interpreter_builder as builder

            builder.options = replace(builder.options, sanitize_overflow=False)

    def check_context(self) -> None:
        """End the process if a fault has broken the GPU's context: nothing would run in it."""
        if self.cuda:
            try:
                torch.cuda.synchronize()
            except RuntimeError as error:
                print(f'the context is broken: {error}', file=sys.stderr, flush=True)
                os._exit(4)

    @property
    def precisions(self) -> dict[str, float]:
        """Names, and the largest error of a result, relative to its largest magnitude."""
        limits = {'float32': 1e-4, 'tf32': 5e-3, 'float16': 8e-3, 'bfloat16': 6e-2}
        return {name: limits[name] for name in ('float32', 'bfloat16')} if self.tiny else limits

    def ours(self) -> AbstractContextManager:
        """Our kernels: on a GPU they are the default, in the interpreter they must be asked for."""
        return nullcontext() if self.cuda else ops.backend('triton')

    def autocast(self, dtype: torch.dtype) -> AbstractContextManager:
        """Mixed precision, if this is a half precision."""
        half = dtype != torch.float32
        return torch.autocast(self.device, dtype) if half else nullcontext()


@contextmanager
def precision(name: str) -> Iterator[torch.dtype]:
    """TF32 on or off; the dtype of maps."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    saved = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = name == 'tf32'
    try:
        yield torch.float32 if name == 'tf32' else getattr(torch, name)
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = saved


def error_of(actual: Tensor, expected: Tensor, floor: float = 1e-9) -> float:
    """The largest error, relative to the largest magnitude or `floor`; infinite for a NaN."""
    actual, expected = (torch.as_tensor(x).detach().double().cpu() for x in (actual, expected))
    error = ((actual - expected).abs().max() / expected.abs().max().clamp(min=floor)).item()
    return math.inf if math.isnan(error) else error


def checked(error: float, limit: float) -> dict:
    return dict(error=error, limit=limit, ok=error <= limit)


def outcome(what: str, run: Callable[[], object]) -> dict:
    """A row that says whether something runs, and what it says if not."""
    try:
        found = run()
    except Exception as error:
        return dict(check=what, found=f'{type(error).__name__}: {error}'.splitlines()[0], ok=False)
    good = found is None or found is True or isinstance(found, str)
    return dict(check=what, found='' if found is None else found, ok=good)


class Classifier(nn.Module):
    """Backbone and head; (logits, auxiliary logits or, in evaluation, None)."""

    def __init__(self, arch: str | Arch, classes: int):
        super().__init__()
        self.backbone = OverLoCK(arch)
        self.head = OverLoCKHead(classes, arch)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        features = self.backbone(image)
        return self.head(features), self.head.forward_aux(features) if self.training else None
