"""What our Triton kernels share. Triton is imported when a kernel first runs, as it is optional.

With TRITON_INTERPRET=1 the kernels run on the CPU, very slowly: for tests.
"""

from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch import Tensor

from mmoverlock import environment

INSTALLED = find_spec('triton') is not None


def unavailable(device: torch.device) -> str | None:
    """Why the `triton` backends cannot run on a device, or None."""
    if not INSTALLED:
        return 'triton is not installed'
    if device.type != 'cuda' and not environment.triton_interpreted():
        return f'triton runs on CUDA and ROCm devices, not on {device}'
    return None


def interpreted(device: torch.device) -> str | None:
    """Why the `triton` backends do not run on a device unless they are asked for, or None."""
    return None if device.type == 'cuda' else 'the interpreter runs only if it is asked for'


def launch(
    kernel: Callable,
    grid: Callable | tuple[int, ...],
    *args: Tensor | int,
    dtype: torch.dtype,
    **constants: int | str,
) -> None:
    """Run a kernel on the device of its first argument, with sums in `dtype`: its constant ACC."""
    import triton.language as tl

    acc = getattr(tl, str(dtype).removeprefix('torch.'))
    with torch.cuda.device_of(args[0]):
        kernel[grid](*args, ACC=acc, **constants)


def pixel_grid(maps: int, height: int, width: int) -> Callable[[dict[str, int]], tuple[int]]:
    """The grid of a kernel whose programs do BLOCK pixels of a map each."""
    return lambda meta: (maps * -(-height * width // meta['BLOCK']),)


def tile_constants(dtype: torch.dtype, **sizes: int) -> dict[str, int | torch.dtype]:
    """Sizes (of channels, say), the same padded to tiles, and the dtype of sums over `dtype`."""
    padded = {f'{name}_PAD': 1 << (n - 1).bit_length() for name, n in sizes.items()}
    return sizes | padded | {'dtype': torch.promote_types(dtype, torch.float32)}
