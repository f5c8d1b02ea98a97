"""Operators and the published networks: is what the device computes right?"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from mmoverlock import ops
from mmoverlock.models import OverLoCK, load_official, match_state_dict
from mmoverlock.models.overlock.layers import ConvMLP
from mmoverlock.models.overlock.reparam import DilatedReparam
from mmoverlock.ops import contmix, depthwise_conv2d, dynamic_conv2d
from mmoverlock.ops.dispatch import recording

from .setting import Classifier, Rows, Setting, checked, error_of, precision

sys.path.append(str(Path(__file__).parents[2] / 'tests'))
import testing  # noqa: E402  inputs of operators, and the golden numbers


def operator_cases(tiny: bool) -> Iterator[tuple[str, Callable, list[Tensor]]]:
    """Name, function, and its inputs on the CPU in float32."""
    shape = (1, 1, 3, 9, 3, 5, 6, 3, 5) if tiny else (2, 4, 16, 49, 16, 28, 30, 5, 13)
    sizes = shape[-2:]
    yield 'contmix', lambda *x: contmix(*x, *sizes), testing.contmix_inputs(shape)[0]
    shape = (1, 2, 5, 6, 3, 3) if tiny else (2, 4, 28, 30, 16, 13)
    yield 'dynamic_conv2d', dynamic_conv2d, testing.dynamic_conv_inputs(shape)[0]
    maps, size = ((2, 3, 5, 4), 5) if tiny else ((4, 64, 56, 54), 17)
    cases = [('channels_last', 1)] if tiny else [('channels_last', 1), ('contiguous', 2)]
    for layout, dilation in cases:
        x = testing.randn(*maps, layout=layout)
        weights = (
            testing.randn(maps[1], 1, size, size, seed=1) / size,
            testing.randn(maps[1], seed=2),
        )
        name = f'depthwise_conv2d, {layout}, dilation {dilation}'
        yield name, lambda *x, d=dilation: depthwise_conv2d(*x, d), [x, *weights]
        yield f'dilated_branches, {layout}', *of_module(DilatedReparam(maps[1], size), x)
    yield 'conv_mlp', *of_module(ConvMLP(maps[1], 4 * maps[1]), x)


def of_module(module: nn.Module, x: Tensor) -> tuple[Callable, list[Tensor]]:
    """A module in training as a function of its input and its parameters."""
    names = [name for name, _ in module.named_parameters()]
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)

    def function(x: Tensor, *parameters: Tensor) -> Tensor:
        copy = deepcopy(module).to(x.device, parameters[0].dtype)
        values = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(copy, values, (x,))

    return function, [x, *(p.detach() for p in module.parameters())]


def with_gradients(function: Callable, inputs: list[Tensor]) -> list[Tensor]:
    out = function(*inputs)
    grad = testing.randn(*out.shape, seed=9).to(out)
    return [out, *torch.autograd.grad(out, inputs, grad)]


def operators(setting: Setting) -> Rows:
    """Operators and all their gradients against the formulas in float64."""
    for name, function, inputs in operator_cases(setting.tiny):
        for kind, limit in setting.precisions.items():
            with precision(kind) as dtype:
                mixed = 'branches' in name or name == 'conv_mlp'  # parameters stay in float32
                given = [inputs[0].to(dtype)]
                given += [x.to(torch.float32 if mixed else dtype) for x in inputs[1:]]
                given = [x.detach().to(setting.device).requires_grad_() for x in given]
                autocast = setting.autocast(dtype if mixed else torch.float32)
                with setting.ours(), autocast, recording() as records:
                    found = with_gradients(function, given)
            exact = [x.detach().double().requires_grad_() for x in given]
            with ops.backend('reference'):
                wanted = with_gradients(function, exact)
            # What is zero but for rounding is measured against the largest gradient.
            floor = 0.02 * max(x.abs().max().item() for x in wanted)
            error = max(error_of(a, e, floor) for a, e in zip(found, wanted, strict=True))
            ran = ', '.join(sorted({f'{one.operator}: {one.backend}' for one in records}))
            yield dict(operator=name, backends=ran, precision=kind) | checked(error, limit)


def networks(setting: Setting) -> Rows:
    """The published networks: logits, maps, and in training the norms of all gradients."""
    images = [('xxt', 20, 0, (2, 3, 64, 64)), ('xt', 1000, 2, (1, 3, 224, 224))]
    for arch, classes, seed, shape in images[:1] if setting.tiny else images:
        model = Classifier(arch, classes).eval()
        load_official(model, testing.golden_state_dict(f'cls/{arch}'))
        wanted = testing.golden_arrays(f'cls_{arch}_{shape[2]}x{shape[3]}')['logits']
        for kind, (logits, _) in in_precisions(setting, model, testing.draw(seed, *shape)):
            error = error_of(logits, wanted)
            what = dict(network=f'{arch}, logits', precision=kind)
            yield what | checked(error, setting.precisions[kind])
    if not setting.tiny:
        model = OverLoCK('xt', out_indices=(0, 1, 2, 3), fuse_overview=True).eval()
        load_official(model, testing.golden_state_dict('det/xt'))
        wanted = testing.golden_arrays('det_xt_96x160')
        for kind, maps in in_precisions(setting, model, testing.draw(4, 1, 3, 96, 160)):
            pairs = [(x[:, ::5, ::3, ::3], wanted[f'c{i}']) for i, x in enumerate(maps, start=2)]
            error = max(error_of(*pair) for pair in pairs)
            what = dict(network='xt, maps for detection', precision=kind)
            yield what | checked(error, setting.precisions[kind])
    yield from golden_gradients(setting)


def in_precisions(
    setting: Setting, model: nn.Module, image: Tensor
) -> Iterator[tuple[str, tuple[Tensor, ...]]]:
    model, image = model.to(setting.device), image.to(setting.device)
    for kind in setting.precisions:
        with precision(kind) as dtype, setting.autocast(dtype), torch.no_grad():
            yield kind, model(image)


def golden_gradients(setting: Setting) -> Rows:
    norms = testing.golden_json('cls_xxt_train_grad_norms')
    largest = max(norms.values())
    model, state = Classifier('xxt', 20), testing.golden_state_dict('cls/xxt')
    load_official(model, state)
    fits, _ = match_state_dict(model, state)
    names = {id(tensor): name for name, tensor in fits.items()}
    weights = [testing.draw(seed, 2, 20).to(setting.device) for seed in (4, 5)]
    x = testing.draw(3, 2, 3, 64, 64).to(setting.device)
    for kind, limit in setting.precisions.items():
        one = deepcopy(model).to(setting.device).train()
        with precision(kind) as dtype:
            with setting.autocast(dtype):
                logits = one(x)
            main, aux = ((y.float() * w).sum() for y, w in zip(logits, weights, strict=True))
            (main + 0.4 * aux).backward()
        parameters = dict(one.named_parameters())
        errors = [
            abs(parameters[names[id(state[name])]].grad.norm(dtype=torch.float64).item() / norm - 1)
            for name, norm in norms.items()
            if norm > 1e-5 * largest  # the others are zero in theory
        ]
        exact = kind == 'float32'  # else single gradients, whose terms cancel, are far off
        error, which = (max(errors), 'largest') if exact else (median(errors), 'median')
        what = dict(network=f'xxt, gradients, {which}', precision=kind)
        yield what | checked(error, limit if exact else 3 * limit)
