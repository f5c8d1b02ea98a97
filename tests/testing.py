"""What tests share: one closeness check, inputs, the golden numbers, and memory that is poisoned."""

from __future__ import annotations

import ctypes
import functools
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._device import _device_constructors
from torch.utils._python_dispatch import TorchDispatchMode

DATA = Path(__file__).parent / 'data'

# ------------------------------------------------------------------------------- closeness


def assert_close(
    actual: Any,
    expected: Any,
    tolerance: float = 1e-4,
    what: str = 'result',
    *,
    dtype: torch.dtype | None = None,
    floor: float = 0.0,
    elementwise: bool = False,
) -> None:
    """Fail unless the largest error is at most `tolerance` times the largest expected magnitude.

    Shapes and dtypes must be equal, too. A NaN never is close.

    Args:
        actual: A tensor or an array, or a mapping or a sequence of them. Each entry is compared by
            itself, with its own largest magnitude.
        expected: The same.
        tolerance: Relative to the largest magnitude of `expected`.
        what: Name of the quantity, for the message.
        dtype: What `actual` must have; None: the dtype of `expected`.
        floor: The largest magnitude counts as at least this. For what may be zero but for rounding.
        elementwise: Stricter: every element to within `tolerance` · (1 + its own magnitude).
    """
    options = dict(dtype=dtype, floor=floor, elementwise=elementwise)
    if isinstance(expected, Mapping):
        assert actual.keys() == expected.keys(), f'{what}: {[*actual]}, not {[*expected]}'
        for name in expected:
            assert_close(actual[name], expected[name], tolerance, f'{what}[{name!r}]', **options)
        return
    if isinstance(expected, (list, tuple)):
        assert len(actual) == len(expected), f'{what}: {len(actual)} of {len(expected)} entries'
        for i, (a, e) in enumerate(zip(actual, expected, strict=True)):
            assert_close(a, e, tolerance, f'{what}[{i}]', **options)
        return
    actual, expected = (torch.as_tensor(x).detach().cpu() for x in (actual, expected))
    dtype = dtype or expected.dtype
    assert actual.shape == expected.shape, f'{what}: {[*actual.shape]}, not {[*expected.shape]}'
    assert actual.dtype == dtype, f'{what}: {actual.dtype}, not {dtype}'
    actual, expected = actual.double(), expected.double()
    if elementwise:
        torch.testing.assert_close(
            actual, expected, rtol=tolerance, atol=tolerance, msg=lambda text: f'{what}: {text}'
        )
    elif expected.numel():
        error, place = (actual - expected).abs().flatten().max(0)
        largest = max(expected.abs().max().item(), floor)
        index = tuple(int(i) for i in np.unravel_index(place.item(), expected.shape))
        assert error <= tolerance * largest, (
            f'{what}: error {error:.3g} at {index}; allowed is {tolerance * largest:.3g}, '
            f'{tolerance:g} of {largest:.3g}'
        )


def assert_close_with_gradients(
    function: Callable,
    formula: Callable,
    x: Tensor,
    grad: Tensor,
    arguments: Sequence[Any],
    tolerance: float,
) -> None:
    """Compare results and gradients with a formula's.

    The formula is computed in float64: in float32 it may be the less accurate of the two.

    Args:
        function: (x, *arguments) → a tensor.
        formula: The same.
        x: Leaf that needs a gradient.
        grad: Gradient of the result.
        arguments: Leaves that need gradients, lists of them, and anything else.
        tolerance: See :func:`assert_close`.
    """
    x64, *arguments64 = _doubled([x, *arguments])
    actual, wanted = function(x, *arguments), formula(x64, *arguments64)
    grads = torch.autograd.grad(actual, [x, *_leaves(arguments)], grad)
    wanted_grads = torch.autograd.grad(wanted, [x64, *_leaves(arguments64)], grad.double())
    actual, wanted = (actual, *grads), (wanted, *wanted_grads)
    assert_close(actual, wanted, tolerance, dtype=x.dtype, floor=1)


def _doubled(argument: Any) -> Any:
    if isinstance(argument, list):
        return [_doubled(element) for element in argument]
    if isinstance(argument, Tensor):
        return argument.detach().double().requires_grad_()
    return argument


