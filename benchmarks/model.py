"""Whole networks, inference and training step: our backends against plain PyTorch.

    python benchmarks/model.py [--arch t] [--sizes 224,224,1 ...] [--train 224,224,4 ...]
    python benchmarks/model.py --ablate

`reference` is the network as its formulas say: ContMix column by column, PyTorch's convolutions,
the image's own memory layout. `reference + channels_last` is the same with image and weights in
channels_last, a switch that any user can flip. `ours` is the default of this package, and
`+ channels_last` the same with its weights in channels_last. `+ compile`, if --compile is given, is
that one in torch.compile with weights frozen; in training it is the network as it is (on a CPU it
compiles for minutes). timm's convnext_tiny and swin_tiny run for orientation, where they take the
size; their classifiers are left out.

--ablate compares both references with the network to which one operator is added (`+ NAME`, on
`reference + channels_last`), and from which one is removed (`- NAME`, from `ours`).
--skip-inference and --skip-training leave out one half.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from importlib.util import find_spec

import torch
from common import Bench, agree, parser
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mmoverlock.models import OverLoCK
from mmoverlock.ops import backend
from mmoverlock.ops.dispatch import OPERATORS

BASE = 'reference'
Run = Callable[[nn.Module, Tensor], object]
PEERS = ('convnext_tiny', 'swin_tiny_patch4_window7_224')


def flops(model: nn.Module, image: Tensor) -> float:
    """Of the formulas in the forward pass, counted by PyTorch: two for a multiply-add.

    A training step has three times as many: PyTorch overcounts depthwise backward passes.
    """
    with torch.no_grad(), backend('reference'), FlopCounterMode(display=False) as counter:
        model(image)
    return counter.get_total_flops()


def peers(bench: Bench, size: tuple[int, int]) -> dict[str, nn.Module]:
    if bench.args.ablate or find_spec('timm') is None:
        return {}
    import timm

    made = {}
    for name in PEERS:
        options = {'img_size': size} if name.startswith('swin') else {}
        made[name] = timm.create_model(name, num_classes=0, global_pool='', **options).to(
            bench.device
        )
    return made


def operators() -> dict[str, list[str]]:
    """What --ablate adds and removes: operators, each with its gradient's if that has its own."""
    names = [name for name in OPERATORS if not name.endswith('_backward')]
    names.remove('dynamic_conv2d')  # which no network calls
    return {name: [one for one in OPERATORS if one in (name, f'{name}_backward')] for name in names}


def rivals(model: nn.Module, image: Tensor, run: Run, ablate: bool) -> dict[str, Callable]:
    """Runs of the network with different backends, by name.

    Args:
        model: The network.
        image: Its input.
        run: Runs a network on an image.
        ablate: Add and remove single operators.
    """
    turned = deepcopy(model).to(memory_format=torch.channels_last)
    turned_image = image.contiguous(memory_format=torch.channels_last)

    def with_backend(
        network: nn.Module, image: Tensor, *names: str, **by_operator: str
    ) -> Callable:
        def rival() -> object:
            with backend(*names, **by_operator):
                return run(network, image)

        return rival

    made = {
        BASE: with_backend(model, image, 'reference'),
        f'{BASE} + channels_last': with_backend(turned, turned_image, 'reference'),
        'ours': with_backend(model, image, 'auto'),
    }
    if not ablate:
        made['+ channels_last'] = with_backend(turned, image, 'auto')
        return made
    for name, parts in operators().items():
        on, off = dict.fromkeys(parts, 'auto'), dict.fromkeys(parts, 'reference')
        made[f'+ {name}'] = with_backend(turned, turned_image, 'reference', **on)
        made[f'- {name}'] = with_backend(model, image, 'auto', **off)
    return made


def infer(bench: Bench, arch: str, height: int, width: int, batch: int) -> None:
    model = OverLoCK(arch, deploy=True).to(bench.device).eval()
    image = torch.randn(batch, 3, height, width, device=bench.device)

    def forward(network: nn.Module, image: Tensor = image) -> tuple[Tensor, ...]:
        with torch.no_grad(), bench.autocast():
            out = network(image)
        return out if isinstance(out, tuple) else (out,)

    runs = rivals(model, image, forward, bench.args.ablate)
    if bench.args.compile:
        torch._inductor.config.freezing = True  # as TORCHINDUCTOR_FREEZING=1 does
        turned = deepcopy(model).to(memory_format=torch.channels_last)
        compiled = torch.compile(turned, fullgraph=True)
        runs['+ compile'] = lambda: forward(compiled)
    agree(runs, BASE, bench.dtype)
    work = flops(model, image)
    for name, peer in peers(bench, (height, width)).items():
        peer.eval()
        runs[f'({name})'] = lambda peer=peer: forward(peer)
    title = f'OverLoCK-{arch.upper()} merged, inference, batch {batch}, {height}×{width}'
    bench.case(title, runs, BASE, work)


def train(bench: Bench, arch: str, height: int, width: int, batch: int) -> None:
    model = OverLoCK(arch).to(bench.device)
    image = torch.randn(batch, 3, height, width, device=bench.device)

    def step(network: nn.Module, image: Tensor = image) -> nn.Module:
        network.zero_grad()
        with bench.autocast():
            out = network(image)
        outs = out if isinstance(out, tuple) else (out,)
        sum(one.float().square().mean() for one in outs).backward()
        return network

    runs = rivals(model, image, step, bench.args.ablate)
    if bench.args.compile:
        compiled = torch.compile(model, fullgraph=True)
        runs['+ compile'] = lambda: step(compiled)
    agree({name: lambda run=run: gradients(run()) for name, run in runs.items()}, BASE, bench.dtype)
    work = 3 * flops(model, image)
    for name, peer in peers(bench, (height, width)).items():
        runs[f'({name})'] = lambda peer=peer: step(peer)
    title = f'OverLoCK-{arch.upper()}, training step, batch {batch}, {height}×{width}'
    bench.case(title, runs, BASE, work)


def gradients(model: nn.Module) -> list[Tensor]:
    """The norms of all gradients."""
    return [torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None])]


def main(argv: list[str] | None = None) -> None:
    options = parser(__doc__.splitlines()[0])
    options.add_argument('--arch', default='t')
    options.add_argument(
        '--sizes', nargs='*', default=['224,224,1', '512,512,1', '800,1344,1'], metavar='H,W,BATCH'
    )
    options.add_argument('--train', nargs='*', default=['224,224,4'], metavar='H,W,BATCH')
    options.add_argument('--skip-inference', action='store_true')
    options.add_argument('--skip-training', action='store_true')
    options.add_argument('--ablate', action='store_true', help='add and remove single operators')
    options.add_argument('--compile', action='store_true', help='torch.compile as a rival')
    args = options.parse_args(argv)
    torch.manual_seed(0)
    bench = Bench(f'model OverLoCK-{args.arch.upper()}', args)
    sizes = {infer: () if args.skip_inference else args.sizes}
    sizes[train] = () if args.skip_training else args.train
    for run, of_run in sizes.items():
        for size in of_run:
            run(bench, args.arch, *map(int, size.split(',')))
    bench.finish()


if __name__ == '__main__':
    main()
