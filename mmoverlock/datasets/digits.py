"""Digits: the 1,797 scans that ship with scikit-learn, to train on within a minute.

8x8 scans of the UCI "Optical Recognition of Handwritten Digits" data (E. Alpaydin and C. Kaynak,
1998, CC BY 4.0).
"""

import numpy as np
from mmengine.registry import DATASETS
from mmpretrain.datasets import BaseDataset

from .digits_scenes import load_scans
from .folders import check_split

VAL_FRACTION = 0.2


@DATASETS.register_module()
class Digits(BaseDataset):
    """Hand-written digits, embedded: no folder, no download.

    A sample is ``img``, a scan of (8, 8, 3) uint8 with three equal channels, as mmpretrain's CIFAR
    gives its pictures, and ``gt_label``, 0 to 9. The held-out fifth is always the same and has the
    same share of every digit: 1,437 scans to train on, 360 to validate.

    Args:
        split: ``train`` or ``val``.
        **kwargs: mmpretrain's ``BaseDataset``: pipeline, indices, test_mode, ...

    Raises:
        ValueError: there is no such split.
    """

    METAINFO = dict(classes=tuple('0123456789'))

    def __init__(self, split: str = 'train', **kwargs) -> None:
        self.split = check_split(split)
        super().__init__(ann_file='', **kwargs)

    def load_data_list(self) -> list[dict]:
        data, (train, val) = load_scans(VAL_FRACTION, seed=0)
        chosen = np.sort(train if self.split == 'train' else val)
        scans = np.round(data.images[chosen] * (255 / 16)).astype(np.uint8)  # (N, 8, 8)
        scans = np.repeat(scans[..., None], 3, axis=-1)  # (N, 8, 8, 3)
        labels = data.target[chosen]
        return [dict(img=s, gt_label=int(n)) for s, n in zip(scans, labels, strict=True)]
