"""GRN as its formula says, in plain PyTorch."""

import torch
from torch import Tensor


def grn(x: Tensor, gamma: Tensor, beta: Tensor, eps: float, inplace: bool) -> Tensor:
    """See :func:`mmoverlock.ops.grn`."""
    dtype = torch.promote_types(x.dtype, torch.float32)  # squares overflow float16
    norm = torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True, dtype=dtype)
    scale = gamma * (norm / (norm.mean(dim=1, keepdim=True) + eps)) + 1
    out = x if inplace else None
    return torch.addcmul(beta.to(x.dtype), scale.to(x.dtype), x, out=out)
