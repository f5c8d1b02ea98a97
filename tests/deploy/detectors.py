"""Small detectors with random weights that find something, and what mmdet's own `predict` gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from torch import Tensor, nn

import mmoverlock  # noqa: F401
from mmoverlock.utils.models import build_model

MODELS = Path(__file__).parents[2] / 'configs/_base_/models'
BASES = {
    'mask': 'mask-rcnn_overlock_fpn',
    'small': 'mask-rcnn_overlock_fpn_small',  # boxes and masks alike for all classes
    'faster': 'faster-rcnn_overlock_fpn',
    'cascade': 'cascade-mask-rcnn_overlock_fpn',
    'retinanet': 'retinanet_overlock_fpn',
}
CLASSES = 5


class Convolutions(nn.Module):
    """Maps of 16 channels at strides 4, 8, 16 and 32."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(3 if i == 0 else 16, 16, 3, stride=2, padding=1) for i in range(5)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        maps = []
        for conv in self.convs:
            x = conv(x).relu() * 2
            maps.append(x)
        return tuple(maps[1:])


def config(kind: str, **settings: Any) -> Config:
    """The config of `kind` with a few convolutions as backbone; `settings` by dotted names."""
    cfg = Config.fromfile(MODELS / f'{BASES[kind]}.py')
    cfg.model.backbone = dict(type=Convolutions)
    thin = dict(in_channels=16, feat_channels=16)
    parts = dict(neck=dict(in_channels=[16] * 4, out_channels=16))
    if kind == 'retinanet':
        parts['bbox_head'] = dict(thin, num_classes=CLASSES)
    else:
        box = dict(in_channels=16, fc_out_channels=32, num_classes=CLASSES)
        mask = dict(in_channels=16, conv_out_channels=16, num_convs=1, num_classes=CLASSES)
        parts['rpn_head'] = thin
        heads = cfg.model.roi_head.bbox_head
        parts['roi_head'] = dict(
            bbox_roi_extractor=dict(out_channels=16),
            bbox_head={str(i): box for i in range(3)} if isinstance(heads, list) else box,
        )
        if 'mask_head' in cfg.model.roi_head:
            parts['roi_head'].update(mask_roi_extractor=dict(out_channels=16), mask_head=mask)
        cfg.merge_from_dict({'model.test_cfg.rpn': dict(nms_pre=200, max_per_img=100)})
    cfg.merge_from_dict(dict(model=parts), allow_list_keys=True)
    cfg.merge_from_dict({f'model.{name}': value for name, value in settings.items()})
    return cfg


def detector(kind: str, **settings: Any) -> nn.Module:
    """The model of :func:`config`, its last layers strong enough for scores of every size."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = build_model(config(kind, **settings)).eval()
    for name, module in model.named_modules():
        last = name.split('.')[-1]
        if last in ('rpn_cls', 'fc_cls', 'retina_cls'):
            nn.init.normal_(module.weight, std=3 / module.weight[0].numel() ** 0.5)
        elif last in ('rpn_reg', 'fc_reg', 'retina_reg', 'conv_logits'):
            nn.init.normal_(module.weight, std=0.5 / module.weight[0].numel() ** 0.5)
    return model


def picture(batch: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(height * width)
    coarse = torch.randn(batch, 3, height // 8 + 1, width // 8 + 1, generator=generator)
    noise = torch.randn(batch, 3, height, width, generator=generator)
    return F.interpolate(coarse, (height, width), mode='bilinear') + 0.3 * noise


@torch.no_grad()
def predict(
    model: nn.Module, image: Tensor, size: tuple[int, int] | None = None
) -> list[InstanceData]:
    """mmdet's results, for pictures of `size` that were padded below and on the right."""
    size = tuple(size or image.shape[-2:])
    about = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0))
    samples = [DetDataSample(metainfo=about) for _ in image]
    return [sample.pred_instances for sample in model.predict(image, samples)]
