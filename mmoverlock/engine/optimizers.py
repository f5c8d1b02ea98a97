"""Parameter groups merged where their options are the same, so that the fused optimizers apply."""

from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GroupedOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """MMEngine's constructor, with one group for all parameters of the same options.

    MMEngine makes a group of every parameter. PyTorch updates group by group, so that there is
    nothing left to update at once.
    """

    def add_params(
        self, params: list[dict[str, Any]], module: nn.Module, prefix: str = '', **kwargs: Any
    ) -> None:
        super().add_params(params, module, prefix, **kwargs)
        if prefix:  # a child, whose parent goes on
            return
        groups = {}
        for group in params:
            alone = group.pop('params')
            shared = groups.setdefault(tuple(sorted(group.items())), {**group, 'params': []})
            shared['params'] += alone
        params[:] = groups.values()
