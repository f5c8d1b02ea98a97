"""The files of a folder: which there are, what they hold, how large the images are."""

import json
import mmap
import os
import re
import unicodedata
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image

from mmoverlock.utils.errors import why_unreadable

from ..exif import orientation_of

IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp', '.ppm', '.pgm')
_SPLITS = dict(
    train='train', training='train', val='val', valid='val', validation='val', test='test',
    testing='test',
)  # fmt: skip
_THREADS, _CHUNK = 8, 64  # header reads that wait for a disk or the network at the same time


def split_of(name: str) -> str | None:
    """The split that a file's or a folder's name names: 'instances_train2017.json' -> 'train'."""
    words = re.findall('[a-z]+', name.lower())
    return next((_SPLITS[word] for word in words if word in _SPLITS), None)


def split_of_folders(path: Path, root: Path) -> str | None:
    """The split that one of the folders between `root` and the file `path` is called after."""
    folders = path.relative_to(root).parts[:-1]
    return next((_SPLITS[name.lower()] for name in folders if name.lower() in _SPLITS), None)


def is_hidden(name: str) -> bool:
    """Whether a file is one of the system's own, such as .DS_Store or __MACOSX, or has results.

    Runs that are started in a folder of data write into its ``work_dirs``.
    """
    return name.startswith('.') or name in ('__MACOSX', 'work_dirs')


def walk(folder: Path, suffixes: Collection[str], deep: bool = True) -> Iterator[Path]:
    """The files with one of the suffixes (lower case, with the dot), in the order of their names.

    Symbolic links are followed, hidden files and folders are not seen.
    """
    for parent, folders, names in os.walk(folder, followlinks=True):
        here = Path(parent).resolve()
        folders[:] = sorted(
            name
            for name in folders
            if deep and not is_hidden(name) and not _is_around(Path(parent, name), here)
        )
        for name in sorted(names):
            if os.path.splitext(name)[1].lower() in suffixes and not is_hidden(name):
                yield Path(parent, name)


def _is_around(folder: Path, here: Path) -> bool:
    """Whether a symbolic link leads back to a folder that holds `here`."""
    return folder.is_symlink() and here.is_relative_to(folder.resolve())


def any_contains(paths: Iterable[Path], pattern: bytes, probes: int = 100) -> Path | None:
    """The first of the files whose bytes match the pattern; `probes` files are looked at."""
    for _, path in zip(range(probes), paths, strict=False):
        if contains(path, pattern):
            return path
    return None


def contains(path: Path, *patterns: bytes) -> bool:
    """Whether a file's bytes match all patterns. Large files are not read into memory."""
    if not path.is_file() or path.stat().st_size == 0:
        return False
    with path.open('rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return all(re.search(pattern, content) for pattern in patterns)


def read_text(path: Path) -> str:
    """A text file's content, with or without a byte order mark.

    Raises:
        ValueError: it is not UTF-8.
    """
    try:
        return path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(f"'{path}' is not a text file in UTF-8: {error}") from None


def read_json(path: Path) -> Any:
    """A JSON file's content.

    Raises:
        ValueError: it is not JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, deep nesting
        why = 'is empty' if not text.strip() else f'is not JSON, or cut short: {error}'
        raise ValueError(f"'{path}' {why}") from None


def find_file(name: str, folders: Sequence[Path]) -> Path | None:
    """The file called `name` in the first of the folders that has it.

    Backslashes may separate folders, and accents may be composed or not.
    """
    names = dict.fromkeys(
        unicodedata.normalize(form, one) if form else one
        for one in (name, name.replace('\\', '/'))
        for form in ('', 'NFC', 'NFD')
    )
    for one in names:
        for folder in folders:
            if (path := folder / one).is_file():
                short = Path(os.path.normpath(path))  # other than path behind a symbolic link
                return short if '..' in path.parts and short.is_file() else path
    return None


def missing_files(paths: Iterable[str]) -> list[str]:
    """Those of the paths that do not exist. Each folder is listed once, which is fast."""
    folders: dict[str, set[str]] = {}
    missing = []
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in folders:
            try:
                folders[folder] = {entry.name for entry in os.scandir(folder or '.')}
            except OSError:
                folders[folder] = set()
        if name not in folders[folder] and not os.path.exists(path):  # case, accents
            missing.append(path)
    return missing


def image_sizes(paths: Sequence[Path]) -> list[tuple[int, int, bool]]:
    """Width and height of images as stored, and whether an EXIF tag turns them by 90 degrees.

    Only the files' headers are read.

    Raises:
        ValueError: files are missing, empty or no images: how many, and the first.
    """
    chunks = [paths[i : i + _CHUNK] for i in range(0, len(paths), _CHUNK)]
    with warnings.catch_warnings(), ThreadPoolExecutor(_THREADS) as pool:
        warnings.simplefilter('ignore')  # of odd metadata, and of large images
        found = [one for chunk in pool.map(_headers, chunks) for one in chunk]
    bad = [(path, one) for path, one in zip(paths, found, strict=True) if isinstance(one, str)]
    if bad:
        path, why = bad[0]
        number = f'{len(bad)} of {len(paths)} image files cannot be read, the first: '
        raise ValueError(f"{number if len(bad) > 1 else ''}'{path}': {why}")
    return found


def _headers(paths: Sequence[Path]) -> list[tuple[int, int, bool] | str]:
    return [_header(path) for path in paths]


def _header(path: Path) -> tuple[int, int, bool] | str:
    try:
        with Image.open(path) as image:
            if image.format == 'TIFF' and image.mode in ('F', 'I'):
                return 'it has 32 bits a pixel and channel, OpenCV reads at most 16'
            return *image.size, orientation_of(image, header_only=True) >= 5
    except Exception as error:  # every decoder has its own
        if isinstance(error, Image.DecompressionBombError):
            return 'it has too many pixels'
        return why_unreadable(str(path), error)


def replace_text(path: Path, text: str) -> None:
    """Write a text file that is there only when complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f'.{path.name}.{os.getpid()}')
    scratch.write_text(text, encoding='utf-8')
    scratch.replace(path)
