"""Published weights: their names, our names, and a report of what fitted.

The published state dicts name the parts of the network flat (``blocks1.0...``); ours group them by
sub-network (``base_net.blocks1.0...``). Below these first parts the names are the same. Files of
the three tasks differ in what stands around the backbone:

- classification: backbone, ``head`` and ``aux_head``, all at top level;
- detection and segmentation: ``backbone.``, ``neck.``, heads, as the whole model names them.
"""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

from mmengine.logging import print_log
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from mmoverlock.utils.checkpoint import state_dict_of, why_unusable
from mmoverlock.utils.models import unwrap

from .reparam import DilatedReparam, merge_state_dict

SUB_NETWORKS = {
    'base_net': ('patch_embed1', 'patch_embed2', 'patch_embed3', 'blocks1', 'blocks2', 'blocks3'),
    'overview_net': ('patch_embed4', 'blocks4'),
    'focus_net': ('high_level_proj', 'sub_blocks3', 'patch_embedx', 'sub_blocks4'),
}
HOME = {part: net for net, parts in SUB_NETWORKS.items() for part in parts}
HEADS = {'head': 'head.main', 'aux_head': 'head.aux'}
FIRST_NAMES = ('patch_embed1.0.weight', 'base_net.patch_embed1.0.weight')


@dataclass
class LoadReport:
    """What became of a file's tensors.

    Attributes:
        loaded: The model's tensors that were taken from the file.
        missing: The model's tensors that keep their values; batch-norm counters are not listed.
        unexpected: The file's tensors that the model has no place for, under the names they would
            have in it.
        mismatched: Why a name may stand in both lists: its two shapes, as text.
    """

    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        def part(what: str, names: list[str]) -> str:
            groups = sorted({name.rsplit('.', 1)[0] if '(' not in name else name for name in names})
            shown = ', '.join(groups[:3]) + (', ...' if len(groups) > 3 else '')
            return f'{what} {len(names)}' + (f' ({shown})' if names else '')

        parts = [f'loaded {len(self.loaded)} tensors']
        parts += [part('missing', self.missing), part('unexpected', self.unexpected)]
        if self.mismatched:
            parts.append(part('of another shape', self.mismatched))
        return ', '.join(parts)


def translate(backbone: nn.Module, state_dict: MutableMapping, prefix: str, *_) -> None:
    """Give the published names under `prefix` our names, in place (a load-state-dict pre-hook).

    What this backbone has not built, as its `out_indices` do not need it, is left out. A backbone
    with merged branches has the file's branches merged, too; one for images of other channels than
    three, the first convolution adapted.

    Raises:
        ValueError: the file's branches are merged, and the backbone's are not.
    """
    for name in [name for name in state_dict if name.startswith(prefix)]:
        net, _, rest = name[len(prefix) :].partition('.')
        if net not in SUB_NETWORKS:  # a published name
            net, rest = HOME.get(net), name[len(prefix) :]
        part = rest.partition('.')[0]
        if part in HOME:
            tensor = state_dict.pop(name)
            if hasattr(getattr(backbone, net, None), part):
                state_dict[f'{prefix}{net}.{rest}'] = tensor
    stem = f'{prefix}base_net.patch_embed1.0.weight'
    channels = backbone.base_net.patch_embed1[0].in_channels
    if stem in state_dict and state_dict[stem].shape[1] == 3 != channels:
        from timm.models import adapt_input_conv

        state_dict[stem] = adapt_input_conv(channels, state_dict[stem])
    for name, module in backbone.named_modules():
        branch = f'{prefix}{name}.'
        if not isinstance(module, DilatedReparam):
            continue
        if module.deploy and f'{branch}origin_bn.weight' in state_dict:
            merge_state_dict(state_dict, branch, module.kernel_size)
        if not module.deploy and f'{branch}lk_origin.bias' in state_dict:
            raise ValueError(
                f'checkpoint holds merged branches: build {type(backbone).__name__} with '
                'deploy=True; to train, take the file that is not merged'
            )


def classifier_names(
    state_dict: MutableMapping, prefix: str = '', backbone: str = 'backbone'
) -> None:
    """Give a published classification file's top-level names a whole model's names, in place."""
    if not any(f'{prefix}{first}' in state_dict for first in FIRST_NAMES):
        return
    for name in [name for name in state_dict if name.startswith(prefix)]:
        first, _, rest = name[len(prefix) :].partition('.')
        if first in HEADS and rest[:1].isdigit():
            state_dict[f'{prefix}{HEADS[first]}.{rest}'] = state_dict.pop(name)
        elif first in HOME or first in (*SUB_NETWORKS, 'extra_norm', 'h_proj'):
            state_dict[f'{prefix}{backbone}.{first}.{rest}'] = state_dict.pop(name)


