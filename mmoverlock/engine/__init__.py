"""What a run is made of besides models and data. Importing this registers hooks and metrics."""

from .hooks import CheckpointGuard, DrawCurves, EpochTable, FiniteLossGuard, ImageGuard
from .metrics import ValLoss
from .optimizers import GroupedOptimWrapperConstructor

__all__ = [
    'CheckpointGuard',
    'DrawCurves',
    'EpochTable',
    'FiniteLossGuard',
    'GroupedOptimWrapperConstructor',
    'ImageGuard',
    'ValLoss',
]
