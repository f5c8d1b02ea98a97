"""From a config's test pipeline and the model's preprocessor to the steps of an exported file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from torch import nn

from mmoverlock.runtime.spec import CenterCrop, Normalize, Pad, Resize, Step
from mmoverlock.utils.bits import KEY
from mmoverlock.utils.config import require, type_name
from mmoverlock.utils.datasets import leaf_dataset
from mmoverlock.utils.errors import shown

Options = Mapping[str, Any]


def preprocessing(cfg: Config, model: nn.Module) -> tuple[str, tuple[Step, ...]]:
    """What happens to a picture between its file and the network, in evaluation.

    Args:
        cfg: Whose test pipeline is meant.
        model: Built from it, with its `data_preprocessor`.

    Returns:
        The channels of the network's input, 'rgb', 'bgr' or 'grey', and the steps in their order.

    Raises:
        ValueError: the config has no test pipeline, or a step of it cannot be described.
    """
    require(cfg, 'test_dataloader')
    pipeline = leaf_dataset(cfg.test_dataloader.dataset).get('pipeline')
    if pipeline is None:
        raise ValueError(f"config '{cfg.filename}': test_dataloader.dataset has no pipeline")
    steps: list[Step] = []
    for index, options in enumerate(pipeline):
        name = type_name(options)
        if not name.startswith(_SKIPPED):
            where = f"test_dataloader.dataset.pipeline.{index}: '{name}'"
            steps += _translated(name, options, where)
    return _channels(pipeline, model), (*steps, *_model_steps(model))


def reading(cfg: Config, model: nn.Module) -> dict[str, Any]:
    """How files are read and results used: these fields of the Spec, where they are unusual.

    Args:
        cfg: With a test pipeline.
        model: Built from it.
    """
    pipeline = leaf_dataset(cfg.test_dataloader.dataset).get('pipeline') or ()
    loaders = [step for step in pipeline if 'LoadImage' in type_name(step)]
    found = dict(image_bits=cfg.get(KEY), align_corners=getattr(model, 'align_corners', False))
    found['turns'] = not any('orientation' in str(step.get('color_type')) for step in loaders)
    test_cfg = getattr(getattr(model, 'roi_head', None), 'test_cfg', None) or {}
    found['mask_thr'] = test_cfg.get('mask_thr_binary', 0.5)
    return found


_SKIPPED = ('Load', 'Pack')


def _channels(pipeline: Sequence[Options], model: nn.Module) -> str:
    loaders = [step for step in pipeline if 'LoadImage' in type_name(step)]
    if any('grayscale' in str(step.get('color_type')) for step in loaders):
        return 'grey'
    preprocessor = model.data_preprocessor
    swaps = getattr(preprocessor, 'to_rgb', False)  # mmpretrain's name of it
    if swaps or getattr(preprocessor, '_channel_conversion', False):
        return 'rgb'
    return 'bgr' if loaders else 'rgb'  # a data set of arrays, such as CIFAR, gives RGB


def _model_steps(model: nn.Module) -> list[Step]:
    """What the model's preprocessor does after the pipeline."""
    preprocessor, steps = model.data_preprocessor, []
    if getattr(preprocessor, '_enable_normalize', False):
        mean, std = (getattr(preprocessor, key).flatten().tolist() for key in ('mean', 'std'))
        steps.append(Normalize(tuple(mean), tuple(std)))
    value = float(getattr(preprocessor, 'pad_value', 0))
    divisor, size = getattr(preprocessor, 'pad_size_divisor', 1), None
    if hasattr(preprocessor, 'test_cfg'):  # mmseg pads pictures only in training by the others
        test_cfg = preprocessor.test_cfg or {}
        divisor, size = test_cfg.get('size_divisor') or 1, test_cfg.get('size')
    if divisor > 1 or size:
        steps.append(Pad(divisor, tuple(size) if size else None, value))
    return steps


def _translated(name: str, options: Options, where: str) -> list[Step]:
    if name not in _TRANSLATIONS:
        raise ValueError(
            f'{where} has no counterpart in an exported file: allowed are {shown(_TRANSLATIONS, 9)}'
        )
    allowed, translate = _TRANSLATIONS[name]
    unknown = [key for key in options if key not in {'type', *allowed}]
    if unknown:
        raise ValueError(f'{where} with {shown(unknown)} has no counterpart in an exported file')
    try:
        return [translate(options)]
    except _Unsupported as error:
        raise ValueError(f'{where}: {error} has no counterpart in an exported file') from None


class _Unsupported(Exception):
    """Names a value of an option."""


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    """A size that a config gives as one number or as (width, height), as (height, width)."""
    width, height = (size, size) if isinstance(size, int) else size
    return height, width


def _how(options: Options) -> dict[str, str]:
    return dict(
        interpolation=options.get('interpolation') or 'bilinear',
        library=options.get('backend') or 'cv2',
    )


def _resize(options: Options) -> Step:
    mode = 'inside' if options.get('keep_ratio') else 'exact'
    return Resize(mode, _pair(options['scale']), **_how(options))


def _resize_edge(options: Options) -> Step:
    edge = options.get('edge', 'short')
    mode = f'{edge}_edge' if edge in ('short', 'long') else edge
    return Resize(mode, (options['scale'],), **_how(options))


def _resize_to_multiple(options: Options) -> Step:
    return Resize('multiple', (options.get('size_divisor', 32),), **_how(options))


def _center_crop(options: Options) -> Step:
    return CenterCrop(_pair(options['crop_size']))


def _normalize(options: Options) -> Step:
    if options.get('to_rgb', True):
        raise _Unsupported('to_rgb=True')  # the model's preprocessor says the order of channels
    return Normalize(tuple(map(float, options['mean'])), tuple(map(float, options['std'])))


def _pad(options: Options) -> Step:
    value = options.get('pad_val', 0)
    value = value.get('img', 0) if isinstance(value, Mapping) else value
    values = set(value) if isinstance(value, (list, tuple)) else {value}
    if len(values) > 1:
        raise _Unsupported(f'pad_val={value}')
    if options.get('padding_mode', 'constant') != 'constant':
        raise _Unsupported(f'padding_mode={options["padding_mode"]!r}')
    size = options.get('size')
    return Pad(
        options.get('size_divisor') or 1,
        _pair(size) if size else None,
        float(values.pop()),
        bool(options.get('pad_to_square')),
    )


_HOW = ('backend', 'interpolation')
_RESIZE = ('scale', 'keep_ratio', 'clip_object_border', *_HOW)
# By a transform's name: the options that are understood, and the step.
_TRANSLATIONS: dict[str, tuple[tuple[str, ...], Callable[[Options], Step]]] = {
    'Resize': (_RESIZE, _resize),
    'FixScaleResize': (_RESIZE, _resize),
    'ResizeEdge': (('scale', 'edge', *_HOW), _resize_edge),
    'ResizeToMultiple': (('size_divisor', 'interpolation'), _resize_to_multiple),
    'CenterCrop': (('crop_size', 'clip_object_border'), _center_crop),
    'Normalize': (('mean', 'std', 'to_rgb'), _normalize),
    'Pad': (('size', 'size_divisor', 'pad_to_square', 'pad_val', 'padding_mode'), _pad),
}
