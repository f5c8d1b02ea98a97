"""What OpenMMLab's users expect of a backbone: OverLoCK and VOLO have it alike."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from mmoverlock.models import VOLO, OverLoCK, load_official

from ..testing import assert_close, randn
from .overlock.test_backbone import TINY
from .test_volo import PYRAMID

MAKERS = {
    'OverLoCK': (lambda **options: OverLoCK(TINY, **options), 4),
    'VOLO': (lambda **options: VOLO(PYRAMID, **options), 3),
}
each_backbone = pytest.mark.parametrize(('make', 'maps'), MAKERS.values(), ids=MAKERS)


@pytest.fixture
def image():
    return randn(2, 3, 64, 64)


def trained(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def sub_networks(names: set[str]) -> set[str]:
    return {'.'.join(name.split('.')[:2]) for name in names}


# ------------------------------------------------------------------------------- out_indices


@each_backbone
def test_indices_from_the_end_and_alone(make, maps):
    last = maps - 1
    for given in (last, -1, (-1,), [last]):
        model = make(out_indices=given)
        assert model.out_indices == (last,) and len(model.out_channels) == 1
    assert make(out_indices=(0, -1)).out_indices == (0, last)


@each_backbone
def test_what_no_map_needs_is_not_built(make, maps, image):
    full = make(out_indices=tuple(range(maps))).eval()
    sizes = []
    for last in range(maps):
        part = make(out_indices=last).eval()
        sizes.append(len(part.state_dict()))
        report = load_official(part, full.state_dict())
        assert not report.missing
        assert torch.equal(part(image)[0], full(image)[last])
        part.train()(image)[0].square().mean().backward()
        assert [n for n, p in part.named_parameters() if p.grad is None] == []
    assert sizes == sorted(set(sizes))


def test_a_full_state_dict_fits_strictly():
    full = OverLoCK(TINY, out_indices=(1, 2, 3))
    part = OverLoCK(TINY, out_indices=(1, 2))
    state = {name: t for name, t in full.state_dict().items() if name[:12] != 'extra_norm.3'}
    part.load_state_dict(state)


# ------------------------------------------------------------------------------- gradients


@each_backbone
@pytest.mark.parametrize('used', [0, -1])
def test_an_unused_map_leaves_no_parameter_without_gradient(make, maps, used, image):
    """DistributedDataParallel waits for all of them."""
    model = make(out_indices=tuple(range(maps)))
    twin = deepcopy(model)
    model(image)[used].square().mean().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    twin.out_indices = (twin.out_indices[used],)  # the same without the other maps
    twin(image)[0].square().mean().backward()
    for (name, one), other in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert_close(one.grad, torch.zeros_like(one) if other.grad is None else other.grad, 1e-6,
                     name, floor=1e-6)  # fmt: skip


@each_backbone
@pytest.mark.parametrize('train', [True, False])
def test_maps_are_contiguous(make, maps, train, image):
    for out in make(out_indices=tuple(range(maps))).train(train)(image):
        assert out.is_contiguous()


@each_backbone
def test_with_cp_saves_memory_and_changes_no_gradient(make, maps, image):
    plain = make(out_indices=-1)
    frugal = make(out_indices=-1, with_cp=True)
    frugal.load_state_dict(plain.state_dict())
    saved = []
    for model in (plain, frugal):
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x, sizes=sizes: sizes.append(x.numel()) or x, lambda x: x
        ):
            loss = model(image)[0].square().mean()
        saved.append(sum(sizes))
        loss.backward()
    assert saved[1] < 0.6 * saved[0]
    for (name, a), b in zip(plain.named_parameters(), frugal.parameters(), strict=True):
        assert_close(b.grad, a.grad, 1e-5, name, floor=1e-7)


# ------------------------------------------------------------------------------- freezing


def test_frozen_stages_of_overlock(image):
    parts = ['base_net.patch_embed1', 'base_net.blocks1', 'base_net.patch_embed2',
             'base_net.blocks2', 'base_net.patch_embed3', 'base_net.blocks3']  # fmt: skip
    for stages, number in ((-1, 0), (0, 1), (1, 2), (2, 4), (3, 6)):
        model = OverLoCK(TINY, out_indices=(0, 1, 2, 3), frozen_stages=stages)
        everything = sub_networks({name for name, _ in model.named_parameters()})
        norms = {f'extra_norm.{i}' for i in range(min(max(stages, 0), 2))}
        assert everything - sub_networks(trained(model)) == {*parts[:number], *norms}
    assert trained(OverLoCK(TINY, frozen_stages=4)) == set()


@each_backbone
def test_what_is_frozen_never_changes(make, maps, image):
    model = make(out_indices=tuple(range(maps)), frozen_stages=2).train()
    before = deepcopy(model.state_dict())
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    sum(out.square().mean() for out in model(image)).backward()
    optimizer.step()
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen
    for name, tensor in model.state_dict().items():
        first = name.rpartition('.')[0]
        if name in frozen or any(one.rpartition('.')[0] == first for one in frozen):
            assert torch.equal(tensor, before[name]), name


def test_frozen_stages_of_volo():
    def left(stages):
        return sub_networks(trained(VOLO(PYRAMID, frozen_stages=stages)))

    assert 'pos_embed' in left(-1)
    assert left(-1) - left(0) == {'pos_embed', 'patch_embed.weight', 'patch_embed.bias',
                                  'patch_norm.weight', 'patch_norm.bias'}  # fmt: skip
    assert left(0) - left(2) == {'levels.0', 'downsamples.0', 'levels.1'}


# ------------------------------------------------------------------------------- norms


def test_norm_eval_keeps_the_statistics(image):
    model = OverLoCK(TINY, norm_eval=True).train()
    before = {name: b.clone() for name, b in model.named_buffers()}
    sum(out.square().mean() for out in model(image)).backward()
    assert all(torch.equal(b, before[name]) for name, b in model.named_buffers())
    assert all(p.grad is not None for p in model.parameters())  # scale and shift are trained
    assert model.base_net.blocks1.training


@pytest.mark.parametrize('kind', ['SyncBN', 'MMSyncBN'])
def test_sync_norms_have_the_same_names_and_values(kind, image):
    plain = OverLoCK(TINY)
    sync = OverLoCK(TINY, norm_cfg=dict(type=kind, requires_grad=True))
    sync.load_state_dict(plain.state_dict())
    kinds = {type(m) for m in sync.modules() if 'BatchNorm' in type(m).__name__}
    assert kinds == {nn.SyncBatchNorm}
    assert_close(sync(image), plain(image), 1e-5)  # one process: the statistics are its own


def test_sync_norms_in_blocks_that_are_computed_again(image):
    model = OverLoCK(TINY, norm_cfg=dict(type='SyncBN'), with_cp=True).train()
    sum(out.square().mean() for out in model(image)).backward()
    counts = {int(b) for name, b in model.named_buffers() if name.endswith('batches_tracked')}
    assert counts == {1}


def test_frozen_norms():
    model = OverLoCK(TINY, norm_cfg=dict(type='BN', requires_grad=False, momentum=0.01))
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(norm.momentum == 0.01 and not norm.weight.requires_grad for norm in norms)
    assert 'base_net.blocks1.0.proj.4.weight' in trained(model)


# ------------------------------------------------------------------------------- channels


@pytest.mark.parametrize('channels', [1, 6])
def test_images_of_other_channels(channels):
    """Published weights are adapted: a grey image as three equal channels gives the same."""
    rgb = OverLoCK(TINY, out_indices=-1).eval()
    other = OverLoCK(TINY, out_indices=-1, in_channels=channels).eval()
    assert not load_official(other, rgb.state_dict()).missing
    grey = randn(1, 1, 64, 64)
    expected = rgb(grey.expand(-1, 3, -1, -1))
    assert_close(other(grey.expand(-1, channels, -1, -1)), expected, 1e-4)


# ------------------------------------------------------------------------------- layer decay

LAYERS = {
    'base_net.patch_embed1.0.weight': 0,
    'base_net.blocks1.0.dwconv.weight': 1,
    'base_net.patch_embed2.0.weight': 2,
    'base_net.blocks2.1.dwconv.weight': 2,
    'base_net.patch_embed3.0.weight': 3,
    'base_net.blocks3.2.dwconv.weight': 3,
    'base_net.blocks3.3.dwconv.weight': 4,
    'base_net.blocks3.5.dwconv.weight': 4,
    'overview_net.patch_embed4.0.weight': 5,
    'overview_net.blocks4.1.dwconv.weight': 5,
    'focus_net.high_level_proj.weight': 6,
    'focus_net.sub_blocks3.0.rpb1': 6,
    'focus_net.sub_blocks3.11.rpb1': 9,
    'focus_net.patch_embedx.x_proj.0.weight': 10,
    'focus_net.sub_blocks4.1.rpb1': 10,
    'extra_norm.3.weight': 11,
    'h_proj.0.weight': 11,
}


def test_layers_of_overlock_t():
    with torch.device('meta'):
        model = OverLoCK('t', out_indices=(0, 1, 2, 3), fuse_overview=True)
    names = {name for name, _ in model.named_parameters()}
    for name, layer in LAYERS.items():
        assert name in names
        assert model.get_layer_depth(f'backbone.{name}', 'backbone.') == (layer, 13)
    assert model.get_layer_depth('neck.fpn.weight', 'backbone.') == (12, 13)
    assert {model.get_layer_depth(name)[0] for name in names} == set(range(12))


def test_layers_of_volo():
    model = VOLO(PYRAMID)
    depth = {name: model.get_layer_depth(name) for name, _ in model.named_parameters()}
    assert depth['pos_embed'] == depth['patch_embed.weight'] == (0, 7)
    assert depth['downsamples.1.proj.weight'] == depth['levels.2.0.norm1.weight'] == (4, 7)
    assert depth['pool.norm.weight'] == (5, 7)
    assert model.get_layer_depth('head.fc.weight', 'backbone.') == (6, 7)
