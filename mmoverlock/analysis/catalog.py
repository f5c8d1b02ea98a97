"""The analyses of each task: a row for each name, a column for each task.

A new one is a class with :class:`~.analysis.Analysis`'s methods, and its place here.
"""

from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any

from mmoverlock.utils.errors import did_you_mean

from .analysis import Analysis
from .subject import Subject

# In the order of the report.
NAMES = (
    'eval', 'confusion', 'calibration', 'errors', 'predictions', 'gradcam', 'occlusion', 'erf',
    'features', 'speed',
)  # fmt: skip
_SHARED = {'erf': '.attention.erf.ReceptiveField', 'speed': '.speed.Speed'}
_CLASSES = {
    'classification': {
        'eval': '.classification.evaluation.Evaluation',
        'confusion': '.classification.confusion.Confusion',
        'calibration': '.classification.calibration.Calibration',
        'errors': '.classification.errors.Errors',
        'predictions': '.classification.predictions.Predictions',
        'gradcam': '.classification.attention.ClassifierMaps',
        'occlusion': '.classification.occlusion.Occlusion',
        'features': '.classification.features.Features',
        **_SHARED,
    },
    'detection': {
        'eval': '.detection.evaluation.Evaluation',
        'confusion': '.detection.confusion.Confusion',
        'calibration': '.detection.calibration.Calibration',
        'errors': '.detection.errors.ErrorTypes',
        'predictions': '.detection.predictions.Predictions',
        'gradcam': '.detection.attention.DetectorMaps',
        **_SHARED,
    },
    'segmentation': {
        'eval': '.segmentation.evaluation.Evaluation',
        'confusion': '.segmentation.confusion.Confusion',
        'calibration': '.segmentation.calibration.Calibration',
        'errors': '.segmentation.errors.Errors',
        'predictions': '.segmentation.predictions.Predictions',
        'gradcam': '.segmentation.attention.SegmentorMaps',
        **_SHARED,
    },
}


def names_of(task: str) -> list[str]:
    """The analyses that a task has, in the order of the report."""
    return [name for name in NAMES if name in _CLASSES[task]]


def check_name(name: str) -> str:
    """`name`, if it is 'all' or that of an analysis of any task; else raise ValueError."""
    if name not in ('all', *NAMES):
        hint = did_you_mean(name, NAMES)
        raise ValueError(f"analysis '{name}' does not exist{hint} ({_allowed(NAMES)})")
    return name


def find_analysis(task: str, name: str) -> type[Analysis]:
    """The class of an analysis.

    Raises:
        ValueError: the task has none of this name.
    """
    known = names_of(task)
    if name not in known:
        hint = did_you_mean(name, known)
        raise ValueError(f"analysis '{name}' is not for {task}{hint} ({_allowed(known)})")
    module, _, cls = _CLASSES[task][name].rpartition('.')
    return getattr(import_module(module, __package__), cls)


def _allowed(names: Iterable[str]) -> str:
    return f'allowed are {", ".join(["all", *names])}'


def samples_of(subject: Subject) -> Iterator[Any]:
    """Every picture's prediction as the task's ``Sample``."""
    return import_module(f'.{subject.task}.sample', __package__).samples(subject)
