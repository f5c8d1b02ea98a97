"""Choose the best rows of a table, and compute on those rows alone that hold something."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

ABSENT = -1.0  # the score of a row that holds nothing


def best_rows(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` best of each picture by falling score; of equal ones, the first comes first.

    Args:
        scores: (B, N), N of any size, also less than `count`.

    Returns:
        Their scores and indices, both (B, count). What is missing has the score :data:`ABSENT` and
        the index 0.
    """
    padded = F.pad(scores, (0, count), value=ABSENT)
    ordered, index = padded.sort(dim=1, descending=True, stable=True)
    ordered, index = ordered[:, :count], index[:, :count]
    return ordered, index.masked_fill(ordered < 0, 0)


def take(table: Tensor, index: Tensor) -> Tensor:
    """Rows `index` (B, K) of each picture's table (B, N, C): (B, K, C)."""
    return table.gather(1, index[..., None].expand(-1, -1, table.size(2)))


def compute_on(
    there: Tensor, function: Callable[[Tensor], tuple[Tensor, ...]], like: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """Call `function` on the rows that are there; the results of the others are zero.

    Args:
        there: (N,), bool.
        function: Of the indices (n,) of such rows; gives tensors (n, ...).
        like: Tensors (N, ...), which the results replace.
    """
    rows = there.nonzero()[:, 0]
    return tuple(
        torch.zeros_like(one).index_put((rows,), result)
        for one, result in zip(like, function(rows), strict=True)
    )
