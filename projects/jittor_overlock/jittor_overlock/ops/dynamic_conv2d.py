"""Dynamic convolution: every pixel has a kernel of its own (OverLoCK, section 3.3).

A naive port unfolds the value map, which takes K² times its memory, or pads it with zeros, which
gives other numbers at the borders. This one reads the windows where they lie, under NATTEN's rule
(Neighborhood Attention, arXiv 2204.07143): a window that would leave the map is moved inside. Every
element of a result is written once, by one thread: the number of threads changes nothing.
"""

import jittor as jt

from .code import code


class _DynamicConv2d(jt.Function):
    def execute(self, kernels: jt.Var, value: jt.Var) -> jt.Var:
        self.saved = kernels, value
        (out,) = self._run([('Forward', 'in0_p, in1_p', value)], kernels, value)
        return out

    def grad(self, grad_out: jt.Var) -> tuple[jt.Var, jt.Var]:
        kernels, value = self.saved
        steps = [
            ('GradKernels', 'in1_p, in2_p', kernels),
            ('GradValue', 'in0_p, in2_p', value),
        ]
        return tuple(self._run(steps, kernels, value, grad_out))

    def _run(self, steps: list[tuple[str, str, jt.Var]], *inputs: jt.Var) -> list[jt.Var]:
        """`steps` holds a task, its inputs, and what its output has the shape of."""
        kernels, value, *_ = inputs
        form = f'<{round(kernels.shape[-1] ** 0.5)}, {value.shape[-1]}>'
        calls = [
            f'for_every_pixel({task}{form}{{{reads}, out{i}_p, in0_shape2, in0_shape3}}, '
            'in0_shape0 * in0_shape1, in0_shape2, in0_shape3);'
            for i, (task, reads, _) in enumerate(steps)
        ]
        shapes = [like.shape for *_, like in steps]
        return code(
            ['pixels.h', 'dynamic_conv2d.h'], '\n'.join(calls), shapes, [*inputs], cuda=True
        )


def dynamic_conv2d(kernels: jt.Var, value: jt.Var) -> jt.Var:
    """Convolve every pixel with its own kernel; the same as :func:`mmoverlock.ops.dynamic_conv2d`.

    Args:
        kernels: (B, G, H, W, K·K) float32, taps row by row, K odd.
        value: (B, G, H, W, C) float32, H and W at least K.

    Returns:
        (B, G, H, W, C). The window of pixel (i, j) starts at
        (clamp(i - K//2, 0, H - K), clamp(j - K//2, 0, W - K)).

    Raises:
        ValueError: the shapes do not fit.
    """
    taps = kernels.shape[-1]
    size = round(taps**0.5)
    if kernels.ndim != 5 or value.ndim != 5 or kernels.shape[:4] != value.shape[:4]:
        raise ValueError(
            f'kernels {tuple(kernels.shape)} and value {tuple(value.shape)}: '
            '(B, G, H, W, K·K) and (B, G, H, W, C) are needed'
        )
    if size**2 != taps or size % 2 == 0:
        raise ValueError(f'kernels {tuple(kernels.shape)}: the last axis must be an odd K squared')
    if min(value.shape[2:4]) < size:
        raise ValueError(f'value {tuple(value.shape)}: H and W must be at least {size}')
    return _DynamicConv2d.apply(kernels, value)
