"""What users of OpenMMLab expect of every backbone, for OverLoCK and VOLO alike."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from mmoverlock.utils.config import type_name

NORM_TYPES = ('BN', 'SyncBN', 'MMSyncBN', 'BatchNorm2d', 'SyncBatchNorm')  # names and classes
NORM_OPTIONS = ('type', 'requires_grad', 'momentum')


def resolve_indices(out_indices: int | Sequence[int], number: int) -> tuple[int, ...]:
    """`out_indices` as rising numbers from 0 to `number` - 1; -1 is the last.

    Raises:
        ValueError: if they do not rise, or for an index that is out of range.
    """
    given = [out_indices] if isinstance(out_indices, int) else list(out_indices)
    indices = [i + number if i < 0 else i for i in given]
    if not indices or indices != sorted(set(indices) & set(range(number))):
        allowed = list(range(number))
        raise ValueError(f'out_indices={out_indices}: None or rising indices out of {allowed}')
    return tuple(indices)


def check_frozen_stages(frozen_stages: int, last: int) -> None:
    """Raise ValueError unless `frozen_stages` is one of -1, 0, ..., `last`."""
    if frozen_stages not in range(-1, last + 1):
        raise ValueError(f'frozen_stages={frozen_stages}: -1 to {last} are allowed')


def freeze(modules: Iterable[nn.Module]) -> None:
    """No gradients for the parameters of `modules`, and evaluation mode."""
    for module in modules:
        module.eval().requires_grad_(False)


def eval_norms(model: nn.Module) -> None:
    """Batch norms of `model` go into evaluation mode: they use their running statistics."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.eval()


def configure_norms(model: nn.Module, norm_cfg: dict) -> None:
    """Make the batch norms of `model` what `norm_cfg` says; their names and values stay.

    Args:
        model: Changed in place.
        norm_cfg: ``type``: 'BN', or 'SyncBN', also under mmcv's name 'MMSyncBN', which computes the
            statistics of all processes' images; ``requires_grad``: whether scale and shift are
            trained; ``momentum``: of the running statistics.

    Raises:
        ValueError: for another type or option. Published weights are those of batch norms.
    """
    unknown = set(norm_cfg) - set(NORM_OPTIONS)
    kind = type_name(norm_cfg) or 'BN'
    if kind not in NORM_TYPES or unknown:
        raise ValueError(
            f'norm_cfg={dict(norm_cfg)}: a type out of {NORM_TYPES[:3]} is allowed, and of options '
            f'{NORM_OPTIONS[1:]}'
        )
    if 'Sync' in kind:
        nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.requires_grad_(norm_cfg.get('requires_grad', True))
            module.momentum = norm_cfg.get('momentum', module.momentum)


@contextmanager
def frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Batch norms inside normalise by the batch without counting it in their running statistics."""
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm)]
    saved = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm, (_, count) in zip(norms, saved, strict=True):
        norm.momentum = 0.0
        norm.num_batches_tracked = None if count is None else count.clone()
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, saved, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count


def run(block: nn.Module, *inputs: Tensor, recompute: bool) -> Tensor:
    """Call a block; with `recompute`, its activations are computed again in the backward pass.

    The second forward pass leaves the running statistics alone: they count each batch once.
    """
    if not (recompute and torch.is_grad_enabled() and block.training):
        return block(*inputs)
    return checkpoint(
        block,
        *inputs,
        use_reentrant=False,
        context_fn=lambda: (nullcontext(), frozen_statistics(block)),
    )


class _Join(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(*maps: Tensor) -> tuple[Tensor, ...]:
        return tuple(one.view_as(one) for one in maps)

    @staticmethod
    def setup_context(ctx, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        pass

    @staticmethod
    def backward(ctx, *grads: Tensor) -> tuple[Tensor, ...]:
        return grads  # PyTorch makes zeros of those that are missing


def join_gradients(maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The same maps; one that is not used has a gradient of zero as soon as another has one.

    Heads and necks often take only some of a backbone's maps: FCN the last two, RetinaNet all but
    the first. What only the others need, such as their norms, then has no gradient, and
    DistributedDataParallel, which waits for every parameter's, stops at the second step.
    """
    trained = [one for one in maps if one.requires_grad]
    joined = iter(_Join.apply(*trained) if len(trained) > 1 else trained)
    return tuple(next(joined) if one.requires_grad else one for one in maps)
