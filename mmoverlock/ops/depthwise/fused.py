"""Operators of depthwise convolutions and the norms behind them, on the CPU: when to take them.

A batch norm in training, or a GRN, reads and writes more memory than the convolution before it.
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
