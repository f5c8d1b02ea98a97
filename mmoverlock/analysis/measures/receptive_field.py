"""The effective receptive field: how much each pixel of the input matters to a map's centre.

Luo et al. 2016, arXiv 1701.04128. The shares of area are those of RepLKNet (Ding et al. 2022, arXiv
2203.06717, table 10).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

THRESHOLDS = (0.2, 0.3, 0.5, 0.99)


def receptive_fields(
    run: Callable[[Tensor], Mapping[str, Tensor]], pictures: Iterable[Tensor]
) -> dict[str, np.ndarray]:
    """The effective receptive field of the centre of each map, averaged over pictures.

    It is the absolute gradient of the centre position (H // 2, W // 2), its channels summed, with
    respect to the input; the absolute values of the input's channels are added.

    Args:
        run: Takes an input and gives maps (1, C, H', W') by name, differentiable.
        pictures: Inputs (1, C, H, W) of one size.

    Returns:
        By the maps' names, (H, W) float64.
    """
    totals: dict[str, np.ndarray] = {}
    number = 0
    for picture in pictures:
        number += 1
        picture = picture.detach().clone().requires_grad_()
        with torch.enable_grad():
            maps = run(picture)
            for name, one in maps.items():
                centre = one[0, :, one.shape[2] // 2, one.shape[3] // 2].sum()
                (slope,) = torch.autograd.grad(centre, picture, retain_graph=True)
                field = slope[0].abs().sum(0).double().cpu().numpy()
                totals[name] = totals.get(name, 0) + field
    return {name: total / number for name, total in totals.items()}


def area_shares(
    field: np.ndarray, thresholds: Sequence[float] = THRESHOLDS
) -> list[tuple[int, float]]:
    """The smallest centred square that holds more than each threshold of a field.

    Args:
        field: (H, W), not negative. Its centre is pixel (H // 2, W // 2).
        thresholds: Shares of the field's sum, from 0 to below 1.

    Returns:
        For each threshold the square's odd side in pixels, and what share of the H · W pixels it
        covers, without what lies outside. NaN if the field is 0 everywhere.
    """
    rows, columns = (abs(np.arange(n) - n // 2) for n in field.shape)
    distance = np.maximum(rows[:, None], columns).ravel()
    inside = np.bincount(distance, weights=field.ravel()).cumsum()
    pixels = np.bincount(distance).cumsum()
    if not inside[-1]:
        return [(0, float('nan'))] * len(thresholds)
    radii = [int(np.argmax(inside > threshold * inside[-1])) for threshold in thresholds]
    return [(2 * radius + 1, float(pixels[radius] / field.size)) for radius in radii]