def _leaves(arguments: Sequence[Any]) -> Iterator[Tensor]:
    for argument in arguments:
        if isinstance(argument, Tensor):
            yield argument
        elif isinstance(argument, list) and isinstance(argument[0], Tensor):
            yield from argument


# ------------------------------------------------------------------------------- inputs

# (B, C, H, W): maps smaller than the kernel, channels and widths that fill no vector and no tile.
MAP_SHAPES = [(2, 3, 9, 11), (1, 16, 30, 9), (4, 40, 14, 14), (3, 17, 2, 1), (1, 1, 5, 50)]

LAYOUTS = {'contiguous': torch.contiguous_format, 'channels_last': torch.channels_last}


@contextmanager
def on_meta() -> Iterator[None]:
    """Modules made here have no memory, and no weights are drawn: that would take seconds."""
    as_it_is = mock.patch.object(torch.nn.init, 'trunc_normal_', lambda tensor, **options: tensor)
    with torch.device('meta'), as_it_is:
        yield


def randn(
    *shape: int,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    layout: str = 'contiguous',
    device: str = 'cpu',
) -> Tensor:
    """Standard normal numbers; the same in every dtype, but for rounding."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator, dtype=torch.float64).to(device, dtype)
    return x if layout == 'contiguous' else x.contiguous(memory_format=LAYOUTS[layout])


def offset_maps(
    shape: Sequence[int], dtype: torch.dtype, layout: str = 'contiguous'
) -> tuple[Tensor, Tensor]:
    """Map and gradient, with means far from zero: statistics must not cancel."""
    x = randn(*shape, dtype=dtype, layout=layout) + 3
    return x.requires_grad_(), randn(*shape, seed=1, dtype=dtype) + 3


def parameters(*shapes: Sequence[int], dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Leaves with standard normal numbers, which need gradients."""
    return [
        randn(*shape, seed=seed, dtype=dtype).requires_grad_()
        for seed, shape in enumerate(shapes, start=2)
    ]


def with_gaps(x: Tensor) -> Tensor:
    """The same numbers, every second element of a larger tensor: a new leaf."""
    strided = torch.stack((x.detach(), x.detach()), -1)[..., 0]
    return strided.requires_grad_(x.requires_grad)


def dynamic_conv_inputs(
    shape: Sequence[int], dtype: torch.dtype = torch.float32, device: str = 'cpu', seed: int = 0
) -> tuple[list[Tensor], Tensor]:
    """Kernels and value for a shape (B, G, H, W, C, K), and a gradient of the result."""
    *maps, channels, size = shape
    generator = torch.Generator().manual_seed(seed)
    logits, value, grad = (
        torch.randn(*maps, last, generator=generator, dtype=torch.float64)
        for last in (size**2, channels, channels)
    )
    kernels, value, grad = (x.to(device, dtype) for x in (logits.softmax(-1), value, grad))
    return [kernels.requires_grad_(), value.requires_grad_()], grad


def contmix_inputs(
    shape: Sequence[int], dtype: torch.dtype = torch.float32, device: str = 'cpu', seed: int = 0
) -> tuple[list[Tensor], Tensor]:
    """The tensors of contmix for a shape (B, G, c, L, C, H, W, ks, kl), and a gradient.

    The logits have a standard deviation of about 2.
    """
    batch, groups, c, regions, channels, height, width, small, large = shape
    generator = torch.Generator().manual_seed(seed)
    shapes = [
        (batch, groups, c, height, width),
        (batch, groups, c, regions),
        (batch, 2, groups, channels, height, width),
        (small**2 + large**2, regions),
        (small**2 + large**2,),
        (groups, 2 * small - 1, 2 * small - 1),
        (groups, 2 * large - 1, 2 * large - 1),
        (batch, 2 * groups * channels, height, width),
    ]
    tensors = [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]
    tensors[0] *= c**-0.5
    tensors[3] *= regions**-0.5
    *inputs, grad = (x.to(device, dtype) for x in tensors)
    return [x.requires_grad_() for x in inputs], grad


