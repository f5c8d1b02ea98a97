"""Options that go wrong in the Runner are told before it is built; what is odd is logged."""

import shutil

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope
from torch.utils.data import TensorDataset

from mmoverlock.checks.loaders import check_loader
from mmoverlock.checks.loops import Length
from mmoverlock.checks.schedule import check_schedulers, schedule_notes
from mmoverlock.cli.config import load_config

from ..user import ARCH, ROOT, check

TRAIN, VAL = 'train_dataloader', 'val_dataloader'
CLASSIFIER = f"""
_base_ = '{ROOT}/configs/quickstart/overlock-xxt_digits.py'
arch = {ARCH.replace('dict(', 'dict(_delete_=True,')}
model = dict(backbone=dict(arch=arch), head=dict(arch=arch))
train_cfg = dict(max_epochs=2)
param_scheduler = [
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=0, end=2)
]
train_dataloader = dict(batch_size=4, num_workers=0, dataset=dict(indices=8))
val_dataloader = dict(num_workers=0, dataset=dict(indices=8))
custom_hooks = [dict(type='CheckpointGuard')]
auto_scale_lr = dict(base_batch_size=64)
"""

DETECTOR_CASES = [
    (f'{TRAIN}.batch_size=-1', 'train_dataloader.batch_size=-1: a positive number is needed'),
    (f'{TRAIN}.batch_szie=2', "train_dataloader has no 'batch_szie', did you mean 'batch_size'?"),
    (f'{TRAIN}.timeout=-1', 'train_dataloader: timeout option should be non-negative'),
    (f'{TRAIN}.collate_fn.type=pseudo', "collate_fn.type: unknown type 'pseudo', did you mean"),
    (f'{TRAIN}.sampler.shufle=False', "InfiniteSampler has no argument 'shufle', did you mean"),
    (f'{TRAIN}.datset.a=1', "train_dataloader has no 'datset', did you mean 'dataset'?"),
    (f'{VAL}.sampler.type=InfiniteSampler', 'never ends: set val_dataloader.sampler.type=Default'),
    ('train_cfg.val_interval=0', 'train_cfg.val_interval=0: a positive number is needed'),
    ('train_cfg.max_iters=0', 'train_cfg.max_iters=0: a positive number is needed'),
    ('train_cfg.max_iter=9', "IterBasedTrainLoop has no argument 'max_iter', did you mean 'max_it"),
    ('train_cfg.by_epoch=True', 'train_cfg needs a type, or by_epoch=True or False, and not both'),
    ('default_hooks.logger.interval=0', 'logger.interval=0: a positive number is needed'),
    ('default_hooks.checkpoint.interval=0', 'a positive number is needed, or -1 to do it never'),
    ('default_hooks.checkpoint.intervall=1', "CheckpointHook has no argument 'intervall', did you"),
    ('default_hooks.chekpoint.interval=1', "has no 'chekpoint', did you mean 'checkpoint'?"),
    ('default_hooks.saving.interval=1', 'default_hooks.saving has no type'),
    ('param_scheduler.0.strat_factor=0.1', "LinearLR has no argument 'strat_factor', did you mean"),
    ('param_scheduler.1.eta_min_ratio=0.1', 'param_scheduler.1: Either `eta_min` or'),
    ('optim_wrapper.clip_grd.max_norm=1', "OptimWrapper has no argument 'clip_grd', did you mean"),
    ('optim_wrapper.optimzer.lr=0.1', "OptimWrapper has no argument 'optimzer', did you mean"),
    ('optim_wrapper.constructor=Grouped', 'optim_wrapper: KeyError: Grouped is not in the '),
    ('optim_wrapper.accumulative_counts=0', 'optim_wrapper: _accumulative_counts at least'),
    ('visualizer.save_dr=a', "DetLocalVisualizer has no argument 'save_dr', did you mean"),
    ('visualizer.vis_backends.0.type=DVCLiveVisBackend', 'needs the package dvclive: pip install '),
    ('env_cfg.mp_cfg.mp_start_method=frk', "mp_start_method='frk': allowed are 'fork', 'spawn', "),
    ('env_cfg.dist_cfg.backend=ncll', "backend='ncll': no such backend, did you mean 'nccl'?"),
    ('env_cfg.benchmark=True', "env_cfg has no 'benchmark'"),
    ('randomness.sed=1', "randomness has no 'sed', did you mean 'seed'?"),
    ('model.test_cfg.rcnn.score_thrr=0.1', "no 'score_thrr', did you mean 'score_thr'?"),
    ('auto_scale_lr.enabled=True', "auto_scale_lr has no 'enabled', did you mean 'enable'?"),
    ('log_processor.windw_size=3', "has no argument 'windw_size', did you mean 'window_size'?"),
    ('log_level=LOUD', "log_level='LOUD': allowed are DEBUG, INFO, "),
]

