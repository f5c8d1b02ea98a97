"""Paths that a config names; for those of known data sets, how to get the data."""

from __future__ import annotations

from pathlib import Path

_PREPARED = {  # a word in a path: what tools/prepare_data.py calls the data set
    'digits_scenes': 'digits_scenes',
    'tiny-imagenet': 'tiny-imagenet',
    'imagenet100': 'imagenet100',
    'imagenet': 'imagenet',
    'cifar100': 'cifar100',
    'cifar10': 'cifar10',
}


def check_path(path: str, key: str) -> None:
    """Raise ValueError if the config's `key` names a local path that does not exist."""
    if not path or '://' in path or Path(path).exists():
        return
    name = next((name for word, name in _PREPARED.items() if word in path), None)
    remedy = ''
    if name == 'digits_scenes':
        remedy = ', make it with: python tools/prepare_data.py digits_scenes'
    elif name:
        remedy = f', see: python tools/prepare_data.py {name} --root ROOT'
    elif not Path(path).is_absolute():
        remedy = f' in {Path.cwd()}'
    raise ValueError(f"{key}: '{path}' does not exist{remedy}")
