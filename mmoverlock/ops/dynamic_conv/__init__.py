"""Dynamic convolution and ContMix: the arguments are checked here, once, and a backend runs.

A backend is a module with `unavailable(device)`, which says why it cannot run there, or None, and
with `dynamic_conv2d` and, unless it has that operator alone, `contmix`. The mathematics, the
shapes and the border rule are in README.md beside this file.
"""

from __future__ import annotations

from types import ModuleType

import torch
from torch import Tensor

from mmoverlock import environment
from mmoverlock.ops.plain import exporting

from . import natten_av, numba_cpu, reference, triton_gpu

# In the order of preference: the first that can run on the device is the default.
BACKENDS: dict[str, ModuleType] = {
    'numba': numba_cpu,
    'triton': triton_gpu,
    'natten': natten_av,
    'reference': reference,
}


def available_backends(device: torch.device | str = 'cpu', op: str = 'contmix') -> list[str]:
    """Names of the backends that can run `op` on `device`, the default first."""
    device = torch.device(device)
    return [
        name
        for name, module in BACKENDS.items()
        if hasattr(module, op) and module.unavailable(device) is None
    ]


def choose_backend(op: str, device: torch.device, backend: str | None = None) -> ModuleType:
    """The module that runs `op` on `device`.

    Args:
        op: 'dynamic_conv2d' or 'contmix'.
        device: Where the tensors are.
        backend: A name; None takes MMOVERLOCK_BACKEND, or else the first that can run; in export,
            the reference.

    Raises:
        ValueError: for a name that is unknown or that cannot run here; says why.
    """
    name = backend or environment.backend()
    if name is None:
        name = 'reference' if exporting() else available_backends(device, op)[0]
    if name not in BACKENDS:
        raise ValueError(f"unknown backend '{name}': allowed are {sorted(BACKENDS)}")
    module = BACKENDS[name]
    reason = module.unavailable(device)
    if not hasattr(module, op):
        reason = f'it has no {op}'
    if reason:
        allowed = available_backends(device, op)
        raise ValueError(f"backend '{name}' cannot run here: {reason}; allowed are {allowed}")
    return module


def dynamic_conv2d(kernels: Tensor, value: Tensor, backend: str | None = None) -> Tensor:
    """Convolve every pixel with its own kernel.

    Args:
        kernels: (B, G, H, W, K·K), taps row by row, K odd; already softmaxed, if so wanted.
        value: (B, G, H, W, C), H and W at least K.
        backend: 'reference', 'numba', 'triton' or 'natten'; None: see :func:`choose_backend`.

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
    size = round(kernels.shape[-1] ** 0.5)
    if size**2 != kernels.shape[-1] or size % 2 == 0:
        raise ValueError(f'kernels {tuple(kernels.shape)}: the last axis must be an odd K squared')
    _check_window('value', value.shape[2:4], size)
    _check_same(kernels=kernels, value=value)
    return choose_backend('dynamic_conv2d', value.device, backend).dynamic_conv2d(kernels, value)


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
        backend: 'reference', 'numba' or 'triton'; None chooses (see :func:`choose_backend`).

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
        _check_window('query', (height, width), size)
    _check_same(query=query, **{name: tensor for name, (tensor, _) in expected.items()})
    if not value.numel():  # an empty batch
        return value.flatten(1, 3)
    return choose_backend('contmix', value.device, backend).contmix(
        query, key, value, proj_weight, proj_bias, rpb_small, rpb_large, small_kernel, large_kernel
    )


def _check_window(name: str, size: tuple[int, int], kernel_size: int) -> None:
    if min(size) < kernel_size:
        raise ValueError(
            f'{name} map {tuple(size)}: at least {kernel_size}×{kernel_size} is needed'
        )


def _check_same(**tensors: Tensor) -> None:
    (first, a), *rest = tensors.items()
    for name, b in rest:
        same = a.dtype == b.dtype or torch.is_autocast_enabled(a.device.type)
        if a.device != b.device or not same or not a.is_floating_point():
            raise ValueError(
                f'{first} ({a.dtype}, {a.device}) and {name} ({b.dtype}, {b.device}): '
                'floating-point tensors of one dtype (but for autocast) on one device are needed'
            )
