"""Training steps as GPUs have them: no waiting, graphs, mixed precision, several processes."""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn

from mmoverlock.models.overlock import get_arch

from .setting import Classifier, Rows, Setting, error_of, outcome


class Trainer:
    """XXT and an optimiser, whose steps can be repeated; in small, with a block of each kind."""

    def __init__(self, setting: Setting):
        torch.manual_seed(0)
        arch, batch, size = get_arch('xxt'), 8, 224
        if setting.tiny:
            arch = replace(arch, depth=(1, 1, 1, 1), sub_depth=(1, 1))
            batch, size = 2, 64
        self.model = Classifier(arch, 10).to(setting.device).train()
        self.images = torch.randn(batch, 3, size, size, device=setting.device)
        self.labels = torch.arange(batch, device=setting.device) % 10
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.01)
        self.setting = setting

    def loss(self, dtype: torch.dtype = torch.float32) -> Tensor:
        with self.setting.autocast(dtype):
            logits = self.model(self.images)
        main, aux = (F.cross_entropy(x.float(), self.labels) for x in logits)
        return main + 0.4 * aux

    def step(self) -> None:
        self.optimizer.zero_grad(set_to_none=False)
        self.loss().backward()
        self.optimizer.step()

    def gradients(self) -> list[Tensor]:
        return [p.grad.clone() for p in self.model.parameters() if p.grad is not None]


def training_step(setting: Setting) -> Rows:
    """Nothing waits for the GPU; CUDA graphs; the same bits again; mixed precision."""
    trainer = Trainer(setting)
    for _ in range(1 if setting.tiny else 3):
        trainer.step()  # kernels are compiled and chosen

    def without_waiting() -> None:
        mode = torch.cuda.set_sync_debug_mode if setting.cuda else lambda mode: None
        mode('error')
        try:
            trainer.step()
        finally:
            mode('default')

    yield outcome('no step waits for the GPU', without_waiting)
    yield outcome('a step in a CUDA graph has the same gradients', lambda: graphed(trainer))
    yield outcome('the same bits again, deterministic', lambda: deterministic(trainer))
    for dtype in (torch.bfloat16, torch.float16):
        what = f'training in {dtype} lowers the loss'
        yield outcome(what, lambda dtype=dtype: mixed_training(setting, dtype))


def graphed(trainer: Trainer) -> str | bool:
    def gradients() -> None:
        trainer.optimizer.zero_grad(set_to_none=False)
        trainer.loss().backward()

    gradients()
    wanted = trainer.gradients()
    if not trainer.setting.cuda:
        return 'no CUDA graphs on a CPU'
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            gradients()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        gradients()
    graph.replay()
    torch.cuda.synchronize()
    # What is zero but for rounding is measured against the largest gradient.
    floor = 1e-3 * max(x.abs().max().item() for x in wanted)
    pairs = zip(trainer.gradients(), wanted, strict=True)
    return max(error_of(*pair, floor) for pair in pairs) < 1e-2


def deterministic(trainer: Trainer) -> bool:
    torch.use_deterministic_algorithms(True)
    try:
        found = []
        for _ in range(2):
            trainer.optimizer.zero_grad(set_to_none=False)
            trainer.loss().backward()
            found.append(trainer.gradients())
        return all(map(torch.equal, *found))
    finally:
        torch.use_deterministic_algorithms(False)


def mixed_training(setting: Setting, dtype: torch.dtype) -> bool:
    trainer, losses = Trainer(setting), []
    scaler = torch.amp.GradScaler(setting.device, 2.0**10, enabled=dtype == torch.float16)
    for _ in range(3 if setting.tiny else 10):
        trainer.optimizer.zero_grad()
        loss = trainer.loss(dtype)
        scaler.scale(loss).backward()
        scaler.step(trainer.optimizer)
        scaler.update()
        losses.append(loss.item())
    return losses[-1] < losses[0] and all(map(math.isfinite, losses))


def processes(setting: Setting) -> Rows:
    """DistributedDataParallel with NCCL, SyncBatchNorm and unused parameters, in one process."""
    trainer = Trainer(setting)
    with tempfile.TemporaryDirectory() as folder:
        store = f'file://{folder}/store'
        kind = 'nccl' if setting.cuda else 'gloo'
        distributed.init_process_group(kind, store, rank=0, world_size=1)
        try:
            yield outcome('a training step', lambda: distributed_step(setting, trainer))
            yield outcome('synchronized statistics', lambda: synchronized_branches(setting))
        finally:
            distributed.destroy_process_group()


def distributed_step(setting: Setting, trainer: Trainer) -> bool:
    model = trainer.model
    model.unused = nn.Linear(2, 2).to(setting.device)
    if setting.cuda:  # PyTorch's SyncBatchNorm needs one
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    wrapped = nn.parallel.DistributedDataParallel(model, find_unused_parameters=True)
    trainer.model, losses = wrapped, []
    for _ in range(1 if setting.tiny else 5):
        trainer.step()
        losses.append(trainer.loss().item())
    return losses[-1] <= losses[0] and all(map(math.isfinite, losses))


def synchronized_branches(setting: Setting) -> bool:
    """The exchange of statistics, which our norms leave out where there is one process."""
    from mmoverlock.ops.dilated_branches.triton_gpu import dilated_branches

    x, *tensors = (
        torch.randn(shape, device=setting.device, requires_grad=True)
        for shape in ((2, 4, 6, 5), (4, 1, 3, 3), (4,), (4,))
    )
    found = []
    for synchronized in (False, True):
        weight, gamma, beta = tensors
        out, *_ = dilated_branches.with_statistics(
            x, [weight], [2], [gamma], [beta], 1e-5, synchronized
        )
        found.append([out, *torch.autograd.grad(out.square().sum(), [x, *tensors])])
    return max(map(error_of, *found)) < 1e-4
