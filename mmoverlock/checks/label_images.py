"""The label images of a segmentation data set: labels, size and place, as mmseg will load them."""

import warnings
from collections.abc import Mapping
from typing import Any

import mmcv
import numpy as np
from PIL import Image

from mmoverlock.datasets.exif import orientation_of
from mmoverlock.utils.config import type_name, walk

from .image_files import spread

_LOOKED = 20  # label images that are decoded
_LOADERS = ('LoadImageFromFile', 'DeepLoadImageFromFile')
_TURNING = ('color', 'grayscale')  # color_type by which EXIF tags turn an image
_AS_STORED = "set color_type='color_ignore_orientation' in LoadImageFromFile"
_ALL_BITS = (-1, 65535)  # of larger integers; mmseg makes 255 of them
_MASK = {0, 255}


def check_label_images(
    dataset: Any, cfg: Mapping[str, Any], key: str, number: int | None
) -> list[str]:
    """Decode some of the label images of a data set of mmseg, which has `number` classes.

    Returns:
        A line if it cannot be told whether label images are turned as their images.

    Raises:
        ValueError: one has colours, labels that are no classes or more than 8 bits, or another size
            than its image; or all are masks of 0 and 255, of which 255 is ignored.
    """
    steps = [(type_name(step), step) for _, step in walk(cfg.get('pipeline'))]
    labels_of = next((step for name, step in steps if name == 'LoadAnnotations'), None)
    if not number or labels_of is None or not hasattr(dataset, 'reduce_zero_label'):
        return []
    backend = labels_of.get('imdecode_backend', 'pillow')
    load = next((step for name, step in steps if name in _LOADERS), None)
    looked, values, unsure = spread(dataset.data_list, _LOOKED), set(), []
    for sample in looked:
        path = sample.get('seg_map_path')
        labels = _decoded(path, backend)
        if labels is None:
            continue
        found = _values(labels, path, backend, key)
        _check_classes(found, dataset, path, key, number)
        values |= found
        if load is not None and _is_unsure(sample, labels.shape, load, key):
            unsure.append(sample['img_path'])
    if number == 2 and dataset.ignore_index == 255 and _are_masks(values):
        _check_masks(dataset, backend, key)
    if not unsure:
        return []
    return [
        f'{key}: EXIF tags turn {len(unsure)} of {len(looked)} images looked at, such as '
        f"'{unsure[0]}'; their label images are taken to be turned alike; if they are not, "
        f'{_AS_STORED}'
    ]


def _decoded(path: Any, backend: str) -> np.ndarray | None:
    """A label image as mmseg decodes it; None if that fails, which is told elsewhere."""
    try:
        with open(path, 'rb') as file, warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of large images
            return mmcv.imfrombytes(file.read(), flag='unchanged', backend=backend).squeeze()
    except Exception:  # every decoder has its own
        return None


def _values(labels: np.ndarray, path: str, backend: str, key: str) -> set[int]:
    """The values of a decoded label image, 0 to 255; ValueError if it has others, or channels."""
    if labels.ndim != 2:
        advice = ''
        if backend != 'pillow' and _mode(path) == 'P':
            advice = f", as imdecode_backend='{backend}' makes colours of a palette: use 'pillow'"
        raise ValueError(
            f"{key}: label image '{path}' has {labels.shape[-1]} channels, not one of labels"
            f'{advice}'
        )
    with np.errstate(invalid='ignore'):
        cast = labels.astype(np.uint8)
    wrong = labels[(labels != cast) & ~np.isin(labels, _ALL_BITS)]
    if wrong.size:
        raise ValueError(
            f"{key}: label image '{path}' holds {wrong.max()}, but mmseg reads labels of 8 bits: "
            'whole numbers from 0 to 255 are needed'
        )
    return {int(value) for value in np.flatnonzero(np.bincount(cast.ravel()))}


def _mode(path: str) -> str:
    with Image.open(path) as image:
        return image.mode


def _check_classes(found: set[int], dataset: Any, path: str, key: str, number: int) -> None:
    """Raise ValueError if a label image has values that are no classes once they are loaded."""
    if dataset.reduce_zero_label:
        found = {dataset.ignore_index if label in (0, 255) else label - 1 for label in found}
    changed = getattr(dataset, 'label_map', None) or {}
    found = {changed.get(label, label) for label in found} - {dataset.ignore_index}
    wrong = sorted(label for label in found if not 0 <= label < number)
    if wrong:
        raise ValueError(
            f"{key}: label {wrong[-1]} in '{path}' is no class: 0 to {number - 1} and "
            f'{dataset.ignore_index}, which is ignored, are allowed'
        )


def _are_masks(values: set[int]) -> bool:
    return 255 in values and values <= _MASK


def _check_masks(dataset: Any, backend: str, key: str) -> None:
    """Raise ValueError if all label images are masks; one with a rare class ends the search."""
    for sample in dataset.data_list:
        labels = _decoded(sample.get('seg_map_path'), backend)
        if labels is not None and not _MASK.issuperset(np.unique(labels).tolist()):
            return
    first = int(dataset.reduce_zero_label)
    raise ValueError(
        f'{key}: its label images hold 0 and 255 alone, and 255 is ignored: no pixel is of the '
        f"second class. Write {first} and {first + 1}, or use the tools' option data-root, which "
        'reads masks of 0 and 255'
    )


def _is_unsure(
    sample: Mapping[str, Any], size: tuple[int, int], load: Mapping[str, Any], key: str
) -> bool:
    """Compare a label image of (height, width) with its image, which the step `load` loads.

    Returns:
        Whether the image is turned, and the sizes cannot tell whether the label image is.

    Raises:
        ValueError: they do not fit.
    """
    image, labels = sample.get('img_path'), sample['seg_map_path']
    try:
        (width, height), turn = _stored(image)
        (_, label_turn) = _stored(labels)
    except Exception:  # every decoder has its own; what cannot be read is told elsewhere
        return False
    backend = load.get('imdecode_backend', 'cv2')
    if load.get('color_type', 'color') not in _TURNING or backend not in ('cv2', 'pillow'):
        turn = 1
    stored = (height, width)
    real = stored[::-1] if turn >= 5 else stored
    if turn != 1 and (label_turn == turn or size == stored != real):
        raise ValueError(
            f"{key}: image '{image}' is turned as its EXIF tag says, and its label image "
            f"'{labels}' is not: turn the label image, or {_AS_STORED}"
        )
    if size != real:
        raise ValueError(
            f"{key}: label image '{labels}' has {size[1]}x{size[0]} pixels, but its image "
            f"'{image}' has {real[1]}x{real[0]}"
        )
    return turn != 1 and size == stored


def _stored(path: Any) -> tuple[tuple[int, int], int]:
    """Width and height as stored, and the EXIF orientation; only the file's header is read."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of odd metadata, and of large images
        with Image.open(path) as image:
            return image.size, orientation_of(image, header_only=True)
