"""Pictures on which an exported file is verified: of the config's test set, or made up."""

from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS

from mmoverlock.datasets.compose import compose_scene
from mmoverlock.datasets.digits_scenes import load_scans
from mmoverlock.runtime.images import as_picture, read_image
from mmoverlock.utils.datasets import spread_indices
from mmoverlock.utils.registry import build

SIDE = 320  # of made-up pictures


def pictures(cfg: Config, number: int) -> tuple[list[np.ndarray], str]:
    """
    Args:
        cfg: Whose test set is meant. Call it in the config's default scope.
        number: How many, spread over the test set.

    Returns:
        Pictures (H, W, 3) uint8 in RGB, and where they are from.
    """
    try:
        dataset = build(DATASETS, cfg.test_dataloader.dataset, 'test_dataloader.dataset')
        found = [_picture(dataset, i) for i in spread_indices(len(dataset), number)]
    except Exception:  # whatever fails: a data set that is not here is no reason not to export
        found = []
    if found:
        return found, 'of the test set'
    data, (_, chosen) = load_scans(0.2, seed=0)
    scans = np.asarray(data.images / 16, np.float32)
    rng = np.random.default_rng(0)
    made = [compose_scene(rng, SIDE, scans, data.target, chosen)[0] for _ in range(number)]
    return made, 'made up'


def _picture(dataset: object, index: int) -> np.ndarray:
    info = dataset.get_data_info(index)
    if info.get('img_path'):
        return read_image(Path(info['img_path']))[..., ::-1]
    return as_picture(np.asarray(info['img']))


def batch(
    found: list[np.ndarray], shape: tuple[int, int, int], channels: str, first: int = 0
) -> np.ndarray:
    """A batch of the pictures, from the first-th on, again from the start where they end.

    Args:
        found: Of :func:`pictures`.
        shape: Batch, height and width, to which they are resized.
        channels: 'rgb', 'bgr' or 'grey'.
        first: Index.

    Returns:
        (B, C, H, W) float32, from 0 to 255.
    """
    size, made = shape[:0:-1], []
    for index in range(first, first + shape[0]):
        picture = cv2.resize(found[index % len(found)], size, interpolation=cv2.INTER_AREA)
        if channels == 'grey':
            picture = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None]
        made.append(picture[..., ::-1] if channels == 'bgr' else picture)
    return np.ascontiguousarray(np.stack(made).transpose(0, 3, 1, 2), np.float32)
