"""Time, peak memory, and which part of a model spends them."""

import bisect
import contextlib
import ctypes
import gc
import platform
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

OTHER = 'other'
# Methods by which a part of a model in mmdet, mmseg or mmpretrain is entered, and an optimizer.
ENTRANCES = (
    'forward', 'loss', 'predict', 'loss_and_predict', 'loss_and_target', 'loss_by_feat',
    'predict_by_feat', 'step', 'zero_grad',
)  # fmt: skip


def in_turns(rivals: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
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


def peak_memory(run: Callable[[], Any], device: torch.device | str = 'cpu') -> int | None:
    """Most bytes held while `run` runs; None if this system does not tell.

    On a GPU, what PyTorch has allocated, weights included. On the CPU, the rise of resident memory
    above what it was before.
    """
    if torch.device(device).type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
        run()
        return torch.cuda.max_memory_allocated(device)
    # Give free memory back to the system: what earlier runs left would hide this one's.
    gc.collect()
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)  # glibc's
    if trim is not None:
        trim(0)
    try:
        Path('/proc/self/clear_refs').write_text(
            '5', encoding='ascii'
        )  # the peak is now what the process holds
    except OSError:  # not Linux
        return None
    before = _peak_resident()
    run()
    return _peak_resident() - before


def _peak_resident() -> int:
    (line,) = re.findall(r'^VmHWM:\s+(\d+) kB', Path('/proc/self/status').read_text('utf-8'), re.M)
    return int(line) * 1024


def processor(device: torch.device | str = 'cpu') -> str:
    """The name of the GPU or CPU, and how many threads PyTorch uses."""
    info = Path('/proc/cpuinfo')
    names = (
        re.findall(r'^model name\s*: (.+)', info.read_text('utf-8'), re.M) if info.exists() else []
    )
    name = names[0] if names else platform.processor() or platform.machine()
    if torch.device(device).type == 'cuda':
        name = torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f'{name}, {threads} thread{"s" if threads > 1 else ""}'


def machine(device: torch.device | str = 'cpu') -> str:
    """One line about where the figures come from."""
    return (
        f'{processor(device)}, torch {torch.__version__}, '
        f'Python {platform.python_version()}, {time.strftime("%Y-%m-%d")}'
    )


class Meter:
    """Divides what a running counter, read by `read`, counts: each part has what it took."""

    def __init__(self, read: Callable[[], float]):
        self.read = read
        self.amounts: dict[str | None, float] = defaultdict(float)
        self.part: str | None = None
        self.last = read()
        # PyTorch numbers the autograd nodes as it makes them: the number at which a part began.
        self.starts: list[tuple[int, str | None]] = [(0, OTHER)]

    def switch(self, part: str | None) -> str | None:
        """Count for `part` from now on; returns the part it counted for."""
        previous = self.part
        if part != previous:
            now = self.read()
            self.amounts[previous] += now - self.last
            self.part, self.last = part, now
            self.starts.append((torch.autograd._get_sequence_nr(), part))
        return previous

    @contextlib.contextmanager
    def counting(self, part: str) -> Iterator[None]:
        """Count for `part` while it lasts; as a decorator, during each call."""
        outer = self.switch(part)
        try:
            yield
        finally:
            self.switch(outer)

    def watch_backward(self, loss: Tensor, prefix: str) -> None:
        """Have the backward pass of `loss` count for `prefix` and the part that made the node."""
        numbers = [number for number, _ in self.starts]
        todo, seen = [loss.grad_fn], set()
        while todo:
            node = todo.pop()
            if node is None or node in seen or node.name().endswith('AccumulateGrad'):
                continue
            seen.add(node)
            _, part = self.starts[bisect.bisect_right(numbers, node._sequence_nr()) - 1]
            node.register_prehook(lambda _, name=f'{prefix}{part}': self.switch(name) and None)
            todo += [child for child, _ in node.next_functions]


@contextlib.contextmanager
def attributed(meter: Meter, parts: Mapping[str, Any]) -> Iterator[None]:
    """While it lasts, what a part's methods do counts for its name, the innermost one's.

    What is done outside of all counts for `OTHER`.
    """
    with contextlib.ExitStack() as stack:
        for part, one in parts.items():
            for name in ENTRANCES:
                if hasattr(one, name):
                    setattr(one, name, meter.counting(part)(getattr(one, name)))
                    stack.callback(delattr, one, name)
        with meter.counting(OTHER):
            yield
