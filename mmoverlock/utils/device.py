"""The device to compute on."""

import torch


def pick_device(device: str | None) -> torch.device:
    """The device of this name; without a name a GPU if there is one, else the CPU.

    Raises:
        ValueError: for another kind of device, or a GPU that this machine does not have.
    """
    try:
        found = torch.device(device or ('cuda' if torch.cuda.is_available() else 'cpu'))
    except RuntimeError:
        found = None
    if found is None or found.type not in ('cpu', 'cuda'):
        raise ValueError(f'{device=}: allowed are cpu, cuda, cuda:N')
    if found.type == 'cuda' and (found.index or 0) >= torch.cuda.device_count():
        raise ValueError(f'{device=}: this machine has {torch.cuda.device_count()} GPUs')
    return found
