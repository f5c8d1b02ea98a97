"""The stand-in for mmcv's compiled operators, tested through mmcv's own wrappers.

tests/data/mmcv_compiled_ops.npz was computed by a compiled onedl-mmcv 2.3.6 on the CPU.
"""

import functools
import inspect
import math
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import mmcv
import mmcv._ext as ext
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from mmcv import ops
from mmcv.utils.env import collect_env
from mmcv.utils.ext_loader import check_ops_exist
from torch.autograd import gradcheck

import mmoverlock

from .. import testing
from ..testing import assert_close

ROOT = Path(__file__).parents[2]
COMPILED = np.load(ROOT / 'tests/data/mmcv_compiled_ops.npz')
OPERATORS = [
    name
    for name, one in vars(ext).items()
    if inspect.isfunction(one) and not name.startswith(('_', 'get_'))
]
BINDINGS = Path(mmcv.__file__).parent / 'ops/csrc/pytorch/pybind.cpp'

pytestmark = pytest.mark.skipif(
    not Path(ext.__file__).is_relative_to(Path(mmoverlock.__file__).parent),
    reason='mmcv was compiled with its own operators, so the stand-in is not in use',
)
randn = functools.partial(testing.randn, dtype=torch.float64)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')


@pytest.fixture(params=['cpu', pytest.param('cuda', marks=needs_cuda)])
def device(request):
    return request.param


def compiled(name, device='cpu', grad=False):
    return torch.from_numpy(COMPILED[name]).to(device).requires_grad_(grad)


def run_python(code):
    return subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', textwrap.dedent(code)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


# ------------------------------------------------------------------------------- the module


def test_mmcv_finds_the_stand_in():
    assert check_ops_exist()
    assert ext is mmcv._ext is sys.modules['mmcv._ext']


def test_unsupported_operator_raises_when_called():
    assert hasattr(ext, 'ms_deform_attn_forward')
    with pytest.raises(NotImplementedError, match="'ms_deform_attn_forward'.*pip install") as error:
        ext.ms_deform_attn_forward(1, im2col_step=2)
    assert '\n' not in str(error.value)


def test_unsupported_operator_raises_through_mmcv():
    with pytest.raises(NotImplementedError, match="'nms_match'"):
        ops.nms_match(torch.rand(3, 5), 0.5)


@pytest.mark.parametrize('name', ['__wrapped__', '__all_names__', '_private'])
def test_private_names_are_missing(name):
    assert not hasattr(ext, name)
    with pytest.raises(AttributeError, match=name):
        getattr(ext, name)


def test_collect_env():
    assert collect_env()['MMCV Compiler'] == 'n/a'


@pytest.mark.skipif(not BINDINGS.exists(), reason=f'mmcv ships no {BINDINGS.name}')
@pytest.mark.parametrize('name', OPERATORS)
def test_signatures_are_those_of_the_compiled_extension(name):
    binding = re.search(rf'm\.def\("{name}",.*?\);', BINDINGS.read_text(), re.DOTALL)
    arguments = re.findall(r'py::arg\("(\w+)"\)', binding[0])
    assert list(inspect.signature(getattr(ext, name)).parameters) == arguments


def test_compiled_mmcv_is_left_alone(tmp_path):
    (tmp_path / '_ext.py').write_text("def __getattr__(name): return f'compiled {name}'\n")
    result = run_python(f"""
        import sys
        import mmcv
        mmcv.__path__.append({str(tmp_path)!r})
        import mmoverlock
        import mmcv._ext
        print(mmcv._ext.nms, sys.modules['mmcv._ext'].nms)
    """)
    assert result.stdout.strip() == 'compiled nms compiled nms', result.stderr


def test_mmdet_and_mmseg_get_their_operators():
    result = run_python("""
        import mmoverlock
        import mmdet.models, mmseg.models
        from mmdet.models.dense_heads import base_dense_head
        from mmdet.models.losses import focal_loss
        from mmseg.models.decode_heads import point_head
        print(base_dense_head.batched_nms.__module__, focal_loss._sigmoid_focal_loss is not None,
              point_head.point_sample.__module__)
    """)
    assert result.stdout.split() == ['mmcv.ops.nms', 'True', 'mmcv.ops.point_sample'], result.stderr


# ------------------------------------------------------------------------------------- boxes


