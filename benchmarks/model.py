"""Whole networks, inference and training step: our backends against plain PyTorch.

    python benchmarks/model.py [--arch t] [--sizes 224,224,1 ...] [--train 224,224,4 ...]

`reference` is the network as its formulas say: ContMix unfolded, PyTorch's convolutions, the
image's own memory layout. In inference, `+ channels_last` is the network whose weights were turned
by ``model.to(memory_format=torch.channels_last)``. `+ compile`, if --compile is given, is that one
in torch.compile with weights frozen; in training it is the network as it is (on a CPU it compiles
for minutes). timm's convnext_tiny and swin_tiny run for orientation, where they take the size;
their classifiers are left out.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from copy import deepcopy
from importlib.util import find_spec

import torch
from common import Bench, agree, parser
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mmoverlock.models import OverLoCK
from mmoverlock.ops import available_backends

PEERS = ('convnext_tiny', 'swin_tiny_patch4_window7_224')


def with_backend(name: str, run: Callable[[], object]) -> object:
    os.environ['MMOVERLOCK_BACKEND'] = name
    try:
        return run()
    finally:
        del os.environ['MMOVERLOCK_BACKEND']


def flops(model: nn.Module, image: Tensor) -> float:
    """Of the formulas in the forward pass, counted by PyTorch: two for a multiply-add.

    A training step has three times as many: PyTorch overcounts depthwise backward passes.
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        with_backend('reference', lambda: model(image))
    return counter.get_total_flops()


def peers(size: tuple[int, int], device: torch.device) -> dict[str, nn.Module]:
    if find_spec('timm') is None:
        return {}
    import timm

    made = {}
    for name in PEERS:
        options = {'img_size': size} if name.startswith('swin') else {}
        made[name] = timm.create_model(name, num_classes=0, global_pool='', **options).to(device)
    return made


def infer(bench: Bench, arch: str, height: int, width: int, batch: int) -> None:
    model = OverLoCK(arch, deploy=True).to(bench.device).eval()
    image = torch.randn(batch, 3, height, width, device=bench.device)

    def forward(network: nn.Module) -> tuple[Tensor, ...]:
        with torch.no_grad(), bench.autocast():
            out = network(image)
        return out if isinstance(out, tuple) else (out,)

    names = available_backends(bench.device)
    rivals = {name: lambda name=name: with_backend(name, lambda: forward(model)) for name in names}
    turned = deepcopy(model).to(memory_format=torch.channels_last)
    rivals['+ channels_last'] = lambda: forward(turned)
    if bench.args.compile:
        torch._inductor.config.freezing = True  # as TORCHINDUCTOR_FREEZING=1 does
        compiled = torch.compile(turned, fullgraph=True)
        rivals['+ compile'] = lambda: forward(compiled)
    agree(rivals, 'reference', bench.dtype)
    work = flops(model, image)
    for name, peer in peers((height, width), bench.device).items():
        peer.eval()
        rivals[f'({name})'] = lambda peer=peer: forward(peer)
    title = f'OverLoCK-{arch.upper()} merged, inference, batch {batch}, {height}×{width}'
    bench.case(title, rivals, 'reference', work)


def train(bench: Bench, arch: str, height: int, width: int, batch: int) -> None:
    model = OverLoCK(arch).to(bench.device)
    image = torch.randn(batch, 3, height, width, device=bench.device)
    parameters = list(model.parameters())

    def step(network: nn.Module) -> None:
        network.zero_grad()
        with bench.autocast():
            out = network(image)
        outs = out if isinstance(out, tuple) else (out,)
        sum(one.float().square().mean() for one in outs).backward()

    def gradients(run: Callable[[], None]) -> list[Tensor]:
        run()
        return [torch.stack([p.grad.norm() for p in parameters if p.grad is not None])]

    names = available_backends(bench.device)
    rivals = {name: lambda name=name: with_backend(name, lambda: step(model)) for name in names}
    if bench.args.compile:
        compiled = torch.compile(model, fullgraph=True)
        rivals['+ compile'] = lambda: step(compiled)
    checked = {name: lambda run=run: gradients(run) for name, run in rivals.items()}
    agree(checked, 'reference', bench.dtype)
    work = 3 * flops(model, image)
    for name, peer in peers((height, width), bench.device).items():
        rivals[f'({name})'] = lambda peer=peer: step(peer)
    title = f'OverLoCK-{arch.upper()}, training step, batch {batch}, {height}×{width}'
    bench.case(title, rivals, 'reference', work)


def main(argv: list[str] | None = None) -> None:
    options = parser(__doc__.splitlines()[0])
    options.add_argument('--arch', default='t')
    options.add_argument(
        '--sizes', nargs='*', default=['224,224,1', '512,512,1', '800,1344,1'], metavar='H,W,BATCH'
    )
    options.add_argument('--train', nargs='*', default=['224,224,4'], metavar='H,W,BATCH')
    options.add_argument('--compile', action='store_true', help='torch.compile as a rival')
    args = options.parse_args(argv)
    torch.manual_seed(0)
    bench = Bench(f'model OverLoCK-{args.arch.upper()}', args)
    for run, sizes in ((infer, args.sizes), (train, args.train)):
        for size in sizes:
            run(bench, args.arch, *map(int, size.split(',')))
    bench.finish()


if __name__ == '__main__':
    main()
