"""Times rivals in turns, so that a busy machine slows all alike, and measures their peak memory."""

from __future__ import annotations

import platform
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch

Run = Callable[[], object]


def in_turns(rivals: dict[str, Run], rounds: int) -> dict[str, list[float]]:
    """Seconds of `rounds` runs of each rival, after one run that does not count."""
    for run in rivals.values():
        run()
    seconds = {name: [] for name in rivals}
    for _ in range(rounds):
        for name, run in rivals.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def resident_bytes() -> int:
    """Memory that this process holds (Linux)."""
    return int(Path('/proc/self/statm').read_text().split()[1]) * 4096


def peak_memory(run: Run) -> int:
    """Bytes by which resident memory rises while `run` runs, looked at every half millisecond."""
    highest, done = 0, threading.Event()

    def watch() -> None:
        nonlocal highest
        while not done.is_set():
            highest = max(highest, resident_bytes())
            time.sleep(0.0005)

    before = resident_bytes()
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        run()
    finally:
        done.set()
        watcher.join()
    return max(highest - before, 0)


def report(seconds: dict[str, list[float]], memory: dict[str, int], base: str) -> None:
    """Print medians, spread, the ratio to `base`, and peak memory."""
    print(f'{"":<24}{"median ms":>11}{"min-max ms":>20}{"speed-up":>10}{"peak MB":>10}')
    reference = statistics.median(seconds[base])
    for name, times in seconds.items():
        median = statistics.median(times)
        spread = f'{1e3 * min(times):.1f}-{1e3 * max(times):.1f}'
        peak = f'{memory[name] / 1e6:.0f}' if name in memory else ''
        print(f'{name:<24}{1e3 * median:>11.1f}{spread:>20}{reference / median:>9.1f}x{peak:>10}')


def machine() -> str:
    """One line about where the figures come from."""
    cpu = platform.processor() or platform.machine()
    info = Path('/proc/cpuinfo')
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith('model name')]
        cpu = names[0].partition(': ')[2] if names else cpu
    return (
        f'{cpu}, {torch.get_num_threads()} threads, torch {torch.__version__}, '
        f'Python {platform.python_version()}, {time.strftime("%Y-%m-%d")}'
    )