@pytest.mark.parametrize('offset', [0, 1])
def test_nms_equals_compiled(offset, device):
    boxes, scores = compiled('boxes', device), compiled('scores', device)
    dets, keep = ops.nms(boxes, scores, 0.5, offset=offset)
    assert keep.tolist() == COMPILED[f'nms_offset{offset}_keep'].tolist()
    assert torch.equal(dets, torch.cat([boxes, scores[:, None]], 1)[keep])


def test_batched_nms_equals_compiled(device):
    boxes, scores, classes = (compiled(k, device) for k in ('boxes', 'scores', 'classes'))
    dets, keep = ops.batched_nms(boxes, scores, classes, dict(type='nms', iou_threshold=0.4))
    assert keep.tolist() == COMPILED['batched_nms_keep'].tolist()
    assert_close(dets, COMPILED['batched_nms_dets'])


@pytest.mark.parametrize('method', ['linear', 'gaussian', 'naive'])
def test_soft_nms_equals_compiled(method, device):
    boxes, scores = compiled('boxes', device), compiled('scores', device)
    dets, keep = ops.soft_nms(boxes, scores, 0.3, 0.5, 1e-3, method)
    assert keep.tolist() == COMPILED[f'soft_nms_{method}_keep'].tolist()
    assert_close(dets, COMPILED[f'soft_nms_{method}_dets'])


def test_nms_compares_in_float32():
    """An overlap of exactly 0.3 does not exceed 0.3, though float32(0.3) > 0.3."""
    boxes = torch.tensor([[0.0, 0, 10, 1], [0, 0, 3, 1]])
    assert ops.nms(boxes, torch.tensor([0.9, 0.8]), 0.3)[1].tolist() == [0, 1]


def test_nms_of_nothing():
    for function in (ops.nms, ops.soft_nms):
        dets, keep = function(torch.zeros(0, 4), torch.zeros(0), 0.5)
        assert dets.shape == (0, 5) and keep.shape == (0,) and keep.dtype == torch.int64


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_nms_in_half_precision(dtype, device):
    boxes = compiled('boxes', device).to(dtype)
    scores = torch.linspace(1, 0.1, 200, device=device).to(dtype)
    _, keep = ops.nms(boxes, scores, 0.5)
    _, expected = ops.nms(boxes.float(), scores.float(), 0.5)
    assert torch.equal(keep, expected)
    dets, keep = ops.soft_nms(boxes, scores)
    assert dets.dtype == dtype
    assert torch.equal(keep, ops.soft_nms(boxes.float(), scores.float())[1])


def test_nms_of_arrays():
    dets, keep = ops.nms(COMPILED['boxes'], COMPILED['scores'], 0.5)
    assert isinstance(dets, np.ndarray) and keep.tolist() == COMPILED['nms_offset0_keep'].tolist()


def soft_nms_loop(boxes, scores, threshold, sigma, min_score, method, offset):
    """Box by box, swapping rows as mmcv's C++ does."""
    rows = [[*box, score, i] for i, (box, score) in enumerate(zip(boxes, scores, strict=True))]

    def area(box):
        return (box[2] - box[0] + offset) * (box[3] - box[1] + offset)

    first = 0
    while first < len(rows):
        top = max(range(first, len(rows)), key=lambda i: (rows[i][4], -i))
        rows[first], rows[top] = rows[top], rows[first]
        best, other = rows[first], first + 1
        while other < len(rows):
            row = rows[other]
            width = min(best[2], row[2]) - max(best[0], row[0]) + offset
            height = min(best[3], row[3]) - max(best[1], row[1]) + offset
            inter = max(width, 0) * max(height, 0)
            iou = inter / (area(best) + area(row) - inter)
            if method == 'gaussian':
                row[4] *= math.exp(-iou * iou / sigma)
            elif iou >= threshold:
                row[4] *= 1 - iou if method == 'linear' else 0
            if row[4] < min_score:
                last = rows.pop()
                if other < len(rows):
                    rows[other] = last
            else:
                other += 1
        first += 1
    return torch.tensor(rows)[:, :5], [row[5] for row in rows]


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('method', ['linear', 'gaussian', 'naive'])
def test_soft_nms_equals_plain_loop_with_equal_scores(method, offset):
    generator = torch.Generator().manual_seed(offset)
    corner, size = torch.rand(2, 150, 2, generator=generator) * 30
    boxes = torch.cat([corner, corner + size + 0.5], 1)
    scores = torch.randint(1, 8, (150,), generator=generator) / 8  # many are equal
    dets, keep = ops.soft_nms(boxes, scores, 0.4, 0.3, 0.1, method, offset)
    expected, expected_keep = soft_nms_loop(
        boxes.tolist(), scores.tolist(), 0.4, 0.3, 0.1, method, offset
    )
    assert keep.tolist() == expected_keep
    assert 10 < len(keep) < 150
    assert_close(dets, expected)


