"""Data-parallel training that names the parameters a loss does not reach."""

from typing import Any

import torch
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from mmengine.optim import OptimWrapper
from mmengine.registry import MODEL_WRAPPERS
from torch import Tensor, nn

from mmoverlock.utils.errors import shown


@MODEL_WRAPPERS.register_module()
class NamingDataParallel(MMDistributedDataParallel):
    """MMEngine's wrapper, which tells what is wrong before PyTorch does, by name.

    PyTorch trains the first step with gradients that are not averaged when the loss does not reach
    every parameter, and fails in the second one, naming none. Synchronised batch norms, which have
    no CPU form, are ordinary ones where there is no GPU.
    """

    def __init__(self, module: nn.Module, **kwargs: Any):
        if not torch.cuda.is_available():
            module = revert_sync_batchnorm(module)
        super().__init__(module=module, **kwargs)
        self._trained = {
            name: one for name, one in self.module.named_parameters() if one.requires_grad
        }
        self._first = not (self.find_unused_parameters or self.static_graph)

    def train_step(self, data: Any, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """A step of training.

        Raises:
            ValueError: the loss does not depend on these parameters.
        """
        if not self._first:
            try:
                return super().train_step(data, optim_wrapper)
            except RuntimeError as error:
                if 'Expected to have finished reduction' in str(error):
                    raise ValueError(self._advice('some parameters')) from error
                raise
        self._first, reached = False, set()
        handles = [
            one.register_post_accumulate_grad_hook(lambda _, name=name: reached.add(name))
            for name, one in self._trained.items()
        ]
        try:
            log = super().train_step(data, optim_wrapper)
        finally:
            for handle in handles:
                handle.remove()
        unused = [name for name in self._trained if name not in reached]
        # A loss that is skipped reaches nothing: there is no backward pass to average.
        if reached and unused:
            raise ValueError(self._advice(f'{len(unused)} parameters ({shown(unused)})'))
        return log

    @staticmethod
    def _advice(what: str) -> str:
        return (
            f'the loss does not depend on {what}, whose gradients the other processes wait for: '
            'set find_unused_parameters=True, or leave these parts out of the model or freeze them'
        )
