"""Pictures of the config's test set, offered on the page."""

from pathlib import Path

import mmcv
import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope

from mmoverlock.utils.datasets import leaf_datasets, spread_indices

NUMBER = 8


def example_pictures(cfg: Config, folder: Path, number: int = NUMBER) -> list[Path]:
    """Files of a few pictures of the test set; none if it is not there.

    Args:
        cfg: Of the model.
        folder: Where pictures that are no files, such as the embedded digits, are written.
        number: How many at most, spread over the test set.
    """
    try:
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
            built = DATASETS.build({**cfg.test_dataloader.dataset, 'lazy_init': False})
        dataset = next(leaf_datasets(built))
        infos = [dataset.get_data_info(i) for i in spread_indices(len(dataset), number)]
    except Exception:  # data sets raise what they like; the page does without examples
        return []
    paths = []
    for index, info in enumerate(infos):
        path = info.get('img_path')
        if path is None and info.get('img') is not None:
            path = folder / f'{index + 1}.png'
            mmcv.imwrite(np.asarray(info['img']), str(path))
        if path is not None and Path(path).is_file():
            paths.append(Path(path).absolute())
    return paths
