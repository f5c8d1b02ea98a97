"""Parameters and multiply-adds of a model and its parts."""

from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmoverlock.ops import backend
from mmoverlock.ops.dynamic_conv2d.reference import matrix_products
from mmoverlock.utils.models import library_of

from .profiling import OTHER, Meter, attributed

TRAINING_ONLY = ('head.aux', 'auxiliary_head')  # of OverLoCKHead and of mmseg


def count(model: nn.Module, batch: dict[str, Any]) -> tuple[int, int]:
    """Parameters that inference uses, and multiply-adds of a forward pass.

    Args:
        model: As it is deployed, with merged branches.
        batch: Of one picture, as its data preprocessor takes it.
    """
    parameters = sum(part_parameters(model, {}, train=False).values())
    return parameters, int(sum(part_multiply_adds(model, {}, batch).values()))


def main_parts(model: nn.Module) -> dict[str, nn.Module]:
    """The modules whose shares are told: the model's children, and two of them in detail."""
    parts = {}
    for name, child in model.named_children():
        if name in ('backbone', 'roi_head'):
            for part, module in child.named_children():
                if not isinstance(module, (nn.ModuleList, nn.ModuleDict)):
                    parts[f'{name}.{part}'] = module
        parts[name] = child
    return parts


def part_multiply_adds(
    model: nn.Module, parts: dict[str, nn.Module], batch: dict[str, Any]
) -> dict[str, float]:
    """Multiply-adds of a forward pass; of a detector's, without what depends on the weights.

    PyTorch's counter sees convolutions and matrix products, so ContMix runs as the `reference`
    formula, with all of its products such.
    """
    training = model.training
    counter = FlopCounterMode(display=False)
    meter = Meter(lambda: counter.get_total_flops() / 2)
    model.eval()
    with (
        torch.no_grad(),
        backend('reference'),
        matrix_products(),
        counter,
        attributed(meter, parts),
    ):
        # mmseg does not give Mask2Former's head what it needs but for a prediction.
        mode = 'predict' if library_of(model) == 'mmseg' else 'tensor'
        model(**model.data_preprocessor(batch, False), mode=mode)
    model.train(training)
    return meter.amounts


def part_parameters(model: nn.Module, parts: dict[str, nn.Module], train: bool) -> dict[str, int]:
    """Number of parameters by part, without those that inference does not use."""
    counts = dict.fromkeys([*parts, OTHER], 0)
    for name, parameter in model.named_parameters():
        if train or not f'{name}.'.startswith(tuple(f'{one}.' for one in TRAINING_ONLY)):
            owner = next((part for part in parts if name.startswith(f'{part}.')), OTHER)
            counts[owner] += parameter.numel()
    return counts
