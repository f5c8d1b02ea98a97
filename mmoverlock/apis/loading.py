"""A trained model from a config and a checkpoint."""

from typing import Any

from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from mmoverlock.engine.checkpoints import fit_state_dict, merge_like
from mmoverlock.models.overlock.reparam import reparameterize
from mmoverlock.utils.models import build_model


def load_model(
    cfg: Config, checkpoint: str, merge: bool = True
) -> tuple[nn.Module, dict[str, Any]]:
    """The config's model with a checkpoint's weights, on the CPU in evaluation mode, and the file.

    Call it in the config's default scope.

    Args:
        cfg: Of mmpretrain, mmdet or mmseg.
        checkpoint: File or URL; every tensor of the model must come from it.
        merge: Merge the large-kernel branches, which is faster and exact. If the file's are merged,
            the model's are in any case.

    Raises:
        ValueError, OSError: the checkpoint is unsafe or does not belong to the config.
    """
    loaded = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    model = build_model(cfg)
    merge_like(model, loaded)
    fits, _ = fit_state_dict(model, loaded, strict=True, path=checkpoint)
    model.load_state_dict(fits, strict=False)
    model.eval()
    if merge:
        reparameterize(model)
    return model, loaded
