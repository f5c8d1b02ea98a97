"""What configs and built data sets hold: those inside wrappers, and the pictures they deliver."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from mmengine.config import Config

from .config import each, type_name, walk

_SEED = 0


def leaf_datasets(dataset: Any) -> Iterator[Any]:
    """The data sets inside a data set that is built."""
    if hasattr(dataset, 'datasets'):
        for one in dataset.datasets:
            yield from leaf_datasets(one)
    elif hasattr(dataset, 'dataset'):
        yield from leaf_datasets(dataset.dataset)
    else:
        yield dataset


def leaf_configs(cfg: Mapping[str, Any], key: str = '') -> Iterator[tuple[Any, str]]:
    """The configs of the data sets inside a data set's config, and their dotted keys."""
    inner = [pair for name in ('dataset', 'datasets') for pair in each(cfg.get(name), name)]
    for name, one in inner:
        yield from leaf_configs(one, f'{key}.{name}')
    if not inner:
        yield cfg, key


def leaf_dataset(cfg: Mapping[str, Any]) -> Any:
    """The first config of :func:`leaf_configs`."""
    return next(leaf_configs(cfg))[0]


def spread_indices(length: int, number: int) -> list[int]:
    """Up to `number` indices below `length`: one, by chance, of each of as many equal parts."""
    number = min(length, number)
    edges = [part * length // number for part in range(number + 1)] if number else []
    rng = np.random.default_rng(_SEED)
    return [int(rng.integers(a, b)) for a, b in zip(edges, edges[1:], strict=False)]


def delivers_bgr(cfg: Config, loader: str) -> bool:
    """Whether the pictures of a loader's pipeline are BGR, as the loading transforms give them."""
    for part in (cfg.get('data_preprocessor'), cfg.get('model', {}).get('data_preprocessor')):
        if (part or {}).get('to_rgb') or (part or {}).get('bgr_to_rgb'):
            return True
        if (part or {}).get('rgb_to_bgr'):
            return False
    for _, step in walk(leaf_dataset(cfg[loader].dataset).get('pipeline') or []):
        if 'LoadImage' in type_name(step):
            return step.get('channel_order', 'bgr') == 'bgr'
    return False  # arrays, such as CIFAR's