def match_state_dict(model: nn.Module, state_dict: Mapping) -> tuple[dict[str, Tensor], LoadReport]:
    """Find out what of `state_dict`, published or ours, fits `model`.

    Args:
        model: A backbone, or a classifier, detector or segmentor around one; possibly in wrappers,
            see :func:`~mmoverlock.utils.models.unwrap`. Models without OverLoCK are matched name by
            name.
        state_dict: Names and tensors.

    Returns:
        The tensors that fit, under the model's names, and the report.

    Raises:
        ValueError: if nothing fits, or if the backbone is of another size or form; of a classifier
            also, if anything but the number of classes is.
    """
    model = unwrap(model)
    by_shape = any(value.is_meta for value in model.state_dict().values())  # names and shapes alone
    for name, value in state_dict.items():
        if not isinstance(name, str):
            raise ValueError(f'checkpoint has the entry {name!r}, which is no name')
        if not isinstance(value, Tensor):
            raise ValueError(f"checkpoint entry '{name}' is a {type(value).__name__}, not a tensor")
        if not by_shape and (reason := why_unusable(value)):
            raise ValueError(f"checkpoint entry '{name}' is {reason}")
    state = {name.removeprefix('module.'): value for name, value in state_dict.items()}

    # An OverLoCK, whose class is in a module that imports this one.
    found = (pair for pair in model.named_modules() if hasattr(pair[1], 'focus_net'))
    path, backbone = next(found, ('', None))
    prefix = f'{path}.' if path else ''
    if backbone is not None:
        if path:
            classifier_names(state, backbone=path)
        elif not any(first in state for first in FIRST_NAMES):
            state = {name.removeprefix('backbone.'): value for name, value in state.items()}
        translate(backbone, state, prefix)

    own = model.state_dict()
    fits = {n: value for n, value in state.items() if n in own and own[n].shape == value.shape}
    for name, value in fits.items():
        if own[name].is_floating_point() and not value.is_floating_point():
            raise ValueError(f"checkpoint entry '{name}' is a tensor of {value.dtype}")
    misfits = [name for name in state if name in own and name not in fits]
    report = LoadReport(
        loaded=list(fits),
        missing=[n for n in own if n not in fits and not n.endswith('num_batches_tracked')],
        unexpected=[name for name in state if name not in fits],
        mismatched=[f'{n} {_shape(state[n])} for {_shape(own[n])}' for n in misfits],
    )
    what = type(backbone or model).__name__
    if backbone is not None:
        classifier = bool(prefix) and isinstance(getattr(model, 'head', None), nn.Module)
        for name in misfits:
            found, wanted = _shape(state[name]), _shape(own[name])
            other_classes = name.startswith('head.') and found[1:] == wanted[1:]
            if name.startswith(prefix) or (classifier and not other_classes):
                raise ValueError(
                    f'checkpoint is of another arch: {name} is {found} in the file, '
                    f'{wanted} in the {what}'
                )
    if not any(name.startswith(prefix) for name in fits):
        raise ValueError(
            f'checkpoint fits nothing: none of its {len(state)} tensors (first: '
            f"'{next(iter(state), '')}') belongs to the {what}"
        )
    return fits, report


def load_official(model: nn.Module, path_or_state_dict: str | Path | Mapping) -> LoadReport:
    """Load a published file, unmodified, or one of ours.

    Args:
        model: See :func:`match_state_dict`.
        path_or_state_dict: A path, a URL or a state dict; a training checkpoint is opened to its
            ``state_dict`` or ``model``.

    Returns:
        The report, which is logged as well.

    Raises:
        ValueError: if the file is no safe checkpoint or does not fit; the model is left as it was.
    """
    source = path_or_state_dict
    if not isinstance(source, Mapping):
        source = CheckpointLoader.load_checkpoint(str(source), map_location='cpu')
    fits, report = match_state_dict(model, state_dict_of(source))
    unwrap(model).load_state_dict(fits, strict=False)
    print_log(f'{type(model).__name__}: {report}', logger='current')
    return report


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)