CLASSIFIER_CASES = [
    (
        [f'{TRAIN}.dataset.indices=9'],
        '9 images in batches of 4 leave one image for the last batch, and model.backbone.overview_',
    ),
    ([f'{TRAIN}.dataset.indices=9'], 'set train_dataloader.drop_last=True, or another batch_size'),
    ([f'{TRAIN}.batch_size=1'], 'which needs two images or more: set train_dataloader.batch_size=2'),
    ([f'{TRAIN}.batch_size=9', f'{TRAIN}.drop_last=True'], 'leaves no batch of the 8 images of a p'),
    (
        [f'{VAL}.batch_size=3', f'{VAL}.drop_last=True'],
        'val_dataloader.drop_last=True: 2 of the 8 images of a process would not be evaluated',
    ),
    (
        [f'{VAL}.batch_size=3', f'{VAL}.num_batch_per_epoch=3'],
        'val_dataloader.num_batch_per_epoch asks for 9 images, but the data set has 8',
    ),
    ([f'{TRAIN}.sampler.type=InfiniteSampler'], "by iterations with train_cfg.type='IterBasedTrain"),
]  # fmt: skip


@pytest.mark.parametrize(('option', 'message'), DETECTOR_CASES)
def test_option_of_a_detector(bad, at_home, tool, capsys, option, message):
    arguments = ['det.py', '--work-dir', 'full', '--cfg-options', option]
    check(tool, 'train', arguments, message, bad, capsys)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a classifier that trains in a second."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('MMOVERLOCK_BACKEND', 'reference')
    (tmp_path / 'cls.py').write_text(CLASSIFIER)
    return tmp_path


@pytest.mark.parametrize(('options', 'message'), CLASSIFIER_CASES)
def test_batches_that_cannot_be_trained(here, tool, capsys, options, message):
    arguments = ['cls.py', '--work-dir', 'work', '--cfg-options', *options]
    check(tool, 'train', arguments, message, here, capsys)


def test_a_work_dir_that_cannot_be(here, tool, capsys):
    (here / 'file').touch()
    check(tool, 'train', ['cls.py', '--work-dir', 'file/a'], 'is a file, not a dir', here, capsys)


def test_no_workers_need_no_other_option(here):
    options = {f'{TRAIN}.{name}': value for name, value in dict(
        num_workers=0, persistent_workers=True, prefetch_factor=2).items()}  # fmt: skip
    cfg = load_config('cls.py', options)
    assert not {'persistent_workers', 'prefetch_factor'} & {*cfg.train_dataloader}
    kept = load_config('cls.py', {f'{TRAIN}.num_workers': 1})
    assert kept.train_dataloader.persistent_workers


@pytest.fixture
def train(here, tool, monkeypatch):
    """Train with options; returns the lines of the log, and the checkpoint of the last epoch."""

    def run(*options: str, resume: bool = False):
        lines = []
        record = MMLogger.callHandlers
        monkeypatch.setattr(
            MMLogger, 'callHandlers',
            lambda self, entry: (lines.append(entry.getMessage()), record(self, entry)),
        )  # fmt: skip
        arguments = ['cls.py', '--work-dir', 'work', *(['--resume'] if resume else [])]
        tool('train')([*arguments, *(['--cfg-options', *options] if options else [])])
        (name,) = (here / 'work/last_checkpoint').read_text().split()
        return lines, torch.load(name, weights_only=False)

    return run


def rates(checkpoint: dict) -> tuple[float, float]:
    """The first learning rate of a schedule and its least one."""
    (scheduler,) = checkpoint['param_schedulers']
    return scheduler['base_values'][0], scheduler['eta_min']


