"""VOLO: equal to timm's where the two coincide, and every form trains."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from mmpretrain.structures import DataSample
from sklearn.datasets import load_digits
from timm.models.volo import VOLO as TimmVOLO
from timm.models.volo import Outlooker, Transformer
from torch import Tensor, nn

from mmoverlock.models import VOLO, load_official
from mmoverlock.models.volo import VOLO_ARCHS

from ..testing import assert_close, randn

FLAT = dict(dims=(24,), outlookers=(2,), transformers=(2,), heads=(2,), mlp_ratio=2)
PYRAMID = dict(
    dims=(16, 24, 32), outlookers=(1, 1, 0), transformers=(0, 1, 1), heads=(2, 2, 4), mlp_ratio=2
)
FORMS = {
    'mean': dict(arch=FLAT, pooling='mean'),
    'cls': dict(arch=FLAT, pooling='cls'),
    'cli': dict(arch=FLAT, pooling='cli'),
    'map': dict(arch=PYRAMID, downsample='map'),
    'token': dict(arch=PYRAMID, downsample='token'),
    'maps': dict(arch=PYRAMID, downsample='token', out_indices=(0, 1, 2)),
}
each_form = pytest.mark.parametrize('form', FORMS)


def randomise(model: nn.Module) -> nn.Module:
    """Weights of ordinary size, so that every part of the network counts."""
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 4
        parameter.data = noise / fan_in**0.5 + (parameter.ndim == 1)
    return model


class Embed(nn.Module):
    """Our embedding, positions included, in the place of timm's."""

    def __init__(self, volo: VOLO):
        super().__init__()
        self.volo = volo

    def forward(self, image: Tensor) -> Tensor:
        return self.volo.embed(image).permute(0, 3, 1, 2)


@pytest.mark.parametrize('size', [(32, 32), (40, 24)], ids=str)
@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('levels', [1, 2])
def test_equals_timm_where_the_two_coincide(levels, stride, size):
    """Cls pooling; flat, or Outlookers, a strided convolution, Transformers: from the patches on."""
    arch = dict(dims=(24,), outlookers=(2,), transformers=(3,), heads=(2,), stride=stride)
    if levels == 2:
        arch.update(dims=(16, 24), outlookers=(2, 0), transformers=(0, 3), heads=(2, 4))
    ours = randomise(VOLO(arch, pooling='cls')).eval()
    theirs = TimmVOLO(
        layers=(2, 3),
        embed_dims=(arch['dims'][0], arch['dims'][-1]),
        num_heads=(arch['heads'][0], arch['heads'][-1]),
        downsamples=(levels == 2, False),
        outlook_attention=(True, False),
        mlp_ratio=4.0,
        num_classes=0,
    ).eval()
    blocks = [block for level in ours.levels for block in level]
    parts = [
        nn.Sequential(*(block for block in blocks if isinstance(block, Outlooker))),
        *ours.downsamples,
        nn.Sequential(*(block for block in blocks if isinstance(block, Transformer))),
    ]
    for their_part, part in zip(theirs.network, parts, strict=True):
        their_part.load_state_dict(part.state_dict())
    for module in theirs.network.modules():
        if stride == 1 and hasattr(module, 'unfold'):  # timm's network has 2 and no option for it
            module.stride, module.pool = 1, nn.Identity()
            module.unfold.stride = 1
    theirs.post_network.load_state_dict(ours.pool.class_blocks.state_dict())
    theirs.norm.load_state_dict(ours.pool.norm.state_dict())
    theirs.cls_token.data = ours.pool.cls_token.data
    theirs.patch_embed, theirs.pos_embed = Embed(ours), None

    image = randn(2, 3, *size).requires_grad_()
    outs = ours(image)[0], theirs(image)
    torch.testing.assert_close(*outs, rtol=1e-5, atol=1e-5)
    assert outs[0].std() > 0.1
    grads = [torch.autograd.grad(out.square().sum(), image)[0] for out in outs]
    assert_close(*grads, 1e-4)


