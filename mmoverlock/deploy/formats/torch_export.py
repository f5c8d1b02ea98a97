"""torch.export's ``.pt2``; run by PyTorch alone."""

import math
import operator
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._sympy.value_ranges import ValueRanges

from mmoverlock.runtime.spec import KEY, OUTPUTS, Spec

from . import LEAST, TRACED, Settings

SUFFIX = '.pt2'
NEEDS = ()
HALF_ON_CPU = 'PyTorch computes in half precision on a CPU, slower than in float32 on most'


def program(module: nn.Module, example: Tensor, settings: Settings) -> torch.export.ExportedProgram:
    """The module's graph, for fixed or free sizes; in half precision the module becomes so, too."""
    if settings.half:
        module.half()
    found = torch.export.export(
        module,
        (example,),
        dynamic_shapes=settings.shapes,
        prefer_deferred_runtime_asserts_over_guards=settings.dynamic,
    )
    _divide_in_whole_numbers(found.graph)
    _forget_the_example(found)
    return found


def _forget_the_example(found: torch.export.ExportedProgram) -> None:
    """Remove what the tracer asserts of sizes because the example's are so.

    Such as that no map is one pixel wide: strides depend on it, results do not. The verification of
    an export runs other sizes, the least among them.
    """
    for node in list(found.graph.nodes):
        if node.target is torch.ops.aten._assert_scalar.default:
            found.graph.erase_node(node)
    found.graph.eliminate_dead_code()
    for size, bounds in found.range_constraints.items():
        if bounds.lower == TRACED:
            found.range_constraints[size] = ValueRanges(LEAST, bounds.upper)


def _divide_in_whole_numbers(graph: torch.fx.Graph) -> None:
    """Turn ceil(a / b) of sizes, as timm's VOLO has it, into -(-a // b): files hold no `ceil`."""
    for node in list(graph.nodes):
        quotient = node.args[0] if node.target is math.ceil else None
        if getattr(quotient, 'target', None) is not operator.truediv:
            continue
        a, b = quotient.args
        with graph.inserting_before(node):
            for target, *others in ((operator.neg,), (operator.floordiv, b), (operator.neg,)):
                args = (a, *others)
                value = target(*(getattr(one, 'meta', {}).get('val', one) for one in args))
                a = graph.call_function(target, args)
                a.meta['val'] = value
        node.replace_all_uses_with(a)
        graph.erase_node(node)
        if not quotient.users:
            graph.erase_node(quotient)


def write(module: nn.Module, example: Tensor, spec: Spec, path: Path, settings: Settings) -> None:
    found = program(module, example, settings)
    torch.export.save(found, path, extra_files={KEY: spec.to_json()})


def run(path: Path) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    extra = {KEY: ''}
    module = torch.export.load(path, extra_files=extra).module()
    names = OUTPUTS[Spec.from_json(extra[KEY]).task]

    def call(image: np.ndarray) -> dict[str, np.ndarray]:
        with torch.no_grad():
            results = module(torch.from_numpy(image))
        return {name: one.numpy() for name, one in zip(names, results, strict=False)}

    return call
