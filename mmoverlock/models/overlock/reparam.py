"""Large-kernel depthwise convolution with dilated branches that merge into one kernel.

Source: UniRepLKNet (arXiv 2311.15599, section 3.1). In training, a k×k depthwise convolution and
small dilated ones, each with its own batch norm, are summed. For inference they are one k×k
convolution with bias: a dilated kernel is a k×k kernel with zeros in between, and a batch norm with
fixed statistics is a scale and a shift.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any

import torch
from torch import Tensor, nn

from mmoverlock.ops import DepthwiseConv2d, dilated_branches

from .arch import DILATED_BRANCHES

BN_EPS = 1e-5


def branch_names(kernel_size: int) -> list[tuple[str, str, int, int]]:
    """Of every branch, the large kernel's first: convolution, norm, kernel size and dilation."""
    return [('lk_origin', 'origin_bn', kernel_size, 1)] + [
        (f'dil_conv_k{size}_{dilation}', f'dil_bn_k{size}_{dilation}', size, dilation)
        for size, dilation in DILATED_BRANCHES[kernel_size]
    ]


def merged_kernel(state: Mapping[str, Tensor], kernel_size: int) -> tuple[Tensor, Tensor]:
    """Fold the branches of a :class:`DilatedReparam` state dict into one kernel.

    Returns:
        The weight (C, 1, k, k) and bias (C,) of the equal convolution, computed in float64 and
        returned in the dtype of the stored weights.
    """
    origin = state['lk_origin.weight']
    kernel = torch.zeros_like(origin, dtype=torch.float64)
    bias = kernel.new_zeros(len(origin))
    for conv, bn, size, dilation in branch_names(kernel_size):
        std = (state[f'{bn}.running_var'].double() + BN_EPS).sqrt()
        scale = state[f'{bn}.weight'].double() / std
        span = dilation * (size - 1) + 1
        start = (kernel_size - span) // 2
        taps = slice(start, start + span, dilation)
        kernel[:, :, taps, taps] += state[f'{conv}.weight'].double() * scale.view(-1, 1, 1, 1)
        bias += state[f'{bn}.bias'].double() - state[f'{bn}.running_mean'].double() * scale
    return kernel.to(origin.dtype), bias.to(origin.dtype)


def merge_state_dict(state_dict: MutableMapping, prefix: str, kernel_size: int) -> None:
    """Replace the branches stored under `prefix` by their merged kernel, in place."""
    names = [name for name in state_dict if name.startswith(prefix)]
    state = {name[len(prefix) :]: state_dict.pop(name) for name in names}
    weight, bias = merged_kernel(state, kernel_size)
    state_dict.update({f'{prefix}lk_origin.weight': weight, f'{prefix}lk_origin.bias': bias})


def merge_branches(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of any network, published or ours, with all of its branches merged.

    It is found by the names, so that no model is needed: what stands before them does not matter.

    Raises:
        ValueError: the branches are merged already, there are none, or some of their tensors are
            missing.
    """
    merged, norm = dict(state_dict), 'origin_bn.weight'
    prefixes = [name.removesuffix(norm) for name in merged if name.endswith(norm)]
    if not prefixes:
        already = is_merged(merged)
        raise ValueError(
            'checkpoint is merged already: its large kernels have no branches'
            if already
            else 'checkpoint has no branches to merge: it is not of an OverLoCK'
        )
    for prefix in prefixes:
        kernel = merged.get(f'{prefix}lk_origin.weight')
        size = kernel.shape[-1] if isinstance(kernel, Tensor) and kernel.ndim == 4 else None
        if size not in DILATED_BRANCHES:
            raise ValueError(f"checkpoint has no large kernel '{prefix}lk_origin.weight'")
        try:
            merge_state_dict(merged, prefix, size)
        except KeyError as error:
            lost = f'{prefix}{error.args[0]}'
            raise ValueError(f"checkpoint lacks '{lost}', a part of a branch") from error
    return merged


def is_merged(state_dict: Mapping[str, Any]) -> bool:
    """Whether it is the state dict of a network with merged branches."""
    return any(isinstance(name, str) and name.endswith('lk_origin.bias') for name in state_dict)


def reparameterize(model: nn.Module) -> None:
    """Merge the branches of every large kernel of a model in place; exact in evaluation mode."""
    for module in model.modules():
        if isinstance(module, DilatedReparam):
            module.reparameterize()


class DilatedReparam(nn.Module):
    """k×k depthwise convolution, (B, C, H, W) in and out.

    Args:
        dim: Channels C.
        kernel_size: k, a key of ``arch.DILATED_BRANCHES``.
        deploy: Build the merged form at once. It also loads unmerged state dicts.
    """

    def __init__(self, dim: int, kernel_size: int, deploy: bool = False):
        super().__init__()
        self.kernel_size = kernel_size
        self.deploy = deploy
        if deploy:
            self.lk_origin = DepthwiseConv2d(dim, kernel_size)
            return
        for conv, bn, size, dilation in branch_names(kernel_size):
            self.add_module(conv, DepthwiseConv2d(dim, size, dilation, bias=False))
            self.add_module(bn, nn.BatchNorm2d(dim, eps=BN_EPS))

    def forward(self, x: Tensor) -> Tensor:
        if self.deploy:
            return self.lk_origin(x)
        names = branch_names(self.kernel_size)
        convs = [getattr(self, conv) for conv, *_ in names]
        norms = [getattr(self, bn) for _, bn, *_ in names]
        return dilated_branches(x, convs, norms)

    @torch.no_grad()
    def reparameterize(self) -> None:
        """Merge the branches in place. Exact in evaluation mode; a second call does nothing."""
        if self.deploy:
            return
        weight, bias = merged_kernel(self.state_dict(), self.kernel_size)
        self.lk_origin.weight.copy_(weight)
        self.lk_origin.bias = nn.Parameter(bias)
        for name in [name for name, _ in self.named_children() if name != 'lk_origin']:
            delattr(self, name)
        self.deploy = True
