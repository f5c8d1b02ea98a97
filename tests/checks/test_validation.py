"""What would fail at the first validation, or go unused there, is told before the training."""

import io
from contextlib import redirect_stdout

import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.registry import HOOKS

from mmoverlock.checks import monitors, validation
from mmoverlock.checks.monitors import check_monitors
from mmoverlock.checks.preflight import preflight
from mmoverlock.checks.saving import saving_notes
from mmoverlock.cli.config import load_config

from ..user import check

TRAINING = """
_base_ = '{base}'
train_cfg = dict(by_epoch=True, max_epochs=1)
val_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))
train_dataloader = {{{{_base_.test_dataloader}}}}
val_dataloader = {{{{_base_.test_dataloader}}}}
val_evaluator = {{{{_base_.test_evaluator}}}}
"""
FIRST_SCENE = 'data/digits_scenes/val/000000.png'
LOAD = "dict(type='LoadImageFromFile')"
LABELS = "dict(type='LoadAnnotations')"
LARGER = "dict(type='Resize', scale=(96, 96))"
AS_GIVEN = 'as val_dataloader.dataset.pipeline gives it'
CASES = [
    (
        'seg', f"[{LOAD}, dict(type='PackSegInputs')]",
        f"val_evaluator fails on the first validation image ({FIRST_SCENE}) {AS_GIVEN}: KeyError: "
        "'gt_sem_seg'",
    ),
    (
        'seg', f"[{LOAD}, {LABELS}, {LARGER}, dict(type='PackSegInputs')]",
        f'{AS_GIVEN}: IndexError: The shape of the mask',
    ),
    (
        'cls', f"[{LOAD}, dict(type='PackInputs', algorithm_keys=('img_shape',))]",
        'val_dataloader.dataset: the pipeline fails on the first validation image',
    ),
    (
        'det', f"[{LOAD}, {LARGER}, dict(type='PackDetInputs', meta_keys=('img_id', 'img_path'))]",
        f'val_dataloader: the model fails on the first validation image ({FIRST_SCENE}): KeyError: '
        "'img_shape'",
    ),
    (
        'det', f"[{LOAD}, dict(type='PackDetInputs', meta_keys=('img_shape', 'ori_shape'))]",
        "KeyError: 'scale_factor'",
    ),
]  # fmt: skip


def training(home, folder, name, text=''):
    """A training config of the user's task `name`, with more `text`."""
    base = "_base_ = '{base}'\n" if name == 'det' else TRAINING
    config = folder / 'a.py'
    config.write_text(base.format(base=home / f'{name}.py') + text)
    return str(config)


@pytest.mark.parametrize(('name', 'pipeline', 'message'), CASES)
def test_what_fails(at_home, tmp_path, tool, capsys, name, pipeline, message):
    config = training(at_home, tmp_path, name)
    cfg = Config.fromfile(config)
    cfg.val_dataloader.dataset.pipeline = eval(pipeline)
    cfg.dump(config)
    check(tool, 'train', [config, '--work-dir', str(tmp_path / 'w')], message, tmp_path, capsys)


def test_an_assertion_without_a_message_is_quoted():
    with pytest.raises(ValueError, match='^here: AssertionError: raise AssertionError$'):
        with validation._told('here'):
            raise AssertionError


@pytest.mark.parametrize('name', ['cls', 'det', 'seg'])
def test_what_is_right_says_nothing(at_home, tmp_path, monkeypatch, name):
    cfg = load_config(training(at_home, tmp_path, name), work_dir=str(tmp_path / 'w'))
    if name == 'det':
        cfg.param_scheduler = None
    lines = []
    monkeypatch.setattr(MMLogger, 'callHandlers', lambda self, entry: lines.append(entry.msg))
    level = MMLogger.get_current_instance().level
    printed = io.StringIO()
    with redirect_stdout(printed):
        preflight(cfg, training=True)
    text = '\n'.join([*lines, printed.getvalue()])
    assert 'validation' not in text and 'detections' not in text and '|' not in text
    assert 'Average' not in text
    assert MMLogger.get_current_instance().level == level
    assert [one.name for one in tmp_path.iterdir()] == ['a.py']


