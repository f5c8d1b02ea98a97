"""The words of error messages: one line, a few names, the nearest known one."""

import contextlib
import difflib
from collections.abc import Iterable
from pathlib import Path


class ImageError(ValueError):
    """An image that is whole, but not what the config or the library reads."""


def one_line(error: BaseException) -> str:
    """The error's message in one line; for a DataLoader worker's traceback, its last line."""
    message = error.args[0] if isinstance(error, KeyError) and error.args else error
    text = str(message).strip() or type(error).__name__
    if 'Traceback' in text:
        text = text.splitlines()[-1]
    return ' '.join(text.split())


def shown(names: Iterable[str], limit: int = 6) -> str:
    """A few names in quotes: "'a', 'b', ..."."""
    names = list(names)
    return ', '.join(f"'{name}'" for name in names[:limit]) + (', ...' if names[limit:] else '')


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """', did you mean ...?' for a name close to a known one, else ''."""
    lower = {other.lower(): other for other in known}
    close = difflib.get_close_matches(name.lower(), lower, n=1)
    return f", did you mean '{lower[close[0]]}'?" if close else ''


def why_unreadable(path: str, error: Exception) -> str:
    """What is wrong with an image file, for a message."""
    if isinstance(error, FileNotFoundError):
        return 'it does not exist'
    if Path(path).is_file() and Path(path).stat().st_size == 0:
        return 'it is empty (0 bytes)'
    if isinstance(error, PermissionError):
        return 'permission denied'
    return image_limit(path, error) or 'it is damaged, or no image'


def image_limit(path: str | Path, error: Exception | None = None) -> str | None:
    """Which of OpenCV's limits an image file exceeds, for a message."""
    if 'CV_IO_MAX_IMAGE' in str(error):
        return (
            'it has more pixels than OpenCV reads (2^30 in all, 2^20 a side; the environment '
            'variables OPENCV_IO_MAX_IMAGE_PIXELS, _WIDTH and _HEIGHT raise that)'
        )
    from PIL import Image  # not by every command: the doctor starts without it

    with contextlib.suppress(Exception), Image.open(path) as image:  # of every decoder
        if image.format == 'TIFF' and image.mode in ('F', 'I'):
            return 'it has 32 bits per pixel and channel, OpenCV reads at most 16'
    return None
