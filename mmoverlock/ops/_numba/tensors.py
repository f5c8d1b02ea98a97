"""Tensors as the numba kernels take them, and memory for results."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from .layout import TILE
from .simd import VECTOR_BYTES

STRIP_BYTES = 1 << 17  # of a map in scratch memory, where it is processed strip by strip


class _Memory:
    """A tensor's memory, of which numpy makes an array by the array interface.

    ``Tensor.numpy()`` would keep FSDP from freeing a parameter's memory: PyTorch does not resize a
    storage that numpy has seen. DLPack would do as well, but takes longer, and before PyTorch's
    DLPack 1.0 numpy makes its arrays read-only.
    """

    __slots__ = ('tensor', '__array_interface__')

    def __init__(self, tensor: Tensor, shape: tuple[int, ...], strides: tuple[int, ...]):
        self.tensor = tensor  # lives as long as the array
        self.__array_interface__ = dict(
            data=(tensor.data_ptr(), False),
            shape=shape,
            strides=strides,
            typestr=_TYPES[tensor.dtype],
            version=3,
        )


_TYPES = {getattr(torch, name): np.dtype(name).str for name in ('float32', 'float64', 'int64')}


def flat(tensor: Tensor) -> np.ndarray:
    """The memory of a CPU tensor, from its first element to its last, as a (N,) array.

    The element at index (i, j, ...) is at i · stride(0) + j · stride(1) + ...
    """
    reach = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True))
    return np.asarray(_Memory(tensor, (reach + 1,), (tensor.itemsize,)))


def array(tensor: Tensor) -> np.ndarray:
    """A CPU tensor as an array that shares its memory."""
    size = tensor.itemsize
    strides = tuple(size * step for step in tensor.stride())
    return np.asarray(_Memory(tensor, tuple(tensor.shape), strides))


def run(kernel: Callable, pieces: int, *args: object) -> None:
    """Run a compiled function in so many pieces, on as many threads as PyTorch has.

    Tensors become arrays, in tuples too; maps, of three axes or more, (flat memory, strides).
    """
    kernel(pieces, torch.get_num_threads(), *_arrays(args))


def _arrays(arg: object) -> object:
    if isinstance(arg, Tensor):
        return (flat(arg), arg.stride()) if arg.ndim > 2 else array(arg)
    return tuple(map(_arrays, arg)) if isinstance(arg, tuple) else arg


def dense(tensor: Tensor) -> Tensor:
    """The tensor, or a copy if its elements overlap or leave gaps: `empty_like` has its strides."""
    usual = tensor.is_contiguous() or tensor.is_contiguous(memory_format=torch.channels_last)
    if usual or torch.empty_like(tensor, device='meta').stride() == tensor.stride():
        return tensor
    return tensor.contiguous()


def overwritten(tensor: Tensor) -> Tensor:
    """Tell autograd that a kernel wrote to the tensor: it then refuses to use what it saved."""
    torch.autograd.graph.increment_version(tensor)
    return tensor


def vectors_and_strips(x: Tensor) -> tuple[int, int]:
    """How many vectors the channels of all images fill, and into how many strips to cut each map.

    Maps are cut until every thread has two pieces of work.
    """
    batch, channels, height, _ = x.shape
    vectors = batch * -(-channels * x.dtype.itemsize // VECTOR_BYTES)
    return vectors, min(-(-2 * torch.get_num_threads() // vectors), height)


def empty_maps(x: Tensor, number: int = 1) -> Tensor:
    """Memory for `number` maps of the size of x, padded to whole vectors and tiles."""
    height, width = x.shape[2:]
    vectors, _ = vectors_and_strips(x)
    lanes, tiles = VECTOR_BYTES // x.dtype.itemsize, -(-width // TILE)
    return x.new_empty(vectors * number * height * tiles * TILE * lanes)
