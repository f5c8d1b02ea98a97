"""Choice by measurement: the fastest of several backends, timed once per kind of input.

As with cuDNN's benchmark mode, two processes may choose differently and then differ in the last
bits. Under ``torch.use_deterministic_algorithms(True)`` nothing is measured: the first candidate is
taken.
"""

import math
import time
from collections.abc import Callable, Hashable

import torch

ROUNDS = 2  # at least; in each, every candidate is timed once
BUDGET = 0.01  # seconds to fill with further rounds: short runs are disturbed more

_chosen: dict[Hashable, str] = {}


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    run()
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def fastest(
    kind: Hashable, candidates: dict[str, Callable[[], object]], device: torch.device
) -> str:
    """The name of the fastest candidate for inputs of this kind; measures it the first time."""
    if len(candidates) == 1 or torch.are_deterministic_algorithms_enabled():
        return next(iter(candidates))
    if kind in _chosen:
        return _chosen[kind]
    if device.type == 'cuda' and torch.cuda.is_current_stream_capturing():
        return next(iter(candidates))
    for run in candidates.values():
        run()  # compiles
    shortest = dict.fromkeys(candidates, math.inf)
    start, rounds = time.perf_counter(), 0
    while rounds < ROUNDS or time.perf_counter() - start < BUDGET:
        for name, run in candidates.items():
            shortest[name] = min(shortest[name], _seconds(run, device))
        rounds += 1
    _chosen[kind] = min(shortest, key=shortest.get)
    return _chosen[kind]


def remembered(kind: Hashable) -> str | None:
    """The choice for inputs of this kind, if it was measured and may be used."""
    return None if torch.are_deterministic_algorithms_enabled() else _chosen.get(kind)


def choices() -> dict[Hashable, str]:
    """What was measured to be fastest so far, by kind of input."""
    return dict(_chosen)


def clear() -> None:
    """Forget all choices, so that they are measured again."""
    _chosen.clear()
