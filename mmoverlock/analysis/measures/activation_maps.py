"""Class activation maps of a layer, by the library grad-cam.

Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) and Grad-CAM++ (Chattopadhay et al. 2018, arXiv
1710.11063) weigh a layer's channels by a score's gradients. EigenCAM (Muhammad and Yeasin 2020,
arXiv 2008.00299) needs none: it is the channels' first principal component.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from ..extras import extra

GRADIENT_METHODS = ('Grad-CAM', 'Grad-CAM++')
METHODS = (*GRADIENT_METHODS, 'EigenCAM')


def activation_maps(
    activations: Tensor, gradients: Tensor | None, methods: Sequence[str] = METHODS
) -> dict[str, Tensor]:
    """Maps of one picture.

    Args:
        activations: Of the layer, (1, C, H, W).
        gradients: Of the score with respect to them, (1, C, H, W); EigenCAM needs none.
        methods: Of :data:`METHODS`.

    Returns:
        By method, (H, W) float32 on the CPU. What speaks against the score, below 0, is 0.
    """
    library = extra('pytorch_grad_cam')
    values = activations.detach().float().cpu().numpy()
    maps = {}
    for method in methods:
        if method == 'EigenCAM':
            found = first_component(values[0])
        else:
            cls = library.GradCAM if method == 'Grad-CAM' else library.GradCAMPlusPlus
            # The library's own hooks are not needed: the gradients are here.
            cam = cls(nn.Linear(1, 1), [])
            slopes = gradients.detach().float().cpu().numpy()
            (found,) = cam.get_cam_image(None, None, None, values, slopes)
        maps[method] = torch.from_numpy(np.maximum(found, 0).astype(np.float32))
    return maps


def first_component(activations: np.ndarray) -> np.ndarray:
    """The first principal component of a map (C, H, W) over its positions, (H, W).

    Its sign, which is open, makes the largest absolute value positive (Seg-Eigen-CAM, Chung and
    Ying 2025, equation 13). The library's function for this needs memory for (H · W)² numbers.
    """
    channels, height, width = activations.shape
    points = activations.reshape(channels, -1).T
    points = points - points.mean(0)
    _, _, axes = np.linalg.svd(points, full_matrices=False)
    component = points @ axes[0]
    if -component.min() > component.max():
        component = -component
    return component.reshape(height, width)


def enlarged(one: Tensor, size: tuple[int, int]) -> np.ndarray:
    """A map (H, W), not negative, laid over the model's input, scaled to at most 1.

    Positions lie a stride apart, centred in the input: each in the middle of its cell, if the
    stride divides the input's size. Between positions it is interpolated bilinearly.

    Convolutions that pad on both sides put position i at pixel i · stride, which holds for random
    weights. Training moves it towards the middle, in deep layers most: how far differs by model.

    Args:
        size: Height and width of the input.
    """
    strides = [stride_of(pixels, number) for pixels, number in zip(size, one.shape, strict=True)]
    top, left = (
        ((number - 1) - (pixels - 1) / stride) / 2
        for pixels, number, stride in zip(size, one.shape, strides, strict=True)
    )
    matrix = np.array([[1 / strides[1], 0, left], [0, 1 / strides[0], top]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    values = one.numpy() / max(float(one.max()), 1e-30)
    return cv2.warpAffine(values, matrix, size[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)


def stride_of(pixels: int, positions: int) -> float:
    """The stride that makes so many positions of so many pixels: a power of 2 if one does."""
    powers = (1 << n for n in range(pixels.bit_length() + 1))
    return next((n for n in powers if -(-pixels // n) == positions), pixels / positions)
