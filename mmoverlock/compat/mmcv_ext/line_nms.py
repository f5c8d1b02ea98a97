"""Non-maximum suppression of lanes, CLRNet's (Zheng et al., 2022)."""

import numpy as np
import torch
from torch import Tensor

from .numerics import full


def _close(lanes: Tensor, threshold: float) -> Tensor:
    """Pairs (N, N) of lanes whose mean distance over the rows that both have is below threshold."""
    x = full(lanes[:, 5:])
    rows = torch.arange(x.size(1), device=x.device)
    start = (full(lanes[:, 2]) * (len(rows) - 1) + 0.5).trunc()
    end = start + full(lanes[:, 4]).trunc() - 1
    first = torch.maximum(start[:, None], start)
    last = torch.minimum(end[:, None], end).clamp(max=len(rows) - 1)
    common = (rows >= first[..., None]) & (rows <= last[..., None])
    distance = (x[:, None] - x).abs().masked_fill(~common, 0).sum(-1)
    return (first >= 0) & (last >= first) & (distance < threshold * (last - first + 1))


def line_nms_forward(boxes: Tensor, scores: Tensor, thresh: float, top_k: int) -> list[Tensor]:
    """Keeps at most ``top_k`` lanes (N, 5 + rows: two scores, start, x, length, x of every row).

    ``start`` is a share of the rows, lengths are in rows. The compiled operator takes lanes in
    their own order on one side of the comparison, by score on the other; here both are by score.

    Returns:
        Indices (N,) of the kept lanes by falling score, then zeros; their number (); for each lane
        (N,) the place among them, from 1, of the last kept lane close to it, itself included, or 0.
    """
    order = scores.argsort(descending=True, stable=True)
    close = _close(boxes[order], thresh).triu(1).cpu().numpy()
    kept, parent = [], np.zeros(len(close), dtype=np.int64)
    removed = np.zeros(len(close), dtype=bool)
    for i, near in enumerate(close):
        if removed[i] or len(kept) == top_k:
            continue
        kept.append(i)
        removed |= near
        near[i] = True
        parent[near] = len(kept)
    keep, parents = torch.zeros_like(order), torch.zeros_like(order)
    keep[: len(kept)] = order[kept]
    parents[order] = torch.from_numpy(parent).to(order.device)
    return [keep, torch.tensor(len(kept), device=order.device), parents]
