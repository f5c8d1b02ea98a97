"""Test pipelines become steps, or the reason is told."""

from importlib import import_module
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmoverlock.deploy.preprocessing import preprocessing, reading
from mmoverlock.runtime.spec import CenterCrop, Normalize, Pad, Resize, Spec
from mmoverlock.utils.config import read_config

from ..configs.leaves import leaves, read
from ..user import ROOT


def preprocessor(cfg: Config) -> SimpleNamespace:
    """Of the config's model, without its network."""
    import_module(f'{cfg.default_scope}.models')
    options = dict(cfg.model.get('data_preprocessor') or cfg.data_preprocessor)
    options.setdefault('type', 'ClsDataPreprocessor')
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return SimpleNamespace(data_preprocessor=MODELS.build(options))


def test_all_our_configs_are_described():
    paths = leaves('.', '*/*')
    assert len(paths) > 20
    for path in paths:
        cfg = read(path)
        channels, steps = preprocessing(cfg, preprocessor(cfg))
        assert channels == 'rgb' and any(isinstance(step, Normalize) for step in steps), path


def test_of_the_quickstart():
    cfg = read_config(ROOT / 'configs/quickstart/mask-rcnn_overlock-xxt_fpn_digits.py')
    channels, (resize, _, pad) = preprocessing(cfg, preprocessor(cfg))
    assert (channels, resize, pad) == ('rgb', Resize('inside', (160, 160)), Pad(32))
    cfg = read_config(ROOT / 'configs/overlock/overlock-t_8xb256_in1k.py')
    _, (resize, crop, _) = preprocessing(cfg, preprocessor(cfg))
    assert (resize, crop) == (
        Resize('short_edge', (235,), 'bicubic', 'pillow'),
        CenterCrop((224, 224)),
    )


@pytest.mark.parametrize(
    'step, message',
    [
        (dict(type='RandomFlip', prob=0.5), "pipeline.1: 'RandomFlip' has no counterpart"),
        (dict(type='Resize', scale_factor=2.0), "'Resize' with 'scale_factor' has no"),
        (dict(type='CenterCrop', crop_size=3, auto_pad=True), "'CenterCrop' with 'auto_pad'"),
        (dict(type='Pad', size=(9, 9), pad_val=dict(img=(1, 2, 3))), "'Pad': pad_val="),
        (dict(type='Pad', size=(9, 9), padding_mode='edge'), "'Pad': padding_mode='edge'"),
        (dict(type='Normalize', mean=[0], std=[1]), "'Normalize': to_rgb=True"),
    ],
)
def test_says_what_it_cannot_describe(step, message):
    pipeline = [dict(type='LoadImageFromFile'), step, dict(type='PackInputs')]
    cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=pipeline))))
    model = SimpleNamespace(data_preprocessor=None)
    with pytest.raises(ValueError, match='^test_dataloader.dataset.pipeline.1: ') as error:
        preprocessing(cfg, model)
    assert message in str(error.value) and '\n' not in str(error.value)


def test_reading():
    load = dict(type='LoadImageFromFile', color_type='color_ignore_orientation')
    cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=[load])), image_bits=12))
    head = SimpleNamespace(test_cfg=dict(mask_thr_binary=0.3))
    found = reading(cfg, SimpleNamespace(align_corners=True, roi_head=head))
    assert found == dict(image_bits=12, turns=False, align_corners=True, mask_thr=0.3)
    usual = Config(dict(test_dataloader=dict(dataset=dict(pipeline=[dict(type='PackInputs')]))))
    spec = Spec('classification', ('a',))
    assert Spec('classification', ('a',), **reading(usual, SimpleNamespace())) == spec
