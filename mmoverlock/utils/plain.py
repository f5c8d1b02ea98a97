"""Plain data: what the safe reader of checkpoints takes."""

import datetime
import enum
import io
import logging
import os
from collections import OrderedDict
from collections.abc import Mapping, Set
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import print_log

from .checkpoint import restricted_load

_SCALARS = (str, int, float, complex, bool, bytes, type(None))


def to_plain(value: Any, name: str = '') -> Any:
    """Bring nested data into types that are read back without running code.

    Configs and other mappings become dicts, named tuples tuples, frozen sets sets; numpy's scalars,
    enums, paths and dates become numbers and strings. Tensors, arrays of numbers and what the
    reader takes otherwise stay as they are, and so does every container in which nothing changes.
    An object that nobody could read back is left out of its dict, with a warning that names it; in
    a sequence None takes its place.

    Args:
        value: The data; not changed.
        name: Of the data in the warning.
    """
    plain = _plain(value, name)
    return None if plain is _UNREADABLE else plain


_UNREADABLE = object()


def _plain(value: Any, name: str) -> Any:
    kind = type(value)
    if kind in _SCALARS or isinstance(value, torch.Tensor):
        return value
    if isinstance(value, enum.Enum):
        return _plain(value.value, name)
    if isinstance(value, np.generic):
        return _plain(value.item(), name) if not isinstance(value, np.void) else value
    if isinstance(value, np.ndarray):
        return value if value.dtype.kind in 'biufcSU' else _plain(value.tolist(), name)
    if isinstance(value, Config):
        return _plain(value._cfg_dict, name)
    if isinstance(value, Mapping):
        return _plain_mapping(value, name)
    if isinstance(value, (list, tuple)) and kind is not torch.Size:
        return _plain_sequence(value, name)
    if isinstance(value, Set):
        parts = {_plain(one, name) for one in value}
        return value if kind is set and parts == value else parts - {_UNREADABLE}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    for base in _SCALARS:
        if isinstance(value, base):
            return base(value)
    if _is_readable(value):
        return value
    print_log(
        f'not saved: {name or "an object"} is of {kind.__module__}.{kind.__qualname__}, which a '
        'checkpoint cannot hold; only tensors and plain data are read back',
        logger='current',
        level=logging.WARNING,
    )
    return _UNREADABLE


def _plain_mapping(value: Mapping, name: str) -> Mapping:
    items = dict.items(value) if isinstance(value, dict) else value.items()
    pairs = [
        (key, one, _plain(key, f'a key of {name}'), _plain(one, f'{name}.{key}' if name else key))
        for key, one in items
    ]
    kind = type(value)
    same = all(key is new_key and one is new for key, one, new_key, new in pairs)
    if same and kind in (dict, OrderedDict):
        return value
    plain = {
        key: one for *_, key, one in pairs if key is not _UNREADABLE and one is not _UNREADABLE
    }
    if kind is not OrderedDict:
        return plain
    ordered = OrderedDict(plain)
    vars(ordered).update(vars(value))  # a state dict's _metadata
    return ordered


def _plain_sequence(value: list | tuple, name: str) -> list | tuple:
    parts = [_plain(one, f'{name}[{index}]') for index, one in enumerate(value)]
    kind = tuple if isinstance(value, tuple) else list
    if type(value) is kind and all(a is b for a, b in zip(value, parts, strict=True)):
        return value
    return kind(None if one is _UNREADABLE else one for one in parts)


def _is_readable(value: Any) -> bool:
    with io.BytesIO() as file:
        try:
            torch.save(value, file)
            file.seek(0)
            restricted_load(file)
        except Exception:  # whatever an object's own code raises
            return False
    return True


def same_data(one: Any, other: Any) -> bool:
    """Whether nested data are equal; arrays and tensors by their values."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same_data(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same_data, one, other))
    if any(isinstance(part, (np.ndarray, torch.Tensor)) for part in (one, other)):
        return np.array_equal(one, other)
    return bool(one == other)
