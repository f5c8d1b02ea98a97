"""A hook that refuses checkpoints which do not belong to the model."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from mmoverlock.engine.checkpoints import fit_state_dict, merge_like
from mmoverlock.engine.snapshot import trained_modules


@HOOKS.register_module()
class CheckpointGuard(Hook):
    """Loads published checkpoints under the model's names and refuses those that do not fit.

    MMEngine loads by name and only warns of what does not match, so that a foreign file leaves the
    model as it was. This hook logs one report and raises when nothing fits.

    Args:
        strict: Whether every tensor of the model must come from the file, as in testing; in
            resuming it must in any case.
    """

    priority = 'VERY_HIGH'  # before EMAHook, which loads the same names

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Replace the checkpoint's state dict by what fits the model.

        If its branches are merged and nothing is trained, the model's are merged first.
        """
        if not isinstance(runner.optim_wrapper, OptimWrapper):  # not built: a test or a validation
            for model in trained_modules(runner):
                merge_like(model, checkpoint)
        strict = self.strict or runner._resume
        fits, report = fit_state_dict(runner.model, checkpoint, strict)
        print_log(f'checkpoint: {report}', logger='current')
        checkpoint['state_dict'] = fits
