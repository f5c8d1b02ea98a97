"""Paths that a config names; for those of known data sets, how to get the data."""

from pathlib import Path

from mmoverlock.datasets.catalog import remedy


def check_path(path: str, key: str) -> None:
    """Raise ValueError if the config's `key` names a local path that does not exist."""
    if not path or '://' in path or Path(path).exists():
        return
    advice = remedy(path)
    where = '' if Path(path).is_absolute() else f' in {Path.cwd()}'
    raise ValueError(f"{key}: '{path}' does not exist{f', {advice}' if advice else where}")
