"""Sigmoid and softmax focal loss (Lin et al., 2017) in plain PyTorch.

``target`` (N,) holds class indices; one outside [0, C), by custom C itself, is background.
``weight`` has one factor for each class, or no element at all.
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from .numerics import fill_gradients, full


def _class_weight(weight: Tensor, target: Tensor) -> Tensor:
    """Weight of each target's class (N,); background, and no weights at all, count 1."""
    if not weight.numel():
        return full(weight).new_ones(target.shape)
    known = (target >= 0) & (target < len(weight))
    return torch.where(known, full(weight)[target.clamp(0, len(weight) - 1)], 1)


def _sigmoid_focal_loss(
    logits: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float
) -> Tensor:
    positive = target[:, None] == torch.arange(logits.size(1), device=target.device)
    margin = torch.where(positive, logits, -logits)
    # -(1 - p)^gamma log(p), by logarithms: saturated logits keep finite gradients for any gamma
    loss = -torch.exp(gamma * F.logsigmoid(-margin)) * F.logsigmoid(margin)
    balance = torch.full_like(logits, 1 - alpha).masked_fill(positive, alpha)
    return balance * loss * _class_weight(weight, target)[:, None]


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Loss of every logit (N, C); a target outside [0, C), usually C, is background."""
    output.copy_(_sigmoid_focal_loss(full(input), target, weight, gamma, alpha))


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Derivative of every loss by its own logit, (N, C)."""
    loss = partial(_sigmoid_focal_loss, target=target, weight=weight, gamma=gamma, alpha=alpha)
    fill_gradients([grad_input], loss, [input], torch.ones_like(input))


def _target_probability(softmax: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Probability p of the target class, 1 - p, both kept above 0, and where there is none."""
    softmax = full(softmax)
    background = (target < 0) | (target >= softmax.size(1))
    p = softmax.gather(1, target.masked_fill(background, 0)[:, None]).squeeze(1)
    tiny = torch.finfo(torch.float32).tiny
    return p.clamp(min=tiny), (1 - p).clamp(min=tiny), background


def softmax_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Loss of every row (N,) of probabilities (N, C); a target outside [0, C) costs nothing."""
    p, rest, background = _target_probability(input, target)
    loss = -alpha * rest**gamma * p.log() * _class_weight(weight, target)
    output.copy_(loss.masked_fill(background, 0))


def softmax_focal_loss_backward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    buff: Tensor,
    grad_input: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Gradient by the logits behind the probabilities ``input``; ``buff`` (N,) is p · dloss/dp."""
    p, rest, background = _target_probability(input, target)
    slope = alpha * (gamma * rest ** (gamma - 1) * p * p.log() - rest**gamma)
    slope = (slope * _class_weight(weight, target)).masked_fill(background, 0)
    buff.copy_(slope)
    hit = target[:, None] == torch.arange(input.size(1), device=target.device)
    grad_input.copy_(slope[:, None] * (hit.to(slope.dtype) - full(input)))
