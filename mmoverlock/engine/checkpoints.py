"""Whether a checkpoint belongs to a model."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from mmoverlock.models.overlock.checkpoint import LoadReport, match_state_dict
from mmoverlock.utils.checkpoint import state_dict_of


def fit_state_dict(
    model: nn.Module, checkpoint: Mapping[str, Any], strict: bool = False, path: str | None = None
) -> tuple[dict[str, Tensor], LoadReport]:
    """Bring a checkpoint's state dict, published or ours, into the model's names.

    Args:
        model: The model, possibly in wrappers.
        checkpoint: A state dict or a training checkpoint around one.
        strict: Whether the file must hold all of the model's tensors.
        path: The file, to be named in messages.

    Returns:
        The tensors that fit, under the model's names, and the report.

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