# ----------------------------------------------------------------------- regions of interest


@pytest.mark.parametrize('aligned', [0, 1])
@pytest.mark.parametrize('sampling', [0, 2])
def test_roi_align_equals_compiled(sampling, aligned, device):
    feat, name = compiled('feat', device, grad=True), f'roi_align_s{sampling}_a{aligned}'
    layer = ops.RoIAlign((7, 5), 0.25, sampling, 'avg', bool(aligned))
    out = layer(feat, compiled('rois', device))
    assert_close(out, COMPILED[name])
    grad = np.random.default_rng(501).standard_normal(out.shape).astype(np.float32)
    out.backward(torch.from_numpy(grad).to(device))
    assert_close(feat.grad, COMPILED[f'{name}_grad'])


def test_roi_align_max_equals_compiled(device):
    layer = ops.RoIAlign((7, 7), 0.25, 2, 'max')
    out = layer(compiled('feat', device), compiled('rois', device))
    assert_close(out, COMPILED['roi_align_max'])


ROIS = torch.tensor(
    [
        [0, 1.3, 2.2, 9.7, 11.9],
        [1, -4.0, -3.5, 8.0, 6.1],  # beyond the left and upper border
        [1, 6.0, 3.0, 21.0, 19.0],  # beyond the others
        [0, 5.2, 5.1, 5.6, 5.4],  # smaller than a pixel
    ],
    dtype=torch.float64,
)


def bilinear(plane, y, x):
    height, width = plane.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return plane.new_zeros(())
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    y0, x0 = int(y), int(x)
    y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
    above = plane[y0, x0] * (1 - x + x0) + plane[y0, x1] * (x - x0)
    below = plane[y1, x0] * (1 - x + x0) + plane[y1, x1] * (x - x0)
    return above * (1 - y + y0) + below * (y - y0)


def roi_align_loop(feat, rois, bins, scale, sampling, mode, aligned):
    """Sample by sample, differentiable."""
    out = []
    for image, *box in rois.tolist():
        x1, y1, x2, y2 = (v * scale - 0.5 * aligned for v in box)
        height, width = y2 - y1, x2 - x1
        if not aligned:
            height, width = max(height, 1), max(width, 1)
        gy = sampling or math.ceil(height / bins[0])
        gx = sampling or math.ceil(width / bins[1])
        for plane in feat[int(image)]:
            for i in range(bins[0] * bins[1]):
                py, px = divmod(i, bins[1])
                ys = [y1 + (py + (k + 0.5) / gy) * height / bins[0] for k in range(gy)]
                xs = [x1 + (px + (k + 0.5) / gx) * width / bins[1] for k in range(gx)]
                samples = torch.stack([bilinear(plane, y, x) for y in ys for x in xs])
                out.append(samples.max() if mode == 'max' else samples.mean())
    return torch.stack(out).reshape(len(rois), feat.size(1), *bins)


@pytest.mark.parametrize('mode', ['avg', 'max'])
@pytest.mark.parametrize('aligned', [False, True])
@pytest.mark.parametrize('sampling', [0, 3])
def test_roi_align_equals_plain_loop(sampling, aligned, mode):
    feat = randn(2, 2, 8, 9).requires_grad_()
    settings = ((2, 3), 0.5, sampling, mode, aligned)
    out = ops.roi_align(feat, ROIS, *settings)
    expected = roi_align_loop(feat, ROIS, *settings)
    assert_close(out, expected, 1e-9)
    grad = randn(*out.shape, seed=1)
    (actual,) = torch.autograd.grad(out, feat, grad)
    assert_close(actual, torch.autograd.grad(expected, feat, grad)[0], 1e-9)


@pytest.mark.parametrize('mode', ['avg', 'max'])
def test_roi_align_gradcheck(mode):
    feat = randn(2, 1, 5, 6).requires_grad_()
    assert gradcheck(lambda x: ops.roi_align(x, ROIS, (2, 2), 0.5, 2, mode, True), feat)


def test_roi_align_max_of_empty_region_is_zero():
    feat = randn(1, 2, 5, 6).requires_grad_()
    out = ops.roi_align(feat, torch.tensor([[0.0, 2, 2, 2, 4]]), 2, 1.0, 0, 'max', True)
    out.sum().backward()
    assert not out.any() and not feat.grad.any()


