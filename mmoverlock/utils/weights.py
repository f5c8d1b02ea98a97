"""Where the weights of a URL are: in a local folder, in torch.hub's cache, or still to download."""

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlparse

import torch

from .download import download
from .model_index import info_of_weights

# torch.hub's convention: the first digits of the SHA-256. Eight decimal digits may be a date.
_HASH = re.compile(r'-(?!\d{8}\.)([0-9a-f]{8,64})\.\w+$')


def find_weights(
    url: str,
    folder: str | os.PathLike | None = None,
    cache: str | os.PathLike | None = None,
    progress: bool = True,
) -> tuple[Path, bool]:
    """The file of a URL. A download is checked by the size and hash that the metafiles and the
    file's name give, and goes on where an earlier one broke off.

    Args:
        url: http or https.
        folder: Looked into first, by the name at the end of the URL; nothing is written to it.
        cache: Where downloads are kept, by default ``checkpoints`` in torch.hub's folder, as for
            MMEngine.
        progress: Whether to show a progress bar.

    Returns:
        The file, and whether it was downloaded by this call.

    Raises:
        ValueError: there is no such folder, or the download failed; the message says where the
            file can be put.
        OSError: the cache cannot be written.
    """
    name = unquote(Path(urlparse(url).path).name)
    cache = Path(cache or Path(torch.hub.get_dir(), 'checkpoints'))
    places = [cache]
    if folder is not None:
        if not Path(folder).expanduser().is_dir():
            raise ValueError(f"MMOVERLOCK_WEIGHTS: '{folder}' is not a folder")
        places.insert(0, Path(folder).expanduser())
    for place in places:
        if (place / name).is_file():
            return place / name, False
    info = info_of_weights(url)
    in_name = _HASH.search(name)
    size, sha256 = (info.size, info.sha256) if info else (None, None)
    try:
        download(url, cache / name, size, sha256 or (in_name and in_name[1]), progress)
    except ValueError as error:
        where = f"'{places[0]}'" if folder else f"'{cache}' or the folder MMOVERLOCK_WEIGHTS"
        instead = f'a file {name} in {where} is taken instead'
        raise ValueError(f"cannot download checkpoint '{url}': {error}; {instead}") from error
    return cache / name, True
