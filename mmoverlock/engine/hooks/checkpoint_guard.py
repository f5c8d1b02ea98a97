"""Whether a checkpoint belongs to a model, and a hook that refuses those which do not."""

from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from mmoverlock.models.overlock.checkpoint import LoadReport, match_state_dict
from mmoverlock.utils.checkpoint import state_dict_of


def fit_state_dict(
    model: nn.Module, checkpoint: Mapping[str, Any], strict: bool = False, path: str | None = None
) -> tuple[dict[str, Tensor], LoadReport]:
    """:func:`match_state_dict` for a state dict or a training checkpoint around one.

    Args:
        model: The model, possibly in a data-parallel wrapper.
        checkpoint: Of published names or ours.
        strict: Whether the file must hold all of the model's tensors.
        path: The file, to be named in messages.

    Raises:
        ValueError: if nothing fits, the backbone is of another size, or `strict` and some tensors
            are missing (their number and the first name are given).
    """
    try:
        fits, report = match_state_dict(model, state_dict_of(checkpoint))
        if strict and report.missing:
            raise ValueError(
                f"checkpoint lacks {len(report.missing)} of the model's tensors, the first is "
                f"'{report.missing[0]}': it belongs to another config"
            )
    except ValueError as error:
        if path is None:
            raise
        reason = str(error).removeprefix('checkpoint ')
        raise ValueError(f"checkpoint '{path}' {reason}") from error
    return fits, report


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
        """Replace the checkpoint's state dict by what fits the model."""
        strict = self.strict or runner._resume
        fits, report = fit_state_dict(runner.model, checkpoint, strict)
        print_log(f'checkpoint: {report}', logger='current')
        checkpoint['state_dict'] = fits
