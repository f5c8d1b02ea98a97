"""Differentiable operators of our own, which torch.compile takes as they are.

For ordinary tensors, where nobody compiles, they are autograd functions: that leaves out the layers
of Python that PyTorch's dispatcher goes through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils._python_dispatch import _get_current_dispatch_mode


def ordinary(*tensors: Tensor) -> bool:
    """Whether results are all that anybody wants: nobody compiles or records what runs on them."""
    return (
        not torch.compiler.is_compiling()
        and _get_current_dispatch_mode() is None
        and all(type(tensor) is Tensor for tensor in tensors)
    )


def make_operator(
    name: str,
    forward: Callable,
    fake_forward: Callable,
    backward: Callable,
    fake_backward: Callable,
    keep: Callable[[Sequence[Any], Sequence[Tensor]], tuple[Sequence[Tensor], Sequence[Any]]],
) -> Callable:
    """Register an operator and its gradient with PyTorch.

    Args:
        name: The operator's, in the namespace `mmoverlock`; the gradient's ends in `_backward`.
        forward: (tensors, settings) → tensors, of which the first is differentiable, once. Its
            annotations and those of `backward` give PyTorch the schemas.
        fake_forward: The same for tensors without memory.
        backward: (gradient of the first result, what is kept, settings) → gradients of the tensors.
        fake_backward: The same for tensors without memory.
        keep: (arguments, results) → what is kept of both for `backward`, and the settings.

    Returns:
        A function with the signature of `forward`.
    """
    op = torch.library.custom_op(f'mmoverlock::{name}', forward, mutates_args=())
    op_backward = torch.library.custom_op(f'mmoverlock::{name}_backward', backward, mutates_args=())
    op.register_fake(fake_forward)
    op_backward.register_fake(fake_backward)

    def setup_context(ctx, inputs, output):
        tensors, ctx.settings = keep(inputs, output)
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors)

    def gradients(ctx, run, grad_out):
        grads = run(grad_out, *ctx.saved_tensors, *ctx.settings)
        return *grads, *(None for _ in ctx.settings)

    op.register_autograd(
        lambda ctx, grad_out, *_: gradients(ctx, op_backward, grad_out),
        setup_context=setup_context,
    )

    def run_forward(ctx, *inputs):
        output = forward(*inputs)
        setup_context(ctx, inputs, output)
        return output

    @once_differentiable
    def run_backward(ctx, grad_out, *_):
        return gradients(ctx, backward, grad_out)

    methods = {'forward': staticmethod(run_forward), 'backward': staticmethod(run_backward)}
    function = type(name, (torch.autograd.Function,), methods)  # profilers show its name

    def run(*inputs):
        return (function.apply if ordinary(inputs[0]) else op)(*inputs)

    return run