def test_default_sizes():
    """CIFAR-100: flat C 192 and 4 + 6 blocks, pyramid (192, 256, 384)."""
    flat, pyramid = VOLO(pooling='cli'), VOLO('pyramid')
    assert [type(block) for block in flat.levels[0]] == [Outlooker] * 4 + [Transformer] * 6
    assert flat.levels[0][0].attn.kernel_size == 3 and flat.levels[0][0].attn.stride == 1
    assert {block.attn.num_heads for block in flat.levels[0]} == {6}
    assert flat.levels[0][9].mlp.fc1.weight.shape == (768, 192)
    assert len(flat.pool.class_blocks) == 2 and flat.pool.alpha.item() == 0.5
    assert flat.pos_embed.shape == (1, 8, 8, 192) and flat.patch_embed.stride == (4, 4)
    kinds = [''.join(type(block).__name__[0] for block in level) for level in pyramid.levels]
    assert kinds == ['OO', 'OOTT', 'TT']
    assert [level[0].attn.num_heads for level in pyramid.levels] == [6, 8, 12]
    assert VOLO_ARCHS['pyramid'].dims == (192, 256, 384) and pyramid.out_channels == (384,)


def test_pooling_formulas():
    """Mean: norm, mean, norm. Cli: alpha of the class token and 1 - alpha of the mean, norm."""
    pools = {k: randomise(VOLO(**FORMS[k])).pool.eval() for k in ('mean', 'cls', 'cli')}
    cli, tokens = pools['cli'], randn(2, 5, 24)
    mean = cli.token_norm(tokens).mean(1)
    cls = cli.class_blocks(torch.cat([cli.cls_token.expand(2, 1, -1), tokens], dim=1))[:, 0]
    assert not torch.allclose(mean, cls, atol=0.1)
    for kind, alpha in (('mean', 0.0), ('cls', 1.0), ('cli', 0.3)):
        cli.alpha.data.fill_(alpha)
        expected = cli.norm(alpha * cls + (1 - alpha) * mean)
        torch.testing.assert_close(cli(tokens), expected)
        if kind != 'cli':
            pools[kind].load_state_dict(cli.state_dict(), strict=False)
            torch.testing.assert_close(pools[kind](tokens), expected)


