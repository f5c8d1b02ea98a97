"""What a run is made of besides models and data. Importing this registers hooks and metrics."""

from .data_parallel import NamingDataParallel
from .hooks.atomic_checkpoint import AtomicCheckpointHook
from .hooks.checkpoint_guard import CheckpointGuard
from .hooks.draw_curves import DrawCurves
from .hooks.epoch_table import EpochTable
from .hooks.evaluation_guard import EvaluationGuard
from .hooks.finite_loss_guard import FiniteLossGuard
from .hooks.finite_scores_guard import FiniteScoresGuard
from .hooks.image_guard import ImageGuard
from .hooks.label_guard import LabelGuard
from .hooks.output_guard import OutputGuard
from .hooks.preemption import Preemption
from .hooks.resume_position import ResumePosition
from .hooks.val_loss import ValLossHook
from .metrics import ValLoss
from .optimizers import GroupedOptimWrapperConstructor, LayerDecayOptimWrapperConstructor

__all__ = [
    'AtomicCheckpointHook',
    'CheckpointGuard',
    'DrawCurves',
    'EpochTable',
    'EvaluationGuard',
    'FiniteLossGuard',
    'FiniteScoresGuard',
    'GroupedOptimWrapperConstructor',
    'ImageGuard',
    'LabelGuard',
    'LayerDecayOptimWrapperConstructor',
    'NamingDataParallel',
    'OutputGuard',
    'Preemption',
    'ResumePosition',
    'ValLoss',
    'ValLossHook',
]
