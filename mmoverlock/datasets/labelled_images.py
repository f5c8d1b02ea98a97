"""Pairs of pictures and label images that a JSON file lists."""

from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS


@DATASETS.register_module()
class LabelledImages(BaseDataset):
    """Pictures with a label image each, for mmseg's pipelines, models and metrics.

    ``ann_file`` is in MMEngine's format: ``data_list`` has ``img_path`` and ``seg_map_path`` of
    each pair; :func:`mmoverlock.datasets.formats.write_pairs` writes it. The classes' names and
    colours are those of `metainfo`, by default those of the file. mmseg's BaseSegDataset, whose
    arguments `reduce_zero_label` and `ignore_index` are, would take a second to import.

    Args:
        reduce_zero_label: Whether label 0 is ignored, and label 1 becomes 0.
        ignore_index: The label that is ignored.
        **kwargs: MMEngine's.
    """

    def __init__(
        self, *args: Any, reduce_zero_label: bool = False, ignore_index: int = 255, **kwargs: Any
    ):
        self.reduce_zero_label, self.ignore_index = reduce_zero_label, ignore_index
        kwargs.setdefault('data_prefix', {})  # the file has whole paths
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> list[dict]:
        samples = super().load_data_list()
        self._metainfo.update(reduce_zero_label=self.reduce_zero_label, label_map=None)
        return samples

    def parse_data_info(self, raw_data_info: dict) -> dict:
        return dict(
            super().parse_data_info(raw_data_info),
            label_map=None,
            reduce_zero_label=self.reduce_zero_label,
            seg_fields=[],
        )
