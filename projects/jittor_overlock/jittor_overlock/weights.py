"""Weights to and from mmoverlock: one safetensors file, whose names both sides share.

`mmoverlock publish` writes such a file from any checkpoint of a classifier.
"""

from pathlib import Path

import jittor as jt
import numpy as np
from jittor import nn
from safetensors.numpy import load_file, save_file

COUNTER = 'num_batches_tracked'  # PyTorch's, which nothing reads


def load_weights(model: nn.Module, file: str | Path) -> None:
    """Load all of a model's tensors.

    Raises:
        ValueError: the file's tensors are not those of the model; nothing has been loaded.
    """
    found = {name: x for name, x in load_file(file).items() if not name.endswith(COUNTER)}
    own = model.state_dict()
    for name in sorted(own.keys() | found.keys()):
        shapes = [tuple(side[name].shape) if name in side else None for side in (found, own)]
        if shapes[0] != shapes[1]:
            raise ValueError(f'{file}: {name} is {shapes[0]} in the file, {shapes[1]} in the model')
    for name, var in own.items():
        var.assign(jt.array(found[name].astype(np.float32)))


def save_weights(model: nn.Module, file: str | Path) -> None:
    """Write all of a model's tensors."""
    save_file({name: var.numpy() for name, var in model.state_dict().items()}, file)
