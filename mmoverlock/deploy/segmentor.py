"""Segmentors of mmseg, as they are exported: pictures in, label maps and logits out."""

import math

import torch
from mmengine.config import Config
from mmseg.models import EncoderDecoder
from torch import Tensor, nn

from mmoverlock.runtime.spec import OUTPUTS

from .exportable import Size


class ExportedSegmentor(nn.Module):
    """(B, C, H, W) → labels (B, H, W) int64, logits (B, classes, H, W), of the whole picture.

    A head of one channel, which knows background and one class by a threshold of its sigmoid, gives
    two logits: 0, and by how much the channel exceeds the threshold. Their argmax is its label.
    """

    outputs = OUTPUTS['segmentation']

    def __init__(self, model: EncoderDecoder):
        super().__init__()
        self.model = model
        self.align_corners = model.align_corners  # where the logits are resized
        threshold = model.decode_head.threshold
        self.least = math.log(threshold / (1 - threshold)) if model.out_channels == 1 else None

    def forward(self, image: Tensor, size: Size | None = None) -> tuple[Tensor, Tensor]:
        shape = image.shape[2:]
        about = dict(ori_shape=shape, img_shape=shape, pad_shape=shape, padding_size=[0] * 4)
        logits = self.model.encode_decode(image, [about])
        if size is not None:
            logits = logits[..., : size[0], : size[1]]
        if self.least is not None:
            logits = torch.cat([torch.zeros_like(logits), logits - self.least], 1)
        return logits.argmax(1), logits


def exportable(model: nn.Module, cfg: Config) -> ExportedSegmentor:
    """
    Raises:
        ValueError: if the model is no EncoderDecoder, tests by a sliding window, or knows one class
            and no background.
    """
    if not isinstance(model, EncoderDecoder):
        raise ValueError(
            f"model.type: '{type(model).__name__}' is not exported; of mmseg, EncoderDecoder is"
        )
    mode = model.test_cfg.get('mode', 'whole')
    if mode != 'whole':
        raise ValueError(
            f"model.test_cfg.mode: '{mode}' is not exported: the graph would have a loop over "
            "windows; with 'whole' it is"
        )
    if model.num_classes == 1:
        raise ValueError('model.decode_head.num_classes: 1 class and no background is not exported')
    return ExportedSegmentor(model)