def roi_pool_loop(feat, rois, bins, scale):
    """mmcv's rule, bin by bin, differentiable: regions are not rounded, ends are inclusive."""
    out = []
    for image, x1, y1, x2, y2 in rois.tolist():
        x1, y1, x2, y2 = x1 * scale, y1 * scale, (x2 + 1) * scale, (y2 + 1) * scale
        for plane in feat[int(image)]:
            for i in range(bins[0] * bins[1]):
                py, px = divmod(i, bins[1])
                top = max(math.floor(y1 + py * (y2 - y1) / bins[0]), 0)
                left = max(math.floor(x1 + px * (x2 - x1) / bins[1]), 0)
                bottom = max(math.ceil(y1 + (py + 1) * (y2 - y1) / bins[0]), 0)
                right = max(math.ceil(x1 + (px + 1) * (x2 - x1) / bins[1]), 0)
                pixels = plane[top:bottom, left:right]
                valid = pixels.numel() and x2 > x1 and y2 > y1
                out.append(pixels.max() if valid else plane.new_zeros(()))
    return torch.stack(out).reshape(len(rois), feat.size(1), *bins)


def test_roi_pool_equals_plain_loop():
    # outside the map, inside out, and without extent between two pixels
    empty = torch.tensor([[1, 30.0, 30, 40, 40], [0, 5, 5, 1, 9], [0, 5, 3, 4, 9]])
    rois = torch.cat([ROIS, empty])
    feat = randn(2, 2, 8, 9).requires_grad_()
    out = ops.roi_pool(feat, rois, (3, 2), 0.5)
    expected = roi_pool_loop(feat, rois, (3, 2), 0.5)
    assert torch.equal(out, expected)
    assert not out[4:].any()
    grad = randn(*out.shape, seed=1)
    (actual,) = torch.autograd.grad(out, feat, grad)
    assert_close(actual, torch.autograd.grad(expected, feat, grad)[0], 1e-12)


def test_roi_pool_equals_torchvision_on_whole_pixels(device):
    """There, and only there, rounding the regions makes no difference."""
    feat = randn(2, 3, 12, 14, dtype=torch.float32).to(device).requires_grad_()
    rois = torch.tensor([[0, 1.0, 2, 9, 7], [1, 0, 0, 13, 11], [1, 4, 4, 4, 4]], device=device)
    out = ops.RoIPool((3, 4), 1.0)(feat, rois)
    expected = torchvision.ops.roi_pool(feat, rois, (3, 4), 1.0)
    assert torch.equal(out, expected)
    grad = randn(*out.shape, seed=1, dtype=torch.float32).to(device)
    (actual,) = torch.autograd.grad(out, feat, grad)
    assert_close(actual, torch.autograd.grad(expected, feat, grad)[0].cpu(), 1e-6)


def test_no_regions():
    feat = randn(1, 2, 5, 6, dtype=torch.float32).requires_grad_()
    for pool in (ops.RoIAlign(3), ops.RoIAlign(3, pool_mode='max'), ops.RoIPool(3)):
        out = pool(feat, torch.zeros(0, 5))
        assert out.shape == (0, 2, 3, 3)
        out.sum().backward()
    assert not feat.grad.any()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    'pool',
    [ops.RoIAlign(4, 0.5, 2), ops.RoIAlign(4, 0.5, 2, 'max'), ops.RoIPool(4, 0.5)],
    ids=['avg', 'max', 'pool'],
)
def test_regions_in_half_precision(pool, dtype, device):
    feat = randn(2, 3, 8, 9).to(device, dtype).requires_grad_()
    rois = ROIS.to(device, dtype)
    out = pool(feat, rois)
    assert out.dtype == dtype
    out.sum().backward()
    exact = feat.detach().float().requires_grad_()
    expected = pool(exact, rois.float())
    expected.sum().backward()
    tolerance = 4 * torch.finfo(dtype).eps
    assert_close(out, expected.cpu(), tolerance, dtype=dtype)
    # the winning samples' places are kept in the input's precision
    assert_close(feat.grad, exact.grad.cpu(), 4 * tolerance, dtype=dtype)


# -------------------------------------------------------------------------------- focal losses

TARGET = torch.tensor([0, 4, 2, 5, 1, 5])  # of 5 classes: 5 is background
WEIGHT = torch.tensor([1.0, 0.5, 2.0, 1.5, 3.0], dtype=torch.float64)


