"""The data set of pairs: its samples, and a segmentor that trains, validates and tests on it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from mmengine.runner import Runner

from mmoverlock.datasets import make_digits_scenes
from mmoverlock.datasets.formats import read_labels, write_pairs


@pytest.fixture(scope='module')
def paths(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp('digits')
    data = read_labels(make_digits_scenes(root / 'data', 4, 2, 64), root / 'work', 'label_images')
    return write_pairs(data, root / 'work')


def build(path: Path, **options):
    steps = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
    with DefaultScope.overwrite_default_scope('mmseg'):
        cfg = dict(type='LabelledImages', ann_file=str(path), pipeline=steps)
        return DATASETS.build(cfg | options)


def test_metainfo_of_the_config_goes_before_that_of_the_file(paths):
    own = dict(classes=('x', 'y'), palette=[(1, 2, 3), (4, 5, 6)])
    dataset = build(paths['val'], metainfo=own)
    assert dataset.metainfo['classes'] == ('x', 'y') and len(dataset) == 2
    assert dataset.metainfo['palette'] == own['palette']
    assert build(paths['val'], lazy_init=True).metainfo.get('classes') is None
    assert len(build(paths['val']).metainfo['classes']) == 11


def test_reduce_zero_label(paths):
    with DefaultScope.overwrite_default_scope('mmseg'):
        plain, reduced = (
            build(paths['val'], reduce_zero_label=flag)[0]['gt_seg_map'] for flag in (False, True)
        )
    assert plain.min() == 0
    np.testing.assert_array_equal(reduced, np.where(plain == 0, 255, plain - 1))


def test_pairs_are_in_mmengines_format(paths):
    content = json.loads(paths['train'].read_text(encoding='utf-8'))
    assert content.keys() == {'metainfo', 'data_list'}
    for one in content['data_list']:
        assert all(Path(path).is_absolute() and Path(path).is_file() for path in one.values())


def segmentor_config(paths: dict[str, Path], work_dir: Path) -> Config:
    load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
    pipelines = dict(train=[*load, dict(type='RandomFlip', prob=0.5)], val=load)
    loaders = {}
    for split, steps in pipelines.items():
        dataset = dict(
            type='LabelledImages',
            ann_file=str(paths[split]),
            pipeline=[*steps, dict(type='PackSegInputs')],
        )
        sampler = dict(type='DefaultSampler', shuffle=split == 'train')
        loaders[split] = dict(batch_size=2, num_workers=0, dataset=dataset, sampler=sampler)
    head = dict(type='FCNHead', in_channels=4, in_index=4, channels=8, num_convs=1, num_classes=11)
    unet = dict(type='UNet', base_channels=4)
    return Config(
        dict(
            default_scope='mmseg',
            model=dict(
                type='EncoderDecoder',
                data_preprocessor=dict(type='SegDataPreProcessor', size=(64, 64)),
                backbone=unet,
                decode_head=head,
                test_cfg=dict(mode='whole'),
            ),
            train_dataloader=loaders['train'],
            val_dataloader=loaders['val'],
            test_dataloader=loaders['val'],
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2),
            val_cfg=dict(),
            test_cfg=dict(),
            val_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
            test_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=2, by_epoch=False)),
            work_dir=str(work_dir),
        )
    )


def test_a_segmentor_trains_and_the_dumped_config_tests(paths, tmp_path):
    runner = Runner.from_cfg(segmentor_config(paths, tmp_path))
    before = runner.model.decode_head.conv_seg.weight.clone()
    runner.train()
    assert not before.equal(runner.model.decode_head.conv_seg.weight.cpu())
    assert 0 <= runner.message_hub.get_scalar('val/mIoU').current() <= 100
    (dumped,) = tmp_path.glob('*/vis_data/config.py')
    cfg = Config.fromfile(dumped)
    cfg.load_from, cfg.experiment_name = str(tmp_path / 'iter_2.pth'), 'test'
    assert Runner.from_cfg(cfg).test()['aAcc'] >= 0
