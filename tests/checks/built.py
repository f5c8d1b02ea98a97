"""A data set that is checked as before a run."""

from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from mmoverlock.checks.datasets import check_dataset

KEY = 'train_dataloader.dataset'


def checked(scope: str, cfg: dict, key: str = KEY, max_share: float = 0):
    """The data set and its classes."""
    with DefaultScope.overwrite_default_scope(scope):
        return check_dataset(Config(dict(a=cfg)).a, key, nn.Module(), max_share)
