"""MMEngine's checkpoints, made safe.

Loading never runs code from a file: MMEngine falls back to PyTorch's unrestricted reader when the
restricted one refuses a file, here nothing falls back, see
:func:`mmoverlock.utils.checkpoint.read_checkpoint`. Saving writes plain data, which that reader
takes, and never leaves half a file: MMEngine writes in place.
"""

import io
import os
from typing import IO, Any

import mmengine.runner
import mmengine.runner.checkpoint as mmengine_checkpoint
import torch
from mmengine.fileio import FileClient, LocalBackend, get_file_backend
from mmengine.runner.checkpoint import CheckpointLoader

from mmoverlock import environment
from mmoverlock.utils.checkpoint import load_safely, read_checkpoint
from mmoverlock.utils.files import write_whole
from mmoverlock.utils.plain import to_plain
from mmoverlock.utils.weights import find_weights

_save_elsewhere = mmengine_checkpoint.save_checkpoint


def load_url(
    url: str, model_dir: str | None = None, map_location: Any = None, progress: bool = True
) -> dict[str, Any]:
    """MMEngine's `load_url`, safe: finds or downloads a file, see :func:`find_weights`.

    Raises:
        ValueError: the file cannot be had, or see :func:`read_checkpoint`.
    """
    path, is_new = find_weights(url, environment.weights(), model_dir, progress)
    try:
        return read_checkpoint(path, map_location)
    except ValueError:
        if is_new:  # the next attempt is to download it again
            path.unlink(missing_ok=True)
        raise


def _safe_torch_load(
    file: str | os.PathLike | IO[bytes], map_location: Any = None, weights_only: Any = None
) -> dict[str, Any]:
    """MMEngine's `_safe_torch_load`; `weights_only` is always true."""
    if hasattr(file, 'read'):
        return load_safely(file, getattr(file, 'name', 'download'), map_location)
    return read_checkpoint(file, map_location)


def save_checkpoint(
    checkpoint: dict[str, Any],
    filename: str,
    file_client_args: dict[str, Any] | None = None,
    backend_args: dict[str, Any] | None = None,
) -> None:
    """MMEngine's `save_checkpoint`, safe: plain data; on a disk, the file is whole or the old one.

    Raises:
        OSError: the file cannot be written; the message names it.
    """
    checkpoint = to_plain(checkpoint)
    if '://' in filename or not _is_local(filename, file_client_args, backend_args):
        _save_elsewhere(checkpoint, filename, file_client_args, backend_args)
        return
    with io.BytesIO() as file:
        torch.save(checkpoint, file)
        with file.getbuffer() as content:
            write_whole(filename, content)


def _is_local(
    filename: str, file_client_args: dict[str, Any] | None, backend_args: dict[str, Any] | None
) -> bool:
    if file_client_args is not None:
        client = FileClient.infer_client(file_client_args, filename).client
        return isinstance(client, LocalBackend)
    return isinstance(get_file_backend(filename, backend_args=backend_args), LocalBackend)


def install() -> None:
    """Make saving safe, and all loading: every scheme ends in one of the three loaders."""
    CheckpointLoader.register_scheme('', read_checkpoint, force=True)
    mmengine_checkpoint.load_url = load_url
    mmengine_checkpoint._safe_torch_load = _safe_torch_load
    for module in (mmengine_checkpoint, mmengine.runner, mmengine.runner.runner):
        module.save_checkpoint = save_checkpoint
