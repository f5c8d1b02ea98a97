"""Pictures come to an exported network as to the checkpoint's: bit for bit."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import MODELS, DefaultScope

from mmoverlock.deploy.preprocessing import preprocessing
from mmoverlock.runtime.preprocess import prepared

NORMAL = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
LOAD = dict(type='LoadImageFromFile')
CLS, DET, SEG = (
    dict(default_scope=scope, type=type)
    for scope, type in [
        ('mmpretrain', 'ClsDataPreprocessor'),
        ('mmdet', 'DetDataPreprocessor'),
        ('mmseg', 'SegDataPreProcessor'),
    ]
)
EDGE = dict(type='ResizeEdge', scale=37, backend='pillow', interpolation='bicubic')
KEPT = dict(type='Resize', scale=(70, 48), keep_ratio=True)

# The library, its preprocessor's options, the pipeline's steps after loading.
CASES = {
    'ImageNet': (CLS, dict(NORMAL, to_rgb=True), [EDGE, dict(type='CenterCrop', crop_size=32)]),
    'long edge': (CLS, dict(NORMAL), [dict(type='ResizeEdge', scale=40, edge='long')]),
    'height': (CLS, dict(NORMAL), [dict(type='ResizeEdge', scale=40, edge='height')]),
    'crop of small pictures': (
        CLS, dict(NORMAL, pad_size_divisor=16), [dict(type='CenterCrop', crop_size=(60, 31))],
    ),
    'no mean': (CLS, dict(to_rgb=True), [dict(type='Resize', scale=(33, 21), interpolation='area')]),
    'COCO': (DET, dict(NORMAL, bgr_to_rgb=True, pad_size_divisor=32), [KEPT]),
    'YOLOX': (
        DET, dict(pad_size_divisor=32),
        [KEPT, dict(type='Pad', pad_to_square=True, pad_val=dict(img=(114.0, 114.0, 114.0)))],
    ),
    'RTMDet': (
        DET, dict(NORMAL), [KEPT, dict(type='Pad', size=(90, 80), pad_val=dict(img=(114, 114, 114)))],
    ),
    'ADE20K': (
        SEG, dict(NORMAL, bgr_to_rgb=True, size=(512, 512)),
        [KEPT, dict(type='ResizeToMultiple', size_divisor=32)],
    ),
    'padded in tests': (
        SEG, dict(NORMAL, bgr_to_rgb=True, size=(512, 512), test_cfg=dict(size_divisor=32)), [KEPT],
    ),
}  # fmt: skip


@pytest.mark.parametrize('size', [(45, 71), (83, 52), (40, 40)])
@pytest.mark.parametrize('case', CASES)
def test_is_that_of_the_libraries(case, size):
    library, options, steps = CASES[case]
    scope, kind = library.values()
    pipeline = [LOAD, *steps, dict(type='PackInputs')]
    cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=pipeline))))
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    with DefaultScope.overwrite_default_scope(scope):
        model = SimpleNamespace(data_preprocessor=MODELS.build(dict(type=kind, **options)))
        done = Compose(steps)(dict(img=picture, img_shape=size, ori_shape=size))
    image = torch.from_numpy(np.ascontiguousarray(done['img'].transpose(2, 0, 1)))
    sample = [SimpleNamespace(set_metainfo=lambda info: None)]
    batch = dict(inputs=[image], data_samples=sample if scope == 'mmseg' else None)
    expected = model.data_preprocessor(batch, False)['inputs'][0]
    ready = prepared(picture, *preprocessing(cfg, model))
    assert np.array_equal(ready.image.transpose(2, 0, 1), expected.numpy())
    if 'scale_factor' in done and 'ResizeToMultiple' not in str(steps):
        assert ready.scale[::-1] == pytest.approx(done['scale_factor'])


def test_grey():
    picture = np.full((4, 5, 3), 77, np.uint8)
    assert np.array_equal(prepared(picture, 'grey', ()).image, picture[..., :1])
