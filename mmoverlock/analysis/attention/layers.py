"""The maps inside a model: the names of its layers, and what they give."""

import difflib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from mmoverlock.models.overlock.backbone import OverLoCK
from mmoverlock.models.volo import VOLO
from mmoverlock.utils.errors import shown

NEAREST = 5  # names that are listed for an unknown one
# Where OverLoCK's maps come from: the last block of each.
_OVERLOCK = {
    'c2': 'base_net.blocks1', 'c3': 'base_net.blocks2', 'c4': 'focus_net.sub_blocks3',
    'c5': 'focus_net.sub_blocks4', 'focus': 'focus_net.sub_blocks4',
    'overview': 'overview_net.blocks4',
}  # fmt: skip


@dataclass(frozen=True)
class Layer:
    """A place in a model where there is a map.

    Attributes:
        name: What it is called in files and pictures.
        module: The module that gives it.
        item: Which of the module's outputs it is, if there are several.
    """

    name: str
    module: nn.Module
    item: int = -1


@contextmanager
def catching(layers: Sequence[Layer]) -> Iterator[dict[str, Tensor]]:
    """Keep the layers' tensors while the model runs, by name: of several runs the last."""
    with _outputs({layer.name: layer.module for layer in layers}) as outputs:
        caught: dict[str, Tensor] = {}
        yield caught
        for layer in layers:
            items = _items(outputs.get(layer.name))
            if items and isinstance(items[layer.item], Tensor):
                caught[layer.name] = items[layer.item]


@contextmanager
def _outputs(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, Any]]:
    """What the modules give while the model runs."""
    outputs: dict[str, Any] = {}
    hooks = [
        module.register_forward_hook(lambda *args, name=name: outputs.update({name: args[-1]}))
        for name, module in modules.items()
    ]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


def _items(output: Any) -> Sequence[Any]:
    return output if isinstance(output, (tuple, list)) else [output]


def as_map(output: Tensor, size: Sequence[int]) -> Tensor | None:
    """A layer's output as a map (B, C, H, W), or None if it is none.

    Args:
        output: (B, C, H, W); or what transformers give, (B, H, W, C) or tokens (B, N, C). One token
            before those of the map, the class token, is left out.
        size: Height and width of the model's input. A map's are these over a whole stride, rounded
            up or down: that tells the layout.
    """
    strides = range(1, max(size) + 1)
    grids = {(to(size[0] / s), to(size[1] / s)) for s in strides for to in (math.floor, math.ceil)}
    if output.ndim == 4 and tuple(output.shape[2:]) in grids:
        return output
    if output.ndim == 4 and tuple(output.shape[1:3]) in grids:
        return output.permute(0, 3, 1, 2)
    if output.ndim == 3:
        for height, width in sorted(grids, reverse=True):
            others = output.shape[1] - height * width
            if height * width and others in (0, 1):
                return output[:, others:].transpose(1, 2).unflatten(2, (height, width))
    return None


def short_names(model: nn.Module, run: Callable[[], Any], size: Sequence[int]) -> dict[str, Layer]:
    """The layers that have short names.

    OverLoCK's are c2 to c5, which are its outputs, or else the last blocks at strides 4 to 32;
    ``focus``, the last block of Focus-Net; and ``overview``. VOLO's are level1, level2, ... Of any
    other backbone they are cn for the output at stride 2^n; of a neck pn.

    Args:
        model: Of mmpretrain, mmdet or mmseg.
        run: Runs it once.
        size: Height and width of the input.
    """
    backbone, neck = getattr(model, 'backbone', model), getattr(model, 'neck', None)
    found = last_blocks(backbone)
    outer = {'p': neck} if isinstance(neck, nn.Module) else {}
    if not found or isinstance(backbone, OverLoCK) and backbone.out_indices is not None:
        outer['c'] = backbone
    with _outputs(outer) as outputs:
        run()
    for letter, output in outputs.items():
        exponent = 0
        for item, one in enumerate(_items(output)):
            grid = as_map(one, size) if isinstance(one, Tensor) else None
            if grid is not None:
                # Of dilated backbones, several outputs have one stride.
                exponent = max(exponent + 1, round(math.log2(size[0] / grid.shape[2])))
                found[f'{letter}{exponent}'] = Layer(f'{letter}{exponent}', outer[letter], item)
    return found


def last_blocks(backbone: nn.Module) -> dict[str, Layer]:
    """The last blocks of the stages of OverLoCK and VOLO, by short names; of others, none.

    Unlike the outputs of a pyramid, their maps are not normed.
    """
    found = {}
    if isinstance(backbone, VOLO):
        found = {f'level{i}': level[-1] for i, level in enumerate(backbone.levels, 1) if len(level)}
    elif isinstance(backbone, OverLoCK):
        modules = dict(backbone.named_modules())
        found = {name: modules[path][-1] for name, path in _OVERLOCK.items() if path in modules}
    return {name: Layer(name, module) for name, module in found.items()}


def find_layers(model: nn.Module, names: Sequence[str], known: Mapping[str, Layer]) -> list[Layer]:
    """The layers that a user names, by short names or by dotted names of the model's modules.

    Raises:
        ValueError: there is none of a name; the nearest are listed.
    """
    modules = dict(model.named_modules())
    del modules['']
    layers = []
    for name in dict.fromkeys(names):
        if name not in known and name not in modules:
            near = difflib.get_close_matches(name, [*known, *modules], NEAREST, cutoff=0.4)
            hint = f'; the nearest: {shown(near)}' if near else ''
            raise ValueError(f"layer '{name}' does not exist{hint}; short names: {shown(known, 9)}")
        layers.append(known[name] if name in known else Layer(name, modules[name]))
    return layers