@each_form
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize('size', [(32, 32), (21, 38)], ids=str)
def test_forward_and_backward(form, dtype, size):
    """At the position table's size and another, in float32 and under AMP."""
    model = VOLO(**FORMS[form], drop_rate=0.1, drop_path_rate=0.1)
    with torch.autocast('cpu', dtype, enabled=dtype != torch.float32):
        outs = model(randn(2, 3, *size))
        loss = sum((out.float() * torch.arange(out.shape[1]).view(-1, *[1] * (out.ndim - 2))).sum() for out in outs)  # fmt: skip
    grid = [-(-side // 4) for side in size]
    if form == 'maps':
        for out in outs:
            assert out.shape[2:] == tuple(grid)
            grid = [-(-side // 2) for side in grid]
        assert [out.shape[1] for out in outs] == [16, 24, 32]
    else:
        assert [tuple(out.shape) for out in outs] == [(2, model.out_channels[0])]
    assert isinstance(outs, tuple) and all(out.isfinite().all() for out in outs)
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_bfloat16_stays_close():
    model, image = randomise(VOLO(**FORMS['cli'])).eval(), randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = model(image)[0]
        with torch.autocast('cpu', torch.bfloat16):
            out = model(image)[0].float()
    assert not torch.equal(out, expected)
    assert (out - expected).norm() < 0.05 * expected.norm()


@each_form
def test_survives_saving(form, tmp_path):
    model, other = randomise(VOLO(**FORMS[form])).eval(), VOLO(**FORMS[form]).eval()
    torch.save(model.state_dict(), tmp_path / 'state.pth')
    torch.save(model, tmp_path / 'model.pth')
    assert not load_official(other, tmp_path / 'state.pth').missing
    whole = torch.load(tmp_path / 'model.pth', weights_only=False)
    image = randn(2, 3, 32, 32)
    for a, b, c in zip(model(image), other(image), whole(image), strict=True):
        assert torch.equal(a, b) and torch.equal(a, c)


@pytest.mark.parametrize('form', ['cli', 'map', 'token'])
def test_images_are_padded_on_the_right_and_at_the_bottom(form):
    model = randomise(VOLO(**FORMS[form])).eval()
    image = randn(1, 3, 30, 37)
    assert torch.equal(model(image)[0], model(F.pad(image, (0, 3, 0, 2)))[0])


def test_downsampling_of_odd_maps():
    """Strided convolution of the padded map; mean of the tokens that are there."""
    x = randn(2, 5, 7, 16)
    by_map, by_token = (VOLO(**FORMS[k]).downsamples[0] for k in ('map', 'token'))
    padded = F.pad(x.permute(0, 3, 1, 2), (0, 1, 0, 1))
    expected = F.conv2d(padded, by_map.proj.weight, by_map.proj.bias, stride=2)
    torch.testing.assert_close(by_map(x).permute(0, 3, 1, 2), expected)
    out = by_token(x)
    assert out.shape == (2, 3, 4, 24)
    torch.testing.assert_close(out[:, 1, 2], by_token.proj(x[:, 2:4, 4:6].mean((1, 2))))
    torch.testing.assert_close(out[:, 2, 3], by_token.proj(x[:, 4, 6]))


def test_positions_are_resized_bilinearly():
    model = VOLO(**FORMS['mean'], img_size=(16, 24))
    assert model.pos_embed.shape == (1, 4, 6, 24)
    with torch.no_grad():
        model.patch_norm.weight.zero_()  # leaves the positions alone
        torch.testing.assert_close(model.embed(randn(1, 3, 16, 24)), model.pos_embed)
        expected = F.interpolate(model.pos_embed.permute(0, 3, 1, 2), (8, 9), mode='bilinear')
        torch.testing.assert_close(model.embed(randn(1, 3, 32, 36)).permute(0, 3, 1, 2), expected)


def test_drop_path_rises_linearly_over_all_blocks():
    model = VOLO(**FORMS['map'], drop_path_rate=0.3)
    blocks = [block for level in model.levels for block in level]
    rates = [getattr(block.drop_path1, 'drop_prob', 0.0) for block in blocks]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3])


@pytest.mark.parametrize('downsample', ['map', 'token'])
def test_under_fpn_and_upernet(downsample):
    cfg = dict(type='VOLO', arch=PYRAMID, downsample=downsample, out_indices=(0, 1, 2))
    channels = [16, 24, 32]
    fpn = MODELS.build(
        dict(_scope_='mmdet', type='FPN', in_channels=channels, out_channels=8, num_outs=4)
    )
    shapes = [tuple(out.shape) for out in fpn(MODELS.build(cfg)(randn(1, 3, 72, 100)))]
    assert shapes == [(1, 8, 18, 25), (1, 8, 9, 13), (1, 8, 5, 7), (1, 8, 3, 4)]

    head = dict(type='UPerHead', in_channels=channels, in_index=(0, 1, 2), pool_scales=(1, 2), channels=8, num_classes=5)  # fmt: skip
    segmentor = MODELS.build(
        dict(_scope_='mmseg', type='EncoderDecoder', backbone=cfg, decode_head=head, test_cfg=dict(mode='whole'))
    )  # fmt: skip
    out = segmentor(randn(2, 3, 72, 100))
    assert out.shape == (2, 5, 18, 25)
    out.square().sum().backward()
    assert all(parameter.grad is not None for parameter in segmentor.backbone.parameters())


def test_out_indices_choose_the_same_maps():
    full = randomise(VOLO(**FORMS['maps'])).eval()
    part = VOLO(**{**FORMS['maps'], 'out_indices': (0, 2)}).eval()
    part.load_state_dict(full.state_dict())
    maps = full(randn(1, 3, 32, 32))
    for out, index in zip(part(randn(1, 3, 32, 32)), (0, 2), strict=True):
        assert torch.equal(out, maps[index])


@pytest.mark.parametrize('form', [form for form in FORMS if form != 'maps'])
def test_learns_digits(form):
    """A few scans by heart, in mmpretrain's classifier."""
    torch.manual_seed(0)
    scans, labels = load_digits(return_X_y=True)
    scans = torch.from_numpy(scans[:20]).float().view(-1, 1, 8, 8) / 8 - 1
    samples = [DataSample().set_gt_label(int(label)) for label in labels[:20]]
    backbone = dict(type='VOLO', **FORMS[form], img_size=8, patch_size=2, in_channels=1)
    width = FORMS[form]['arch']['dims'][-1]
    head = dict(type='LinearClsHead', num_classes=10, in_channels=width)
    model = MODELS.build(
        dict(_scope_='mmpretrain', type='ImageClassifier', backbone=backbone, head=head)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        losses.append(model(scans, samples, mode='loss')['loss'])
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert 2 < losses[0] < 2.7 and losses[-1] < 0.5


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mmpretrain'])
def test_found_from_every_library(scope):
    assert isinstance(MODELS.build(dict(type='VOLO', arch=FLAT, _scope_=scope)), VOLO)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(arch='d1'), r"unknown arch 'd1': allowed are \['flat', 'pyramid'\]"),
        (dict(arch=['flat']), r"unknown arch \['flat'\]"),
        (dict(arch={**FLAT, 'width': 3}), 'are needed, .* optional'),
        (dict(arch=dict(dims=(8,))), 'are needed, .* optional'),
        (dict(arch={**FLAT, 'heads': (2, 2)}), r'arch heads=\(2, 2\): a number >= 1 .* dims=\(24,\)'),
        (dict(arch={**FLAT, 'outlookers': (-1,)}), r'outlookers=\(-1,\): a number >= 0'),
        (dict(arch={**FLAT, 'heads': (5,)}), r'arch heads=\(5,\): 5 does not divide 24'),
        (dict(arch={**FLAT, 'kernel_size': 4}), 'kernel_size=4: an odd number'),
        (dict(arch={**FLAT, 'class_blocks': 0}), 'class_blocks=0: at least 1'),
        (dict(pooling='max'), "pooling='max': allowed are"),
        (dict(downsample='conv'), "downsample='conv': allowed are"),
        (dict(img_size=0), 'img_size=0, .* positive numbers'),
        (dict(drop_path_rate=1.0), 'drop_path_rate=1.0: 0 <= rate < 1'),
        (dict(out_indices=(1,)), r'out_indices=\(1,\): None or rising indices out of \[0\]'),
        (dict(out_indices=()), 'rising indices'),
    ],
    ids=str,
)  # fmt: skip
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        VOLO(**{'arch': FLAT, **options})


