"""The parts of the engine that the tools' tests do not reach."""

import json

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import HOOKS

from mmoverlock.engine import config, evaluation
from mmoverlock.engine.datacheck import coco_categories
from mmoverlock.engine.dist import env_rank, process_group
from mmoverlock.engine.errors import did_you_mean, one_line
from mmoverlock.models import OverLoCK


@pytest.fixture
def runner():
    class Runner:
        model = OverLoCK(arch='xxt')
        _resume = False

    return Runner()


def test_guard_translates_published_names(runner, golden):
    published = golden.state_dict('cls/xxt')
    checkpoint = dict(published)
    HOOKS.build(dict(type='CheckpointGuard')).after_load_checkpoint(runner, checkpoint)
    own = runner.model.state_dict()
    assert checkpoint['state_dict'].keys() <= own.keys()
    assert len(checkpoint['state_dict']) > 0.9 * len(own)


@pytest.mark.parametrize(('strict', 'resume'), [(True, False), (False, True)])
def test_guard_refuses_partial_files(runner, strict, resume):
    runner._resume = resume
    checkpoint = runner.model.state_dict()
    name = next(name for name in checkpoint if name.endswith('weight'))
    del checkpoint[name]
    guard = HOOKS.build(dict(type='CheckpointGuard', strict=strict))
    with pytest.raises(ValueError, match=f"lacks 1 of the model's tensors, the first is '{name}'"):
        guard.after_load_checkpoint(runner, checkpoint)


@pytest.mark.parametrize(
    ('bfloat16', 'dtype', 'scale'), [(True, 'bfloat16', 1.0), (False, 'float16', 'dynamic')]
)
def test_amp_prefers_bfloat16(monkeypatch, bfloat16, dtype, scale):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda including_emulation: bfloat16)
    cfg = Config(dict(optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD'))))
    config.use_amp(cfg)
    assert cfg.optim_wrapper == dict(
        type='AmpOptimWrapper', optimizer=dict(type='SGD'), dtype=dtype, loss_scale=scale
    )


def test_work_dir_and_options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'mine.py').write_text('model = dict(type="A", parts=[dict(a=1), dict(a=2)])')
    cfg = config.load_config('mine.py', {'model.parts.1.a': 5, 'work_dir': 'there'})
    assert cfg.model.parts == [dict(a=1), dict(a=5)] and cfg.work_dir == 'there'
    assert config.load_config('mine.py').work_dir == './work_dirs/mine'
    assert config.load_config('mine.py', work_dir='here').work_dir == 'here'


def test_resume_follows_a_moved_work_dir(tmp_path):
    (tmp_path / 'last_checkpoint').write_text('/gone/epoch_3.pth')
    cfg = Config(dict(work_dir=str(tmp_path)))
    config.set_resume(cfg, 'auto')
    assert cfg.resume and cfg.load_from == str(tmp_path / 'epoch_3.pth')


def test_metrics_are_spread_over_the_evaluators():
    cfg = Config(
        dict(
            test_evaluator=[
                dict(type='mmdet.CocoMetric', metric='proposal'),
                dict(type='IoUMetric'),
                dict(type='Accuracy', topk=(1,)),
            ]
        )
    )
    evaluation.set_metrics(cfg, ['mDice', 'bbox', 'mIoU'])
    assert cfg.test_evaluator == [
        dict(type='mmdet.CocoMetric', metric=['bbox']),
        dict(type='IoUMetric', iou_metrics=['mDice', 'mIoU']),
    ]


@pytest.mark.parametrize(
    ('given', 'classes', 'topk'),
    [({}, 10, (1, 5)), ({}, 4, (1,)), (dict(topk=1), 10, (1, 5)), (dict(topk=(1, 3)), 4, (1, 3))],
)
def test_accuracy_is_of_top1_and_top5(given, classes, topk):
    evaluators = [dict(type='Accuracy', **given), dict(type='ValLoss')]
    cfg = Config(dict(model=dict(head=dict(num_classes=classes)), test_evaluator=evaluators))
    evaluation.set_metrics(cfg, ['accuracy'])
    assert cfg.test_evaluator == [dict(type='Accuracy', topk=topk)]


@pytest.mark.parametrize('first', [True, False])
def test_categories_of_a_coco_file(tmp_path, first):
    parts = dict(images=[dict(id=i) for i in range(1000)], categories=[dict(id=1, name='cat')])
    text = json.dumps(dict(sorted(parts.items(), reverse=not first)))
    (tmp_path / 'a.json').write_text(text)
    assert coco_categories(str(tmp_path / 'a.json')) == ['cat']


@pytest.mark.parametrize('text', ['', 'text', '{"images": []}', '{"categories": [{"id": 1}]}'])
def test_no_coco_file(tmp_path, text):
    (tmp_path / 'a.json').write_text(text)
    with pytest.raises(ValueError, match='has no list of COCO categories'):
        coco_categories(str(tmp_path / 'a.json'))


def test_ranks_of_the_launchers(monkeypatch):
    for name in ('RANK', 'LOCAL_RANK', 'SLURM_PROCID', 'SLURM_LOCALID'):
        monkeypatch.delenv(name, raising=False)
    assert env_rank() == env_rank(local=True) == 0
    monkeypatch.setenv('SLURM_PROCID', '5')
    monkeypatch.setenv('SLURM_LOCALID', '1')
    assert (env_rank(), env_rank(local=True)) == (5, 1)


@pytest.mark.skipif(torch.cuda.is_available(), reason='needs a machine without a GPU')
def test_slurm_needs_gpus(monkeypatch):
    monkeypatch.setenv('SLURM_PROCID', '0')
    with pytest.raises(ValueError, match='--launcher slurm needs GPUs, use pytorch on the CPU'):
        with process_group(Config(dict(launcher='slurm'))):
            pass


def test_errors_in_one_line():
    assert one_line(KeyError('a key')) == 'a key'
    assert one_line(ValueError('two\n  lines')) == 'two lines'
    assert one_line(ValueError()) == 'ValueError'
    worker = 'Caught OSError in a worker.\nOriginal Traceback:\n  File\nOSError: no such picture\n'
    assert one_line(OSError(worker)) == 'OSError: no such picture'


def test_did_you_mean():
    assert did_you_mean('overlok', ['OverLoCK', 'ResNet']) == ", did you mean 'OverLoCK'?"
    assert did_you_mean('x', ['OverLoCK']) == ''
