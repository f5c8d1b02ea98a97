"""Published files of all three tasks, unmodified, by every door: load_official, init_cfg, load_from."""

from __future__ import annotations

import copy

import pytest
import torch
from mmengine.registry import MODELS
from mmengine.runner import Runner, load_checkpoint

from mmoverlock.models import OverLoCK, load_official
from mmoverlock.models.overlock import get_arch

from ...testing import assert_close, draw, golden_arrays, golden_state_dict

ALL = (0, 1, 2, 3)


def backbone_cfg(task, **kwargs):
    if task != 'cls':
        kwargs.update(out_indices=ALL, fuse_overview=task == 'det')
    return dict(type='OverLoCK', arch='xxt', **kwargs)


def whole_model(task, **kwargs):
    backbone = backbone_cfg(task, **kwargs)
    channels = list(get_arch('xxt').out_channels)
    if task == 'cls':
        head = dict(type='OverLoCKHead', arch='xxt', num_classes=20)
        cfg = dict(_scope_='mmpretrain', type='ImageClassifier', backbone=backbone, head=head)
        return MODELS.build(cfg)
    if task == 'det':
        return MODELS.build(
            dict(
                _scope_='mmdet',
                type='RetinaNet',
                backbone=backbone,
                neck=dict(type='FPN', in_channels=channels, out_channels=16, num_outs=5),
                bbox_head=dict(
                    type='RetinaHead',
                    num_classes=3,
                    in_channels=16,
                    feat_channels=16,
                    anchor_generator=dict(type='AnchorGenerator', octave_base_scale=4, scales_per_octave=1, ratios=[1.0], strides=[4, 8, 16, 32, 64]),
                ),
            )
        )  # fmt: skip
    return MODELS.build(
        dict(
            _scope_='mmseg',
            type='EncoderDecoder',
            backbone=backbone,
            decode_head=dict(type='UPerHead', in_channels=channels, in_index=ALL, pool_scales=(1, 2), channels=16, num_classes=4),
            test_cfg=dict(mode='whole'),
        )
    )  # fmt: skip


def published_file(task, tmp_path, form):
    """As the authors save it: names at top level, or those of the whole model in a checkpoint."""
    state = golden_state_dict(f'{task}/xxt')
    if form == 'whole':
        rest = {
            n: t + 1
            for n, t in whole_model(task).state_dict().items()
            if not n.startswith('backbone.')
        }
        state = {
            'state_dict': {**{f'backbone.{n}': t for n, t in state.items()}, **rest},
            'meta': {},
        }
    path = tmp_path / f'{task}.pth'
    torch.save(state, path)
    return path


def assert_backbone_loaded(backbone: OverLoCK, task):
    state = golden_state_dict(f'{task}/xxt')
    own = backbone.state_dict()
    checked = 0
    for name, tensor in state.items():
        for ours in (name, *(f'{net}.{name}' for net in ('base_net', 'overview_net', 'focus_net'))):
            if ours in own:
                assert torch.equal(own[ours], tensor), name
                checked += 1
    assert checked == len(own)


CASES = [('cls', 'flat'), ('det', 'flat'), ('seg', 'flat'), ('det', 'whole'), ('seg', 'whole')]


@pytest.mark.parametrize(('task', 'form'), CASES)
def test_load_official_into_a_backbone(tmp_path, task, form):
    model = MODELS.build(backbone_cfg(task))
    report = load_official(model, published_file(task, tmp_path, form))
    assert_backbone_loaded(model, task)
    assert len(report.loaded) == len(model.state_dict()) and not report.missing
    outside = {
        'cls': ('head.', 'aux_head.'),
        'det': ('neck.', 'bbox_head.'),
        'seg': ('decode_head.',),
    }[task]
    assert all(name.startswith(outside) for name in report.unexpected)
    assert bool(report.unexpected) == (task == 'cls' or form == 'whole')
    assert 'loaded 8' in str(report) or 'loaded 7' in str(report)


@pytest.mark.parametrize(('task', 'form'), CASES)
def test_load_official_into_a_whole_model(tmp_path, task, form):
    model = whole_model(task)
    report = load_official(model, published_file(task, tmp_path, form))
    assert_backbone_loaded(model.backbone, task)
    assert not report.unexpected
    assert bool(report.missing) == (form == 'flat' and task != 'cls')
    assert not any(name.startswith('backbone.') for name in report.missing)


