"""Exported detectors find what mmdet's own prediction finds."""

from __future__ import annotations

import pytest
import torch
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmoverlock.deploy.detector import ExportedDetector

from ..testing import assert_close
from .detectors import BASES, detector, picture, predict


@pytest.fixture(scope='module', params=BASES)
def model(request) -> nn.Module:
    return detector(request.param)


def check(outputs: tuple[Tensor, ...], expected: list[InstanceData]) -> list[int]:
    """Compare all pictures; returns how many objects each has."""
    boxes, scores, labels = outputs[:3]
    for i, results in enumerate(expected):
        number = len(results)
        assert_close(scores[i, :number], results.scores, 1e-5)
        assert_close(boxes[i, :number], results.bboxes, 1e-5)
        assert labels[i, :number].tolist() == results.labels.tolist()
        assert not scores[i, number:].any() and not boxes[i, number:].any()
        assert (labels[i, number:] == -1).all()
        if len(outputs) > 3:
            check_masks(outputs[3][i], boxes[i], results)
    return [len(results) for results in expected]


def check_masks(masks: Tensor, boxes: Tensor, results: InstanceData) -> None:
    number = len(results)
    assert not masks[number:].any()
    if number:
        shape = results.masks.shape[-2:]
        pasted, _ = _do_paste_mask(masks[:number, None], boxes[:number], *shape, skip_empty=False)
        unsure = (pasted - 0.5).abs() < 1e-4
        assert torch.equal((pasted >= 0.5) | unsure, torch.as_tensor(results.masks) | unsure)


@pytest.mark.parametrize('shape', [(2, 64, 96), (1, 32, 32), (2, 77, 50)], ids=str)
def test_results_are_those_of_mmdet(model, shape):
    image = picture(*shape)
    found = check(ExportedDetector(model)(image), predict(model, image))
    assert all(found)


def test_boxes_end_where_the_padding_begins(model):
    image = picture(2, 96, 64)
    image[:, :, 90:], image[:, :, :, 51:] = 0, 0
    outputs = ExportedDetector(model)(image, (90, 51))
    assert all(check(outputs, predict(model, image, (90, 51))))
    assert outputs[0].amax((0, 1)).tolist()[2:] == [51, 90]


def test_nothing_to_find():
    for kind, threshold in ('mask', 'rcnn.score_thr'), ('retinanet', 'score_thr'):
        model = detector(kind, **{f'test_cfg.{threshold}': 0.9999})
        image = picture(2, 64, 64)
        assert check(ExportedDetector(model)(image), predict(model, image)) == [0, 0]


def test_one_picture_of_a_batch_has_nothing():
    model = detector('mask')
    image = picture(2, 64, 64)
    image[1] = 0
    head = model.roi_head.bbox_head.fc_cls
    nn.init.zeros_(head.bias)
    with torch.no_grad():
        head.bias[-1] = 9  # background, unless the features say otherwise
        head.weight[:-1] *= 10
    found = check(ExportedDetector(model)(image), predict(model, image))
    assert found[0] and not found[1]


@pytest.mark.parametrize(
    'settings',
    [
        {'test_cfg.nms.class_agnostic': True},
        {'test_cfg.min_bbox_size': 20},
        {'test_cfg.nms_pre': 30, 'test_cfg.max_per_img': 7},
    ],
    ids=str,
)
def test_settings_of_a_single_stage(settings):
    image = picture(2, 64, 96)
    model = detector('retinanet', **settings)
    outputs = ExportedDetector(model)(image)
    check(outputs, predict(model, image))
    assert not torch.equal(outputs[1], ExportedDetector(detector('retinanet'))(image)[1])


def test_factors_of_scores_and_points():
    head = dict(type='FCOSHead', loss_bbox=dict(type='IoULoss'), _delete_=True)
    head.update(
        in_channels=16, feat_channels=16, num_classes=5, strides=[8, 16, 32, 64, 128], norm_cfg=None
    )
    model = detector('retinanet', bbox_head=head, type='FCOS')
    nn.init.normal_(model.bbox_head.conv_cls.weight, std=0.3)
    image = picture(2, 64, 96)
    assert all(check(ExportedDetector(model)(image), predict(model, image)))


@pytest.mark.parametrize(
    'kind, settings, problem',
    [
        ('retinanet', {'test_cfg.nms.type': 'soft_nms'}, "test_cfg.nms: .*'soft_nms'"),
        ('mask', {'test_cfg.rcnn.nms.type': 'soft_nms'}, "test_cfg.rcnn.nms: .*'soft_nms'"),
        ('retinanet', {'test_cfg.nms_pre': -1}, 'test_cfg.nms_pre: -1'),
        ('mask', {'roi_head.type': 'DoubleHeadRoIHead', 'roi_head.reg_roi_scale_factor': 1.3}, 'MaskRCNN'),
        ('mask', {'roi_head.mask_roi_extractor.roi_layer.pool_mode': 'max'}, 'pool_mode'),
        ('mask', {'roi_head.bbox_roi_extractor.type': 'GenericRoIExtractor'}, 'GenericRoIExtractor'),
    ],
)  # fmt: skip
def test_what_cannot_be_exported_is_named(kind, settings, problem):
    with pytest.raises(ValueError, match=f'{problem}.* cannot be exported; allowed: .') as error:
        ExportedDetector(detector(kind, **settings))
    assert '\n' not in str(error.value)


def test_other_kinds_of_detectors_are_refused():
    class DINO(nn.Module):
        pass

    with pytest.raises(ValueError, match="model.type: 'DINO'.*Mask, Faster and Cascade R-CNN"):
        ExportedDetector(DINO())
