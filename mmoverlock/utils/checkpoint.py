"""Checkpoint files, read without ever running what is in them.

A torch file is a pickle, and a pickle may call any function while it is read. PyTorch's restricted
reader (``weights_only=True``) builds tensors and plain data alone; MMEngine falls back to the
unrestricted one when that refuses. Here nothing falls back: a file either is data or is refused.
What genuine MMEngine checkpoints hold beyond tensors is listed by name in :func:`_safe_globals`.
"""

import argparse
import os
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

from .errors import one_line
from .safetensors_files import SUFFIX, is_safetensors, read_safetensors

_ZIP = b'PK\x03\x04'
_LEGACY = b'\x80\x02\x8a\x0a'  # torch.save before 1.6: a pickled magic number comes first
_METHODS = {
    HistoryBuffer: ('min', 'max', 'mean', 'current'),
    OneCycleParamScheduler: ('_annealing_cos', '_annealing_linear'),
}


def _method(owner: type, name: str) -> Any:
    """Stands for `getattr`, which MMEngine's files use to name a few harmless methods."""
    if not isinstance(owner, type) or name not in _METHODS.get(owner, ()):
        raise pickle.UnpicklingError('GLOBAL getattr was not allowed')
    return getattr(owner, name)


def _config_dict(items: dict) -> dict:
    """Stands for MMEngine's ConfigDict, which a file rebuilds from its items: they are the data."""
    if type(items) is not dict:
        raise pickle.UnpicklingError('GLOBAL mmengine.config.config.ConfigDict was not allowed')
    return items


def _safe_globals() -> list:
    """What a file may name: data types, numpy's rebuilders, and the stand-ins above."""
    core = np._core if hasattr(np, '_core') else np.core
    types = [OneCycleParamScheduler, HistoryBuffer, argparse.Namespace, np.ndarray, np.dtype]
    types += {type(np.dtype(code)) for code in np.typecodes['All']}
    functions = [
        (_method, 'builtins.getattr'),
        (_config_dict, 'mmengine.config.config.ConfigDict'),
    ]
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):  # numpy 1 and 2
        functions.append((core.multiarray._reconstruct, f'{module}._reconstruct'))
        functions.append((core.multiarray.scalar, f'{module}.scalar'))
    return types + functions


def restricted_load(source: Path | IO[bytes], map_location: Any = 'cpu', mmap: bool = False) -> Any:
    """`torch.load` that builds only what :func:`_safe_globals` names, and raises otherwise."""
    with torch.serialization.safe_globals(_safe_globals()):
        return torch.load(
            source, map_location=map_location or 'cpu', weights_only=True, mmap=mmap or None
        )


def read_checkpoint(
    filename: str | os.PathLike,
    map_location: str | torch.device | None = 'cpu',
    mmap: bool = False,
) -> dict[str, Any]:
    """Read a file of ``torch.save`` or of safetensors without running code from it.

    Of ``torch.save`` it may be in today's or the legacy format. What is in a file of safetensors
    is known by its first bytes; its tensors become the ``state_dict`` of a checkpoint.

    Args:
        filename: The file.
        map_location: Where tensors go.
        mmap: Whether to leave the tensors' values in the file until they are used; in the legacy
            format they are read in any case.

    Returns:
        The dict that was saved: a state dict, or a training checkpoint around one.

    Raises:
        FileNotFoundError, IsADirectoryError: there is no such file.
        ValueError: the file is empty, damaged, of another kind, without tensors, or would have to
            run code to be read. The message is one line and names the file.
    """
    path = Path(filename).expanduser()
    if path.is_dir():
        raise IsADirectoryError(f"checkpoint '{path}' is a directory, not a file")
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint '{path}' does not exist")
    with path.open('rb') as file:
        head = file.read(512)
    if not head:
        raise ValueError(f"checkpoint '{path}' is empty (0 bytes)")
    if path.suffix == SUFFIX or is_safetensors(head):
        return _load_safetensors(path, str(path), map_location)
    is_zip = _check_kind(path, head)
    return load_safely(path, str(path), map_location, mmap and is_zip)


