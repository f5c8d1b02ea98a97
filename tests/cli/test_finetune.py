"""Classifiers trained by tools/train.py: own folders, other heads, seeds, two processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmoverlock.engine.hooks.epoch_table import COLUMNS, read_epochs

from ..user import ARCH, ROOT

CONFIG = f"""
_base_ = 'mmoverlock::overlock/overlock-xxt_finetune.py'
arch = {ARCH.replace('dict(', 'dict(_delete_=True,')}
model = dict(backbone=dict(arch=arch), head=dict(arch=arch))
train_cfg = dict(max_epochs=2)
train_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False)
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
"""
TRAIN = str(ROOT / 'tools/train.py')
SIX = [f'class_{index}' for index in range(6)]


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """A user's folder: mine.py, six/ with six classes, and two/ with two of them."""
    home = tmp_path_factory.mktemp('a user of classes')
    rng = np.random.default_rng(0)
    for label, name in enumerate(SIX):
        (home / 'six' / name).mkdir(parents=True)
        for index in range(5):
            noise = rng.integers(0, 60, (32, 32, 3))
            Image.fromarray((noise + 35 * label).astype(np.uint8)).save(
                home / 'six' / name / f'{index}.png'
            )
    (home / 'two').mkdir()
    for name in SIX[:2]:
        (home / 'two' / name).symlink_to(home / 'six' / name)
    (home / 'mine.py').write_text(CONFIG)
    return home


@pytest.fixture(scope='module')
def trained(folder) -> Path:
    """The work_dir of two epochs on six classes, by a process of its own."""
    train(folder, '--data-root', 'six', '--num-classes', '6', '--seed', '1', '--work-dir', 'first')
    return folder / 'first'


def train(folder, *arguments, launcher=()) -> None:
    environment = {name: value for name, value in os.environ.items() if name != 'PORT'}
    done = subprocess.run(
        [sys.executable, *launcher, TRAIN, 'mine.py', *arguments], cwd=folder, text=True,
        capture_output=True, env={**environment, 'OMP_NUM_THREADS': '1'},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=False)['state_dict']


def test_leaves_table_curves_last_and_best(trained):
    files = {path.name for path in trained.iterdir() if path.is_file()}
    (best,) = (name for name in files if name.startswith('best_accuracy_top1_epoch_'))
    assert files == {
        best, 'epoch_2.pth', 'last_checkpoint', 'epochs.csv', 'curves.png', 'mine.py',
    }  # fmt: skip
    rows = read_epochs(trained / 'epochs.csv')
    assert [row['epoch'] for row in rows] == [1, 2] and set(rows[0]) == set(COLUMNS)
    config = Config.fromfile(trained / 'mine.py')
    assert config.model.head.num_classes == config.data_preprocessor.num_classes == 6
    assert config.train_dataloader.dataset.data_root == 'six'


def test_seed_gives_the_same_run_bit_by_bit(trained, folder):
    train(folder, '--data-root', 'six', '--seed', '1', '--work-dir', 'again')
    first, again = weights(trained / 'epoch_2.pth'), weights(folder / 'again/epoch_2.pth')
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)
    losses = [
        [row[name] for name in ('train_loss', 'train_loss_aux', 'val_loss')]
        for work_dir in (trained, folder / 'again')
        for row in read_epochs(work_dir / 'epochs.csv')
    ]
    assert losses[:2] == losses[2:]
    train(folder, '--data-root', 'six', '--seed', '2', '--work-dir', 'other')
    other = weights(folder / 'other/epoch_2.pth')
    assert not torch.equal(first['head.main.0.weight'], other['head.main.0.weight'])


def test_test_reports_top1_and_top5(trained, folder, tool, monkeypatch):
    monkeypatch.chdir(folder)
    options = ['--cfg-options', 'test_evaluator.0.topk=1', '--work-dir', 'tested']
    tool('test')(['first/mine.py', 'first/epoch_2.pth', '--eval', 'accuracy', *options])
    metrics = json.loads((folder / 'tested/metrics.json').read_text())['metrics']
    assert metrics.keys() == {'accuracy/top1', 'accuracy/top5'}
    last = read_epochs(trained / 'epochs.csv')[-1]
    assert metrics['accuracy/top1'] == pytest.approx(last['acc_top1'], abs=1e-3)


