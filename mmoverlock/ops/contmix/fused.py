"""ContMix with the projection folded into the keys: what the fused backends share.

A pixel's logits are `proj_weight · (keyᵀ · query) + proj_bias`, which is `(proj_weight · keyᵀ) ·
query + proj_bias`: folded once per map, the product in brackets gives the logits straight from the
query. A fused backend takes folded keys and never stores the kernels, in either direction: of the
softmax it keeps one number per pixel and half, the logarithm of its denominator, and the backward
pass computes the kernels again.

Shapes, with T = ks² + kl² taps, the small kernel's first:
query (B, G, c, H, W), keys (B, G, c, T), bias (T), rpb_small (G, 2·ks - 1, 2·ks - 1), rpb_large
likewise, value and out (B, 2, G, C, H, W), log_sum (B, 2, G, H, W), in float32 at least.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from mmoverlock.ops.autograd import differentiable

from . import reference


def kernel_sizes(rpb_small: Tensor, rpb_large: Tensor) -> tuple[int, int]:
    """ks and kl, from the tables of 2·k - 1 offsets."""
    return (rpb_small.shape[-1] + 1) // 2, (rpb_large.shape[-1] + 1) // 2


def accumulator(dtype: torch.dtype) -> torch.dtype:
    """What sums over `dtype` are kept in: float32 at least."""
    return torch.promote_types(dtype, torch.float32)


def empty_results(value: Tensor) -> tuple[Tensor, Tensor]:
    """Memory for out and log_sum."""
    shape, dtype = (*value.shape[:3], *value.shape[4:]), accumulator(value.dtype)
    return torch.empty_like(value), value.new_empty(shape, dtype=dtype)


def _formula(
    query: Tensor, keys: Tensor, bias: Tensor, rpb_small: Tensor, rpb_large: Tensor, value: Tensor
) -> Tensor:
    logits = torch.einsum('bgchw,bgct->bghwt', query.to(keys.dtype), keys) + bias
    return reference.mix(logits, rpb_small, rpb_large, value.to(keys.dtype)).to(value.dtype)


def register(
    name: str, forward: Callable, backward: Callable, half_precision: bool = True
) -> Callable:
    """Make a backend of :func:`mmoverlock.ops.contmix` from two functions of folded keys.

    Keys, biases and logits are in float32 at least, under autocast too: a folded key sums 49
    products, which float16 may not hold.

    Args:
        name: The operator's name, in the namespace `mmoverlock`.
        forward: (query, keys, bias, rpb_small, rpb_large, value) → (out, log_sum). Its annotations
            and those of backward give PyTorch the schemas.
        backward: (grad_out, query, keys, bias, rpb_small, rpb_large, value, out, log_sum) → the
            gradients of the six tensors, each in the dtype and shape of its tensor.
        half_precision: Whether query and value may be in a half precision.
    """

    def fake(*tensors):
        return empty_results(tensors[-1])

    op = differentiable(name, forward, backward, fake, _formula, saves_output=True)

    def contmix(query, key, value, proj_weight, proj_bias, rpb_small, rpb_large, *sizes) -> Tensor:
        device, dtype = value.device.type, value.dtype
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
        work = accumulator(dtype)
        maps = dtype if half_precision else work
        with torch.autocast(device, enabled=False):
            keys = key.to(work) @ proj_weight.to(work).t()  # (B, G, c, T)
            biases = (x.to(work) for x in (proj_bias, rpb_small, rpb_large))
            out, _ = op(query.to(maps), keys, *biases, value.to(maps))
        return out.flatten(1, 3).to(dtype)

    return contmix
