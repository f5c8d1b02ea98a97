"""The state of a process's random generators, in types that a checkpoint may hold."""

import random
from typing import Any

import numpy as np
import torch


def random_state() -> dict[str, Any]:
    """The states of Python's, NumPy's and PyTorch's generators, the current GPU's included."""
    name, keys, *rest = np.random.get_state()
    state = dict(
        python=random.getstate(),
        numpy=(name, torch.from_numpy(keys.astype(np.int64)), *rest),
        torch=torch.get_rng_state(),
    )
    if torch.cuda.is_available():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Continue from a :func:`random_state`.

    Raises:
        ValueError: it is none.
    """
    try:
        version, keys, gauss = state['python']
        random.setstate((version, tuple(keys), gauss))
        name, keys, *rest = state['numpy']
        np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *rest))
        torch.set_rng_state(state['torch'].cpu())
        if 'cuda' in state and torch.cuda.is_available():
            torch.cuda.set_rng_state(state['cuda'].cpu())
    except (AttributeError, KeyError, RuntimeError, TypeError) as error:
        raise ValueError(f'no state of random generators: {error}') from error
