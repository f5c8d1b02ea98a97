"""Dynamic convolution: every pixel has a kernel of its own. The formula is in README.md."""

from torch import Tensor

from mmoverlock.ops import _numba, _triton
from mmoverlock.ops.arguments import check_same, check_window
from mmoverlock.ops.dispatch import Backend, Operator

from . import natten_av, reference


def _run_numba(*args: Tensor) -> Tensor:
    from . import numba_cpu

    return numba_cpu.dynamic_conv2d(*args)


def _run_triton(*args: Tensor) -> Tensor:
    from . import triton_gpu

    return triton_gpu.dynamic_conv2d(*args)


DYNAMIC_CONV2D = Operator(
    'dynamic_conv2d',
    Backend('numba', _run_numba, _numba.unavailable),
    Backend('triton', _run_triton, _triton.unavailable, unasked=_triton.interpreted),
    Backend('natten', natten_av.dynamic_conv2d, natten_av.unavailable),
    Backend('reference', reference.dynamic_conv2d),
)


def dynamic_conv2d(kernels: Tensor, value: Tensor, backend: str | None = None) -> Tensor:
    """Convolve every pixel with its own kernel.

    Args:
        kernels: (B, G, H, W, K·K), taps row by row, K odd; already softmaxed, if so wanted.
        value: (B, G, H, W, C), H and W at least K.
        backend: 'reference', 'numba', 'triton' or 'natten'; None: see :mod:`.dispatch`.

    Returns:
        (B, G, H, W, C). At the borders the window is moved inside the map (NATTEN's rule): for
        pixel (i, j) it starts at (clamp(i - K//2, 0, H - K), clamp(j - K//2, 0, W - K)).

    Raises:
        ValueError: if the shapes, dtypes or devices do not fit, or the backend cannot run.
    """
    if kernels.ndim != 5 or value.ndim != 5 or kernels.shape[:4] != value.shape[:4]:
        raise ValueError(
            f'kernels {tuple(kernels.shape)} and value {tuple(value.shape)}: '
            '(B, G, H, W, K·K) and (B, G, H, W, C) are needed'
        )
    size = round(int(kernels.shape[-1]) ** 0.5)
    if size**2 != kernels.shape[-1] or size % 2 == 0:
        raise ValueError(f'kernels {tuple(kernels.shape)}: the last axis must be an odd K squared')
    check_window('value', value.shape[2:4], size)
    check_same(kernels=kernels, value=value)
    return DYNAMIC_CONV2D(kernels, value, device=value.device, backend=backend)
