"""What timm expects of its models, of overlock_xxt; small where the size does not matter."""

from __future__ import annotations

import copy
import logging

import pytest
import timm
import torch
from mmengine.registry import MODELS
from timm.data import resolve_model_data_config
from timm.models import group_parameters
from timm.optim import create_optimizer_v2
from timm.utils import reparameterize_model
from torch import nn

from mmoverlock.models.timm_models import checkpoint_filter_fn

from ..testing import assert_close, golden_json, on_meta, randn

ARCH = dict(
    depth=(1, 1, 2, 1),
    sub_depth=(2, 1),
    embed_dim=(8, 16, 32, 32),
    kernel_size=(5, 5, 5, 5),
    sub_num_heads=(2, 2),
    projection=24,
)
CHANNELS = [8, 16, 40, 40]
URL = 'https://github.com/LMMMEng/OverLoCK/releases/download/v1/overlock_{}_in1k_224.pth'


@pytest.fixture(autouse=True)
def reference(monkeypatch):
    monkeypatch.setenv('MMOVERLOCK_BACKEND', 'reference')


def create(**options) -> nn.Module:
    """Small, with statistics and scales as after some training, the same at every call."""
    torch.manual_seed(0)
    model = timm.create_model('overlock_xxt', arch=ARCH, **options).eval()
    generator = torch.Generator().manual_seed(1)
    for name, value in model.state_dict().items():
        if name.endswith('running_var'):
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
        elif value.is_floating_point() and value.ndim == 1 or 'gamma' in name:
            value.add_(0.1 * torch.randn(value.shape, generator=generator))
    return model


def classifier(num_classes: int) -> nn.Module:
    """mmpretrain's, of the same size."""
    head = dict(type='OverLoCKHead', arch=ARCH, num_classes=num_classes)
    backbone = dict(type='OverLoCK', arch=ARCH)
    part = dict(type='ImageClassifier', backbone=backbone, head=head, _scope_='mmpretrain')
    return MODELS.build(part).eval()


@pytest.fixture(scope='module')
def image() -> torch.Tensor:
    return randn(2, 3, 64, 96)


@torch.no_grad()
def run(model: nn.Module, image: torch.Tensor) -> torch.Tensor:
    return model(image)


# -------------------------------------------------------------------------- the registry


def test_names():
    names = ['overlock_b', 'overlock_s', 'overlock_t', 'overlock_xt', 'overlock_xxt']
    assert timm.list_models('*overlock*') == names
    assert timm.list_pretrained('overlock*') == [f'{name}.in1k' for name in names[:4]]
    assert timm.models.is_model_pretrained('overlock_t')
    assert not timm.models.is_model_pretrained('overlock_xxt')
    with pytest.raises(RuntimeError, match='No pretrained weights exist for overlock_xxt'):
        timm.create_model('overlock_xxt', arch=ARCH, pretrained=True)


@pytest.mark.parametrize(
    ('arch', 'crop'), [('xt', 0.925), ('t', 0.95), ('s', 0.95), ('b', 0.975)], ids=str
)
def test_configs(arch, crop):
    with on_meta():
        model = timm.create_model(f'overlock_{arch}.in1k')
    cfg = model.pretrained_cfg
    assert cfg is model.default_cfg and cfg['url'] == URL.format(arch)
    config = resolve_model_data_config(model)
    assert (config['crop_pct'], config['interpolation']) == (crop, 'bicubic')
    assert config['input_size'] == (3, 224, 224)
    state = model.state_dict()
    assert state[f'{cfg["classifier"]}.weight'].shape[0] == cfg['num_classes'] == 1000
    assert state[f'{cfg["first_conv"]}.weight'].shape[1] == 3
    # The published file, merged or not, fills all; only the auxiliary head has no place.
    with on_meta():
        merged = timm.create_model(f'overlock_{arch}', deploy=True)
    for kind, target in (('cls', model), ('cls_reparam', merged)):
        shapes = golden_json('state_dict_manifest')[f'{kind}/{arch}']
        published = {name: torch.empty(shape, device='meta') for name, shape in shapes.items()}
        target.load_state_dict(checkpoint_filter_fn(published, target), strict=True)
    with pytest.raises(ValueError, match='holds merged branches'):
        checkpoint_filter_fn(published, model)


# -------------------------------------------------------------------------- the classifier


def test_forward():
    model = timm.create_model('overlock_xxt').eval()
    features = run(model.forward_features, randn(1, 3, 224, 224))
    assert features.shape[2:] == model.default_cfg['pool_size'] and features.isfinite().all()
    assert features.shape[1] == model.num_features
    with torch.no_grad():
        assert model.forward_head(features).shape == (1, 1000)
        assert model.forward_head(features, pre_logits=True).shape == (1, model.head_hidden_size)


