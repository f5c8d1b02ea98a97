"""Detectors and segmentors trained on a user's own data by tools/train.py, in short runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmoverlock.cli.finetune import common
from mmoverlock.datasets import make_digits_scenes

from ..user import ARCH, ROOT

TINY = ARCH.replace('dict(', 'dict(_delete_=True,')
LOADERS = """
train_cfg = dict(max_epochs=2)
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
val_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
default_hooks = dict(logger=dict(interval=1))
"""
DETECTOR = f"""
_base_ = 'mmoverlock::maskrcnn_overlock/mask_rcnn_overlock_xxt_finetune.py'
model = dict(backbone=dict(arch={TINY}), neck=dict(in_channels=[8, 16, 40, 40]))
{LOADERS}
"""
SEGMENTOR = f"""
_base_ = 'mmoverlock::upernet_overlock/upernet_overlock-xxt_finetune.py'
model = dict(
    backbone=dict(arch={TINY}), decode_head=dict(in_channels=[8, 16, 40, 40]),
    auxiliary_head=dict(in_channels=40),
)
{LOADERS}
"""
LONGER = """
_base_ = 'detector.py'
optim_wrapper = dict(accumulative_counts=2)
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='EMAHook', momentum=0.1, priority='ABOVE_NORMAL'),
    dict(type='EarlyStoppingHook', monitor='coco/bbox_mAP', rule='greater', patience=1),
]
visualizer = dict(vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
train_cfg = dict(max_epochs=9)
"""
NOTHING_LEARNT = 'optim_wrapper.optimizer.lr=0.0'


@pytest.fixture(scope='module')
def user(tmp_path_factory) -> Path:
    """A folder with configs and data in three layouts."""
    home = tmp_path_factory.mktemp('a user who trains')
    for layout in ('coco', 'yolo_polygons', 'masks'):
        make_digits_scenes(home / layout, num_train=4, num_val=2, image_size=64, layout=layout)
    (home / 'detector.py').write_text(DETECTOR)
    (home / 'segmentor.py').write_text(SEGMENTOR)
    (home / 'longer.py').write_text(LONGER)
    return home


@pytest.fixture
def here(user, monkeypatch) -> Path:
    monkeypatch.chdir(user)
    monkeypatch.setenv('MMOVERLOCK_BACKEND', 'reference')
    return user


@pytest.fixture
def told(monkeypatch) -> list[str]:
    """What is said of the data, before there is a log file."""
    lines = []
    monkeypatch.setattr(common, 'print_log', lambda line, **options: lines.append(line))
    return lines


def train(tool, *arguments: str, options: tuple[str, ...] = ()) -> str:
    """Train in this process; return the log."""
    work_dir = Path(arguments[arguments.index('--work-dir') + 1])
    before = {*work_dir.glob('*/*.log')}
    name = f'{work_dir}{len(before)}'  # by which loggers and visualizers are told apart
    unique = [f'experiment_name={name}', f'visualizer.name={name}']
    tool('train')([*arguments, '--cfg-options', *unique, *options])
    (log,) = {*work_dir.glob('*/*.log')} - before
    return log.read_text()


def files(work_dir: Path) -> set[str]:
    return {path.name for path in work_dir.iterdir() if not re.fullmatch(r'\d+_\d+', path.name)}


def test_detector(here, tool, told):
    log = train(tool, 'detector.py', '--data-root', 'yolo_polygons', '--work-dir', 'det')
    assert told[0].startswith("yolo_polygons: YOLO, images: 4 train, 2 val, 10 classes: '0', '1',")
    assert told[0].endswith('learning rate 0.001 for 8 images a step, scaled to the batch')
    assert 'batch size of 8 and the current batch size is 2' in log
    assert "classes without an object for train: 1 (first: '4')" in told
    assert files(here / 'det') >= {'epoch_2.pth', 'last_checkpoint', 'curves.png', 'data'}
    assert 'epoch_1.pth' not in files(here / 'det')
    assert {path.name for path in (here / 'det/data').iterdir()} == {
        'instances_train.json', 'instances_val.json',
    }  # fmt: skip
    tool('test')(['det/detector.py', 'det/epoch_2.pth', '--eval', 'bbox'])
    metrics = json.loads((here / 'det/metrics.json').read_text())['metrics']
    assert 'coco/bbox_mAP' in metrics


def test_resume(here, tool, capsys):
    """The data are written again; another list of classes is refused and changes nothing."""
    arguments = ['detector.py', '--data-root', 'coco', '--work-dir', 'again']
    train(tool, *arguments, options=('train_cfg.max_epochs=1',))
    log = train(tool, *arguments, '--resume')
    assert 'resumed epoch: 1' in log and (here / 'again/epoch_2.pth').is_file()
    written = {path: path.read_bytes() for path in (here / 'again/data').iterdir()}
    for number, names in (('fewer', '012'), ('renamed', 'abcdefghij')):
        folder = here / number
        folder.mkdir()
        (folder / 'annotations').mkdir()
        for split in ('train', 'val'):
            (folder / split).symlink_to(here / 'coco' / split)
            name = f'annotations/instances_{split}.json'
            coco = json.loads((here / 'coco' / name).read_text())
            coco['categories'] = [
                dict(one, name=name) for one, name in zip(coco['categories'], names, strict=False)
            ]
            ids = {one['id'] for one in coco['categories']}
            coco['annotations'] = [
                dict(one, category_id=1 + one['category_id'] % len(ids))
                for one in coco['annotations']
            ]
            (folder / name).write_text(json.dumps(coco))
        with pytest.raises(SystemExit) as stop:
            arguments = ['--data-root', number, '--work-dir', 'again', '--resume']
            tool('train')(['detector.py', *arguments])
        assert stop.value.code == 2
        message = capsys.readouterr().err.splitlines()[-1]
        assert 'belongs to another config' in message or 'of other classes' in message, message
        assert {path: path.read_bytes() for path in (here / 'again/data').iterdir()} == written


def test_segmentor(here, tool, told):
    train(tool, 'segmentor.py', '--data-root', 'masks', '--work-dir', 'seg')
    assert told[0].startswith('masks: label images, images: 4 train, 2 val, 2 classes: ')
    (best,) = (here / 'seg').glob('best_mIoU_epoch_*.pth')
    tool('test')(['seg/segmentor.py', str(best), '--eval', 'mIoU', 'mDice'])
    metrics = json.loads((here / 'seg/metrics.json').read_text())['metrics']
    assert 0 < metrics['mIoU'] < 100 and 'mDice' in metrics
    assert Config.fromfile(here / 'seg/segmentor.py').model.decode_head.num_classes == 2


def test_longer_runs(here, tool):
    """Accumulated gradients, a moving average, an early end and TensorBoard, with our hooks."""
    log = train(
        tool, 'longer.py', '--data-root', 'coco', '--work-dir', 'long', options=(NOTHING_LEARNT,)
    )
    assert 'the monitored metric did not improve in the last 1' in log
    epochs = re.findall(r'epoch_(\d+)\.pth', ' '.join(files(here / 'long')))
    assert max(map(int, epochs)) < 9
    (last,) = (here / 'long').glob('epoch_*.pth')
    checkpoint = torch.load(last, weights_only=False)
    assert 'ema_state_dict' in checkpoint
    (events,) = (here / 'long').rglob('events.out.tfevents.*')
    assert events.stat().st_size > 1000 and (here / 'long/curves.png').is_file()
    tool('test')(['long/longer.py', str(last), '--eval', 'bbox'])


def test_mistakes_leave_nothing(here, tool, capsys):
    arguments = ['detector.py', '--data-root', 'coco', '--work-dir', 'new/run']
    options = ['--cfg-options', 'optim_wrapper.optimizer.type=Adams']
    with pytest.raises(SystemExit) as stop:  # found when the data have been written
        tool('train')([*arguments, *options])
    assert stop.value.code == 2 and 'Adams' in capsys.readouterr().err
    assert not (here / 'new').exists()


def test_two_processes(here):
    """The first process writes the data for both."""
    environment = dict(os.environ, PATH=f'{Path(sys.executable).parent}:{os.environ["PATH"]}')
    done = subprocess.run(
        ['bash', ROOT / 'tools/dist_train.sh', 'segmentor.py', '2', '--data-root', 'masks',
         '--work-dir', 'two', '--cfg-options', 'train_cfg.max_epochs=1'],
        env={**environment, 'OMP_NUM_THREADS': '1'}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert {'epoch_1.pth', 'data'} <= files(here / 'two')
    assert done.stdout.count(' images: 4 train, 2 val') == 1
