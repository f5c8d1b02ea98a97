"""Files of predictions, read without running code from them.

A pickle may call any function while it is read. Test runs write tensors, arrays and plain values,
and these alone are read here.
"""

import codecs
import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray, numeric


def _tensors(data: bytes) -> Any:
    """torch's own function of this name runs code."""
    return torch.load(io.BytesIO(data), map_location='cpu', weights_only=True)


_ALLOWED = {
    ('_codecs', 'encode'): codecs.encode,
    ('collections', 'OrderedDict'): OrderedDict,
    ('numpy', 'dtype'): np.dtype,
    ('numpy', 'ndarray'): np.ndarray,
    ('torch._utils', '_rebuild_tensor_v2'): torch._utils._rebuild_tensor_v2,
    ('torch.storage', '_load_from_bytes'): _tensors,
}
for _core in ('numpy.core', 'numpy._core'):
    _ALLOWED[f'{_core}.multiarray', '_reconstruct'] = multiarray._reconstruct
    _ALLOWED[f'{_core}.multiarray', 'scalar'] = multiarray.scalar
    _ALLOWED[f'{_core}.numeric', '_frombuffer'] = numeric._frombuffer


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f'it holds code ({module}.{name})')
        return _ALLOWED[module, name]


def read_predictions(path: str | Path) -> list[dict[str, Any]]:
    """The samples of a file that a test run has written.

    Raises:
        ValueError: the file is missing, is cut or is no such file, or holds anything but tensors,
            arrays and plain values.
    """
    try:
        with open(path, 'rb') as file:
            samples = _Reader(file).load()
    except FileNotFoundError as error:
        raise ValueError(f"file of predictions '{path}' does not exist") from error
    except Exception as error:  # what is no pickle, or half of one, fails in any way
        refused = isinstance(error, pickle.UnpicklingError) and 'it holds code' in str(error)
        reason = str(error) if refused else 'it is cut short, or no such file'
        raise ValueError(f"file of predictions '{path}' cannot be read: {reason}") from error
    if not isinstance(samples, list) or not all(isinstance(one, dict) for one in samples):
        raise ValueError(f"file of predictions '{path}' holds no list of samples")
    return samples
