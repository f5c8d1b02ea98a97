"""Whether a checkpoint belongs to a model."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from mmoverlock.models.overlock.checkpoint import LoadReport, match_state_dict
from mmoverlock.models.overlock.reparam import is_merged, reparameterize
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
        ValueError: if nothing fits, the backbone is of another size, a tensor holds NaN or
            infinity, or `strict` and some tensors are missing (their number and the first name are
            given).
    """
    try:
        fits, report = match_state_dict(model, state_dict_of(checkpoint))
        if strict and report.missing:
            raise ValueError(
                f"checkpoint lacks {len(report.missing)} of the model's tensors, the first is "
                f"'{report.missing[0]}': it belongs to another config"
            )
        buffers = dict(model.named_buffers())  # one may hold infinity on purpose, such as a mask
        check_finite({name: fits[name] for name in fits if _is_finite(buffers.get(name))})
    except ValueError as error:
        if path is None:
            raise
        reason = str(error).removeprefix('checkpoint ')
        raise ValueError(f"checkpoint '{path}' {reason}") from error
    return fits, report


def merge_like(model: nn.Module, checkpoint: Mapping[str, Any]) -> None:
    """Merge the model's large-kernel branches, in place, if the checkpoint's are merged.

    For inference alone: a merged model cannot be trained as before.
    """
    if is_merged(state_dict_of(checkpoint)):
        reparameterize(model)


def check_finite(tensors: Mapping[str, Any]) -> None:
    """Raise ValueError if a tensor holds NaN or infinity; what is no tensor is passed over."""
    bad = [name for name, value in tensors.items() if not _is_finite(value)]
    if bad:
        raise ValueError(
            f"checkpoint holds NaN or infinity in {len(bad)} tensors, the first is '{bad[0]}': its "
            'training failed; take an earlier checkpoint'
        )


def _is_finite(value: Any) -> bool:
    floats = isinstance(value, Tensor) and value.is_floating_point()
    return not floats or value.is_meta or bool(value.isfinite().all())
