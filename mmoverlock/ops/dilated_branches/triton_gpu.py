"""Branches and their batch norms in training on CUDA and ROCm devices, by Triton.

Statistics are of the maps as they are stored: rounded, in half precision.
"""

from collections.abc import Callable, Sequence
from functools import cache

import torch
import torch.distributed as dist
from torch import Tensor

from mmoverlock.ops._triton import launch
from mmoverlock.ops.depthwise.triton_gpu import dense

from . import triton_kernels
from .fused import Branches

PROGRAMS = 8192  # about so many are wanted for what is summed over all pixels


@cache
def _tables(
    kernel_sizes: tuple[int, ...], dilations: tuple[int, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    """The branches (N, 3) and their taps (T, 3), as the kernels take them."""
    branches, taps = [], []
    for k, (size, dilation) in enumerate(zip(kernel_sizes, dilations, strict=True)):
        branches.append((size, dilation, len(taps)))
        steps = [dilation * (a - size // 2) for a in range(size)]
        taps += [(k, down, right) for down in steps for right in steps]
    return tuple(torch.tensor(rows, dtype=torch.int32, device=device) for rows in (branches, taps))


class _Plan:
    """What every kernel is told of the map and the branches."""

    def __init__(self, x: Tensor):
        batch, channels, height, width = x.shape
        self.pixels = batch * height * width
        self.sizes = batch, channels, height, width, x.numel(), *x.stride()
        self.dtype = torch.promote_types(x.dtype, torch.float32)
        last = x.stride(1) == 1
        self.constants = dict(dtype=self.dtype, LAST=last)

    def by_pixels(self, kernel: Callable, *args: Tensor, **constants: int) -> None:
        """Run a kernel whose programs do some pixels and channels each."""

        def grid(meta: dict[str, int]) -> tuple[int, int]:
            return -(-self.pixels // meta['PIXELS']), self._tiles(meta)

        launch(kernel, grid, *args, *self.sizes, **self.constants, **constants)

    def by_parts(
        self, kernel: Callable, each: int, *args: Tensor, sums: int = 1, **constants: int
    ) -> list[Tensor]:
        """Run a kernel that sums over pixels, `each` programs for every part of them.

        Returns `sums` tensors (parts, each, C), which the kernel takes after `args`.
        """
        channels = self.sizes[1]
        wanted = -(-PROGRAMS // (each * -(-channels // 32)))
        shape = min(wanted, max(-(-self.pixels // 64), 1)), each, channels
        results = [args[0].new_empty(shape, dtype=self.dtype) for _ in range(sums)]

        def grid(meta: dict[str, int]) -> tuple[int, int]:
            return shape[0] * each, self._tiles(meta)

        launch(kernel, grid, *args, *results, *self.sizes, shape[0], **self.constants, **constants)
        return results

    def counts(self, parts: int, device: torch.device) -> Tensor:
        """The numbers of pixels of the parts, (parts, 1, 1)."""
        size = max(-(-self.pixels // parts), 1)
        starts = torch.arange(0, parts * size, size, device=device)
        return (self.pixels - starts).clamp(0, size).double().view(-1, 1, 1)

    def _tiles(self, meta: dict[str, int]) -> int:
        return -(-self.sizes[1] // meta['CHANNELS'])


def _combined(means: Tensor, deviations: Tensor, counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Means and sums of squared deviations of parts (parts, N, C), and their counts, as of one."""
    count = counts.sum(0)
    mean = (means * counts).sum(0) / count.clamp(min=1)
    return mean, (deviations + counts * (means - mean).square()).sum(0), count


def _gathered(mean: Tensor, deviation: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same over all processes, which may hold different numbers of pixels: one exchange."""
    mine = torch.cat([mean.flatten(), deviation.flatten(), count.flatten()])
    every = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(every, mine)
    means, deviations, counts = torch.stack(every).split([mean.numel(), mean.numel(), 1], 1)
    shape = -1, *mean.shape
    return _combined(means.view(shape), deviations.view(shape), counts.view(-1, 1, 1))


def _forward(
    x: Tensor,
    weight: Tensor,
    gamma: Tensor,
    beta: Tensor,
    kernel_sizes: Sequence[int],
    dilations: Sequence[int],
    eps: float,
    synchronized: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    x = dense(x)
    out, *_, maps = _empty(x, weight, gamma)
    branches, _ = _tables(tuple(kernel_sizes), tuple(dilations), x.device)
    plan, sizes = _Plan(x), dict(TAPS=weight.shape[1], BRANCHES=len(gamma))
    given = triton_kernels.convolve_branches, len(gamma), x, weight.t().contiguous(), branches, maps
    means, deviations = plan.by_parts(*given, sums=2, **sizes)
    mean, deviation, count = _combined(means, deviations, plan.counts(len(means), x.device))
    if synchronized:
        mean, deviation, count = _gathered(mean, deviation, count)
    var = deviation / count
    center, scale = mean.to(plan.dtype), gamma * (var + eps).rsqrt()
    shift = (beta + scale * (center - mean)).sum(0)
    numbers = center, scale.to(plan.dtype), shift.to(plan.dtype)
    plan.by_pixels(triton_kernels.add_normalized, maps, *numbers, out, BRANCHES=len(gamma))
    return out, mean, var, count.view(()), maps


def _empty(x: Tensor, weight: Tensor, gamma: Tensor, *others: object) -> tuple[Tensor, ...]:
    """Memory for the results, the last of which are the branches' maps, each laid out like x."""
    out = torch.empty_like(x)
    maps = x.new_empty_strided((len(gamma), *x.shape), (x.numel(), *out.stride()))
    mean, var = (torch.empty_like(gamma, dtype=torch.float64) for _ in range(2))
    return out, mean, var, var.new_empty(()), maps


def _backward(
    grad_out: Tensor,
    x: Tensor,
    weight: Tensor,
    gamma: Tensor,
    beta: Tensor,
    mean: Tensor,
    var: Tensor,
    count: Tensor,
    maps: Tensor,
    kernel_sizes: Sequence[int],
    dilations: Sequence[int],
    eps: float,
    synchronized: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x = dense(x)
    grad_x, grad_maps = torch.empty_like(x), torch.empty_like(maps)
    grad_out = torch.empty_like(x).copy_(grad_out) if grad_out.stride() != x.stride() else grad_out
    branches, table = _tables(tuple(kernel_sizes), tuple(dilations), x.device)
    number, taps = len(gamma), weight.shape[1]
    plan = _Plan(x)
    center = mean.to(plan.dtype)
    given = triton_kernels.sum_gradient, number, grad_out, maps, center
    sums = plan.by_parts(*given, sums=2, BRANCHES=number)
    total, product = (parts.double().sum(0) for parts in sums)  # (N, C)
    product += (center - mean) * total
    rstd = (var + eps).rsqrt()
    grad_gamma, grad_beta = product * rstd, total
    if synchronized:
        both = torch.stack([total, product])
        dist.all_reduce(both)
        total, product = both
    # Of a map: γ·rstd · (grad_out - mean(grad_out) - normalized · mean(grad_out · normalized))
    factor = gamma * rstd
    pull = -factor * rstd * rstd * product / count
    offset = -factor * total / count + pull * (center - mean)
    numbers = center, *(y.to(plan.dtype) for y in (factor, pull, offset))
    given = grad_out, maps, *numbers, grad_maps
    plan.by_pixels(triton_kernels.gradients_of_maps, *given, BRANCHES=number)
    flipped = [part.flip(1) for part in weight.split([size**2 for size in kernel_sizes], 1)]
    given = grad_maps, torch.cat(flipped, 1).t().contiguous(), branches, grad_x
    plan.by_pixels(triton_kernels.convolve_back, *given, TAPS=taps, BRANCHES=number)
    given = triton_kernels.correlate_branches, taps, x, grad_maps, table
    (sums,) = plan.by_parts(*given, TAPS=taps)
    grads = sums.sum(0).t(), grad_gamma, grad_beta
    like = zip(grads, (weight, gamma, beta), strict=True)
    return grad_x, *(grad.to(tensor.dtype).contiguous() for grad, tensor in like)


dilated_branches = Branches('dilated_branches_triton', _forward, _backward, _empty)
