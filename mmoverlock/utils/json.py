"""Values as JSON has them: it knows no NaN, no infinity and no arrays."""

import json
import math
import os
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """`value` in what JSON has. NaN and infinity are None, arrays and tensors are lists."""
    torch = sys.modules.get('torch')  # without it there are no tensors
    if torch and isinstance(value, torch.Tensor):
        value = (
            value.detach().cpu().float() if value.dtype == torch.bfloat16 else value.detach().cpu()
        )
        value = value.tolist()
    elif isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(part) for part in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def dumps(value: Any, **options: Any) -> str:
    """:func:`json.dumps` of :func:`plain` values: what every JSON reader takes."""
    return json.dumps(plain(value), allow_nan=False, ensure_ascii=False, **options)