def test_it_is_mmpretrain_s_classifier(image):
    model, other = create(num_classes=7), classifier(7)
    missing, unexpected = other.load_state_dict(model.state_dict(), strict=False)
    assert not unexpected and all(name.startswith('head.aux.') for name in missing)
    assert_close(run(model, image), run(lambda x: other.head(other.backbone(x)), image), 1e-6)
    fresh = timm.create_model('overlock_xxt', arch=ARCH, num_classes=7).eval()
    fresh.load_state_dict(other.state_dict())  # strictly: the auxiliary head is dropped
    assert torch.equal(run(fresh, image), run(model, image))


def test_every_parameter_has_a_gradient():
    model = create(num_classes=42, drop_rate=0.1, drop_path_rate=0.1).train()
    logits = model(randn(2, 3, 64, 64))
    assert logits.shape == (2, 42)
    logits.mean().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_reset_classifier(image):
    model = create()
    assert model.get_classifier() is model.get_submodule(model.default_cfg['classifier'])
    model.reset_classifier(0)
    assert model.num_classes == 0 and model.head_hidden_size == 24
    pooled = run(model, image)
    assert pooled.shape == (2, 24)
    model.reset_classifier(0, '')
    unpooled = run(model, image)
    assert unpooled.shape == (2, 24, 2, 3)
    assert_close(unpooled.mean((2, 3)), pooled, 1e-5)
    assert torch.equal(run(create(num_classes=0, global_pool=''), image), unpooled)
    model.reset_classifier(5, 'catavgmax')
    assert model.head_hidden_size == 48 and run(model, image).shape == (2, 5)
    model.reset_classifier(5, '')
    assert run(model, image).shape == (2, 5, 2, 3)


def test_options():
    model = create(in_chans=1, num_classes=3, drop_rate=0.25, drop_path_rate=0.2)
    assert run(model, randn(1, 1, 32, 40)).shape == (1, 3)
    assert model.head.drop.p == 0.25
    rates = [m.drop_prob for name, m in model.named_modules() if type(m).__name__ == 'DropPath']
    assert max(rates) == pytest.approx(0.2)
    with pytest.raises(ValueError, match='at least 32×32'):
        model(randn(1, 1, 32, 16))


def test_optimizer_groups():
    model = create()
    for coarse, number in ((True, 8), (False, 10)):
        layers = group_parameters(model, model.group_matcher(coarse), reverse=True)
        assert max(layers.values()) == number - 1 and len(layers) == len([*model.parameters()])
        order = [
            'base_net.patch_embed1.0', 'base_net.blocks1.0.dwconv', 'base_net.patch_embed2.0',
            'base_net.blocks3.0.dwconv', 'overview_net.patch_embed4.0',
            'focus_net.high_level_proj', 'focus_net.patch_embedx.x_proj.0',
            'focus_net.sub_blocks4.0.dwconv1',
        ]  # fmt: skip
        found = [layers[f'backbone.{name}.weight'] for name in order] + [
            layers['head.main.4.weight']
        ]
        assert found == sorted(found) and found[0] == 0 and found[-1] == number - 1
    groups = create_optimizer_v2(
        model, 'adamw', lr=1.0, weight_decay=0.05, layer_decay=0.5
    ).param_groups
    assert {group['lr_scale'] for group in groups} == {0.5**i for i in range(number)}


def test_gradient_checkpointing():
    image, models = randn(2, 3, 64, 64), [create().train(), create().train()]
    models[1].set_grad_checkpointing()
    outs = [model(image) for model in models]
    assert torch.equal(*outs)
    grads = [
        torch.autograd.grad(o.sum(), m.parameters()) for o, m in zip(outs, models, strict=True)
    ]
    assert_close(grads[1], grads[0], 1e-5, floor=1e-3)
    models[1].set_grad_checkpointing(False)
    assert models[1].backbone.focus_net.use_checkpoint == (0,) * 4


def test_reparameterize(image):
    model = create()
    merged = reparameterize_model(model)
    names = merged.state_dict()
    assert not any('origin_bn' in name for name in names)
    assert any('origin_bn' in name for name in model.state_dict())  # a copy was merged
    assert_close(run(merged, image), run(model, image), 1e-4)
    deployed = timm.create_model('overlock_xxt', arch=ARCH, deploy=True).eval()
    for state in (names, model.state_dict()):
        deployed.load_state_dict(state)
        assert_close(run(deployed, image), run(merged, image), 1e-5)


@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning')
def test_trace_export_and_copy():
    image = randn(1, 3, 32, 48)
    model = create(num_classes=5)
    expected = run(model, image)
    assert_close(run(torch.jit.trace(model, image), image), expected, 1e-5)
    assert torch.equal(run(copy.deepcopy(model), image), expected)
    model = reparameterize_model(model)
    program = torch.export.export(model, (image,)).module()
    assert_close(run(program, image), expected, 1e-4)


# -------------------------------------------------------------------------- features


