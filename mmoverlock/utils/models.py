"""The model of a config, and the library it belongs to."""

from copy import deepcopy

from mmengine.config import Config
from mmengine.model import BaseAveragedModel, BaseTTAModel, is_model_wrapper, revert_sync_batchnorm
from mmengine.registry import MODELS
from torch import nn

from .config import type_name, walk
from .registry import build

_BASES = {'BaseDetector': 'mmdet', 'BaseSegmentor': 'mmseg', 'BaseClassifier': 'mmpretrain'}


def build_model(cfg: Config) -> nn.Module:
    """Build the config's model with its preprocessor, for one process; no weights are loaded.

    Call it in the config's default scope. It raises what :func:`build` does.
    """
    preprocessor = cfg.get('data_preprocessor')
    defaults = {'data_preprocessor': preprocessor} if preprocessor else {}
    model = deepcopy({**defaults, **cfg.model})
    for _, part in walk(model):
        if type_name(part) in ('MMSyncBN', 'SyncBatchNorm'):  # mmcv's needs a process group
            part['type'] = 'SyncBN'
    return revert_sync_batchnorm(build(MODELS, model, 'model'))


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside data-parallel, moving-average and test-time-augmentation wrappers."""
    while is_model_wrapper(model) or isinstance(model, (BaseTTAModel, BaseAveragedModel)):
        model = model.module
    return model


def library_of(model: nn.Module) -> str:
    """'mmdet', 'mmseg' or 'mmpretrain', by the model's base class; ValueError if it has none."""
    for base in type(model).__mro__:
        library = _BASES.get(base.__name__)
        if library and base.__module__.startswith(library):
            return library
    raise ValueError(
        f"model.type: '{type(model).__name__}' is no detector of mmdet, segmentor of mmseg or "
        'classifier of mmpretrain'
    )
