"""What Triton's compiler makes of our kernels, for GPUs that are not here.

    python benchmarks/triton_static.py                    # everything: two hours
    python benchmarks/triton_static.py --sample           # a minute
    python benchmarks/triton_static.py --targets sm_90 --dtypes bfloat16

Every kernel is compiled in all configurations of its autotuner, with the arguments that its
launcher gives it. The program ends with exit code 1 if a kernel does not compile, spills registers,
or takes more of them, or of shared memory, than the GPU has.

Columns: registers of a thread, bytes that spill, bytes of shared memory, and, for each pair of a
pixel and a tap of its window in the main loop, loads from global memory by bytes, multiply-adds
and instructions, and the matrix instructions of the loop; the share of the warps that fit on a
multiprocessor; the fewest cycles of a warp for a pair, and what takes them. The last two are
estimates from public figures: a load costs a cycle, as does every fourth instruction.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from unittest import mock

import torch
import triton.language as tl
from machine_code import DEVICES, Usage, usage
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.backends.driver import DriverBase
from triton.runtime.driver import driver

from mmoverlock import ops
from mmoverlock.models.overlock import arch

DTYPES = 'float32', 'float16', 'bfloat16'
SAMPLE = dict(targets=['sm_90'], dtypes=['bfloat16'])
# Channels of query and value in a group, small and large kernel: T's and B's two stages, XT's, S's.
CONTMIX = [(16, 5, 13), (16, 5, 7), (14, 5, 7), (10, 5, 13), (8, 5, 7)]
MAPS = [(50, 84), (32, 32)]  # the second has sides that are multiples of 16
DEPTHWISE = [(17, 1), (7, 1), (3, 5)]  # kernel, dilation
LARGE_KERNELS = [17, 13, 7]  # with the branches of the network


class Compiler(DriverBase):
    """Stands for a GPU: Triton asks it what to compile for, and never gets to launch."""

    def __init__(self, target: str):
        if target.startswith('gfx'):
            self.target = GPUTarget('hip', target, 64)
        else:
            self.target = GPUTarget('cuda', int(target.removeprefix('sm_')), 32)

    @classmethod
    def is_active(cls) -> bool:
        return True

    def map_python_to_cpp_type(self, ty: str) -> str:
        raise NotImplementedError('nothing is launched')

    def get_current_target(self) -> GPUTarget:
        return self.target

    def get_current_device(self) -> str:
        return str(self.target)  # a key of Triton's caches

    def get_current_stream(self, device: str) -> int:
        return 0

    def get_active_torch_device(self) -> torch.device:
        return torch.device('cpu')

    def get_benchmarker(self):
        raise NotImplementedError('nothing is launched')


@dataclass(frozen=True)
class Row:
    """One kernel in one configuration."""

    kernel: str
    form: str
    config: str
    dtype: str
    target: str
    registers: int
    spilled: int
    shared: int
    loads: dict[int, float]
    fma: float
    instructions: float
    matrix: int
    occupancy: float
    cycles: float
    bound: str

    def fault(self) -> str | None:
        """Why the kernel should not run there, or None."""
        device = DEVICES[self.target]
        if self.spilled:
            return f'{self.spilled} bytes of registers spill'
        if self.registers > device.registers or self.shared > device.shared:
            return f'{self.registers} registers, {self.shared} bytes of shared memory'
        return None


def row(kernel, config, constants: dict, dtype: str, target: str, found: Usage) -> Row:
    # What the main loop does for how many pairs: by its multiply-adds, all but a few of which are
    # those of the formula. Loops are unrolled, and tiles spread over threads, by powers of two.
    # By rows of the window, matrix instructions take the queries, and rows are padded.
    rows = config.kwargs.get('ROWS', False)
    fma = found.multiply_adds()
    formula = MULTIPLY_ADDS.get(kernel.base_fn.__name__, lambda q, v: 1)
    wanted = formula(0 if rows else constants.get('QUERY_PAD', 0), constants.get('VALUE_PAD', 0))
    pairs = 2.0 ** round(math.log2(max(fma, 1) / wanted))
    if rows:
        pairs *= constants['K'] / constants['K_PAD']
    instructions = sum(found.loop.values())
    loads = {width: n / pairs for width, n in found.loads().items()}
    costs = {
        'loads': sum(loads.values()),
        'multiply-adds': fma / pairs / DEVICES[target].fma,
        'instructions': instructions / pairs / 4,
    }
    bound = max(costs, key=costs.get)
    names = dict(K='K {}', TAPS='{} taps', BRANCHES='{} branches')
    form = next(text.format(constants[name]) for name, text in names.items() if name in constants)
    form += f', {constants["VALUE"]} channels' if 'VALUE' in constants else ''
    form += f', dilation {constants["DILATION"]}' if constants.get('DILATION', 1) > 1 else ''
    form += ', channels_last' if constants.get('LAST') else ''
    tile = ' '.join(f'{name} {size}' for name, size in config.kwargs.items())
    return Row(
        kernel.base_fn.__name__,
        form,
        f'{tile}, {config.num_warps} warps',
        dtype,
        target,
        found.registers,
        found.spilled,
        found.shared,
        loads,
        fma / pairs,
        instructions / pairs,
        found.count('HMMA|HGMMA|UTC.*MMA|v_mfma'),
        found.occupancy,
        costs[bound],
        bound,
    )


def contmix(module, dtype: torch.dtype, sample: bool) -> None:
    for channels, small, large in CONTMIX[:1] if sample else CONTMIX:
        for height, width in MAPS[:1] if sample else MAPS:
            maps, taps = (1, 2, channels, height, width), small**2 + large**2
            query, value = _zeros(dtype, *maps), _zeros(dtype, 1, 2, *maps[1:])
            shapes = (
                (1, 2, channels, taps),
                (taps,),
                *((2, 2 * k - 1, 2 * k - 1) for k in (small, large)),
            )
            rest = [_zeros(torch.float32, *shape) for shape in shapes]
            out, log_sum = module._forward(query, *rest, value)
            module._backward(out, query, *rest, value, out, log_sum)


def dynamic_conv2d(module, dtype: torch.dtype, sample: bool) -> None:
    for size, channels in ((13, 16),) if sample else ((13, 16), (7, 16)):
        kernels, value = _zeros(dtype, 1, 2, 50, 84, size**2), _zeros(dtype, 1, 2, 50, 84, channels)
        out = module._forward(kernels, value)
        module._backward(out, kernels, value)


def depthwise(module, dtype: torch.dtype, sample: bool) -> None:
    for size, dilation in DEPTHWISE[:1] if sample else DEPTHWISE:
        layouts = torch.channels_last, torch.contiguous_format
        for layout in layouts[:1] if sample else layouts:
            x = _zeros(dtype, 1, 64, 50, 84).to(memory_format=layout)
            weight = _zeros(dtype, 64, 1, size, size)
            out = module.forward(x, weight, None, dilation)
            module.backward(out, x, weight, dilation)


def dilated_branches(module, dtype: torch.dtype, sample: bool) -> None:
    for size in LARGE_KERNELS[:1] if sample else LARGE_KERNELS:
        branches = [(size, 1), *arch.DILATED_BRANCHES[size]]
        sizes, dilations = map(list, zip(*branches, strict=True))
        layouts = torch.channels_last, torch.contiguous_format
        for layout in layouts[:1] if sample else layouts:
            x = _zeros(dtype, 1, 64, 50, 84).to(memory_format=layout)
            weight = _zeros(torch.float32, 64, sum(k**2 for k in sizes))
            norms = [_zeros(torch.float32, len(sizes), 64) for _ in range(2)]
            settings = sizes, dilations, 1e-5, False
            out, *saved = module._forward(x, weight, *norms, *settings)
            module._backward(out, x, weight, *norms, *saved, *settings)


# For a pair of a pixel and a tap, with the padded channels of query and value.
MULTIPLY_ADDS = {
    'contmix_forward': lambda q, v: q + v,
    'contmix_grad_query': lambda q, v: 2 * q + v,
    'contmix_grad_keys': lambda q, v: 2 * q + v,
    'contmix_grad_value': lambda q, v: q + v,
    'conv_forward': lambda q, v: v,
    'conv_grad_kernels': lambda q, v: v,
    'conv_grad_value': lambda q, v: v,
}
OPERATORS = {run.__name__: run for run in (contmix, dynamic_conv2d, depthwise, dilated_branches)}


def _zeros(dtype: torch.dtype, *shape: int) -> Tensor:
    return torch.zeros(shape, dtype=dtype)


def rows(target: str, dtype: str, sample: bool) -> Iterator[Row]:
    """Compile everything for a target."""
    driver.set_active(Compiler(target))
    for file in sorted(Path(ops.__file__).parent.glob('*/triton_gpu.py')):
        name = file.parent.name
        module = importlib.import_module(f'mmoverlock.ops.{name}.triton_gpu')
        made: dict[str, tuple] = {}  # by the hash of what was compiled

        def launch(kernel, grid, *args, dtype: torch.dtype, wanted=made, **constants) -> None:
            if sample and constants.get('K') == CONTMIX[0][1]:
                return  # the small kernel is the large one with another K
            acc = getattr(tl, str(dtype).removeprefix('torch.'))
            compiled = kernel.warmup(*args, grid=(1,), ACC=acc, **constants)
            kernel.nargs = dict(zip(kernel.arg_names, args, strict=False))  # warmup forgets them
            for config, one in zip(kernel.prune_configs(constants), compiled, strict=True):
                wanted[one.hash] = kernel, config, constants, one

        with mock.patch.object(module, 'launch', launch):
            OPERATORS[name](module, getattr(torch, dtype), sample)
        for kernel, config, constants, one in made.values():
            yield row(kernel, config, constants, dtype, target, usage(one, target))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--targets', nargs='+', choices=DEVICES, help='by default all')
    parser.add_argument('--dtypes', nargs='+', choices=DTYPES, help='by default all')
    parser.add_argument('--sample', action='store_true', help='few shapes; one target and dtype')
    parser.add_argument('--out', type=Path, help='JSON file')
    args = parser.parse_args()
    usual = SAMPLE if args.sample else dict(targets=[*DEVICES], dtypes=DTYPES)
    targets, dtypes = args.targets or usual['targets'], args.dtypes or usual['dtypes']
    found, faults = [], []
    titles = [column.name for column in fields(Row)]
    print(f'| {" | ".join(titles)} |\n|{"---|" * len(titles)}')
    for target in targets:
        for dtype in dtypes:
            for one in rows(target, dtype, args.sample):
                found.append(one)
                print(f'| {" | ".join(map(_shown, asdict(one).values()))} |', flush=True)
                if one.fault():
                    place = f'{one.kernel}, {one.form}, {one.config}, {one.dtype}, {one.target}'
                    faults.append(f'{place}: {one.fault()}')
    if args.out:
        args.out.write_text(json.dumps([asdict(one) for one in found], indent=1), 'utf-8')
    print(f'\n{len(found)} kernels compiled')
    if faults:
        sys.exit('\n'.join(faults))


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ', '.join(f'{width}: {number:.3g}' for width, number in value.items())
    return f'{value:.3g}' if isinstance(value, float) else str(value)


if __name__ == '__main__':
    main()
