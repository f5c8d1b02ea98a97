"""Files of safetensors: tensors and text, and so nothing that could run.

A file of ours has MMEngine's `meta` as JSON in its metadata; one of another program need not.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

import torch

from .errors import one_line

SUFFIX = '.safetensors'
_META = 'meta'
_LARGEST_HEADER = 100_000_000  # bytes, as the library has it


def _library() -> Any:
    try:
        import safetensors
    except ModuleNotFoundError:
        remedy = 'pip install safetensors'
        raise ValueError(f"'safetensors' is needed, but not installed: {remedy}") from None
    import safetensors.torch

    return safetensors


def is_safetensors(head: bytes) -> bool:
    """Whether a file begins so (9 bytes are needed): the header's length, and a JSON object."""
    return head[8:9] == b'{' and int.from_bytes(head[:8], 'little') <= _LARGEST_HEADER


def read_safetensors(source: str | os.PathLike | bytes, device: str = 'cpu') -> dict[str, Any]:
    """A file, or its bytes, as a checkpoint: ``state_dict`` and ``meta``.

    Raises:
        ValueError: it is damaged, or the library is missing; a file is not named.
    """
    library = _library()
    try:
        if isinstance(source, bytes):
            tensors = library.torch.load(source)
            size = int.from_bytes(source[:8], 'little')
            metadata = json.loads(source[8 : 8 + size]).get('__metadata__')
            tensors = {name: tensor.to(device) for name, tensor in tensors.items()}
        else:
            with library.safe_open(os.fspath(source), framework='pt', device=device) as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                metadata = file.metadata()
    except (library.SafetensorError, UnicodeDecodeError) as error:
        raise ValueError(f'is damaged: {one_line(error)}') from error
    try:
        meta = json.loads((metadata or {}).get(_META, '{}'))
    except json.JSONDecodeError:
        meta = {}  # of another program, which means something else by this word
    return dict(state_dict=tensors, meta=meta if isinstance(meta, dict) else {})


def to_safetensors(state_dict: Mapping[str, torch.Tensor], meta: Mapping[str, Any]) -> bytes:
    """The bytes of a file; the same ones for the same tensors, in whatever order they are.

    Raises:
        ValueError: the library is missing.
    """
    tensors = {name: state_dict[name].contiguous() for name in sorted(state_dict)}
    text = json.dumps(meta, sort_keys=True, ensure_ascii=False)
    return _in_order(_library().torch.save(tensors, metadata={'format': 'pt', _META: text}))


def _in_order(content: bytes) -> bytes:
    """The same file with its metadata sorted: the library's order varies."""
    size = int.from_bytes(content[:8], 'little')
    header = json.loads(content[8 : 8 + size])
    header['__metadata__'] = dict(sorted(header['__metadata__'].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)  # the tensors' bytes are aligned
    return len(text).to_bytes(8, 'little') + text + content[8 + size :]
