"""Parameter groups: few, so that the fused optimizers apply, and learning rates by depth."""

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
        self.adjust(params, module)
        groups = {}
        for group in params:
            alone = group.pop('params')
            shared = groups.setdefault(tuple(sorted(group.items())), {**group, 'params': []})
            shared['params'] += alone
        params[:] = groups.values()

    def adjust(self, params: list[dict[str, Any]], model: nn.Module) -> None:
        """Change the options of the groups, each of one parameter still, in place."""


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(GroupedOptimWrapperConstructor):
    """Learning rates that fall from the heads to the stem (BEiT, arXiv 2106.08254, section 3.2).

        lr(parameter) = lr · layer_decay_rate ^ (layers - 1 - layer)

    The constructor of fine-tuning recipes, for classifiers, detectors and segmentors alike. Layers
    are what the backbone's ``get_layer_depth`` says; all that is no backbone has the full rate.

    Args:
        optim_wrapper_cfg: MMEngine's.
        paramwise_cfg: With `layer_decay_rate`, above 0 and at most 1; otherwise MMEngine's. A
            `lr_mult` of `custom_keys` multiplies what the depth gives.

    Raises:
        ValueError: if the rate is missing or not in its range, or if the model has no backbone with
            ``get_layer_depth``.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None):
        paramwise_cfg = dict(paramwise_cfg or {})
        self.rate = paramwise_cfg.get('layer_decay_rate')
        if not isinstance(self.rate, (int, float)) or not 0 < self.rate <= 1:
            raise ValueError(
                f'paramwise_cfg.layer_decay_rate={self.rate}: above 0, at most 1 is needed'
            )
        super().__init__(optim_wrapper_cfg, paramwise_cfg)

    def adjust(self, params: list[dict[str, Any]], model: nn.Module) -> None:
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        # A classifier has the method, too, and passes it on to its backbone.
        backbones = {
            f'{path}.': module
            for path, module in model.named_modules()
            if path and hasattr(module, 'get_layer_depth')
        }
        if not backbones:
            raise ValueError(
                f'layer_decay_rate={self.rate}: {type(model).__name__} has no backbone with '
                'get_layer_depth'
            )
        for group in params:
            name = names[id(group['params'][0])]
            for prefix, backbone in backbones.items():
                if name.startswith(prefix):
                    layer, number = backbone.get_layer_depth(name, prefix)
                    group['lr'] = group.get('lr', self.base_lr) * self.rate ** (number - 1 - layer)
