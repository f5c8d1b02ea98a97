"""CBAM as its formula, the FPN as mmdet's, and both under detectors and classifiers."""

from __future__ import annotations

import pytest
import torch
from mmengine.registry import MODELS
from torch import Tensor

from mmoverlock.models import CBAM, CBAMFPN, ConcatPooling

from ..testing import randn

CHANNELS = (6, 8, 12, 16)


def pyramid(height: int, width: int) -> tuple[Tensor, ...]:
    """Maps like a backbone's: each side is half the one before, rounded up."""
    maps = []
    for channels in CHANNELS:
        maps.append(randn(2, channels, height, width))
        height, width = -(-height // 2), -(-width // 2)
    return tuple(maps)


def test_cbam_is_its_formula():
    """Equations 2 and 3 of arXiv 1807.06521, pixel by pixel."""
    cbam, x = CBAM(12, reduction=4, kernel_size=3), randn(2, 12, 5, 6)
    down, up = cbam.mlp[0].weight[:, :, 0, 0], cbam.mlp[2].weight[:, :, 0, 0]
    assert down.shape == (3, 12) and up.shape == (12, 3)
    expected = torch.empty_like(x)
    for b in range(2):
        means, peaks = x[b].flatten(1).mean(1), x[b].flatten(1).max(1).values
        channel = torch.sigmoid(up @ (down @ means).relu() + up @ (down @ peaks).relu())
        scaled = x[b] * channel[:, None, None]
        pair = torch.zeros(2, 7, 8)  # with a border of zeros
        pair[0, 1:6, 1:7], pair[1, 1:6, 1:7] = scaled.mean(0), scaled.max(0).values
        for i in range(5):
            for j in range(6):
                logit = (cbam.conv.weight[0] * pair[:, i : i + 3, j : j + 3]).sum()
                expected[b, :, i, j] = scaled[:, i, j] * torch.sigmoid(logit)
    torch.testing.assert_close(cbam(x), expected)


def test_cbam_defaults():
    cbam = CBAM(64)
    assert cbam.mlp[0].out_channels == 4 and cbam.conv.kernel_size == (7, 7)
    assert sum(p.numel() for p in cbam.parameters()) == 2 * 64 * 4 + 2 * 49


@pytest.mark.parametrize('num_outs', [None, 4, 6])
def test_cbamfpn_is_mmdets_fpn_and_cbam(num_outs):
    neck = CBAMFPN(CHANNELS, 16, num_outs=num_outs, reduction=4)
    fpn = MODELS.build(
        dict(_scope_='mmdet', type='FPN', in_channels=[*CHANNELS], out_channels=16, num_outs=4)
    )
    for theirs, ours in (
        (fpn.lateral_convs, neck.fpn.inner_blocks),
        (fpn.fpn_convs, neck.fpn.layer_blocks),
    ):
        for conv, block in zip(theirs, ours, strict=True):
            conv.conv.load_state_dict(block[0].state_dict())
    maps = pyramid(21, 30)
    outs = neck(maps)
    assert isinstance(outs, tuple) and len(outs) == (num_outs or 4)
    for cbam, out, level in zip(neck.cbam, outs, fpn(maps), strict=False):
        torch.testing.assert_close(out, cbam(level))
    for finer, coarser in zip(outs[3:], outs[4:], strict=False):
        assert torch.equal(coarser, finer[:, :, ::2, ::2])


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize('size', [(16, 16), (13, 22)], ids=str)
def test_forward_backward_and_saving(dtype, size, tmp_path):
    neck = CBAMFPN(CHANNELS, 16, num_outs=5, reduction=4)
    with torch.autocast('cpu', dtype, enabled=dtype != torch.float32):
        (vector,) = ConcatPooling()(neck(pyramid(*size)))
    assert vector.shape == (2, 5 * 16)
    vector.float().square().sum().backward()
    for name, parameter in neck.named_parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.any(), name

    torch.save(neck.state_dict(), tmp_path / 'state.pth')
    torch.save(neck, tmp_path / 'model.pth')
    other = CBAMFPN(CHANNELS, 16, num_outs=5, reduction=4)
    other.load_state_dict(torch.load(tmp_path / 'state.pth'))
    whole = torch.load(tmp_path / 'model.pth', weights_only=False)
    maps = pyramid(*size)
    for a, b, c in zip(neck(maps), other(maps), whole(maps), strict=True):
        assert torch.equal(a, b) and torch.equal(a, c)


def test_concat_pooling():
    maps = pyramid(9, 7)
    (vector,) = ConcatPooling()(maps)
    assert vector.shape == (2, sum(CHANNELS))
    torch.testing.assert_close(vector[:, 6:14], maps[1].flatten(2).mean(2))


def test_in_a_detector():
    """RetinaNet trains with it; five levels, the last one subsampled."""
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    torch.manual_seed(0)
    anchors = dict(type='AnchorGenerator', octave_base_scale=4, scales_per_octave=1, ratios=[1.0], strides=[4, 8, 16, 32, 64])  # fmt: skip
    detector = MODELS.build(
        dict(
            _scope_='mmdet',
            type='RetinaNet',
            backbone=dict(type='OverLoCK', arch='xxt', out_indices=(0, 1, 2, 3)),
            # With one hidden channel, a ReLU may well stop all of a level's gradients.
            neck=dict(type='CBAMFPN', in_channels=[24, 48, 128, 160], out_channels=16, num_outs=5, reduction=2),
            bbox_head=dict(type='RetinaHead', num_classes=3, in_channels=16, feat_channels=16, anchor_generator=anchors),
            train_cfg=dict(assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0), sampler=dict(type='PseudoSampler'), allowed_border=-1, pos_weight=-1, debug=False),
        )
    )  # fmt: skip
    sample = DetDataSample(metainfo=dict(img_shape=(64, 96), pad_shape=(64, 96), batch_input_shape=(64, 96)))  # fmt: skip
    boxes = torch.tensor([[8.0, 8.0, 40.0, 40.0]])
    sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.tensor([1]))
    losses = detector(randn(1, 3, 64, 96), [sample], mode='loss')
    loss, _ = detector.parse_losses(losses)
    loss.backward()
    assert loss.isfinite() and all(p.grad.any() for p in detector.neck.parameters())


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mmpretrain'])
def test_found_from_every_library(scope):
    assert isinstance(MODELS.build(dict(type='CBAM', channels=16, _scope_=scope)), CBAM)
    neck = dict(type='CBAMFPN', in_channels=[4], out_channels=16, _scope_=scope)
    assert isinstance(MODELS.build(neck), CBAMFPN)


@pytest.mark.parametrize(
    ('build', 'message'),
    [
        (lambda: CBAM(64, reduction=48), 'reduction=48: a divisor of channels=64'),
        (lambda: CBAM(64, reduction=0), 'reduction=0: a divisor'),
        (lambda: CBAM(64, kernel_size=6), 'kernel_size=6: an odd number'),
        (lambda: CBAMFPN([]), r'in_channels=\[\]: positive numbers'),
        (lambda: CBAMFPN([4, 0]), r'in_channels=\[4, 0\]: positive numbers'),
        (lambda: CBAMFPN([4, 8], 16, num_outs=1), 'num_outs=1: at least 2'),
        (lambda: CBAMFPN([4, 8], 16)([randn(1, 4, 8, 8)]), '1 maps: 2 are needed'),
    ],
    ids=range(7),
)
def test_wrong_options_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
