"""The backbone's options: sizes, outputs, drop path, checkpointing, merging."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn
from torch._subclasses import FakeTensorMode

from mmoverlock.models import OverLoCK, OverLoCKHead
from mmoverlock.models.overlock import ARCHS, RepConvBlock

from ...testing import assert_close, golden_state_dict, on_meta, randn

TINY = dict(
    depth=(1, 1, 1, 1), sub_depth=(2, 1), embed_dim=(8, 16, 16, 32), kernel_size=(7, 7, 5, 5),
    mlp_ratio=(2, 2, 2, 2), sub_num_heads=(1, 2), sub_mlp_ratio=(1, 1), projection=32,
)  # fmt: skip

ALL = (0, 1, 2, 3)


@pytest.fixture
def image():
    return randn(2, 3, 64, 64)


def randomise_statistics(model: nn.Module) -> None:
    generator = torch.Generator().manual_seed(1)
    for name, buffer in model.named_buffers():
        if name.endswith('running_mean'):
            buffer.copy_(0.1 * torch.randn(buffer.shape, generator=generator))
        elif name.endswith('running_var'):
            buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))


# Channels of c2..c5, and millions of parameters, merged and without the auxiliary head
# (paper, table 1, and the published code).
PUBLISHED = {
    'xt': ((56, 112, 340, 420), 16.45),
    't': ((64, 128, 384, 640), 33.47),
    's': ((64, 128, 448, 640), 56.16),
    'b': ((80, 160, 528, 720), 94.94),
}


@pytest.mark.parametrize('arch', PUBLISHED)
def test_published_sizes(arch):
    channels, millions = PUBLISHED[arch]
    with on_meta():
        backbone = OverLoCK(arch, out_indices=ALL)
        merged = OverLoCK(arch, deploy=True)
        head = OverLoCKHead(1000, arch, aux_weight=0)
    assert backbone.out_channels == channels
    count = sum(p.numel() for module in (merged, head) for p in module.parameters())
    assert round(count / 1e6, 2) == millions


@pytest.mark.parametrize('arch', ARCHS)
def test_channels_are_those_of_the_maps(arch):
    """With one block a stage: depth changes no channels."""
    shallow = replace(ARCHS[arch], depth=(1, 1, 1, 1), sub_depth=(1, 1))
    with FakeTensorMode():
        model = OverLoCK(shallow, out_indices=ALL)
        maps = model(torch.randn(1, 3, 64, 64))
    assert tuple(out.shape[1] for out in maps) == model.out_channels


@pytest.mark.parametrize('size', [(32, 32), (33, 47), (32, 161), (97, 35), (63, 64)], ids=str)
def test_any_size_from_32(size):
    model = OverLoCK(TINY, out_indices=ALL, fuse_overview=True).eval()
    shapes = [out.shape[2:] for out in model(torch.randn(1, 3, *size))]
    height, width = size
    for shape in shapes:
        height, width = -(-height // 2), -(-width // 2)
        if shape is shapes[0]:
            height, width = -(-height // 2), -(-width // 2)
        assert tuple(shape) == (height, width)


def test_xxt_at_the_smallest_size():
    assert OverLoCK('xxt').eval()(torch.randn(1, 3, 32, 32))[0].shape == (1, 160, 1, 1)


def test_too_small_input_is_refused():
    with pytest.raises(ValueError, match='at least 32×32'):
        OverLoCK(TINY)(torch.randn(1, 3, 31, 64))


@pytest.mark.parametrize('train', [True, False])
def test_outputs_are_tuples_in_both_modes(image, train):
    focus, overview = OverLoCK(TINY).train(train)(image)
    assert focus.shape == (2, 40, 2, 2) and overview.shape == (2, 32, 2, 2)
    model = OverLoCK(TINY, out_indices=(1, 3)).train(train)
    outs = model(image)
    assert isinstance(outs, tuple) and tuple(o.shape[1] for o in outs) == model.out_channels == (
        16,
        40,
    )


def test_out_indices_choose_the_same_maps(image):
    full = OverLoCK(TINY, out_indices=ALL).eval()
    part = OverLoCK(TINY, out_indices=(0, 2)).eval()
    part.load_state_dict(full.state_dict(), strict=False)
    expected = full(image)
    for out, index in zip(part(image), (0, 2), strict=True):
        assert torch.equal(out, expected[index])


def test_every_parameter_gets_a_gradient(image):
    for options in (
        dict(),
        dict(out_indices=ALL),
        dict(out_indices=ALL, fuse_overview=True),
    ):
        model = OverLoCK(TINY, **options)
        sum(out.square().mean() for out in model(image)).backward()
        assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_drop_path_rises_linearly_over_all_blocks():
    model = OverLoCK('xxt', drop_path_rate=0.3)
    rates = [
        (block.proj[9] if isinstance(block, RepConvBlock) else block.drop_path).drop_prob
        for blocks in (
            model.base_net.blocks1, model.base_net.blocks2, model.base_net.blocks3,
            model.overview_net.blocks4, model.focus_net.sub_blocks3, model.focus_net.sub_blocks4,
        )
        for block in blocks
    ]  # fmt: skip
    assert rates == pytest.approx([0.3 * i / 8 for i in range(9)])


def test_checkpointing_changes_nothing_but_memory(image):
    """Outputs, gradients and running statistics: each batch counts once, though run twice."""
    plain = OverLoCK(TINY, out_indices=ALL)
    frugal = OverLoCK(TINY, out_indices=ALL, use_checkpoint=(1, 1, 2, 9))
    frugal.load_state_dict(plain.state_dict())
    for model in (plain, frugal):
        sum(out.square().mean() for out in model(image)).backward()
    for (name, a), b in zip(plain.named_parameters(), frugal.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=name)
    for (name, a), b in zip(plain.named_buffers(), frugal.buffers(), strict=True):
        assert torch.equal(a, b), name


def test_checkpointing_saves_activations(image):
    def saved(use_checkpoint):
        model = OverLoCK(TINY, use_checkpoint=use_checkpoint)
        sizes = []

        def pack(tensor):
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            model(image)
        return sum(sizes)

    assert saved((1, 1, 2, 1)) < 0.6 * saved((0, 0, 0, 0))


def test_merging_is_exact(image):
    model = OverLoCK('xxt', out_indices=ALL, fuse_overview=True).double().eval()
    randomise_statistics(model)
    merged = copy.deepcopy(model)
    merged.reparameterize()
    merged.reparameterize()
    assert len(merged.state_dict()) < len(model.state_dict())
    assert not any('dil_' in name for name, _ in merged.named_modules())
    with torch.no_grad():
        image = image.double()
        assert_close(merged(image), model(image), 1e-9, elementwise=True)


def test_merged_names_are_the_published_ones():
    with on_meta():
        model = OverLoCK('xxt', deploy=True)
    names = {
        name: tuple(tensor.shape)
        for name, tensor in golden_state_dict('cls_reparam/xxt').items()
        if not name.startswith(('head', 'aux_head'))
    }
    ours = {n.split('.', 1)[1]: tuple(t.shape) for n, t in model.state_dict().items()}
    assert ours == names


def test_deploy_loads_unmerged_weights(image):
    model = OverLoCK(TINY).eval()
    randomise_statistics(model)
    deployed = OverLoCK(TINY, deploy=True).eval()
    deployed.load_state_dict(model.state_dict())
    with torch.no_grad():
        for a, b in zip(model(image), deployed(image), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mmpretrain'])
def test_found_from_every_library(scope):
    backbone = MODELS.build(dict(type='OverLoCK', arch=TINY, _scope_=scope))
    assert isinstance(backbone, OverLoCK)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(arch='l'), "unknown arch 'l': allowed are"),
        (dict(arch=7), 'arch=7: a name'),
        (dict(arch={**TINY, 'width': 3}), 'optional'),
        (dict(arch={'depth': (1, 1, 1, 1)}), 'are needed'),
        (dict(arch={**TINY, 'depth': (1, 1, 1)}), '4 positive numbers'),
        (dict(arch={**TINY, 'kernel_size': (7, 7, 5, 4)}), 'kernel_size'),
        (dict(arch={**TINY, 'embed_dim': (8, 16, 16, 30)}), 'embed_dim'),
        (dict(arch={**TINY, 'sub_num_heads': (3, 2)}), '4·3 does not divide 16'),
        (
            dict(out_indices=(0, 4)),
            r'out_indices=\(0, 4\): None or rising indices out of \[0, 1, 2, 3\]',
        ),
        (dict(out_indices=(1, 0)), 'rising indices'),
        (dict(out_indices=()), 'rising indices'),
        (dict(fuse_overview=True), 'needs map 3'),
        (dict(fuse_overview=True, out_indices=(0, 1)), 'needs map 3'),
        (dict(drop_path_rate=1.0), '0 <= rate < 1'),
        (dict(use_checkpoint=(1, 1)), 'four counts'),
        (dict(out_indices=4), 'out_indices=4: None or rising'),
        (dict(out_indices=(-1, 0)), 'rising indices'),
        (dict(in_channels=0), 'in_channels=0: a positive number'),
        (dict(frozen_stages=5), 'frozen_stages=5: -1 to 4'),
        (dict(norm_cfg=dict(type='LN')), r"norm_cfg=\{'type': 'LN'\}: a type out of"),
        (dict(norm_cfg=dict(type='BN', groups=2)), 'of options'),
    ],
    ids=str,
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        OverLoCK(**{'arch': TINY, **options})


def test_an_empty_batch_gives_empty_maps():
    model = OverLoCK('xxt')
    maps = model.eval()(torch.randn(0, 3, 64, 64, requires_grad=True))
    sum(one.sum() for one in maps).backward()
    assert [one.shape[0] for one in maps] == [0, 0]