def test_imagenet_sizes_are_timms(tmp_path):
    """mmpretrain's TimmClassifier trains all of volo_d1, on mixed labels, and takes timm's weights."""
    assert {f'volo_d{i}_224' for i in range(1, 6)} <= set(timm.list_models('volo*'))
    size = dict(model_name='volo_d1_224', img_size=64, num_classes=10)
    model = MODELS.build(
        dict(
            _scope_='mmpretrain',
            type='TimmClassifier',
            **size,
            drop_path_rate=0.1,
            loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1),
            data_preprocessor=dict(num_classes=10),
            train_cfg=dict(
                augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]
            ),
        )
    )
    samples = [DataSample().set_gt_label(i) for i in range(4)]
    data = model.data_preprocessor(dict(inputs=randn(4, 3, 64, 64), data_samples=samples), True)
    assert 'gt_score' in data['data_samples'][0]
    loss, _ = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())

    theirs = randomise(timm.create_model(**size)).eval()
    torch.save(theirs.state_dict(), tmp_path / 'd1.pth')
    report = load_official(model, tmp_path / 'd1.pth')
    assert not report.missing and not report.unexpected
    again = copy.deepcopy(model)
    again.load_state_dict(model.state_dict())  # names as timm has them
    with torch.no_grad():
        expected = theirs(randn(1, 3, 64, 64))
        for classifier in (model, again):
            assert torch.equal(classifier.eval()(randn(1, 3, 64, 64)), expected)
