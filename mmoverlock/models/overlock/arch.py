"""Sizes of OverLoCK as data (CVPR 2025, arXiv 2502.20087, section 3.4 and the released weights).

An architecture is a row of numbers. Users add their own by passing a dict with the same columns.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import TypeVar

T = TypeVar('T')

# Branches (size, dilation) beside the k×k convolution (UniRepLKNet, arXiv 2311.15599, table 9).
DILATED_BRANCHES = {
    19: ((5, 1), (7, 1), (9, 1), (9, 2), (3, 4), (3, 5), (3, 7)),
    17: ((5, 1), (7, 1), (9, 2), (3, 4), (3, 5), (3, 7)),
    15: ((5, 1), (7, 1), (7, 2), (3, 3), (3, 5), (3, 7)),
    13: ((5, 1), (7, 1), (7, 2), (3, 3), (3, 4), (3, 5)),
    11: ((5, 1), (7, 1), (5, 2), (3, 3), (3, 4), (3, 5)),
    9: ((5, 1), (7, 1), (5, 2), (3, 3), (3, 4)),
    7: ((5, 1), (3, 1), (3, 2), (3, 3)),
    5: ((3, 1), (3, 2)),
}


@dataclass(frozen=True)
class Arch:
    """One size of OverLoCK.

    Args:
        depth: Number of RepConvBlocks in blocks1..blocks4.
        sub_depth: Number of DynamicBlocks in sub_blocks3, sub_blocks4.
        embed_dim: Channels of stages 1..4; the last must divide by 4 (context channels).
        kernel_size: Large kernel of stages 1..4, odd, 5..19.
        mlp_ratio: Hidden over input channels in stages 1..4.
        sub_num_heads: Heads of sub_blocks3, sub_blocks4; 4·heads must divide the stage's channels.
        sub_mlp_ratio: Hidden channels of the DynamicBlocks over `embed_dim[2:]`.
        projection: Width of the classification head's projection.

    Raises:
        ValueError: if a column has the wrong length or a value the architecture cannot have.
    """

    depth: tuple[int, ...]
    sub_depth: tuple[int, ...]
    embed_dim: tuple[int, ...]
    kernel_size: tuple[int, ...]
    mlp_ratio: tuple[int, ...] = (4, 4, 4, 4)
    sub_num_heads: tuple[int, ...] = (4, 8)
    sub_mlp_ratio: tuple[int, ...] = (3, 3)
    projection: int = 1024

    def __post_init__(self):
        for column in fields(self):
            if column.name == 'projection':
                continue
            value = tuple(getattr(self, column.name))
            length = 2 if column.name.startswith('sub_') else 4
            if len(value) != length or any(v <= 0 for v in value):
                raise ValueError(
                    f'arch {column.name}={value}: {length} positive numbers are needed'
                )
            object.__setattr__(self, column.name, value)
        for k in self.kernel_size:
            if k not in DILATED_BRANCHES:
                raise ValueError(
                    f'arch kernel_size={self.kernel_size}: each must be one of '
                    f'{sorted(DILATED_BRANCHES)}'
                )
        if self.embed_dim[0] % 2 or self.embed_dim[3] % 4:
            raise ValueError(
                f'arch embed_dim={self.embed_dim}: the first must divide by 2 and the last by 4'
            )
        for dim, heads in zip(self.embed_dim[2:], self.sub_num_heads, strict=True):
            if dim % (4 * heads):
                raise ValueError(
                    f'arch sub_num_heads={self.sub_num_heads}: 4·{heads} does not divide {dim}'
                )

    @property
    def ctx_dim(self) -> int:
        """Channels of the context prior."""
        return self.embed_dim[3] // 4

    @property
    def out_channels(self) -> tuple[int, int, int, int]:
        """Channels of the pyramid maps c2, c3, c4, c5."""
        c1, c2, c3, c4 = self.embed_dim
        return c1, c2, c3 + self.ctx_dim, c4 + self.ctx_dim


ARCHS = {
    'xxt': Arch(
        (1, 1, 2, 1), (3, 1), (24, 48, 96, 128), (13, 11, 9, 7), (2, 2, 2, 2), (1, 2), (2, 2), 256
    ),
    'xt': Arch((2, 2, 3, 2), (6, 2), (56, 112, 256, 336), (17, 15, 13, 7), sub_num_heads=(4, 6)),
    't': Arch((4, 4, 6, 2), (12, 2), (64, 128, 256, 512), (17, 15, 13, 7), sub_num_heads=(4, 8)),
    's': Arch((6, 6, 8, 3), (16, 3), (64, 128, 320, 512), (17, 15, 13, 7), sub_num_heads=(8, 16)),
    'b': Arch((8, 8, 10, 4), (20, 4), (80, 160, 384, 576), (17, 15, 13, 7), sub_num_heads=(6, 9)),
}


def find_arch(arch: object, kind: type[T], archs: Mapping[str, T]) -> T:
    """Look up an architecture by name, or make one from a dict of the columns of `kind`.

    Raises:
        ValueError: for an unknown name, column or value.
    """
    if isinstance(arch, kind):
        return arch
    if isinstance(arch, dict):
        needed = [column.name for column in fields(kind) if column.default is MISSING]
        optional = [column.name for column in fields(kind) if column.name not in needed]
        if not {*needed} <= {*arch} <= {*needed, *optional}:
            raise ValueError(
                f'arch columns {sorted(arch)}: {needed} are needed, {optional} optional'
            )
        return kind(**arch)
    if not isinstance(arch, str) or arch not in archs:
        raise ValueError(f'unknown arch {arch!r}: allowed are {sorted(archs)}, or a dict')
    return archs[arch]


def get_arch(arch: str | dict | Arch) -> Arch:
    """:func:`find_arch` among OverLoCK's."""
    if not isinstance(arch, (str, dict, Arch)):
        raise ValueError(f'arch={arch!r}: a name ({sorted(ARCHS)}) or a dict of sizes is needed')
    return find_arch(arch, Arch, ARCHS)