@pytest.mark.parametrize('reduction', ['none', 'mean', 'sum'])
@pytest.mark.parametrize('gamma', [0.0, 0.5, 2.0])
@pytest.mark.parametrize('weight', [None, WEIGHT], ids=['plain', 'weighted'])
def test_sigmoid_focal_loss(weight, gamma, reduction, device):
    logits = (3 * randn(6, 5)).to(device).requires_grad_()
    weight = weight if weight is None else weight.to(device)
    loss = ops.sigmoid_focal_loss(logits, TARGET.to(device), gamma, 0.3, weight, reduction)

    positive = F.one_hot(TARGET, 6)[:, :5].bool().to(device)
    p = logits.sigmoid()
    expected = torch.where(
        positive, -0.3 * (1 - p) ** gamma * p.log(), -0.7 * p**gamma * (1 - p).log()
    )
    if weight is not None:
        expected = expected * torch.cat([weight, weight.new_ones(1)])[TARGET.to(device), None]
    expected = {'none': expected, 'mean': expected.sum() / 6, 'sum': expected.sum()}[reduction]
    assert_close(loss, expected.cpu(), 1e-9)
    (grad,) = torch.autograd.grad(loss.sum(), logits)
    assert_close(grad, torch.autograd.grad(expected.sum(), logits)[0].cpu(), 1e-9)


def test_sigmoid_focal_loss_equals_torchvision(device):
    logits = randn(6, 5, dtype=torch.float32).to(device)
    positive = F.one_hot(TARGET, 6)[:, :5].float().to(device)
    expected = torchvision.ops.sigmoid_focal_loss(logits, positive, 0.25, 2.0)
    loss = ops.SigmoidFocalLoss(2.0, 0.25, reduction='none')(logits, TARGET.to(device))
    assert_close(loss, expected.cpu(), 1e-6)


@pytest.mark.parametrize('reduction', ['mean', 'sum'])
@pytest.mark.parametrize('gamma', [0.0, 0.5, 2.0])
@pytest.mark.parametrize('weight', [None, WEIGHT], ids=['plain', 'weighted'])
def test_softmax_focal_loss(weight, gamma, reduction, device):
    logits = (3 * randn(6, 5)).to(device).requires_grad_()
    weight = weight if weight is None else weight.to(device)
    loss = ops.softmax_focal_loss(logits, TARGET.to(device), gamma, 0.3, weight, reduction)

    rows = TARGET < 5  # background has no probability to be judged by
    target = TARGET[rows].to(device)
    logp = logits.log_softmax(1)[rows.to(device)].gather(1, target[:, None]).squeeze(1)
    expected = -0.3 * (1 - logp.exp()) ** gamma * logp
    if weight is not None:
        expected = expected * weight[target]
    expected = expected.sum() / (6 if reduction == 'mean' else 1)
    assert_close(loss, expected.cpu(), 1e-9)
    (grad,) = torch.autograd.grad(loss, logits)
    assert_close(grad, torch.autograd.grad(expected, logits)[0].cpu(), 1e-9)


@pytest.mark.parametrize('name', ['sigmoid_focal_loss', 'softmax_focal_loss'])
def test_saturated_logits_keep_finite_gradients(name):
    logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    loss = getattr(ops, name)(logits, torch.tensor([0, 0]), 0.5, 0.25, None, 'sum')
    loss.backward()
    assert loss.isfinite() and loss > 10
    assert logits.grad.isfinite().all() and logits.grad[1].abs().max() > 0.1


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('name', ['sigmoid_focal_loss', 'softmax_focal_loss'])
def test_focal_loss_in_half_precision(name, dtype, device):
    logits = randn(6, 5).to(device, dtype).requires_grad_()
    loss = getattr(ops, name)(logits, TARGET.to(device))
    loss.backward()
    assert loss.dtype == logits.grad.dtype == dtype
    exact = logits.detach().float().requires_grad_()
    expected = getattr(ops, name)(exact, TARGET.to(device))
    expected.backward()
    assert_close(loss, expected.cpu(), 8 * torch.finfo(dtype).eps, dtype=dtype)
    assert_close(logits.grad, exact.grad.cpu(), 8 * torch.finfo(dtype).eps, dtype=dtype)


# --------------------------------------------------------------------- deformable convolution


