"""mmpretrain, mmdet and mmseg find our models by name, and load all of the published files."""

from __future__ import annotations

import mmpretrain
import pytest
import torch
from mmengine.infer.infer import BaseInferencer
from mmpretrain.apis.model import ModelHub

from mmoverlock.compat import model_names
from mmoverlock.utils.model_index import model_info, model_infos

from ..stand_ins import published_shapes, without_drawing, write_stand_in, wrong_tensors

DETECTOR = 'mask_rcnn_overlock_t_in1k_fpn_1x_coco'
SEGMENTOR = 'upernet_overlock-t_8xb2-160k_ade20k-512x512'


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A function that puts a model's stand-in where nothing has to be downloaded for it."""
    monkeypatch.setenv('MMOVERLOCK_WEIGHTS', str(tmp_path))

    def make(name: str) -> dict[str, list[int]]:
        write_stand_in(tmp_path, model_info(name))
        return published_shapes(model_info(name))

    with without_drawing():
        yield make


@pytest.fixture
def hub(monkeypatch):
    """mmpretrain's, without reading its own metafiles, which takes seconds."""
    monkeypatch.setattr(ModelHub, '_ModelHub__mmpretrain_registered', True)
    monkeypatch.setattr(ModelHub, '_models_dict', {})


@pytest.mark.parametrize('name', ['overlock-xt_3rdparty_in1k', 'overlock-xt_deploy_3rdparty_in1k'])
def test_mmpretrain(name, hub, stand_in):
    shapes = stand_in(name)
    model = mmpretrain.get_model(name, pretrained=True)
    assert wrong_tensors(model, shapes) == []
    assert model._metainfo.weights == model_info(name).weights
    assert model._dataset_meta['classes'][1] == 'goldfish, Carassius auratus'


def test_mmpretrain_lists_our_classifiers(hub):
    ours = {name for name, one in model_infos().items() if one.scope == 'mmpretrain'}
    assert {*mmpretrain.list_models()} == ours
    names = mmpretrain.list_models('overlock-t', task='Image Classification')
    assert names == ['overlock-t_3rdparty_in1k', 'overlock-t_deploy_3rdparty_in1k']


@pytest.mark.parametrize(
    'library, name, alias',
    [
        ('mmdet.apis:DetInferencer', DETECTOR, 'maskrcnn1x_overlock_tiny_coco'),
        ('mmseg.apis:MMSegInferencer', SEGMENTOR, None),
    ],
)
def test_inferencers(library, name, alias, stand_in):
    shapes = stand_in(name)
    module, kind = library.split(':')
    kind = getattr(pytest.importorskip(module), kind)
    inferencer = kind(alias or name, device='cpu', show_progress=False)
    assert wrong_tensors(inferencer.model, shapes) == []


def test_each_library_has_its_own_of_our_models():
    for library, name in (('mmdet', DETECTOR), ('mmseg', SEGMENTOR)):
        folder = BaseInferencer._get_repo_or_mim_dir(library)
        entries = BaseInferencer._get_models_from_metafile(folder)
        ours = [one for one in model_infos().values() if one.scope == library]
        found = [next(entries) for _ in ours]
        assert [one['Name'] for one in found] == [one.name for one in ours]
        assert all(one['Weights'] == model_infos()[one['Name']].weights for one in found)
        theirs = next(entries)
        assert theirs['Name'] not in model_infos() and name in {one.name for one in ours}


def test_installing_again_changes_nothing():
    before = ModelHub._register_mmpretrain_models, BaseInferencer._get_models_from_metafile
    model_names.install()
    assert before == (
        ModelHub._register_mmpretrain_models,
        BaseInferencer._get_models_from_metafile,
    )


def test_a_recipe_without_weights(stand_in):
    """Under its name the library makes a model with drawn weights, and warns."""
    from mmdet.apis import DetInferencer

    with pytest.warns(UserWarning, match='Checkpoint is not loaded'):
        model = DetInferencer('faster-rcnn_overlock-xt_fpn_1x_coco', device='cpu').model
    assert isinstance(next(model.parameters()), torch.nn.Parameter)
