"""Unpack archives that the user has downloaded, adding files and never replacing one."""

import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from rich.progress import track

_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError)


def unpack(archive: Path, root: Path, place: Callable[[str], str]) -> int:
    """Unpack the files of a tar (gzipped or not) or zip archive that are not there yet.

    A tar in a tar, as ImageNet's, is unpacked into a folder of its name. `place` turns a name in
    the archive into a path below `root`. Each file appears under its name only when complete, so
    that an interrupted run can be repeated. Returns the number of files written.

    Raises:
        ValueError: the archive is damaged, or names a path outside of `root`.
    """
    written = 0
    for name, content in track(_files(archive), f'unpack {archive.name}', total=None):
        parts = PurePosixPath(place(name))
        if parts.is_absolute() or '..' in parts.parts:
            raise ValueError(f"archive '{archive}' names '{name}', outside of the folder")
        path = root / parts
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f'.{path.name}.unfinished')
        with _reading(archive):
            data = content.read()
        unfinished.write_bytes(data)
        os.replace(unfinished, path)
        written += 1
    return written


def _files(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The files in an archive, one after the other, with their names."""
    with _reading(archive):
        if archive.suffix == '.zip':
            with zipfile.ZipFile(archive) as whole:
                for info in whole.infolist():
                    if not info.is_dir():
                        with whole.open(info) as content:
                            yield info.filename, content
        else:
            with tarfile.open(archive) as whole:
                yield from _tar_files(whole)


def _tar_files(whole: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for member in whole:
        content = whole.extractfile(member) if member.isfile() else None
        if content is None:
            continue
        name = member.name.removeprefix('./')
        if name.endswith('.tar'):
            with tarfile.open(fileobj=content) as inner:
                for inner_name, inner_content in _tar_files(inner):
                    yield f'{name.removesuffix(".tar")}/{inner_name}', inner_content
        else:
            yield name, content


@contextmanager
def _reading(archive: Path) -> Iterator[None]:
    """Raise ValueError for what happens if the archive is damaged."""
    try:
        yield
    except _DAMAGED as error:
        raise ValueError(f"archive '{archive}' is damaged, download it again ({error})") from error