MONITORS = [
    ("default_hooks = dict(checkpoint=dict(save_best='{}'))", 'default_hooks.checkpoint.save_best'),
    ("custom_hooks = [dict(type='EarlyStoppingHook', monitor='{}')]", 'custom_hooks.0.monitor'),
    (
        "param_scheduler = [dict(type='ReduceOnPlateauLR', monitor='{}')]",
        'param_scheduler.0.monitor',
    ),
]


@pytest.mark.parametrize(('text', 'key'), MONITORS)
def test_a_metric_that_is_not_computed(at_home, tmp_path, tool, capsys, text, key):
    config = training(at_home, tmp_path, 'det', text.format('coco/bbox_map'))
    message = f"{key}='coco/bbox_map': the validation computes 'coco/bbox_mAP', 'coco/bbox_mAP_50'"
    arguments = [config, '--work-dir', str(tmp_path / 'w')]
    check(tool, 'train', arguments, message, tmp_path, capsys)


class AddsMetrics(Hook):
    def after_val_epoch(self, runner, metrics=None):
        metrics['mine'] = 1


@pytest.fixture
def lines(monkeypatch):
    lines = []
    monkeypatch.setattr(monitors, 'print_log', lambda text, **_: lines.append(text))
    return lines


@pytest.mark.parametrize('hooks', [['ValLossHook'], ['AddsMetrics']])
def test_hooks_may_add_metrics(lines, monkeypatch, hooks):
    monkeypatch.setitem(HOOKS.module_dict, 'AddsMetrics', AddsMetrics)
    best = 'mine' if hooks == ['AddsMetrics'] else 'val/objective'
    cfg = Config(
        dict(
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', save_best=[best])),
            custom_hooks=[dict(type=hook) for hook in hooks],
            val_dataloader=dict(batch_size=1),
        )
    )
    check_monitors(cfg, ['accuracy/top1'])
    cfg.custom_hooks = []
    with pytest.raises(ValueError, match='the validation computes'):
        check_monitors(cfg, ['accuracy/top1'])
    check_monitors(cfg, None)
    assert not lines
    cfg.val_dataloader = None
    check_monitors(cfg, None)
    assert lines == [
        f"default_hooks.checkpoint.save_best='{best}' has no effect: there is no val_dataloader"
    ]


EPOCHS = dict(by_epoch=True, max_epochs=3)
ITERATIONS = dict(type='IterBasedTrainLoop', max_iters=90)
SAVING = [
    (EPOCHS, dict(interval=1), None),
    (EPOCHS, dict(interval=-1), None),
    (EPOCHS, dict(interval=9), None),
    (EPOCHS, dict(interval=9, save_last=False), 'interval=9 and save_last=False, nothing will be'),
    (EPOCHS, dict(interval=-1, save_last=False), 'interval=-1 and save_last=False, nothing will'),
    (EPOCHS, dict(interval=-1, save_last=False, save_best='auto'), None),
    (EPOCHS, dict(interval=30, by_epoch=False), None),
    (EPOCHS, None, 'there is no CheckpointHook, nothing will be saved'),
    (ITERATIONS, dict(interval=30, by_epoch=False), None),
    (ITERATIONS, dict(interval=30), 'nothing will be saved before the end; set by_epoch=False'),
    (ITERATIONS, dict(interval=30, save_last=False), 'nothing will be saved at all'),
    (ITERATIONS, dict(interval=-1), None),
]


@pytest.mark.parametrize(('loop', 'hook', 'note'), SAVING)
def test_a_training_that_saves_nothing(loop, hook, note):
    hook = hook and dict(type='CheckpointHook', **hook)
    cfg = dict(train_cfg=loop, default_hooks=dict(checkpoint=hook), val_dataloader=dict(a=1))
    notes = [*saving_notes(Config(cfg))]
    assert len(notes) == (note is not None)
    assert note is None or note in notes[0]


def test_a_training_by_iterations_that_names_no_hook():
    (note,) = saving_notes(Config(dict(train_cfg=ITERATIONS)))
    assert note.startswith('default_hooks.checkpoint.by_epoch=True, but train_cfg counts iteration')
