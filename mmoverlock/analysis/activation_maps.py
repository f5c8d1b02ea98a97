"""Class activation maps of a layer, by the library grad-cam.

Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) and Grad-CAM++ (Chattopadhay et al. 2018, arXiv
1710.11063) weigh a layer's channels by a score's gradients. EigenCAM (Muhammad and Yeasin 2020,
arXiv 2008.00299) needs none: it is the channels' first principal component.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from .extras import extra

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
    """A map (H, W) scaled to 0..1 and bilinearly to `size`, height and width, for an overlay."""
    scale_cam_image = extra('pytorch_grad_cam.utils.image').scale_cam_image
    return scale_cam_image([one.numpy()], size[::-1])[0]
