"""MMEngine's checkpoint loading, made safe: it never runs code from a file.

MMEngine falls back to PyTorch's unrestricted reader when the restricted one refuses a file. Here
nothing falls back, see :func:`mmoverlock.utils.checkpoint.read_checkpoint`.
"""

import os
from pathlib import Path
from typing import IO, Any
from urllib.error import URLError
from urllib.parse import urlparse

import mmengine.runner.checkpoint as mmengine_checkpoint
import torch
from mmengine.runner.checkpoint import CheckpointLoader

from mmoverlock.utils.checkpoint import load_safely, read_checkpoint


def load_url(
    url: str, model_dir: str | None = None, map_location: Any = None, progress: bool = True
) -> dict[str, Any]:
    """MMEngine's `load_url`, safe: downloads a file once, by default into torch's hub folder.

    Raises:
        ValueError: the download failed, or see :func:`read_checkpoint`.
    """
    folder = Path(model_dir or Path(torch.hub.get_dir(), 'checkpoints'))
    path = folder / Path(urlparse(url).path).name
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), progress=progress)
        except (URLError, TimeoutError, ConnectionError) as error:
            raise ValueError(f"cannot download checkpoint '{url}': {error}") from error
    return read_checkpoint(path, map_location)


def _safe_torch_load(
    file: str | os.PathLike | IO[bytes], map_location: Any = None, weights_only: Any = None
) -> dict[str, Any]:
    """MMEngine's `_safe_torch_load`; `weights_only` is always true."""
    if hasattr(file, 'read'):
        return load_safely(file, getattr(file, 'name', 'download'), map_location)
    return read_checkpoint(file, map_location)


def install() -> None:
    """Make all of MMEngine's checkpoint loading safe: every scheme ends in one of these three."""
    CheckpointLoader.register_scheme('', read_checkpoint, force=True)
    mmengine_checkpoint.load_url = load_url
    mmengine_checkpoint._safe_torch_load = _safe_torch_load
