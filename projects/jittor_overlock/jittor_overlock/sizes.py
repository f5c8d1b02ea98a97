"""Sizes of OverLoCK: the table of mmoverlock/models/overlock/arch.py, which needs PyTorch.

A test keeps the two equal.
"""

from dataclasses import dataclass

# Branches (size, dilation) beside the k×k convolution (UniRepLKNet, arXiv 2311.15599).
DILATED_BRANCHES = {
    17: ((5, 1), (7, 1), (9, 2), (3, 4), (3, 5), (3, 7)),
    15: ((5, 1), (7, 1), (7, 2), (3, 3), (3, 5), (3, 7)),
    13: ((5, 1), (7, 1), (7, 2), (3, 3), (3, 4), (3, 5)),
    11: ((5, 1), (7, 1), (5, 2), (3, 3), (3, 4), (3, 5)),
    9: ((5, 1), (7, 1), (5, 2), (3, 3), (3, 4)),
    7: ((5, 1), (3, 1), (3, 2), (3, 3)),
}


@dataclass(frozen=True)
class Arch:
    """One size of OverLoCK; the columns are those of ``mmoverlock.models.overlock.arch.Arch``."""

    depth: tuple[int, ...]
    sub_depth: tuple[int, ...]
    embed_dim: tuple[int, ...]
    kernel_size: tuple[int, ...]
    mlp_ratio: tuple[int, ...] = (4, 4, 4, 4)
    sub_num_heads: tuple[int, ...] = (4, 8)
    sub_mlp_ratio: tuple[int, ...] = (3, 3)
    projection: int = 1024

    @property
    def ctx_dim(self) -> int:
        """Channels of the context prior."""
        return self.embed_dim[3] // 4


ARCHS = {
    'xxt': Arch(
        (1, 1, 2, 1), (3, 1), (24, 48, 96, 128), (13, 11, 9, 7), (2, 2, 2, 2), (1, 2), (2, 2), 256
    ),
    'xt': Arch((2, 2, 3, 2), (6, 2), (56, 112, 256, 336), (17, 15, 13, 7), sub_num_heads=(4, 6)),
    't': Arch((4, 4, 6, 2), (12, 2), (64, 128, 256, 512), (17, 15, 13, 7), sub_num_heads=(4, 8)),
    's': Arch((6, 6, 8, 3), (16, 3), (64, 128, 320, 512), (17, 15, 13, 7), sub_num_heads=(8, 16)),
    'b': Arch((8, 8, 10, 4), (20, 4), (80, 160, 384, 576), (17, 15, 13, 7), sub_num_heads=(6, 9)),
}
