"""ContMix: dynamic convolution with kernels mixed from the global context (OverLoCK, section 3.3).

The formulas, the shapes and the border rule are in README.md.

Without it OverLoCK-T takes 1.9 times as long at 224×224, and 3.1 times at 800×1344
(docs/benchmarks/results.md).
"""

from torch import Tensor

from mmoverlock.ops import _numba, _triton
from mmoverlock.ops.arguments import check_same, check_window
from mmoverlock.ops.dispatch import Backend, Operator

from . import reference


def _run_numba(*args: Tensor | int) -> Tensor:
    from . import numba_cpu

    return numba_cpu.contmix(*args)


def _run_triton(*args: Tensor | int) -> Tensor:
    from . import triton_gpu

    return triton_gpu.contmix(*args)


CONTMIX = Operator(
    'contmix',
    Backend('numba', _run_numba, _numba.unavailable),
    Backend('triton', _run_triton, _triton.unavailable, unasked=_triton.interpreted),
    Backend('natten', reference.contmix, available=lambda device: 'it has no contmix'),
    Backend('reference', reference.contmix),
)


def contmix(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    proj_weight: Tensor,
    proj_bias: Tensor,
    rpb_small: Tensor,
    rpb_large: Tensor,
    small_kernel: int,
    large_kernel: int,
    backend: str | None = None,
) -> Tensor:
    """Context-mixing dynamic convolution (OverLoCK, section 3.3).

    Args:
        query: (B, G, c, H, W), scaled, unless the key is.
        key: (B, G, c, L), the context summarised in L regions.
        value: (B, 2, G, C, H, W): the half for the small kernels and the half for the large.
        proj_weight: (ks² + kl², L), maps affinities to the taps of both kernels.
        proj_bias: (ks² + kl²).
        rpb_small: (G, 2·ks - 1, 2·ks - 1), relative position bias of the small kernels.
        rpb_large: (G, 2·kl - 1, 2·kl - 1).
        small_kernel: ks, odd.
        large_kernel: kl, odd; H and W must be at least as large as both.
        backend: 'reference', 'numba' or 'triton'; None: see :mod:`.dispatch`.

    Returns:
        (B, 2·G·C, H, W), the small half first. Differentiable in all seven tensors.

    Raises:
        ValueError: if the shapes, dtypes or devices do not fit, or the backend cannot run.
    """
    if query.ndim != 5 or key.ndim != 4 or value.ndim != 6:
        raise ValueError(
            f'query {tuple(query.shape)}, key {tuple(key.shape)}, value {tuple(value.shape)}: '
            '(B, G, c, H, W), (B, G, c, L) and (B, 2, G, C, H, W) are needed'
        )
    batch, groups, channels, height, width = query.shape
    regions = key.shape[-1]
    taps = small_kernel**2 + large_kernel**2
    expected = {
        'key': (key, (batch, groups, channels, regions)),
        'value': (value, (batch, 2, groups, value.shape[3], height, width)),
        'proj_weight': (proj_weight, (taps, regions)),
        'proj_bias': (proj_bias, (taps,)),
        'rpb_small': (rpb_small, (groups, 2 * small_kernel - 1, 2 * small_kernel - 1)),
        'rpb_large': (rpb_large, (groups, 2 * large_kernel - 1, 2 * large_kernel - 1)),
    }
    for name, (tensor, shape) in expected.items():
        if tuple(tensor.shape) != shape:
            raise ValueError(f'{name} {tuple(tensor.shape)}: {shape} is needed')
    for name, size in (('small_kernel', small_kernel), ('large_kernel', large_kernel)):
        if size % 2 == 0:
            raise ValueError(f'{name}={size}: an odd number is needed')
        check_window('query', (height, width), size)
    check_same(query=query, **{name: tensor for name, (tensor, _) in expected.items()})
    if not value.numel():  # an empty batch
        return value.flatten(1, 3)
    tensors = query, key, value, proj_weight, proj_bias, rpb_small, rpb_large
    return CONTMIX(*tensors, small_kernel, large_kernel, device=value.device, backend=backend)