def test_features(image):
    whole = create()
    last, maps = run(whole.forward_intermediates, image)
    assert torch.equal(last, run(whole.forward_features, image))
    model = create(features_only=True)
    info = model.feature_info
    assert info.channels() == CHANNELS and info.reduction() == [4, 8, 16, 32]
    outs = run(model, image)
    for out, expected, channels, reduction in zip(
        outs, maps, CHANNELS, info.reduction(), strict=True
    ):
        assert torch.equal(out, expected) and out.is_contiguous()
        assert out.shape == (2, channels, 64 // reduction, 96 // reduction)
    for out, hooked in zip(
        outs, run(create(features_only=True, feature_cls='hook'), image), strict=True
    ):
        assert torch.equal(out, hooked)
    (only,) = run(
        lambda x: whole.forward_intermediates(x, [1], True, True, intermediates_only=True), image
    )
    assert torch.equal(only, maps[1])


@pytest.mark.parametrize('indices', [(1, 2, 3), (0, 1), (2,), (0,), 2, (-2, -1)], ids=str)
def test_out_indices(image, indices):
    expected = run(create(features_only=True), image)
    torch.manual_seed(0)
    model = create(features_only=True, out_indices=indices)
    donor = create(features_only=True)
    missing, _ = model.load_state_dict(donor.state_dict(), strict=False)
    assert not missing
    chosen = range(-indices, 0) if isinstance(indices, int) else indices
    outs = run(model, image)
    assert len(outs) == len(model.feature_info.channels()) == len(chosen)
    for out, index in zip(outs, chosen, strict=True):
        assert torch.equal(out, expected[index])
    # Nothing is left that these maps do not need.
    sum(out.sum() for out in model.train()(image)).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_no_other_format(image):
    with pytest.raises(ValueError, match="output_fmt='NLC': only 'NCHW'"):
        create().forward_intermediates(image, output_fmt='NLC')


# -------------------------------------------------------------------------- weights


@pytest.fixture(scope='module')
def published(tmp_path_factory):
    """A file of the published form and its model: 9 classes, an auxiliary head."""
    torch.manual_seed(3)
    model = classifier(9)
    names = {'head.main': 'head', 'head.aux': 'aux_head'}
    state = {}
    for name, value in model.state_dict().items():
        name = name.removeprefix('backbone.')
        for net in ('base_net.', 'overview_net.', 'focus_net.'):
            name = name.removeprefix(net)
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        state[name] = value
    path = tmp_path_factory.mktemp('weights') / 'published.pth'
    torch.save(state, path)
    return path, model


def pretrained(path, **options) -> nn.Module:
    overlay = dict(file=str(path), num_classes=9)
    return timm.create_model(
        'overlock_xxt', arch=ARCH, pretrained=True, pretrained_cfg_overlay=overlay, **options
    ).eval()


def test_published_weights(published, image):
    path, other = published
    expected = run(lambda x: other.head(other.backbone(x)), image)
    assert_close(run(pretrained(path), image), expected, 1e-6)
    assert_close(run(pretrained(path, deploy=True), image), expected, 1e-4)
    by_path = timm.create_model('overlock_xxt', arch=ARCH, num_classes=9, checkpoint_path=path)
    assert_close(run(by_path.eval(), image), expected, 1e-6)


def test_published_weights_adapted(published, image, caplog):
    path, other = published
    with caplog.at_level(logging.WARNING):
        model = pretrained(path, num_classes=4, in_chans=1)
    assert not caplog.records
    assert model.get_classifier().out_channels == 4
    focus = run(lambda x: other.backbone(x)[0], image[:, :1].expand(-1, 3, -1, -1))
    assert_close(run(model.forward_features, image[:, :1]), focus, 1e-4)  # summed over channels
    features = run(pretrained(path, features_only=True, out_indices=(1, 3)), image)
    assert_close(features[1], run(other.backbone, image)[0], 1e-6)


def test_weights_of_another_arch(published):
    overlay = dict(file=str(published[0]))
    with pytest.raises(ValueError, match='checkpoint is of another arch'):
        timm.create_model('overlock_xxt', pretrained=True, pretrained_cfg_overlay=overlay)


def test_pretrained_finds_the_file(published, image, tmp_path, monkeypatch):
    path, other = published
    (tmp_path / 'overlock_xt_in1k_224.pth').write_bytes(path.read_bytes())
    monkeypatch.setenv('MMOVERLOCK_WEIGHTS', str(tmp_path))
    overlay = dict(num_classes=9)
    options = dict(arch=ARCH, pretrained=True, pretrained_cfg_overlay=overlay)
    model = timm.create_model('overlock_xt', **options).eval()
    expected = run(lambda x: other.head(other.backbone(x)), image)
    assert_close(run(model, image), expected, 1e-6)
    assert 'file' not in model.pretrained_cfg and model.pretrained_cfg['url'] == URL.format('xt')
    monkeypatch.setenv('MMOVERLOCK_WEIGHTS', str(tmp_path / 'nowhere'))
    with pytest.raises(ValueError, match='MMOVERLOCK_WEIGHTS: .* is not a folder'):
        timm.create_model('overlock_xt', **options)
