"""The device that a tool computes on."""

from __future__ import annotations

import torch


def pick_device(name: str | None) -> torch.device:
    """The device that ``--device`` names; without a name a GPU if there is one, else the CPU.

    Raises:
        ValueError: for another kind of device, or a GPU that this machine does not have.
    """
    try:
        device = torch.device(name or ('cuda' if torch.cuda.is_available() else 'cpu'))
    except RuntimeError:
        device = None
    if device is None or device.type not in ('cpu', 'cuda'):
        raise ValueError(f"--device '{name}': allowed are cpu, cuda, cuda:N")
    if device.type == 'cuda' and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"--device '{name}': this machine has {torch.cuda.device_count()} GPUs")
    return device