def test_accumulated_steps_scale_the_rate(train, here):
    """4 images × 8 steps are half the batch that the config's rate is for."""
    lines, checkpoint = train('auto_scale_lr.enable=True', 'optim_wrapper.accumulative_counts=8')
    lr = Config.fromfile('cls.py').optim_wrapper.optimizer.lr
    assert rates(checkpoint) == pytest.approx((lr / 2, 1e-5 / 2))
    (line,) = [line for line in lines if 'Scaling the original LR' in line]
    assert 'batch size of 64 and the current batch size is 32 (4 images × 1 processes × 8' in line

    shutil.copytree('work', 'first')
    longer = 'train_cfg.max_epochs=3'
    lines, again = train(
        longer, 'auto_scale_lr.enable=True', 'optim_wrapper.optimizer.lr=0.5',
        'optim_wrapper.optimizer.weight_decay=0.3', 'param_scheduler.0.end=3',
        'train_dataloader.batch_size=2', resume=True,
    )  # fmt: skip
    assert rates(again) == rates(checkpoint)
    text = '\n'.join(lines)
    assert 'Scaling the original LR' not in text
    assert 'LR is that of the checkpoint: auto_scale_lr changes nothing in a resumed run' in text
    assert 'optimizer.weight_decay=0.05 (config: 0.3)' in text
    assert f'optimizer.lr={lr / 2:g} (config: ' in text
    assert 'param_scheduler.0.end=2 (config: 3)' in text
    assert 'resume: an epoch has 4 steps, but 2 in the checkpoint' in text
    assert 'param_scheduler ends at epoch 2 of 3: the rest trains at the last learning ra' in text
    lines, _ = train(longer, resume=True)
    assert 'resume: nothing is left to train: the checkpoint is of epoch 3' in '\n'.join(lines)


def test_another_optimizer_is_not_resumed(train, here, tool, capsys):
    train('train_cfg.max_epochs=1')
    optimizer = "dict(_delete_=True, type='SGD', lr=0.1, weight_decay=0.05)"
    (here / 'sgd.py').write_text(
        f"_base_ = 'cls.py'\noptim_wrapper = dict(optimizer={optimizer})\n"
    )
    resume = ['--work-dir', 'work', '--resume']
    check(tool, 'train', ['sgd.py', *resume], "no 'dampening', it is of another", here, capsys)
    options = ['--cfg-options', 'optim_wrapper.paramwise_cfg.norm_decay_mult=1.0']
    message = 'has an optimizer of '
    check(tool, 'train', ['cls.py', *resume, *options], message, here, capsys)


COSINE = dict(type='CosineAnnealingLR', begin=0, end=12)
NOTES = [
    ([COSINE], Length(True, 12, 120), None),
    ([dict(COSINE, end=120, by_epoch=False)], Length(True, 12, 120), None),
    ([dict(type='CosineAnnealingLR')], Length(True, 24, 240), None),
    ([dict(type='LinearLR', end=5, start_factor=0.1)], Length(True, 12, 120), None),
    ([COSINE], Length(True, 24, 240), 'param_scheduler ends at epoch 12 of 24: the rest trains'),
    (
        [dict(COSINE, convert_to_iter_based=True)], Length(True, 24, 240),
        'param_scheduler ends at iteration 120 of 240',
    ),
    ([COSINE], Length(True, 6, 60), 'ends at epoch 12, but the run at epoch 6'),
    (
        [dict(type='LinearLR', by_epoch=False, end=500)], Length(True, 12, 120),
        '(LinearLR) ends at iteration 500, but the run at iteration 120',
    ),
    ([dict(type='CosineAnnealingLR', T_max=12)], Length(True, 24, 240), 'from epoch 12 to 24 the'),
    ([COSINE], Length(False, None, 90), 'counts epochs, but the run counts iterations'),
]  # fmt: skip


@pytest.mark.parametrize(('schedulers', 'length', 'note'), NOTES)
def test_a_schedule_that_does_not_fit_is_told(schedulers, length, note):
    cfg = Config(dict(param_scheduler=schedulers))
    wrapper = OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.1))
    notes = schedule_notes(check_schedulers(cfg, wrapper, length, 10), length)
    assert len(notes) == (note is not None)
    assert note is None or note in notes[0]


def test_functions_are_found_in_silence(monkeypatch, capsys):
    """MMEngine has them in no library's scope."""
    monkeypatch.setattr(MMLogger, '_instance_dict', {})
    cfg = dict(batch_size=1, num_workers=0, collate_fn=dict(type='default_collate'))
    cfg['sampler'] = dict(type='DefaultSampler', shuffle=False)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        check_loader(cfg, TensorDataset(torch.zeros(2)), TRAIN, 1)
    assert 'Failed to search' not in ''.join(capsys.readouterr())
