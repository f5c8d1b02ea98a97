"""What the fused backends of the branches share.

Shapes, with N branches and T taps, those of all branches one after the other:
x and out (B, C, H, W), weight (C, T), gamma and beta (N, C), mean and var (N, C), in float64.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmoverlock.ops.autograd import differentiable
from mmoverlock.ops.depthwise import reference as depthwise


def _formula(
    x: Tensor,
    weight: Tensor,
    gamma: Tensor,
    beta: Tensor,
    kernel_sizes: Sequence[int],
    dilations: Sequence[int],
    eps: float,
    synchronized: bool,
) -> Tensor:
    if synchronized:
        raise RuntimeError(
            'the gradient of batch norms that are synchronized cannot be differentiated again'
        )
    weights = weight.to(x.dtype).split([size**2 for size in kernel_sizes], 1)
    branches = zip(weights, kernel_sizes, dilations, gamma, beta, strict=True)
    return sum(
        F.batch_norm(
            depthwise.forward(x, kernel.view(-1, 1, size, size), None, dilation),
            None, None, scale, shift, training=True, eps=eps,
        )
        for kernel, size, dilation, scale, shift in branches
    )  # fmt: skip


class Branches:
    """Branches in training, as an operator of PyTorch.

    Args:
        name: The operator's, in the namespace `mmoverlock`.
        forward: (x, weight, gamma, beta, kernel sizes, dilations, eps, synchronized) → (out, mean,
            var, count, what the gradient needs besides). The statistics are those of the branches'
            maps, var is the biased one, and count, a scalar in float64, the number of values behind
            each; where they are `synchronized`, they are those of all processes' maps. Its
            annotations and those of backward give PyTorch the schemas.
        backward: (grad_out, the tensors of forward, its results except out, its settings) → the
            gradients of the tensors.
        fake: `forward` for tensors without memory.
    """

    def __init__(self, name: str, forward: Callable, backward: Callable, fake: Callable):
        self.op = differentiable(name, forward, backward, fake, _formula)

    def with_statistics(
        self,
        x: Tensor,
        weights: Sequence[Tensor],
        dilations: Sequence[int],
        gammas: Sequence[Tensor],
        betas: Sequence[Tensor],
        eps: float,
        synchronized: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Σ_k batch_norm(depthwise_conv2d(x, weights[k], None, dilations[k]), gammas[k], betas[k]).

        Args:
            x: (B, C, H, W).
            weights: N of (C, 1, K, K), K odd.
            dilations: N distances of neighbouring taps.
            gammas: N of (C).
            betas: N of (C).
            eps: Added to the variances.
            synchronized: Whether the statistics are those of all processes together.

        Returns:
            The sum (B, C, H, W), in the layout of x, differentiable in all tensors; mean, var and
            count as above.
        """
        out, mean, var, count, *_ = self.op(
            x,
            torch.cat([weight.flatten(1) for weight in weights], 1),
            torch.stack(list(gammas)),
            torch.stack(list(betas)),
            [weight.shape[-1] for weight in weights],
            list(dilations),
            eps,
            synchronized,
        )
        return out, mean, var, count

    def __call__(
        self,
        x: Tensor,
        convs: Sequence[nn.Module],
        norms: Sequence[nn.Module],
        synchronized: bool = False,
    ) -> Tensor:
        """The layers in training: their running statistics move, too."""
        out, mean, var, count = self.with_statistics(
            x,
            [conv.weight for conv in convs],
            [conv.dilation[0] for conv in convs],
            [norm.weight for norm in norms],
            [norm.bias for norm in norms],
            norms[0].eps,
            synchronized,
        )
        with torch.no_grad():
            var = var * (count / (count - 1))
            kept = norms[0].running_mean.dtype
            for norm, batch_mean, batch_var in zip(norms, mean.to(kept), var.to(kept), strict=True):
                if norm.num_batches_tracked is not None:
                    norm.num_batches_tracked.add_(1)
                norm.running_mean.lerp_(batch_mean, norm.momentum)
                norm.running_var.lerp_(batch_var, norm.momentum)
        return out