def _check_kind(path: Path, head: bytes) -> bool:
    """Whether it is of today's format of torch.save; ValueError if it is of none."""
    if head.startswith(_LEGACY):
        return False
    if head.startswith(_ZIP):
        try:
            records = zipfile.ZipFile(path).infolist()
        except (zipfile.BadZipFile, OSError):
            raise ValueError(f"checkpoint '{path}' is damaged: the file is cut short") from None
        except Exception as error:  # zipfile trusts what a damaged directory says
            raise ValueError(f"checkpoint '{path}' is damaged: {error}") from error
        _check_sizes(path, records)
        names = [record.filename for record in records]
        if any(name.endswith('/constants.pkl') for name in names):
            raise ValueError(f"checkpoint '{path}' is a TorchScript program, not a state dict")
        if any(name.endswith('/data.pkl') for name in names):
            return True
    is_text = all(9 <= byte <= 13 or 32 <= byte <= 126 for byte in head)
    kind = 'a text file' if is_text else 'a file of another kind'
    raise ValueError(f"checkpoint '{path}' is {kind}, not one written by torch.save")


def _check_sizes(path: Path, records: list[zipfile.ZipInfo]) -> None:
    """Raise ValueError if the records would take more memory than the file has bytes.

    torch.save compresses nothing; a small file that unpacks to terabytes was not made by it.
    """
    size, whole = sum(record.file_size for record in records), path.stat().st_size
    if size > whole:
        raise ValueError(
            f"checkpoint '{path}' refused: its records claim {size} bytes, the file has {whole}; "
            'torch.save does not compress'
        )


def load_safely(
    source: Path | IO[bytes], name: str, map_location: Any = 'cpu', mmap: bool = False
) -> dict[str, Any]:
    """:func:`read_checkpoint` for a file that may be open already, called `name` in messages."""
    if not isinstance(source, Path) and is_safetensors(_peek(source)):
        return _load_safetensors(source.read(), name, map_location)
    try:
        checkpoint = restricted_load(source, map_location, mmap)
    except pickle.UnpicklingError as error:
        code = re.search(r'GLOBAL (\S+)|function (<.+>)', str(error))
        if code is None and 'Can only' not in str(error):
            raise ValueError(f"checkpoint '{name}' is damaged: not a whole torch file") from error
        what = f' ({code[1] or code[2]})' if code else ''
        raise ValueError(
            f"checkpoint '{name}' refused: it carries code{what}, which reading it would run; "
            'only tensors and plain data are read'
        ) from error
    except Exception as error:  # a damaged file may fail anywhere in the reader
        reason = one_line(error).partition(' Exception raised from')[0][:200]
        raise ValueError(f"checkpoint '{name}' cannot be read, is it damaged? {reason}") from error
    return _checked(checkpoint, name)


def _load_safetensors(source: Path | bytes, name: str, map_location: Any) -> dict[str, Any]:
    device = str(map_location) if isinstance(map_location, (str, torch.device)) else 'cpu'
    try:
        checkpoint = read_safetensors(source, device)
    except ValueError as error:
        reason = str(error) if str(error).startswith('is ') else f'cannot be read: {error}'
        raise ValueError(f"checkpoint '{name}' {reason}") from error
    return _checked(checkpoint, name)


def _peek(file: IO[bytes]) -> bytes:
    """The first bytes of an open file, which stays where it is."""
    place = file.tell()
    head = file.read(9)
    file.seek(place)
    return head


def _checked(checkpoint: Any, name: str) -> dict[str, Any]:
    """A checkpoint that was read; ValueError if it is none."""
    if not isinstance(checkpoint, dict):
        kind = type(checkpoint).__name__
        raise ValueError(f"checkpoint '{name}' holds a {kind}, not a dict of tensors")
    if not any(isinstance(value, torch.Tensor) for value in state_dict_of(checkpoint).values()):
        raise ValueError(f"checkpoint '{name}' holds no tensors")
    meta = checkpoint.get('meta')
    known = meta.get('dataset_meta') if isinstance(meta, dict) else None
    for key, part in (('meta', meta), ('meta.dataset_meta', known)):
        if not isinstance(part, (dict, torch.Tensor, type(None))):  # a model may call a tensor so
            raise ValueError(f"checkpoint '{name}' is damaged: {key} is a {type(part).__name__}")
    if isinstance(meta, dict):
        # The config's text in files of MMCV's time: MMEngine's resume would run it as Python.
        meta.pop('config', None)
    return checkpoint


def why_unusable(tensor: torch.Tensor) -> str | None:
    """Why a tensor cannot be a parameter's value, as a noun with its article; else None."""
    if tensor.is_nested or tensor.layout is not torch.strided:
        return 'a sparse or nested tensor'
    if tensor.is_meta:
        return 'a tensor without values'
    if tensor.is_quantized or tensor.is_complex():
        return f'a tensor of {tensor.dtype}'
    return None


def state_dict_of(checkpoint: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state dict inside a checkpoint: its ``state_dict``, its ``model``, or all of it."""
    for key in ('state_dict', 'model'):
        if isinstance(checkpoint.get(key), Mapping):
            return checkpoint[key]
    return checkpoint