def test_other_classes_are_not_resumed(trained, folder, tool, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    (folder / 'renamed').mkdir()
    for old, new in zip(SIX, [*SIX[1:], 'another'], strict=True):
        (folder / 'renamed' / new).symlink_to(folder / 'six' / old)
    arguments = ['mine.py', '--data-root', 'renamed', '--work-dir', 'first']
    with pytest.raises(SystemExit) as stop:
        tool('train')([*arguments, '--resume', 'first/epoch_2.pth'])
    assert stop.value.code == 2
    assert 'is of other classes' in capsys.readouterr().err.splitlines()[-1]


def test_a_head_of_another_size_is_replaced_and_told(trained, folder, tool, monkeypatch):
    monkeypatch.chdir(folder)
    tool('train')(
        ['mine.py', '--data-root', 'two', '--work-dir', 'fine']
        + [
            '--cfg-options',
            'load_from=first/epoch_2.pth',
            'optim_wrapper.optimizer.lr=0.0',
            'param_scheduler=None',
            'experiment_name=fine',  # loggers are told apart by name and second
        ]
    )
    (log,) = (folder / 'fine').glob('*/*.log')
    line = next(line for line in log.read_text().splitlines() if 'of another shape' in line)
    assert 'head.main.4.bias (6,) for (2,)' in line or 'head.aux.2.bias (6,) for (2,)' in line
    before, after = weights(trained / 'epoch_2.pth'), weights(folder / 'fine/epoch_2.pth')
    assert after['head.main.4.weight'].shape[0] == after['head.aux.2.weight'].shape[0] == 2
    for name in ('backbone.base_net.patch_embed1.0.weight', 'head.main.0.weight'):
        assert torch.equal(before[name], after[name])  # they came from the file
    assert read_epochs(folder / 'fine/epochs.csv')[0].keys() == set(COLUMNS) - {'acc_top5'}


def test_two_processes_write_one_table_and_resume_it(folder):
    options = ['--data-root', 'six', '--work-dir', 'ddp', '--launcher', 'pytorch']
    launcher = ('-m', 'mmoverlock.cli.launch', '2')
    train(folder, *options, '--cfg-options', 'train_cfg.max_epochs=1', launcher=launcher)
    before = (folder / 'ddp/epochs.csv').read_text()
    train(folder, *options, '--resume', launcher=launcher)
    after = (folder / 'ddp/epochs.csv').read_text()
    assert after.startswith(before) and after.count('\n') == 3
    for line in after.splitlines()[1:]:
        assert '' not in line.split(',')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--num-classes', '6'], '--num-classes requires --data-root'),
        (['--data-format', 'coco'], '--data-format requires --data-root'),
        (['--data-root', 'no'], "data_root 'no' is not a folder"),
        (['--data-root', 'six/class_0'], "'six/class_0' holds no folders"),
        (
            ['--data-root', 'two', '--num-classes', '5'],
            "--num-classes is 5, but 'two' has 2 classes: 'class_0', 'class_1'",
        ),
        (['--data-root', 'six', '--seed', '-1'], '--seed -1: a number from 0 to'),
        (
            ['--data-root', 'six', '--cfg-options', 'default_scope=mmengine'],
            "default_scope 'mmengine' of 'mine.py' is none of 'mmpretrain', 'mmdet', 'mmseg'",
        ),
        (
            ['--data-root', 'six', '--data-format', 'coco'],
            "--data-format coco: 'mine.py' is a classifier, which reads class_folders",
        ),
        (
            ['--cfg-options']
            + [f'{part}_dataloader.dataset.data_root=two' for part in ('train', 'val')],
            'model.data_preprocessor.num_classes is 1000, but train_dataloader.dataset has 2 classes',
        ),
    ],
)
def test_mistakes(folder, tool, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as stop:
        tool('train')(['mine.py', *arguments, '--work-dir', 'none'])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (folder / 'none').exists()
