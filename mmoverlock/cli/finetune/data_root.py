"""Which task a config is of, and what it then gets from a folder of data."""

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from mmoverlock.utils.errors import shown

SCOPES = ('mmpretrain', 'mmdet', 'mmseg')


def use_data_root(
    cfg: Config,
    data_root: str,
    data_format: str | None = None,
    num_classes: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> None:
    """Train and evaluate a config of mmpretrain, mmdet or mmseg on the user's own data.

    The config keeps its model, pipelines and schedule. It gets the data sets, the number of
    classes, the evaluators, a learning rate for its batch, the best checkpoint and curves. What
    mmdet's and mmseg's data sets read is written to ``data`` in the work_dir.

    Args:
        cfg: Changed in place.
        data_root: The folder.
        data_format: One of :data:`mmoverlock.datasets.formats.FORMATS`; by default it is
            found out.
        num_classes: How many classes the folder should have.
        options: Those of ``--cfg-options``, which the config has: of the run's settings they hold.

    Raises:
        ValueError: the folder, its annotations or the config are not what is needed.
    """
    options = options or {}
    scope = cfg.get('default_scope')
    if scope not in SCOPES:
        raise ValueError(
            f"--data-root: default_scope '{scope}' of '{cfg.filename}' is none of {shown(SCOPES)}"
        )
    if scope == 'mmpretrain':
        if data_format not in (None, 'class_folders'):
            raise ValueError(
                f"--data-format {data_format}: '{cfg.filename}' is a classifier, which reads "
                'class_folders'
            )
        from .classifier import use_folder

        use_folder(cfg, data_root, num_classes, options)
    elif scope == 'mmdet':
        from .detector import use_objects

        use_objects(cfg, data_root, data_format, num_classes, options)
    else:
        from .segmentor import use_labels

        use_labels(cfg, data_root, data_format, num_classes, options)
