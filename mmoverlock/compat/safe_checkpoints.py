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
from mmengine.dist import barrier, get_rank
from mmengine.runner.checkpoint import CheckpointLoader

from mmoverlock.utils.checkpoint import load_safely, read_checkpoint


def load_from_local(filename: str, map_location: Any = None) -> dict[str, Any]:
    """MMEngine's loader of local files, safe."""
    return read_checkpoint(filename, map_location)


def load_from_http(
    filename: str, map_location: Any = None, model_dir: str | None = None, progress: bool = True
) -> dict[str, Any]:
    """MMEngine's loader of URLs, safe: the first rank downloads, once, into torch's hub folder.

    Raises:
        ValueError: the download failed, or see :func:`read_checkpoint`.
    """
    folder = Path(model_dir or Path(torch.hub.get_dir(), 'checkpoints'))
    path = folder / Path(urlparse(filename).path).name
    if get_rank() == 0:
        _download(filename, path, progress)
    barrier()
    if get_rank() != 0:
        _download(filename, path, progress=False)  # on other machines
    return read_checkpoint(path, map_location)


def _download(url: str, path: Path, progress: bool) -> None:
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(path), progress=progress)
    except (URLError, TimeoutError, ConnectionError) as error:
        raise ValueError(f"cannot download checkpoint '{url}': {error}") from error


def _safe_torch_load(
    file: str | os.PathLike | IO[bytes], map_location: Any = None, weights_only: Any = None
) -> dict[str, Any]:
    """MMEngine's `_safe_torch_load`; `weights_only` is always true."""
    if hasattr(file, 'read'):
        return load_safely(file, getattr(file, 'name', 'download'), map_location)
    return read_checkpoint(file, map_location)


def install() -> None:
    """Make all of MMEngine's checkpoint loading safe: load_from, resume, init_cfg, every scheme."""
    CheckpointLoader.register_scheme('', load_from_local, force=True)
    CheckpointLoader.register_scheme(('http://', 'https://'), load_from_http, force=True)
    # The other schemes (torchvision://, open-mmlab://, s3://, ...) end in these two.
    mmengine_checkpoint.load_from_http = load_from_http
    mmengine_checkpoint._safe_torch_load = _safe_torch_load
