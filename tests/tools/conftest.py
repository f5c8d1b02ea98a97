"""A folder in which a user works: tiny data sets, configs and a checkpoint that fits."""

import gc
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from PIL import Image

from mmoverlock.datasets import make_digits_scenes

ROOT = Path(__file__).parents[2]

ARCH = """dict(
    depth=(1, 1, 1, 1), sub_depth=(1, 1), embed_dim=(8, 16, 32, 32), kernel_size=(5, 5, 5, 5),
    sub_num_heads=(2, 2), projection=16,
)"""

DETECTION = f"""
_base_ = '{ROOT}/configs/quickstart/mask-rcnn_overlock-xxt_fpn_digits.py'
train_cfg = dict(max_iters=2, val_interval=100)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=2))
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
val_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
model = dict(
    backbone=dict(arch={ARCH.replace('dict(', 'dict(_delete_=True,')}),
    neck=dict(in_channels=[8, 16, 40, 40], out_channels=16),
    rpn_head=dict(in_channels=16, feat_channels=16),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=16),
        bbox_head=dict(in_channels=16, fc_out_channels=16),
        mask_roi_extractor=dict(out_channels=16),
        mask_head=dict(num_convs=1, in_channels=16, conv_out_channels=16),
    ),
)
"""

COMMON = """
custom_imports = dict(imports=['mmoverlock'], allow_failed_imports=False)
arch = {arch}
backbone = dict(type='OverLoCK', arch=arch, {outputs})
test_cfg = dict()
test_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False), {collate}
    dataset=dict({dataset}),
)
"""

CLASSIFICATION = (
    COMMON.format(
        arch=ARCH,
        outputs='out_indices=None',
        collate="collate_fn=dict(type='default_collate'),",
        dataset="type='CustomDataset', data_root='data/classes', pipeline=["
        "dict(type='LoadImageFromFile'), dict(type='PackInputs')]",
    )
    + """
default_scope = 'mmpretrain'
data_preprocessor = dict(num_classes=2, mean=[127.0] * 3, std=[127.0] * 3)
model = dict(
    type='ImageClassifier', backbone=backbone,
    head=dict(type='OverLoCKHead', arch=arch, num_classes=2),
)
test_evaluator = dict(type='Accuracy', topk=(1, 2))
"""
)

SEGMENTATION = (
    COMMON.format(
        arch=ARCH,
        outputs='out_indices=(0, 1, 2, 3)',
        collate='',
        dataset="type='BaseSegDataset', data_root='data/digits_scenes', seg_map_suffix='.png',"
        "img_suffix='.png', data_prefix=dict(img_path='val', seg_map_path='semantic/val'),"
        "metainfo=dict(classes=tuple('_0123456789'), palette=[(i, i, i) for i in range(11)]),"
        "pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),"
        "dict(type='PackSegInputs')]",
    )
    + """
default_scope = 'mmseg'
model = dict(
    type='EncoderDecoder', backbone=backbone, test_cfg=dict(mode='whole'),
    data_preprocessor=dict(type='SegDataPreProcessor', size_divisor=32),
    decode_head=dict(
        type='FCNHead', in_channels=40, in_index=3, channels=8, num_convs=1, num_classes=11
    ),
)
test_evaluator = dict(type='IoUMetric')
"""
)


@pytest.fixture(scope='session')
def tool():
    """`tool('train')` and others: the main function of a tool, run in this process."""

    def load(name: str):
        spec = importlib.util.spec_from_file_location(f'tool_{name}', ROOT / f'tools/{name}.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.main

    return {name: load(name) for name in ('train', 'test', 'infer')}.__getitem__


@pytest.fixture(scope='session')
def home(tmp_path_factory) -> Path:
    """The user's folder; tests leave it as it was."""
    home = tmp_path_factory.mktemp('a user')
    make_digits_scenes(home / 'data/digits_scenes', num_train=4, num_val=2, image_size=64)
    for index, name in enumerate(('dark', 'light')):
        folder = home / 'data/classes' / name
        folder.mkdir(parents=True)
        Image.fromarray(np.full((64, 64, 3), 200 * index, np.uint8)).save(folder / f'{name}.png')
    configs = dict(det=DETECTION, cls=CLASSIFICATION, seg=SEGMENTATION)
    for name, text in configs.items():
        (home / f'{name}.py').write_text(text)
        cfg = Config.fromfile(home / f'{name}.py')
        cfg.dump(home / f'{name}.py')  # without its bases: it loads faster
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), home / f'{name}.pth')
    gc.freeze()  # data sets collect garbage when they are built, and everything is imported now
    return home


@pytest.fixture
def at_home(home, monkeypatch) -> Path:
    monkeypatch.chdir(home)
    monkeypatch.setenv('MMOVERLOCK_BACKEND', 'reference')
    return home