def test_deform_conv2d_equals_compiled(device):
    x, offset, weight = (compiled(f'dcn_{k}', device, grad=True) for k in ('in', 'off', 'w'))
    out = ops.deform_conv2d(x, offset, weight, 1, 1)
    assert_close(out, COMPILED['dcn_v1'])
    out.sum().backward()
    assert_close(offset.grad, COMPILED['dcn_v1_grad_off'])


def test_modulated_deform_conv2d_equals_compiled(device):
    x, offset, mask, weight = (
        compiled(f'dcn_{k}', device, grad=True) for k in ('in', 'off', 'mask', 'w')
    )
    out = ops.modulated_deform_conv2d(x, offset, mask, weight, None, 1, 1)
    assert_close(out, COMPILED['dcn_v2'])
    out.sum().backward()
    assert_close(mask.grad, COMPILED['dcn_v2_grad_mask'])
    assert_close(x.grad, COMPILED['dcn_v2_grad_in'])


# height and width differ everywhere, so that swapping them cannot go unnoticed
GEOMETRY = {'stride': (2, 1), 'padding': (1, 2), 'dilation': (1, 2), 'groups': 2}


@pytest.mark.parametrize('modulated', [False, True])
def test_unmoved_kernel_is_a_convolution(modulated, device):
    x = randn(4, 4, 9, 8, dtype=torch.float32).to(device)
    layer = ops.ModulatedDeformConv2d if modulated else ops.DeformConv2d
    layer = layer(4, 6, (3, 2), **GEOMETRY, deform_groups=2, bias=modulated).to(device)
    bias = None
    if modulated:
        bias = torch.nn.init.normal_(layer.bias)
    expected = F.conv2d(x, layer.weight, bias, **GEOMETRY)
    offset = x.new_zeros(4, 2 * 2 * 6, *expected.shape[2:])
    mask = [x.new_ones(4, 2 * 6, *expected.shape[2:])] if modulated else []
    assert_close(layer(x, offset, *mask), expected.cpu(), 1e-5)


def test_deform_groups_move_their_own_channels():
    x, weight, offset = randn(2, 4, 7, 8), randn(6, 2, 3, 3, seed=1), randn(2, 36, 7, 8, seed=2)
    out = ops.deform_conv2d(x, offset, weight, 1, 1, 1, 2, 2)
    halves = zip(x.chunk(2, 1), offset.chunk(2, 1), weight.chunk(2), strict=True)
    expected = torch.cat([ops.deform_conv2d(*half, 1, 1) for half in halves], 1)
    assert_close(out, expected, 1e-12)


def test_deform_conv2d_gradcheck():
    x, weight = randn(2, 4, 5, 4).requires_grad_(), randn(2, 2, 3, 2, seed=1).requires_grad_()
    offset = (0.3 + 0.2 * randn(2, 24, 3, 6, seed=2)).requires_grad_()
    geometry = (*list(GEOMETRY.values())[:3], 2, 2)
    assert gradcheck(lambda *tensors: ops.deform_conv2d(*tensors, *geometry), (x, offset, weight))


def test_modulated_deform_conv2d_gradcheck():
    x, weight = randn(2, 4, 5, 4).requires_grad_(), randn(2, 2, 3, 2, seed=1).requires_grad_()
    offset = (0.3 + 0.2 * randn(2, 24, 3, 6, seed=2)).requires_grad_()
    mask, bias = randn(2, 12, 3, 6, seed=3).requires_grad_(), randn(2, seed=4).requires_grad_()
    geometry = (*list(GEOMETRY.values())[:3], 2, 2)
    assert gradcheck(
        lambda *tensors: ops.modulated_deform_conv2d(*tensors, *geometry),
        (x, offset, mask, weight, bias),
    )


@pytest.mark.parametrize('layer', [ops.DeformConv2dPack, ops.ModulatedDeformConv2dPack])
def test_packs_under_autocast(layer, device):
    torch.manual_seed(0)
    layer = layer(4, 6, 3, padding=1).to(device)
    torch.nn.init.normal_(layer.conv_offset.weight, std=0.1)
    x = randn(2, 4, 7, 8, dtype=torch.float32).to(device)
    expected = layer(x)
    expected.sum().backward()
    expected_grad = layer.weight.grad.clone()
    layer.zero_grad()
    with torch.autocast(device, torch.bfloat16):
        out = layer(x)
    assert out.dtype == torch.bfloat16
    out.float().sum().backward()
    assert_close(out, expected.cpu(), 0.05, dtype=torch.bfloat16)
    assert_close(layer.weight.grad, expected_grad.cpu(), 0.05)
