"""Everything that mmoverlock changes in other libraries. No other room assigns to one."""

import mmoverlock_import_hook
from mmoverlock import environment

from . import coco_api, config_speed, model_names, quiet, safe_checkpoints, scope, shared_layer

__all__ = ['install']


def install() -> None:
    """Make the changes; ``import mmoverlock`` calls it, and calling it again changes nothing more.

    - ``mmcv._ext``: where mmcv was installed without its compiled operators, a module of this name
      supplies them from torchvision and PyTorch (:mod:`.mmcv_ext`). An installed mmoverlock does
      so from Python's start-up on (:mod:`mmoverlock_import_hook`). A compiled mmcv is left alone.
    - MMEngine's checkpoint loaders, for files, URLs and all model zoos: they never run code from a
      file, and downloads go on where they broke off, are checked, and are preceded by a look into
      the folder MMOVERLOCK_WEIGHTS; and its `save_checkpoint`, which writes plain data and no half
      files (:mod:`.safe_checkpoints`).
    - MMEngine's registries get children for the scope ``mmoverlock``, and its table of packages
      entries for mmoverlock and mmseg, so that configs can inherit from ``mmoverlock::...`` and
      ``mmseg::...`` (:mod:`.scope`).
    - MMEngine's configs: their bases in other packages are found without parsing all metafiles, and
      their texts are not laid out anew each time (:mod:`.config_speed`).
    - mmdet's class ``COCO``, when it is imported: the ids of categories are in the order of the
      names that are asked for, and faults of annotation files are mended or told
      (:mod:`.coco_api`).
    - mmpretrain's ``ModelHub`` and MMEngine's ``BaseInferencer``, when they are imported: they find
      our models by name (:mod:`.model_names`).
    - mmpretrain's ``ResLayerExtraNorm``, a layer for mmdet: it waits until mmdet's models are
      imported, so that classification does not load mmdet (:mod:`.shared_layer`).
    - With MMOVERLOCK_QUIET=1, known messages of other packages are left out (:mod:`.quiet`).
    """
    mmoverlock_import_hook.install()
    safe_checkpoints.install()
    scope.install()
    config_speed.install()
    coco_api.install()
    model_names.install()
    shared_layer.install()
    if environment.quiet():
        quiet.install()
