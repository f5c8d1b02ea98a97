"""What the benchmarks share: rivals checked, then timed in turns, and the table, JSON and plot.

The roofline of a case is the time that its floating-point operations or the bytes of its inputs and
outputs take at the speeds that this machine reaches in a matrix product and in a copy.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path

import torch
import torch.nn.functional as F
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from mmoverlock.analysis.benchmark.profiling import in_turns, machine, peak_memory

TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 5e-2}


@dataclass(frozen=True)
class Row:
    """One rival in one case."""

    case: str
    rival: str
    median_ms: float
    min_ms: float
    max_ms: float
    speed_up: float  # over the case's base
    peak_mb: float | None
    roofline: float | None  # fraction of the roofline's speed


def parser(description: str) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    result = argparse.ArgumentParser(description=description)
    result.add_argument('--rounds', type=int, default=5, help='timed runs of each rival')
    result.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    result.add_argument('--dtype', default='float32', choices=('float32', 'float16', 'bfloat16'))
    result.add_argument('--out', type=Path, help='folder for the JSON file and the plot')
    return result


def agree(rivals: dict[str, Callable[[], Iterable[Tensor]]], base: str, dtype: torch.dtype) -> None:
    """Stop the program if a rival's tensors are not those of `base`."""
    expected = [tensor.detach().clone() for tensor in rivals[base]()]
    for name, run in rivals.items():
        for a, b in zip(run(), expected, strict=True):
            if not (a - b).abs().max() <= TOLERANCE[dtype] * b.abs().max():
                raise SystemExit(f'{name} does not agree with {base}: not timed')


