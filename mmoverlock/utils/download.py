"""Files from the web: resumed where they broke off, checked, and there only when they are whole."""

import hashlib
import http.client
import os
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from filelock import FileLock
from torch.hub import tqdm  # the library's progress bar, or a plain one

TIMEOUT = 30  # seconds without a byte
CHUNK = 1 << 18
TRIES = 20  # in one call, as long as each brings something
_BROKEN = (URLError, TimeoutError, ConnectionError, http.client.HTTPException)


def download(
    url: str,
    path: Path,
    size: int | None = None,
    sha256: str | None = None,
    progress: bool = True,
) -> None:
    """Download a file, unless it is there; processes that want the same one wait for the first.

    What an interrupted download has brought stays beside `path`, as ``.NAME.KEY.part``, and the
    next call goes on there if the server still has the same file and sends parts of it.

    Args:
        url: http or https.
        path: The file to be; its folder is made if need be.
        size: How many bytes it must have.
        sha256: How the hexadecimal hash of its content must begin.
        progress: Whether to show a progress bar.

    Raises:
        ValueError: it cannot be had, or is not what it should be; the message says why.
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f'.{path.name}.lock')
    with FileLock(lock):
        if not path.is_file():
            part = _fetch(url, path, size, progress)
            _check_content(part, sha256)
            os.replace(part, path)
    with suppress(OSError):  # another process may hold it on Windows
        lock.unlink()


def _fetch(url: str, path: Path, size: int | None, progress: bool) -> Path:
    """Download to a file beside `path`, and return it when it is complete."""
    before = -1
    for _ in range(TRIES):
        try:
            part, total = _fetch_part(url, path, size, progress)
            reason = 'the connection broke off'
        except HTTPError as error:
            raise ValueError(f'the server says {error.code} {error.reason}') from error
        except _BROKEN as error:
            part, total = None, None
            reason = str(getattr(error, 'reason', None) or error or type(error).__name__)
        got = sum(one.stat().st_size for one in _parts(path))
        if part is not None and total in (None, got):
            return part
        if total is not None and got > total:
            part.unlink()
            raise ValueError(f'the server sent {got} bytes, {total} are expected')
        if got <= before or not got:
            break
        before = got
    if not got:
        raise ValueError(reason)
    of = f' of {total}' if total else ''
    raise ValueError(f'{reason} after {got}{of} bytes; the next attempt goes on there')


def _parts(path: Path) -> list[Path]:
    return [one for one in path.parent.glob('.*.part') if one.name.startswith(f'.{path.name}.')]


def _fetch_part(url: str, path: Path, size: int | None, progress: bool) -> tuple[Path, int | None]:
    """Try once; return the file, complete or not, and how many bytes it should have, if known."""
    answer = _open(url)
    length = answer.headers.get('Content-Length')
    total = int(length) if length else size
    if size is not None and total != size:
        raise ValueError(f'the server has a file of {total} bytes, {size} are expected')
    tag = answer.headers.get('ETag') or answer.headers.get('Last-Modified')
    key = hashlib.sha256(f'{url} {tag} {total}'.encode()).hexdigest()[:8]
    part = path.with_name(f'.{path.name}.{key}.part')
    for other in _parts(path):
        if other != part:
            other.unlink()  # of another state of the file
    done = part.stat().st_size if part.is_file() and tag and total else 0
    if done and done == total:
        answer.close()
        return part, total
    if 0 < done < total:
        answer.close()
        answer = _open(url, {'Range': f'bytes={done}-', 'If-Range': tag})
        starts = answer.headers.get('Content-Range', '').startswith(f'bytes {done}-')
        done = done if answer.status == 206 and starts else 0
    with answer:
        _write(answer, part, done, total, progress and f'{path.name}')
    return part, total


def _open(url: str, headers: dict[str, str] | None = None) -> Any:
    answer = urlopen(Request(url, headers=headers or {}), timeout=TIMEOUT)
    if answer.headers.get_content_type() == 'text/html':
        answer.close()
        raise ValueError('the server sent a web page, not the file')
    return answer


def _write(answer: Any, part: Path, done: int, total: int | None, shown: str | bool) -> None:
    bar = tqdm(
        total=total, initial=done, disable=not shown, unit='B', unit_scale=True, desc=shown or None
    )
    with bar, part.open('ab' if done else 'wb') as file:
        while chunk := answer.read(CHUNK):
            try:
                file.write(chunk)
            except OSError as error:
                raise type(error)(f"'{part}' cannot be written: {error.strerror}") from error
            bar.update(len(chunk))


def _check_content(part: Path, sha256: str | None) -> None:
    digest = hashlib.sha256()
    with part.open('rb') as file:
        page = file.read(64).lstrip().startswith(b'<')
        file.seek(0)
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    found = digest.hexdigest()
    fault = 'the server sent a web page, not the file' if page else None
    if sha256 is not None and not found.startswith(sha256.lower()):
        fault = f'its SHA-256 begins with {found[: len(sha256)]}, not {sha256}'
    if fault:
        part.unlink()
        raise ValueError(fault)
