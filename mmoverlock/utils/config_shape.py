"""What the parts of a config are: dicts, or lists of dicts. Most code relies on it."""

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

_DICTS = (
    'model', 'data_preprocessor', 'train_dataloader', 'val_dataloader', 'test_dataloader',
    'train_cfg', 'val_cfg', 'test_cfg', 'optim_wrapper', 'default_hooks', 'env_cfg', 'visualizer',
    'log_processor', 'auto_scale_lr', 'randomness', 'tta_model',
)  # fmt: skip
_DICTS_OR_LISTS = ('val_evaluator', 'test_evaluator', 'param_scheduler', 'custom_hooks')
_SIZES = ('scale', 'scales', 'img_scale')  # that mmcv takes as tuples alone


def check_shape(cfg: Config) -> None:
    """Raise ValueError, with the key, if a part is no dict or list of dicts where one is needed."""
    for key in _DICTS:
        _check_dict(cfg.get(key), key)
    for key in _DICTS_OR_LISTS:
        _check_dicts(cfg.get(key), key, one=True)
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if cfg.get(key):
            _check_dataset(cfg[key].get('dataset'), f'{key}.dataset')


def _check_dataset(value: Any, key: str) -> None:
    _check_dict(value, key)
    if value:
        _check_dicts(value.get('pipeline'), f'{key}.pipeline')
        _check_dict(value.get('metainfo'), f'{key}.metainfo')
        if isinstance(value.get('dataset'), Mapping):
            _check_dataset(value['dataset'], f'{key}.dataset')
        for number, one in enumerate(value.get('datasets') or ()):
            _check_dataset(one, f'{key}.datasets.{number}')


def _check_dict(value: Any, key: str) -> None:
    if value is not None and not isinstance(value, Mapping):
        raise ValueError(f'{key} is {_shown(value)}: a dict is needed')


def _check_dicts(value: Any, key: str, one: bool = False) -> None:
    if value is None or one and isinstance(value, Mapping):
        return
    if not isinstance(value, (list, tuple)) or not all(isinstance(part, Mapping) for part in value):
        what = 'a dict or a list of dicts' if one else 'a list of dicts'
        raise ValueError(f'{key} is {_shown(value)}: {what} is needed')


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f'a {type(value).__name__}'


def sizes_as_tuples(part: Mapping[str, Any]) -> dict[str, Any]:
    """The sizes of a dict of the config that are lists, as JSON and YAML give them, as tuples."""
    found = {key: part[key] for key in _SIZES if isinstance(part.get(key), list)}
    return {key: _as_tuple(value) for key, value in found.items()}


def _as_tuple(value: list) -> Any:
    if value and all(isinstance(one, (int, float)) for one in value):
        return tuple(value)
    return [_as_tuple(one) if isinstance(one, list) else one for one in value]