class LargestTensor(TorchDispatchMode):
    """Records the number of elements of the largest tensor that any operator returns."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, Tensor):
                self.numel = max(self.numel, tensor.numel())
        return out


# ------------------------------------------------------------------------------- golden numbers


def draw(seed: int, *shape: int) -> Tensor:
    """The standard normal numbers that the golden files call "drawn from a seed"."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def fill(name: str, shape: list[int]) -> Tensor:
    """The value that the golden networks' parameter `name` has: a rule instead of a weights file."""
    z = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    if name.endswith('num_batches_tracked'):
        return torch.tensor(0)
    if name.endswith('running_mean'):
        z = 0.1 * z
    elif name.endswith('running_var'):
        z = 0.5 + abs(z)
    elif name.endswith(('.gamma', '.beta')):
        z = 0.1 * z
    elif 'rpb' in name.rpartition('.')[2]:
        z = 0.5 * z
    elif len(shape) == 4 and shape[1:] == [1, 1, 1]:
        z = 1 + 0.1 * z
    elif len(shape) == 1:
        z = 1 + 0.1 * z if name.endswith('weight') else 0.1 * z
    else:
        z = 0.6 * z / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(np.asarray(z, dtype=np.float32))


@functools.cache
def golden_json(name: str) -> dict[str, Any]:
    """A table of tests/data, e.g. 'state_dict_manifest'."""
    return json.loads((DATA / f'{name}.json').read_text())


def golden_arrays(name: str) -> dict[str, np.ndarray]:
    """The arrays of a file of tests/data, e.g. 'cls_xxt_64x64'."""
    with np.load(DATA / f'{name}.npz') as file:
        return dict(file)


def golden_state_dict(key: str, file: str = 'state_dict_manifest') -> dict[str, Tensor]:
    """A published state dict, e.g. 'det/xt', filled by the rule."""
    return {name: fill(name, shape) for name, shape in golden_json(file)[key].items()}


# ------------------------------------------------------------------------------- poisoned memory

ALLOCATORS = [
    (torch, 'empty'),
    (torch, 'empty_like'),
    (torch, 'empty_strided'),
    (torch, 'empty_permuted'),
    (Tensor, 'new_empty'),
    (Tensor, 'new_empty_strided'),
]
M_PERTURB = -6  # of malloc.h
_device_constructors()  # PyTorch collects them for `with torch.device(...)`, before they are replaced


def _poison(dtype: torch.dtype) -> float | int | bool:
    if dtype.is_floating_point or dtype.is_complex:
        return float('nan')
    return dtype == torch.bool or torch.iinfo(dtype).max


def _poisoned(allocate: Callable[..., Tensor]) -> Callable[..., Tensor]:
    @functools.wraps(allocate)
    def poisoned(*args, **kwargs):
        tensor = allocate(*args, **kwargs)
        real = type(tensor) is Tensor and tensor.device.type != 'meta'
        if real and not torch.compiler.is_compiling():
            with torch.no_grad():
                tensor.fill_(_poison(tensor.dtype))
        return tensor

    return poisoned


@contextmanager
def poison_empty() -> Iterator[None]:
    """Give out memory that shows when somebody reads it before writing it.

    Empty tensors that Python code asks for hold NaN; of integers, the largest. What compiled code
    asks for (np.empty in numba's loops, PyTorch's own C++) comes from malloc: glibc fills blocks of
    more than about 1 KB with bytes 0xBF when it gives them out, and with 0x40 when they are freed,
    which are -1.5 and 3 in float32. Other C libraries, and smaller blocks, which malloc hands on as
    they are, are not covered.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in ALLOCATORS:
            patch.setattr(owner, name, _poisoned(getattr(owner, name)))
        if mallopt:
            mallopt(M_PERTURB, 0x40)
        try:
            yield
        finally:
            if mallopt:
                mallopt(M_PERTURB, 0)


def do_not_check_sums(patch: pytest.MonkeyPatch) -> None:
    """Triton's interpreter looks for overflows in every sum otherwise, which is slow."""
    from triton.runtime.interpreter import interpreter_builder

    options = replace(interpreter_builder.options, sanitize_overflow=False)
    patch.setattr(interpreter_builder, 'options', options)
