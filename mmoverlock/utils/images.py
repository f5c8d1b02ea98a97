"""Image files that cannot be read."""

from pathlib import Path


def why_unreadable(path: str, error: Exception) -> str:
    """What is wrong with an image file, for a message."""
    if isinstance(error, FileNotFoundError):
        return 'it does not exist'
    if Path(path).is_file() and Path(path).stat().st_size == 0:
        return 'it is empty (0 bytes)'
    if isinstance(error, PermissionError):
        return 'permission denied'
    return 'it is damaged, or no image'
