"""Data files of the analyses, written whole."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmoverlock.utils.files import write_whole
from mmoverlock.utils.json import dumps


def save_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write what :func:`mmoverlock.utils.json.dumps` takes."""
    write_whole(path, (dumps(content, indent=1) + '\n').encode())


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an NPY file."""
    data = io.BytesIO()
    np.save(data, array, allow_pickle=False)
    write_whole(path, data.getbuffer())


def save_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays, or what becomes arrays, by name as an NPZ file; readable without pickle."""
    data = io.BytesIO()
    np.savez_compressed(data, allow_pickle=False, **{k: np.asarray(v) for k, v in arrays.items()})
    write_whole(path, data.getbuffer())


def save_tensors(path: Path, tensors: Mapping[Any, Any]) -> None:
    """Write tensors in dictionaries; ``torch.load(path, weights_only=True)`` reads them."""
    data = io.BytesIO()
    torch.save(tensors, data)
    write_whole(path, data.getbuffer())
