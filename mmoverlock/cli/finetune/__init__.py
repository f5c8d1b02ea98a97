"""``mmoverlock train --data-root``: a config of any task for the user's own data."""

from .data_root import use_data_root

__all__ = ['use_data_root']
