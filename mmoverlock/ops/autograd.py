"""The one way to register a differentiable operator with PyTorch.

In plain eager mode the operator is an autograd function: that leaves out the layers of Python that
PyTorch's dispatcher goes through (about 80 µs a call). Under torch.compile, in a dispatch mode such
as FakeTensorMode, or for tensor subclasses, it is a custom operator that PyTorch takes as it is.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils._python_dispatch import _get_current_dispatch_mode


def is_eager(*tensors: Tensor) -> bool:
    """True in plain eager mode: no torch.compile, dispatch mode or tensor subclass."""
    return (
        not torch.compiler.is_compiling()
        and _get_current_dispatch_mode() is None
        and all(type(tensor) is Tensor for tensor in tensors)
    )


def differentiable(
    name: str,
    forward: Callable,
    fake_forward: Callable,
    backward: Callable,
    fake_backward: Callable,
    save: Callable[[Sequence[Any], Sequence[Tensor]], tuple[Sequence[Tensor], Sequence[Any]]],
) -> Callable:
    """Register an operator and its gradient.

    Args:
        name: The operator's, in the namespace `mmoverlock`; the gradient's ends in `_backward`.
        forward: (tensors, settings) → a tensor, or several of which the first is differentiable,
            once. Its annotations and those of `backward` give PyTorch the schemas.
        fake_forward: The same for tensors without memory.
        backward: (gradient of the first result, saved tensors, settings) → gradients of the
            tensors; what it returns for one that needs no gradient is dropped.
        fake_backward: The same for tensors without memory.
        save: (arguments, results) → the tensors to save for `backward`, and the settings.

    Returns:
        A function with the signature of `forward`.
    """
    op = torch.library.custom_op(f'mmoverlock::{name}', forward, mutates_args=())
    op_backward = torch.library.custom_op(f'mmoverlock::{name}_backward', backward, mutates_args=())
    op.register_fake(fake_forward)
    op_backward.register_fake(fake_backward)

    def setup_context(ctx, inputs, output):
        outputs = output if isinstance(output, tuple) else (output,)
        tensors, ctx.settings = save(inputs, outputs)
        ctx.mark_non_differentiable(*outputs[1:])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors)

    def gradients(ctx, run, grad_out):
        if grad_out is None:
            return (None,) * len(ctx.needs_input_grad)
        grads = run(grad_out, *ctx.saved_tensors, *ctx.settings)
        needed = ctx.needs_input_grad
        kept = (grad if need else None for grad, need in zip(grads, needed, strict=False))
        return *kept, *(None for _ in range(len(needed) - len(grads)))

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
        return (function.apply if is_eager(inputs[0]) else op)(*inputs)

    return run