@pytest.mark.parametrize(('task', 'form'), CASES)
def test_init_cfg(tmp_path, task, form):
    path = published_file(task, tmp_path, form)
    model = whole_model(task, init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    model.init_weights()
    assert_backbone_loaded(model.backbone, task)


@pytest.mark.parametrize(
    ('task', 'form'), [c for c in CASES if c == ('cls', 'flat') or c[1] == 'whole']
)
def test_mmengine_load_checkpoint(tmp_path, task, form):
    """MMEngine's own loader (load_from in other people's tools) needs no help from us."""
    model = whole_model(task)
    load_checkpoint(model, str(published_file(task, tmp_path, form)))
    assert_backbone_loaded(model.backbone, task)


@pytest.mark.parametrize('guarded', [False, True])
@pytest.mark.parametrize('door', ['load_official', 'init_cfg', 'load_from'])
def test_a_classifier_takes_the_whole_file(tmp_path, door, guarded):
    """Backbone, head and auxiliary head; in a Runner, with and without our hook."""
    path = str(published_file('cls', tmp_path, 'flat'))
    model = whole_model('cls')
    if door == 'init_cfg':
        model.init_cfg = dict(type='Pretrained', checkpoint=path)
    runner = Runner(
        model,
        work_dir=str(tmp_path),
        load_from=path if door == 'load_from' else None,
        custom_hooks=[dict(type='CheckpointGuard')] if guarded else None,
        experiment_name=f'{door}_{guarded}',
        log_level='ERROR',
    )
    if door == 'load_official':
        load_official(runner.model, path)
    runner.model.init_weights()  # as at the start of a run
    runner.load_or_resume()
    assert_backbone_loaded(model.backbone, 'cls')
    state, head = golden_state_dict('cls/xxt'), model.head.state_dict()
    published = {n.replace('aux_head.', 'aux.').replace('head.', 'main.'): n for n in state}
    assert all(torch.equal(tensor, state[published[name]]) for name, tensor in head.items())
    assert {name.split('.')[0] for name in head} == {'main', 'aux'}


def test_classification_weights_start_a_detector():
    model = whole_model('det')
    report = load_official(model, golden_state_dict('cls/xxt'))
    backbone = {name for name in report.missing if name.startswith('backbone.')}
    assert {name.split('.')[1] for name in backbone} == {'extra_norm', 'h_proj'}
    assert {name.split('.')[0] for name in report.unexpected} == {'head'}


def test_a_wrapped_model_is_loaded_inside():
    model = whole_model('cls')
    report = load_official(torch.nn.DataParallel(model), golden_state_dict('cls/xxt'))
    assert not report.missing
    assert_backbone_loaded(model.backbone, 'cls')


def test_data_parallel_prefix_is_dropped():
    state = {f'module.{name}': tensor for name, tensor in golden_state_dict('cls/xxt').items()}
    report = load_official(whole_model('cls'), state)
    assert not report.missing and not report.unexpected


def test_ours_round_trip(tmp_path):
    model = whole_model('cls')
    load_official(model, golden_state_dict('cls/xxt'))
    other = whole_model('cls')
    report = load_official(other, model.state_dict())
    assert not report.missing and not report.unexpected
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True)
    )


def test_another_number_of_classes_is_reported():
    state = golden_state_dict('cls/xxt')
    state['head.4.weight'], state['head.4.bias'] = torch.zeros(7, 256, 1, 1), torch.zeros(7)
    report = load_official(whole_model('cls'), state)
    assert report.missing == ['head.main.4.weight', 'head.main.4.bias']
    assert 'head.main.4.weight (7, 256, 1, 1) for (20, 256, 1, 1)' in report.mismatched
    assert 'of another shape 2' in str(report)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda: {'conv1.weight': torch.zeros(3), 'fc.bias': torch.zeros(2)}, "fits nothing: none of its 2 tensors \\(first: 'conv1.weight'"),
        (lambda: {}, 'fits nothing'),
        (lambda: golden_state_dict('cls/xt'), r'another arch: base_net.patch_embed1.0.weight is \(28, 3, 3, 3\) in the file, \(12, 3, 3, 3\)'),
        (lambda: golden_state_dict('cls_reparam/xxt'), 'merged branches: build OverLoCK with deploy=True'),
        (lambda: {'patch_embed1.0.weight': 'text'}, "'patch_embed1.0.weight' is a str, not a tensor"),
    ],
    ids=['foreign', 'empty', 'arch', 'merged', 'text'],
)  # fmt: skip
def test_files_that_do_not_fit_are_refused(change, message):
    model = OverLoCK('xxt')
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=message):
        load_official(model, change())
    assert all(
        torch.equal(a, b) for a, b in zip(before.values(), model.state_dict().values(), strict=True)
    )


def test_heads_alone_do_not_make_a_detector_fit():
    model = whole_model('det')
    state = {n: t for n, t in model.state_dict().items() if not n.startswith('backbone.')}
    with pytest.raises(ValueError, match='fits nothing'):
        load_official(model, {**state, 'backbone.layer1.0.conv1.weight': torch.zeros(1)})


def test_merged_file_into_a_deployed_model():
    model = OverLoCK('xxt', deploy=True)
    report = load_official(model, golden_state_dict('cls_reparam/xxt'))
    assert not report.missing


def test_unmerged_file_into_a_deployed_model_equals_the_published_network():
    model = OverLoCK('xxt', out_indices=ALL, fuse_overview=True, deploy=True).eval()
    assert not load_official(model, golden_state_dict('det/xxt')).missing
    expected = golden_arrays('det_xxt_70x90')
    with torch.no_grad():
        for i, out in enumerate(model(draw(5, 2, 3, 70, 90)), start=2):
            assert_close(out[:, ::5, ::3, ::3], expected[f'c{i}'])


@pytest.mark.parametrize('name', ['head.main.0.weight', 'neck.weight'])
def test_of_a_classifier_only_the_number_of_classes_is_forgiven(name):
    model = whole_model('cls')
    model.neck = torch.nn.Linear(3, 2)
    state = {n: torch.cat([t, t]) if 'main.4' in n else t for n, t in model.state_dict().items()}
    report = load_official(model, state)
    assert [line.split(' ')[0] for line in report.mismatched] == [
        'head.main.4.weight',
        'head.main.4.bias',
    ]
    assert 'head.main.4.bias (40,) for (20,)' in str(report)
    state[name] = torch.cat([state[name]] * 2, 1)
    with pytest.raises(ValueError, match=f'another arch: {name} is '):
        load_official(model, state)
