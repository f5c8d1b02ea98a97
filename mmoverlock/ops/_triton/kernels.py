"""Tuning, and functions that several Triton kernels call."""

from collections.abc import Callable, Mapping
from inspect import signature
from types import MappingProxyType

import triton
import triton.language as tl
from triton.runtime.driver import driver


@triton.jit
def window_start(i, j, height, width, K: tl.constexpr):
    """Where the window of pixel (i, j) starts: K // 2 before it, if the map reaches that far."""
    top = tl.minimum(tl.maximum(i - K // 2, 0), height - K)
    left = tl.minimum(tl.maximum(j - K // 2, 0), width - K)
    return top, left


@triton.jit
def reached_pixels(position, length, K: tl.constexpr):
    """The first and the last pixel whose window holds `position`."""
    first = tl.where(position < K, 0, position - K // 2)
    last = tl.where(position >= length - K, length - 1, position + K // 2)
    return first, last


@triton.jit
def tile_of_pixels(height, width, BLOCK: tl.constexpr):
    """The map and the pixels of this program: n, flat index (BLOCK,), row, column."""
    tiles = tl.cdiv(height * width, BLOCK)
    n = tl.program_id(0) // tiles
    pixel = tl.program_id(0) % tiles * BLOCK + tl.arange(0, BLOCK)
    pixel = tl.minimum(pixel, height * width - 1)
    return n.to(tl.int64), pixel, pixel // width, pixel % width


@triton.jit
def channels_at(offset, stride, C: tl.constexpr, C_PAD: tl.constexpr):
    """Where the channels at `offset` (lanes,) lie, (lanes, C_PAD), and which there are, (1, C_PAD).

    Channels that there are not lie where the first does.
    """
    channel = tl.arange(0, C_PAD)[None, :]
    return offset[:, None] + channel * stride, channel < C


# Triton's interpreter runs the programs one after the other and has nothing to tune.
INTERPRETED = not isinstance(window_start, triton.JITFunction)
CACHE = {'cache_results': True} if 'cache_results' in signature(triton.autotune).parameters else {}


def tuned(
    constants: tuple[str, ...],
    shapes: list[tuple[int, ...]],
    interpreted: tuple[int, ...],
    key: list[str],
    spilling: Mapping[tuple[str, str], list[tuple[int, ...]]] = MappingProxyType({}),
    suits: Callable[[dict, dict], bool] = lambda tile, others: True,
) -> Callable:
    """Let Triton choose the tile, once for every dtype and every value of some arguments.

    Args:
        constants: Names of the kernel's arguments that give the tile.
        shapes: Their values to choose from; the last number of each is that of warps.
        interpreted: Their values in Triton's interpreter.
        key: Names of the arguments.
        spilling: By target (see :func:`target`) and dtype of the first argument, the shapes that
            are left out, because the kernel's registers spill (benchmarks/triton_static.py).
        suits: Whether a tile goes with the kernel's other constants: is given both, by name.
    """
    shapes = [(*interpreted, 1)] if INTERPRETED else shapes
    configs = {
        shape: triton.Config(dict(zip(constants, shape, strict=False)), num_warps=shape[-1])
        for shape in shapes
    }

    def prune(every: list[triton.Config], args: dict, **others: object) -> list[triton.Config]:
        dtype = str(next(iter(args.values())).dtype).removeprefix('torch.')
        dropped = [configs[shape] for shape in spilling.get((target(), dtype), ())]
        return [one for one in every if one not in dropped and suits(one.kwargs, others)]

    pruning = None if INTERPRETED else dict(early_config_prune=prune)
    return triton.autotune([*configs.values()], key, prune_configs_by=pruning, **CACHE)


def target() -> str:
    """What Triton compiles for: 'sm_90', 'gfx942', ...; or its 'interpreter'."""
    if INTERPRETED:
        return 'interpreter'
    current = driver.active.get_current_target()
    return f'sm_{current.arch}' if current.backend == 'cuda' else str(current.arch)
