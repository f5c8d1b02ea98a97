"""Inference beside another busy process: how long threads wait actively decides what it costs.

    python benchmarks/busy.py [--arch t] [--size 224] [--rounds 11]

Each setting of PyTorch's OpenMP library (libgomp) is a process of its own. They run in turns, first
alone, then while a process with a single thread keeps one core busy. Fair sharing of two cores with
it would cost a factor of 1.5.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

LIBGOMP = "libgomp's default"
SETTINGS = {
    "mmoverlock's default": {},
    LIBGOMP: {},
    'OMP_WAIT_POLICY=PASSIVE': {'OMP_WAIT_POLICY': 'PASSIVE'},
    'GOMP_SPINCOUNT=10000': {'GOMP_SPINCOUNT': '10000'},
}


def worker(setting: str, arch: str, size: int) -> None:
    """For every line of the input, run the network once and print the seconds that it took."""
    if setting != LIBGOMP:
        import mmoverlock  # noqa: F401  which decides how threads wait, if torch is not there yet
    import torch

    from mmoverlock.analysis.benchmark.profiling import machine
    from mmoverlock.models import OverLoCK

    model, image = OverLoCK(arch, deploy=True).eval(), torch.randn(1, 3, size, size)
    with torch.no_grad():
        for _ in range(3):
            model(image)
        print(machine(), flush=True)
        for _ in sys.stdin:
            start = time.perf_counter()
            model(image)
            print(time.perf_counter() - start, flush=True)


def start(setting: str, args: argparse.Namespace) -> subprocess.Popen:
    """A worker with one of the SETTINGS; those of the environment are left out."""
    own = {'GOMP_SPINCOUNT', 'OMP_WAIT_POLICY'}
    environment = {name: value for name, value in os.environ.items() if name not in own}
    command = [sys.executable, __file__, '--worker', setting, '--arch', args.arch]
    command += ['--size', str(args.size)]
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return subprocess.Popen(command, env=environment | SETTINGS[setting], **pipes)


def seconds(workers: dict[str, subprocess.Popen], rounds: int) -> dict[str, float]:
    """The median of each worker's runs, which take turns."""
    times = {name: [] for name in workers}
    for _ in range(rounds):
        for name, one in workers.items():
            one.stdin.write('run\n')
            one.stdin.flush()
            times[name].append(float(one.stdout.readline()))
    return {name: statistics.median(runs) for name, runs in times.items()}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--arch', default='t')
    parser.add_argument('--size', type=int, default=224, help='height and width of the image')
    parser.add_argument('--rounds', type=int, default=11, help='timed runs of each setting')
    parser.add_argument('--worker', metavar='SETTING', help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.worker:
        worker(args.worker, args.arch, args.size)
        return
    workers = {name: start(name, args) for name in SETTINGS}
    try:
        (machine,) = {one.stdout.readline().strip() for one in workers.values()}
        print(f'OverLoCK-{args.arch.upper()} merged, batch 1, {args.size}×{args.size}\n{machine}')
        idle = seconds(workers, args.rounds)
        rival = subprocess.Popen([sys.executable, '-c', 'while True: pass'])
        try:
            busy = seconds(workers, args.rounds)
        finally:
            rival.kill()
    finally:
        for one in workers.values():
            one.kill()
    print(f'{"":<28}{"idle":>10}{"busy":>10}{"busy / idle":>14}')
    for name in workers:
        times = f'{1e3 * idle[name]:>7.0f} ms{1e3 * busy[name]:>7.0f} ms'
        print(f'{name:<28}{times}{busy[name] / idle[name]:>14.1f}')


if __name__ == '__main__':
    main()
