"""What of a training checkpoint is published: the weights, and a few plain facts."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mmoverlock import __version__
from mmoverlock.utils.checkpoint import state_dict_of, why_unusable

# Weights of a moving average: timm's name, and that of recipes derived from DeiT's.
_AVERAGES = ('state_dict_ema', 'model_ema')
_RAW = 'ema_state_dict'  # MMEngine's EMAHook puts the average into state_dict, the others here
_WRAPPER = 'module.'  # of data parallelism and moving averages
_VERSION = re.compile(r'\d+(\.\d+)*')


def has_average(checkpoint: Mapping[str, Any]) -> bool:
    """Whether the checkpoint has weights of a moving average (EMA) besides those that trained."""
    return any(isinstance(checkpoint.get(name), Mapping) for name in (_RAW, *_AVERAGES))


def weights_of(checkpoint: Mapping[str, Any], ema: bool | None = None) -> dict[str, Tensor]:
    """The weights to publish, without wrappers' names.

    Args:
        checkpoint: A state dict, or a training checkpoint around one.
        ema: The moving average's; None: these if there are any.

    Raises:
        ValueError: the moving average is asked for and there is none, or an entry is no tensor that
            could be a weight.
    """
    if ema and not has_average(checkpoint):
        raise ValueError('ema: the checkpoint has no weights of a moving average')
    state = dict(state_dict_of(checkpoint))
    if ema is not False:
        for name in _AVERAGES:
            if isinstance(checkpoint.get(name), Mapping):
                state = dict(checkpoint[name])
    elif isinstance(checkpoint.get(_RAW), Mapping):
        raw = checkpoint[_RAW]
        state |= {name: raw[_WRAPPER + name] for name in state if _WRAPPER + name in raw}
    if all(name.startswith(_WRAPPER) for name in state if name != 'steps'):
        state.pop('steps', None)  # how often an average was updated
        state = {name.removeprefix(_WRAPPER): value for name, value in state.items()}
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise ValueError(f"checkpoint entry '{name}' is a {type(value).__name__}, not a tensor")
        if reason := why_unusable(value):
            raise ValueError(f"checkpoint entry '{name}' is {reason}")
    # Tensors of their own: a view would take the whole memory that it looks at with it.
    return {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}


def plain_meta(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """What a published file says of itself: classes, colours, config's name, progress, versions.

    Not the config's text, times and seeds: they have the paths of whoever trained, and would give
    the same weights another hash.
    """
    meta = checkpoint.get('meta')
    meta = meta if isinstance(meta, Mapping) else {}
    known = meta.get('dataset_meta')
    known = known if isinstance(known, Mapping) else meta  # of MMCV's time
    dataset = {}
    for key in ('classes', 'palette'):
        value = known.get(key, known.get(key.upper()))
        if isinstance(value, (list, tuple)) and value:
            dataset[key] = [[*map(int, one)] if key == 'palette' else str(one) for one in value]
    plain = {'dataset_meta': dataset} if dataset else {}
    config = config_name(meta)
    if config:
        plain['config_name'] = config
    plain |= {key: meta[key] for key in ('epoch', 'iter') if type(meta.get(key)) is int}
    version = _VERSION.match(str(meta.get('mmengine_version', '')))
    if version:
        plain['mmengine_version'] = version[0]
    return plain | {'mmoverlock_version': __version__}


def config_name(meta: Mapping[str, Any]) -> str:
    """The name of the config that a run was of, or ''."""
    name = meta.get('config_name') or meta.get('experiment_name')
    return re.sub(r'_\d{8}_\d{6}$', '', Path(name).name) if isinstance(name, str) else ''
