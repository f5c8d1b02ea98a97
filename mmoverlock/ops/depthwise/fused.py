"""Operators that train depthwise convolutions and norms together, on the CPU: when to take them.

In training, a batch norm or GRN behind a depthwise convolution reads and writes more memory than
the convolution.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmoverlock.ops.plain import plain


def fit(x: Tensor) -> bool:
    """Whether the operators take such a map, (B, C, H, W), and are wanted."""
    return (
        x.device.type == 'cpu'
        and x.dtype in (torch.float32, torch.float64)
        and x.numel() > 0
        and not torch.is_autocast_enabled('cpu')
        and not plain()
    )
