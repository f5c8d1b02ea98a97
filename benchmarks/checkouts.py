"""Two commits: what this checkout's network takes, relative to another one's.

    git worktree add --detach /tmp/before COMMIT
    python benchmarks/checkouts.py /tmp/before [--size 224,224,1] [--rounds 24] [--starts 8]
    python benchmarks/checkouts.py /tmp/before --train --size 224,224,4

Each checkout is a process of its own; the two run in turns. A process keeps what it found fastest
and where its memory lies, which changes its time by a few percent: so both are started anew several
times, and take turns in being the first.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from busy import seconds

HERE = Path(__file__).resolve().parents[1]


def sizes(text: str) -> tuple[int, int, int]:
    """Height, width and number of images."""
    height, width, batch = map(int, text.split(','))
    return height, width, batch


def worker(args: argparse.Namespace) -> None:
    """For every line of the input, run the network twice and print the seconds that it took."""
    import torch

    from mmoverlock.models import OverLoCK

    torch.manual_seed(0)
    model = OverLoCK(args.arch, deploy=not args.train).train(args.train)
    height, width, batch = args.size
    image = torch.randn(batch, 3, height, width)

    def run() -> None:
        model.zero_grad()
        maps = model(image)
        if args.train:
            sum(one.square().mean() for one in maps).backward()

    with torch.inference_mode(not args.train):
        for _ in range(4):
            run()
        print('ready', flush=True)
        for _ in sys.stdin:
            start = time.perf_counter()
            run(), run()
            print((time.perf_counter() - start) / 2, flush=True)


def start(checkout: Path, args: argparse.Namespace) -> subprocess.Popen:
    """A worker that has run the network: not while another one measures what is fastest."""
    command = [sys.executable, __file__, str(checkout), '--worker', '--arch', args.arch]
    command += ['--size', ','.join(map(str, args.size)), *['--train'] * args.train]
    environment = os.environ | dict(PYTHONPATH=str(checkout))
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process = subprocess.Popen(command, env=environment, cwd=checkout, **pipes)
    if process.stdout.readline().strip() != 'ready':
        raise SystemExit(f"error: the network of '{checkout}' does not run")
    return process


def compare(checkouts: dict[str, Path], args: argparse.Namespace) -> dict[str, float]:
    """Median seconds of each checkout; the processes are started in this order."""
    workers: dict[str, subprocess.Popen] = {}
    try:
        for name, checkout in checkouts.items():
            workers[name] = start(checkout, args)
        return seconds(workers, args.rounds)
    finally:
        for process in workers.values():
            process.kill()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('other', type=Path, help='a checkout of another commit')
    parser.add_argument('--arch', default='t')
    parser.add_argument('--size', type=sizes, default='224,224,1', metavar='H,W,BATCH')
    parser.add_argument('--train', action='store_true', help='a training step, not inference')
    parser.add_argument('--rounds', type=int, default=24, help='timed runs after each start')
    parser.add_argument('--starts', type=int, default=8, help='of both processes')
    parser.add_argument('--worker', action='store_true', help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    other = args.other.resolve()
    if args.worker:
        worker(args)
        return
    if not (other / 'mmoverlock').is_dir():
        parser.error(f"'{args.other}' is no checkout of mmoverlock")
    checkouts, ratios = dict(before=other, now=HERE), []
    for _ in range(args.starts):
        times = compare(checkouts, args)
        before, now = times['before'], times['now']
        ratios.append(now / before)
        print(f'{1e3 * before:.1f} → {1e3 * now:.1f} ms: {ratios[-1]:.3f}', flush=True)
        checkouts = dict(reversed(checkouts.items()))
    print(f'median {statistics.median(ratios):.3f}, {min(ratios):.3f} to {max(ratios):.3f}')


if __name__ == '__main__':
    main()
