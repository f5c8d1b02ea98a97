"""Models by name: which there are, where their weights are, and that these arrive in the model."""

from __future__ import annotations

from urllib.error import URLError

import pytest
import torch
from mmengine.registry import DefaultScope

import mmoverlock
from mmoverlock.models import OverLoCK, match_state_dict
from mmoverlock.utils.config import read_config
from mmoverlock.utils.model_index import model_info, model_infos
from mmoverlock.utils.models import build_model

from ..stand_ins import published_shapes, without_drawing, write_stand_in, wrong_tensors
from ..testing import golden_json, on_meta

RELEASE = 'https://github.com/LMMMEng/OverLoCK/releases/download/v1/'
ARCHS = dict(t='tiny', s='small', b='base')
PUBLISHED = {
    **{f'overlock-{a}_3rdparty_in1k': f'overlock_{a}_in1k_224' for a in ('xt', *ARCHS)},
    **{f'overlock-{a}_deploy_3rdparty_in1k': f'overlock_{a}_in1k_224_reparam' for a in ('xt', *ARCHS)},
    **{
        f'mask_rcnn_overlock_{a}_in1k_fpn_{x}_coco': f'maskrcnn{x}_overlock_{size}_coco'
        for a, size in ARCHS.items() for x in ('1x', '3x')
    },
    **{
        f'upernet_overlock-{a}_8xb2-160k_ade20k-512x512': f'upernet_overlock_{size}_ade20k'
        for a, size in ARCHS.items()
    },
}  # fmt: skip
SMALLEST = 'overlock-xt_3rdparty_in1k'


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """The folder MMOVERLOCK_WEIGHTS; nothing can be downloaded."""
    monkeypatch.setenv('MMOVERLOCK_WEIGHTS', str(tmp_path))
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    monkeypatch.setattr('mmoverlock.utils.download.urlopen', offline)
    return tmp_path


def offline(*_, **__):
    raise URLError('no network')


def test_every_published_file_has_a_name():
    urls = {name: one.weights for name, one in model_infos().items() if one.weights}
    assert urls == {name: f'{RELEASE}{file}.pth' for name, file in PUBLISHED.items()}
    for name, file in PUBLISHED.items():
        info = model_info(file)
        assert info.name == name and info.config.is_file()
        assert info.entry['Converted From']['Weights'] == info.weights
        assert info.entry['Converted From']['Code'] == 'https://github.com/LMMMEng/OverLoCK'
        assert info.tasks and model_info(name.upper()) is info


@pytest.mark.parametrize('name', [name for name in PUBLISHED if name.endswith('in1k')])
def test_names_and_shapes_of_classifiers_fit(name):
    """Every tensor of the model is in the file, none is of another shape or left over."""
    info = model_info(name)
    with on_meta(), DefaultScope.overwrite_default_scope(info.scope):
        model = build_model(read_config(info.config))
        state = {n: torch.empty(shape) for n, shape in published_shapes(info).items()}
        _, report = match_state_dict(model, state)
    assert (report.missing, report.unexpected, report.mismatched) == ([], [], [])


@pytest.mark.parametrize('arch', ARCHS)
@pytest.mark.parametrize('task', ['det', 'seg'])
def test_names_and_shapes_of_backbones_fit(task, arch):
    """The same, of what we made of a detector or a segmentor; the rest is the library's."""
    with on_meta():
        model = OverLoCK(arch, out_indices=(0, 1, 2, 3), fuse_overview=task == 'det')
        shapes = golden_json('state_dict_manifest')[f'{task}/{arch}']
        state = {f'backbone.{n}': torch.empty(shape) for n, shape in shapes.items()}
        _, report = match_state_dict(model, state)
    assert (report.missing, report.unexpected, report.mismatched) == ([], [], [])


def test_list_models():
    names = mmoverlock.list_models()
    assert names == sorted(model_infos()) and len(names) > 40
    on_coco = mmoverlock.list_models('*overlock*coco')
    assert {name for name in PUBLISHED if name.endswith('coco')} < {*on_coco}
    assert all('overlock' in name and name.endswith('coco') for name in on_coco)
    assert mmoverlock.list_models('OverLoCK-t', exclude_patterns=['*deploy', '*_in100']) == [
        'overlock-t_3rdparty_in1k', 'overlock-t_8xb256_in1k',
    ]  # fmt: skip
    found = mmoverlock.list_models(task='Semantic Segmentation')
    assert found == sorted(name for name in PUBLISHED if 'ade20k' in name)
    assert 'overlock-xt_8xb128_in100' in mmoverlock.list_models(task='null')
    with pytest.raises(ValueError, match="^task='detection' is none of Image Classification, "):
        mmoverlock.list_models(task='detection')


@pytest.mark.parametrize('name', [SMALLEST, 'overlock-xt_deploy_3rdparty_in1k'])
def test_weights_arrive(name, weights):
    write_stand_in(weights, model_info(name))
    with without_drawing():
        model = mmoverlock.get_model(name, pretrained=True)
    assert wrong_tensors(model, published_shapes(model_info(name))) == []
    assert not model.training and model.is_init
    assert (
        model.dataset_meta['classes'][0].startswith('tench')
        and model.cfg.model.backbone.arch == 'xt'
    )


def test_settings_and_a_local_file(weights):
    path = write_stand_in(weights, model_info(SMALLEST)).rename(weights / 'mine.pth')
    settings = dict(head=dict(num_classes=7), backbone=dict(frozen_stages=1))
    with without_drawing():
        model = mmoverlock.get_model(SMALLEST, path, 'cpu', **settings)
    wrong = wrong_tensors(model, published_shapes(model_info(SMALLEST)))
    assert wrong and all(name.startswith('head.') for name in wrong)
    assert model.backbone.frozen_stages == 1 and len(model.dataset_meta['classes']) == 7


@pytest.mark.parametrize(
    'name, options, message',
    [
        ('overlok-t_3rdparty_in1k', {}, "did you mean 'overlock-t_3rdparty_in1k'?"),
        ('nothing', {}, "unknown model 'nothing', see mmoverlock.list_models()"),
        ('overlock-xt_8xb128_in100', dict(pretrained=True), 'has no published weights'),
        (SMALLEST, dict(pretrained=True), 'a file overlock_xt_in1k_224.pth in '),
        (SMALLEST, dict(backbone=dict(dropp=1)), "unexpected keyword argument 'dropp'"),
        (SMALLEST, dict(pretrained='none.pth'), "'none.pth' does not exist"),
    ],
)
def test_mistakes(name, options, message, weights):
    with without_drawing(), pytest.raises((ValueError, OSError)) as caught:
        mmoverlock.get_model(name, **options)
    assert message in str(caught.value) and '\n' not in str(caught.value)


def test_weights_of_another_arch(weights):
    path = write_stand_in(weights, model_info('overlock-t_3rdparty_in1k'))
    with without_drawing(), pytest.raises(ValueError, match='is of another arch'):
        mmoverlock.get_model(SMALLEST, pretrained=path)
