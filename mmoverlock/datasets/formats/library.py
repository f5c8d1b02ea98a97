"""supervision's readers of single images' annotations."""

from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, TypeVar

Item = TypeVar('Item')


def supervision_format(name: str) -> ModuleType:
    """The module of a format: 'yolo', 'pascal_voc' or 'labelme'.

    supervision's loaders of whole data sets rasterize every polygon, with its vertices rounded to
    pixels, into a mask of the image's size. Their functions for one image are used instead, and
    polygons stay polygons. supervision documents the loaders alone: its version is bounded.

    Raises:
        ValueError: supervision is not installed.
    """
    try:
        return import_module(f'supervision.dataset.formats.{name}')
    except ModuleNotFoundError as error:
        raise ValueError(
            f'{name.replace("_", " ")} data are read with supervision ({error}): '
            "pip install 'mmoverlock[data]'"
        ) from None


def parse(
    function: Callable[[Sequence[Item]], Any], items: Sequence[Item], names: Sequence[str]
) -> Any:
    """`function` of an image's annotations.

    Raises:
        ValueError: the function raised it or TypeError; which of the annotations it was.
    """
    try:
        return function(items)
    except (TypeError, ValueError) as error:
        for item, name in zip(items, names, strict=True):
            try:
                function([item])
            except (TypeError, ValueError) as of_one:
                raise ValueError(f'{name}: {of_one}') from None
        raise ValueError(f'{names[0]}: {error}') from None
