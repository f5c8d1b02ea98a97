"""Running things: safe checkpoints, hooks, configs, checks before the run, processes.

Importing it makes MMEngine's checkpoint loading safe and registers hooks and metrics; the
command-line tools import the other modules when they need them.
"""

from .checkpoint import install_safe_loader, read_checkpoint
from .hooks import CheckpointGuard, FiniteLossGuard
from .images import ImageGuard
from .metrics import ValLoss
from .optim import GroupedOptimWrapperConstructor
from .records import DrawCurves, EpochTable

install_safe_loader()

__all__ = [
    'CheckpointGuard',
    'DrawCurves',
    'EpochTable',
    'FiniteLossGuard',
    'GroupedOptimWrapperConstructor',
    'ImageGuard',
    'ValLoss',
    'install_safe_loader',
    'read_checkpoint',
]
