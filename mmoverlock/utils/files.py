"""Files that are there only when they are complete."""

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

# Of nobody else's: what carries such a name may be removed.
TEMPORARY = re.compile(r'\.mmoverlock-\d+-[0-9a-f]{8}\.unfinished')
_NO_FSYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)  # of file systems without it


def write_whole(path: str | os.PathLike, content: bytes | memoryview) -> None:
    """Write a file so that at every moment the old or the new one is there, and whole.

    It is written aside in the same folder, which is made if need be, flushed to the disk, and then
    renamed.

    Raises:
        OSError: it cannot be written; the message names it, and nothing half-written is left.
    """
    path = Path(path)
    name = f'.mmoverlock-{os.getpid()}-{secrets.token_hex(4)}.unfinished'
    unfinished = path.with_name(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open('wb') as file:
            file.write(content)
            file.flush()
            _flush_to_disk(file.fileno())
        os.replace(unfinished, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        if not isinstance(error, OSError):
            raise
        raise type(error)(f"'{path}' cannot be written: {error.strerror or error}") from error
    with contextlib.suppress(OSError):  # Windows opens no folders
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextlib.contextmanager
def removed_on_error(path: str | os.PathLike) -> Iterator[None]:
    """Remove a new file that somebody else writes, if that fails.

    Raises:
        OSError: it cannot be written; the message names it.
    """
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(path)
        if not isinstance(error, OSError) or error.errno is None:  # it says what cannot be written
            raise
        if error.filename not in (None, os.fspath(path)):
            raise
        raise type(error)(f"'{path}' cannot be written: {error.strerror}") from error


def remove_temporaries(folder: str | os.PathLike) -> int:
    """Remove what a killed :func:`write_whole` left in a folder; return how many files."""
    found = [path for path in Path(folder).glob('.*') if TEMPORARY.fullmatch(path.name)]
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)


def _flush_to_disk(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FSYNC:
            raise
