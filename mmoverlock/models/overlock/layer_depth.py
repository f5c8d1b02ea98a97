"""How deep in the network a parameter is, for layer-wise decay of the learning rate.

The layers are those of the published ConvNeXt recipes (arXiv 2201.03545, appendix A): the stem; a
stage with few blocks; three blocks of a deep stage. Overview-Net comes before Focus-Net.
"""

from itertools import accumulate

from .arch import Arch

BLOCKS_PER_LAYER = 3  # of the stages at stride 16
STEM = 'patch_embed1'
STAGES = ('blocks1', 'blocks2', 'blocks3', 'blocks4', 'sub_blocks3', 'sub_blocks4')
EMBEDS = ('', 'patch_embed2', 'patch_embed3', 'patch_embed4', 'high_level_proj', 'patch_embedx')


def layer_depth(arch: Arch, name: str) -> tuple[int, int]:
    """The layer of a parameter of the backbone, and the number of layers.

    Args:
        arch: Of the backbone.
        name: As in its state dict.

    Returns:
        The layer: 0 is the stem; the last but one holds the norms of the pyramid's maps and what
        else is new in dense prediction; the last is for what follows the backbone.
    """
    deep = [-(-blocks // BLOCKS_PER_LAYER) for blocks in (arch.depth[2], arch.sub_depth[0])]
    *starts, new = accumulate((1, 1, deep[0], 1, deep[1], 1), initial=1)
    layers = {STEM: 0, **dict(zip(EMBEDS, starts, strict=True))}
    layers |= dict(zip(STAGES, starts, strict=True))
    _, part, index, *_ = f'{name}..'.split('.')
    layer = layers.get(part, new)
    if part in ('blocks3', 'sub_blocks3'):
        layer += int(index) // BLOCKS_PER_LAYER
    return layer, new + 2
