"""Hooks. Importing this registers them."""

from .checkpoint_guard import CheckpointGuard
from .draw_curves import DrawCurves
from .epoch_table import EpochTable
from .finite_loss_guard import FiniteLossGuard
from .image_guard import ImageGuard

__all__ = ['CheckpointGuard', 'DrawCurves', 'EpochTable', 'FiniteLossGuard', 'ImageGuard']
