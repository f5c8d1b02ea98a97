"""The data sets inside wrappers such as RepeatDataset and ConcatDataset."""

from collections.abc import Iterator, Mapping
from typing import Any

from .config import each


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
