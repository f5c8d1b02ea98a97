"""The one way to register a differentiable operator with PyTorch.

In plain eager mode the operator is an autograd function: that leaves out the layers of Python that
PyTorch's dispatcher goes through (about 80 µs a call). Under torch.compile, in a dispatch mode such
as FakeTensorMode, or for tensor subclasses, it is a custom operator that PyTorch takes as it is.
"""

from collections.abc import Callable
from itertools import zip_longest
from typing import Any, get_args

import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode


def is_eager(*tensors: Tensor) -> bool:
    """True in plain eager mode: no tracing, torch.compile, dispatch mode or tensor subclass."""
    return (
        not (torch.compiler.is_compiling() or torch.jit.is_tracing())
        and _get_current_dispatch_mode() is None
        and all(type(tensor) is Tensor for tensor in tensors)
    )


def differentiable(
    name: str,
    forward: Callable,
    backward: Callable,
    fake: Callable,
    formula: Callable,
    saves_output: bool = False,
) -> Callable:
    """Register an operator and its gradient.

    Args:
        name: The operator's, in the namespace `mmoverlock`; the gradient's ends in `_backward`.
        forward: (tensors, settings) → a tensor, or several of which the first is differentiable.
            Its annotations and those of `backward` give PyTorch the schemas.
        backward: (gradient of the first result, tensors, other results, settings) → gradients of
            the tensors in turn: like each of them, or empty for one that is None. What it returns
            for one that needs no gradient is dropped.
        fake: `forward` for tensors without memory.
        formula: The first result of `forward` in plain PyTorch. A gradient that is to be
            differentiated again (``create_graph=True``) is computed from it, in eager mode.
        saves_output: `backward` takes the first result too, before the other ones.

    Returns:
        A function with the signature of `forward`.
    """
    op = torch.library.custom_op(f'mmoverlock::{name}', forward, mutates_args=())
    op_backward = torch.library.custom_op(f'mmoverlock::{name}_backward', backward, mutates_args=())
    op.register_fake(fake)
    number = len(get_args(backward.__annotations__['return']))

    @op_backward.register_fake
    def fake_backward(grad_out, *args):
        return tuple(
            grad_out.new_empty(0) if tensor is None else torch.empty_like(tensor)
            for tensor in args[:number]
        )

    def setup_context(ctx, inputs, output):
        outputs = output if isinstance(output, tuple) else (output,)
        tensors = [x for x in inputs if x is None or isinstance(x, Tensor)]
        ctx.settings = inputs[len(tensors) :]
        ctx.mark_non_differentiable(*outputs[1:])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors, *(outputs if saves_output else outputs[1:]))

    def gradients(ctx, run, grad_out):
        if grad_out is None:
            return (None,) * len(ctx.needs_input_grad)
        grads = run(grad_out, *ctx.saved_tensors, *ctx.settings)
        pairs = zip_longest(grads, ctx.needs_input_grad)  # settings have no gradient
        return tuple(grad if needed else None for grad, needed in pairs)

    op.register_autograd(
        lambda ctx, grad_out, *_: gradients(ctx, op_backward, grad_out),
        setup_context=setup_context,
    )

    def run_forward(ctx, *inputs):
        output = forward(*inputs)
        setup_context(ctx, inputs, output)
        return output

    def run_backward(ctx, grad_out, *_):
        again = torch.is_grad_enabled()  # with create_graph=True
        return gradients(ctx, _by_formula(formula, ctx) if again else backward, grad_out)

    methods = {'forward': staticmethod(run_forward), 'backward': staticmethod(run_backward)}
    function = type(name, (torch.autograd.Function,), methods)  # profilers show its name

    def run(*inputs):
        return (function.apply if is_eager(inputs[0]) else op)(*inputs)

    return run


def _by_formula(formula: Callable, ctx: Any) -> Callable:
    """A `backward` whose results can be differentiated again."""
    number = len(ctx.needs_input_grad) - len(ctx.settings)

    def backward(grad_out: Tensor, *args: Any) -> list[Tensor | None]:
        # Views, as one tensor may have been computed from another.
        tensors = [None if x is None else x.view_as(x) for x in args[:number]]
        wanted = [x for x, needed in zip(tensors, ctx.needs_input_grad, strict=False) if needed]
        with torch.autocast(grad_out.device.type, enabled=False):
            out = formula(*tensors, *ctx.settings)
            grads = iter(torch.autograd.grad(out, wanted, grad_out, create_graph=True))
        return [next(grads) if needed else None for needed in ctx.needs_input_grad[:number]]

    return backward
