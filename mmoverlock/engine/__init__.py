"""Running things: safe checkpoints, hooks, configs, checks before the run, processes.

Importing it makes MMEngine's checkpoint loading safe and registers the hooks; the command-line
tools import the other modules when they need them.
"""

from .checkpoint import install_safe_loader, read_checkpoint
from .hooks import CheckpointGuard
from .images import ImageGuard

install_safe_loader()

__all__ = ['CheckpointGuard', 'ImageGuard', 'install_safe_loader', 'read_checkpoint']
