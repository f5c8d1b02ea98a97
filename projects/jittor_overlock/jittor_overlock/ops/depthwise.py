"""Depthwise convolution on the CPU that keeps the size of the map.

Jittor's grouped convolution computes an index for each product. Here a plane is copied once with
zeros around it, and rows are added up in vector registers, whose width the compiler knows.
"""

import jittor as jt

from .code import code

_SIZES = 'in0_shape0, in0_shape1, in0_shape2'


class _DepthwiseConv2d(jt.Function):
    def execute(self, x: jt.Var, weight: jt.Var, dilation: int) -> jt.Var:
        self.saved = x, weight
        self.form = f'<{weight.shape[-1]}, {dilation}, {x.shape[-1]}>'
        return self._convolve(x, weight, 'false')

    def grad(self, grad: jt.Var) -> tuple[jt.Var, jt.Var, None]:
        x, weight = self.saved
        grad_x = self._convolve(grad, weight, 'true')
        call = f'grad_weight{self.form}(in0_p, in1_p, out0_p, {_SIZES});'
        (grad_weight,) = code(['depthwise.h'], call, [weight.shape], [x, grad])
        return grad_x, grad_weight, None

    def _convolve(self, x: jt.Var, weight: jt.Var, flipped: str) -> jt.Var:
        call = f'convolve{self.form}(in0_p, in1_p, out0_p, {_SIZES}, {flipped});'
        (out,) = code(['depthwise.h'], call, [x.shape], [x, weight])
        return out


def depthwise_conv2d(x: jt.Var, weight: jt.Var, dilation: int = 1) -> jt.Var:
    """x (B, C, H, W), weight (C, 1, K, K), K odd, both float32 → (B, C, H, W); zeros around."""
    return _DepthwiseConv2d.apply(x, weight, dilation)
