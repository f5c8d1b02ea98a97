"""The stand-alone ContMixBlock equals the published one."""

from __future__ import annotations

import pytest

from mmoverlock.models import ContMixBlock

from ...testing import assert_close, draw, golden_arrays, golden_state_dict


@pytest.mark.parametrize(
    ('name', 'seed', 'shape', 'train'),
    [('y', 30, (2, 32, 12, 9), False), ('y_small', 31, (1, 32, 5, 8), False), ('y_small_train', 32, (2, 32, 5, 4), True)],
)  # fmt: skip
def test_contmix_block(backend, name, seed, shape, train):
    block = ContMixBlock(32, 7, 5, num_heads=2, mlp_ratio=2, ls_init_value=1.0, res_scale=True)
    block.load_state_dict(golden_state_dict('32_k7', 'contmix_block_manifest'), strict=True)
    out = block.train(train)(draw(seed, *shape))
    assert_close(out, golden_arrays('contmix_block_32_k7')[name])


def test_contmix_block_without_scales():
    block = ContMixBlock(48, 13, 5, num_heads=3, mlp_ratio=4)
    block.load_state_dict(golden_state_dict('48_k13', 'contmix_block_manifest'), strict=True)