class Bench:
    """Measures cases on one device and keeps their rows.

    Args:
        title: Printed first, with the machine.
        args: Of :func:`parser`.
    """

    def __init__(self, title: str, args: argparse.Namespace):
        self.title, self.args, self.rows = title, args, []
        self.device, self.dtype = torch.device(args.device), getattr(torch, args.dtype)
        self.machine = machine(self.device)
        print(f'{title}, {args.dtype}\n{self.machine}')
        self.flops, self.bandwidth = self._speeds()

    def autocast(self) -> torch.autocast:
        """Mixed precision, if a half precision was asked for."""
        enabled = self.dtype != torch.float32
        return torch.autocast(self.device.type, self.dtype if enabled else None, enabled)

    def _seconds(self, run: Callable[[], object]) -> float:
        return min(in_turns({'': self._synchronized(run)}, 5)[''])

    def _synchronized(self, run: Callable[[], object]) -> Callable[[], None]:
        def synchronized() -> None:
            run()
            if self.device.type == 'cuda':
                torch.cuda.synchronize()

        return synchronized

    def _speeds(self) -> tuple[float, float]:
        """FLOP/s of a matrix product, bytes/s of a copy (read and written); both are printed.

        The product is PyTorch's or a 1×1 convolution, whichever is faster: on the CPU, the
        convolution is another library's.
        """
        n = 2048 if self.device.type == 'cpu' else 8192
        a = torch.randn(n, n, device=self.device, dtype=self.dtype)
        b, weight = torch.empty_like(a), a[: n // 2, : n // 2, None, None]
        image = a.view(1, 2 * n, 1, n // 2).permute(0, 3, 1, 2)
        product = 2 * n**3 / self._seconds(lambda: torch.mm(a, a, out=b))
        convolution = n**3 / self._seconds(lambda: F.conv2d(image, weight))
        big = torch.randn(1 << 25, device=self.device)
        to = torch.empty_like(big)
        bandwidth = 2 * big.nbytes / self._seconds(lambda: to.copy_(big))
        print(
            f'matrix product {product / 1e9:.0f} GFLOP/s, 1×1 convolution '
            f'{convolution / 1e9:.0f} GFLOP/s, copy {bandwidth / 1e9:.0f} GB/s'
        )
        return max(product, convolution), bandwidth

    def case(
        self,
        name: str,
        rivals: dict[str, Callable[[], object]],
        base: str,
        flops: float | None = None,
        nbytes: float = 0,
        peaks: dict[str, int] | None = None,
    ) -> None:
        """Time the rivals in turns, measure their peak memory, and print the table.

        Args:
            name: Of the case.
            rivals: What to run, by name.
            base: The rival that the others are compared with.
            flops: Floating-point operations of a run, two for a multiply-add.
            nbytes: Bytes that a run cannot but read or write.
            peaks: Peak memory of each rival, in bytes, if it was measured elsewhere.
        """
        rivals = {key: self._synchronized(run) for key, run in rivals.items()}
        seconds = in_turns(rivals, self.args.rounds)
        reference = statistics.median(seconds[base])
        print(f'\n{name}')
        heads = f'{"median ms":>11}{"min-max ms":>20}{"speed-up":>10}{"peak MB":>10}{"roof":>7}'
        print(f'{"":<28}{heads}')
        for rival, times in seconds.items():
            median = statistics.median(times)
            peak = peaks[rival] if peaks else peak_memory(rivals[rival], self.device)
            roof = flops and max(flops / self.flops, nbytes / self.bandwidth) / median
            row = Row(
                name,
                rival,
                1e3 * median,
                1e3 * min(times),
                1e3 * max(times),
                reference / median,
                peak and peak / 1e6,
                roof,
            )
            self.rows.append(row)
            spread = f'{row.min_ms:.1f}-{row.max_ms:.1f}'
            memory = '' if row.peak_mb is None else f'{row.peak_mb:.0f}'
            share = '' if roof is None else f'{roof:.0%}'
            print(
                f'{rival:<28}{row.median_ms:>11.1f}{spread:>20}{row.speed_up:>9.1f}x'
                f'{memory:>10}{share:>7}'
            )

    def finish(self) -> None:
        """Write NAME.json and NAME.png into --out, if it was given."""
        if self.args.out is None:
            return
        self.args.out.mkdir(parents=True, exist_ok=True)
        file = self.args.out / f'{self.title.split()[0]}.json'
        facts = {'title': self.title, 'machine': self.machine, 'dtype': self.args.dtype}
        facts |= {'gflops': self.flops / 1e9, 'gb_per_s': self.bandwidth / 1e9}
        rows = [asdict(row) for row in self.rows]
        file.write_text(json.dumps(facts | {'rows': rows}, indent=2) + '\n')
        draw(self.rows, f'{self.title}\n{self.machine}', file.with_suffix('.png'))


def draw(rows: list[Row], title: str, file: Path) -> None:
    """Bars of the median times, one group for each case, on a logarithmic scale."""
    cases = list(dict.fromkeys(row.case for row in rows))
    rivals = list(dict.fromkeys(row.rival for row in rows))
    size = 9, 1.2 + 0.28 * (len(rows) + len(cases))
    figure = Figure(figsize=size, layout='constrained')
    axes = figure.subplots()
    palette = colormaps['tab10' if len(rivals) <= 10 else 'tab20'].colors
    colours = dict(zip(rivals, cycle(palette), strict=False))
    at, ticks = 0, []
    for case in cases:
        group = [row for row in rows if row.case == case]
        ticks.append(at + (len(group) - 1) / 2)
        for row in group:
            axes.barh(at, row.median_ms, color=colours[row.rival])
            axes.text(
                row.median_ms,
                at,
                f' {row.median_ms:,.{0 if row.median_ms >= 100 else 1}f} ms',
                va='center',
                fontsize=8,
            )
            at += 1
        at += 1
    axes.set_yticks(ticks, cases, fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale('log')
    axes.set_xlim(right=axes.get_xlim()[1] * 2)
    axes.set_xlabel('median time in ms (less is better)')
    axes.set_title(title, fontsize=9)
    handles = [Patch(color=colours[rival], label=rival) for rival in rivals]
    axes.legend(handles=handles, fontsize=8)
    figure.savefig(file, dpi=120)
