"""From a training checkpoint to a file to give away: weights alone, and the same file each time."""

import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.runner.checkpoint import CheckpointLoader

from mmoverlock.models.overlock.reparam import merge_branches
from mmoverlock.utils.files import write_whole
from mmoverlock.utils.safetensors_files import SUFFIX, to_safetensors

from .weights import config_name, has_average, plain_meta, weights_of

FORMATS = {'pth': '.pth', 'safetensors': SUFFIX}
MERGED = '_reparam'  # at the end of the names of files with merged branches


def publish(
    checkpoint: str | os.PathLike,
    output: str | os.PathLike | None = None,
    merge: bool = False,
    format: str | None = None,
    ema: bool | None = None,
) -> Path:
    """Write the weights of a checkpoint alone, with their hash in the name.

    The same weights give the same file, byte for byte, whoever trained them and when. It is read
    wherever a checkpoint is.

    Args:
        checkpoint: File or URL of any state dict or training checkpoint.
        output: Folder, or file, whose name gets the hash: ``best.pth`` becomes
            ``best-0123abcd.pth``. By default the file is beside the checkpoint, by the name of its
            config if that is known.
        merge: Merge the branches of the large kernels. Such a file cannot be trained further.
        format: 'pth' or 'safetensors'; None: what `output` ends in, else 'pth'.
        ema: The weights of the moving average; None: these if there are any.

    Returns:
        The new file: its name ends in ``-`` and the first eight digits of its SHA-256.

    Raises:
        ValueError, OSError: an argument is wrong, the checkpoint cannot be read or has nothing to
            merge, or the file exists or cannot be written.
    """
    folder, name, suffix = _target(output, format)
    loaded = CheckpointLoader.load_checkpoint(os.fspath(checkpoint), map_location='cpu')
    place = Path(checkpoint)
    state = weights_of(loaded, ema)
    if has_average(loaded):
        what = 'the trained one' if ema is False else 'the moving average'
        print_log(f'the checkpoint has two sets of weights: {what} is taken', logger='current')
    if merge:
        state = merge_branches(state)
    content = _content(state, plain_meta(loaded), suffix)
    if name is None:
        name = config_name(loaded.get('meta') or {}) or place.stem
        name += MERGED if merge and not name.endswith(MERGED) else ''
    if folder is None:
        folder = Path() if '://' in str(checkpoint) else place.parent
    digest = hashlib.sha256(content).hexdigest()[:8]
    return _write(folder / f'{name}-{digest}{suffix}', content)


def reparameterize(checkpoint: str | os.PathLike, output: str | os.PathLike | None = None) -> Path:
    """Write a checkpoint's weights with the branches of the large kernels merged.

    No config is needed, and it does not matter whether the names are the published ones.

    Args:
        checkpoint: File or URL.
        output: The new file, .pth or .safetensors; by default the checkpoint's name and
            ``_reparam``, beside it.

    Returns:
        The new file.

    Raises:
        ValueError, OSError: as of :func:`publish`.
    """
    place = Path(checkpoint)
    if output is None:
        folder = Path() if '://' in str(checkpoint) else place.parent
        suffix = SUFFIX if place.suffix == SUFFIX else '.pth'
        output = folder / f'{place.stem}{MERGED}{suffix}'
    path = Path(output)
    _check_suffix(path)
    loaded = CheckpointLoader.load_checkpoint(os.fspath(checkpoint), map_location='cpu')
    state = merge_branches(weights_of(loaded))
    return _write(path, _content(state, plain_meta(loaded), path.suffix))


def _target(
    output: str | os.PathLike | None, format: str | None
) -> tuple[Path | None, str | None, str]:
    """Folder, name and suffix of the file, as far as they are given."""
    if format is not None and format not in FORMATS:
        raise ValueError(f"format='{format}': allowed are {[*FORMATS]}")
    suffix = FORMATS[format or 'pth']
    if output is None:
        return None, None, suffix
    path = Path(output)
    if path.is_dir() or str(output).endswith(('/', os.sep)):
        return path, None, suffix
    _check_suffix(path)
    if format and path.suffix != suffix:
        raise ValueError(f"output='{output}': a file of format '{format}' ends in {suffix}")
    return path.parent, path.stem, path.suffix


def _check_suffix(path: Path) -> None:
    if path.suffix not in FORMATS.values():
        allowed = ' or '.join(FORMATS.values())
        raise ValueError(f"output='{path}': a name that ends in {allowed} is needed")


def _content(state: Mapping[str, torch.Tensor], meta: Mapping[str, Any], suffix: str) -> bytes:
    if suffix == SUFFIX:
        return to_safetensors(state, meta)
    with io.BytesIO() as file:
        torch.save(dict(meta=meta, state_dict=dict(state)), file)
        return file.getvalue()


def _write(path: Path, content: bytes) -> Path:
    if path.exists():
        raise ValueError(f"output: '{path}' exists, choose another name or remove it")
    write_whole(path, content)
    return path
