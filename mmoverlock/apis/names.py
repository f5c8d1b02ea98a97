"""Names and colours of a model's classes."""

import logging
from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log
from mmengine.registry import DATASETS
from torch import nn

from mmoverlock.utils.registry import find_class
from mmoverlock.visualization.drawing import Colour, usual_colours


def class_names(
    dataset: Mapping[str, Any], checkpoint: Mapping[str, Any], model: nn.Module
) -> list[str]:
    """One name for each of the model's classes; 'class 3' and so on where none are known."""
    heads = [module for name, module in model.named_modules() if 'head' in name]
    numbers = [getattr(head, 'num_classes', None) for head in heads]
    number = max((number for number in numbers if isinstance(number, int)), default=0)
    names = list(_meta(dataset, checkpoint, 'classes'))
    if names and number in (0, len(names)):
        return [str(name) for name in names]
    if names:
        message = f'{len(names)} names are known for {number} classes: using generic names'
        print_log(message, logger='current', level=logging.WARNING)
    return [f'class {index}' for index in range(number)]


def colours(dataset: Mapping[str, Any], checkpoint: Mapping[str, Any], number: int) -> list[Colour]:
    """A colour (RGB, 0 to 255) for each class: the data set's, or else the usual ones."""
    palette = list(_meta(dataset, checkpoint, 'palette'))
    if len(palette) < number:
        return usual_colours(number)
    return [tuple(map(int, colour)) for colour in palette[:number]]


def _meta(dataset: Mapping[str, Any], checkpoint: Mapping[str, Any], key: str) -> Any:
    """What the checkpoint, else the data set's config, else its class knows of `key`."""
    meta = checkpoint.get('meta') or {}
    own = getattr(find_class(DATASETS, dataset), 'METAINFO', None)
    for source in (meta.get('dataset_meta'), meta, dataset.get('metainfo'), own):
        for name in (key, key.upper()):
            value = (source or {}).get(name)
            if isinstance(value, (list, tuple)) and value:
                return value
    return ()
