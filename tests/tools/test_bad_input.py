"""Whatever a user gets wrong: one line, exit code 2, no traceback, and nothing touched."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from .conftest import ROOT

MARKER = 'the_code_ran'
BASE = "_base_ = 'det.py'\n"


class Code:
    """Pickled, it is a call of os.mkdir when read by an unrestricted reader."""

    def __reduce__(self):
        return os.mkdir, (MARKER,)


@pytest.fixture(scope='module')
def bad(home):
    """The wrong files, and the right ones that must survive."""
    weights = torch.load(home / 'det.pth', weights_only=True)['state_dict']
    whole = (home / 'det.pth').read_bytes()
    texts = {
        'empty.pth': '',
        'text.pth': 'this is not a checkpoint\n' * 50,
        'syntax.py': 'a = 1\nmodel = dict(\n',
        'orphan.py': "_base_ = 'nowhere.py'",
        'foreign_base.py': "_base_ = 'nopackage::model.py'",
        'fails.py': 'a = undefined_name',
        'config.txt': 'model = 1',
        'no_model.py': 'a = 1',
        'no_base_batch.py': BASE + 'auto_scale_lr = dict(_delete_=True)',
        'no_masks.py': BASE
        + 'model = dict(roi_head=dict(mask_head=None, mask_roi_extractor=None))',
        'not_coco.json': '{"licenses": []}',
        'no_images.json': json.dumps(
            dict(images=[], annotations=[], categories=[dict(id=i, name=str(i)) for i in range(10)])
        ),
        'full/picture.png': '',
        'old.pkl': 'old',
        'a_file': '',
        'work/iter_9.pth': 'precious',
        'work/last_checkpoint': 'iter_9.pth',
    }
    for name, text in texts.items():
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text(text)
    (home / 'directory.pth').mkdir()
    (home / 'truncated.pth').write_bytes(whole[: len(whole) // 2])
    (home / 'picture.pth').write_bytes((home / 'data/digits_scenes/val/000000.png').read_bytes())
    with zipfile.ZipFile(home / 'archive.pth', 'w') as archive:
        archive.writestr('a.txt', 'a')
    code = dict(state_dict=weights, meta=Code())
    torch.save(code, home / 'code.pth')
    torch.save(code, home / 'old_code.pth', _use_new_zipfile_serialization=False)
    torch.save(dict(epoch=3), home / 'no_tensors.pth')
    torch.save(list(weights.values()), home / 'list.pth')
    torch.save({'conv1.weight': torch.zeros(3), 'fc.bias': torch.zeros(3)}, home / 'foreign.pth')
    shrunk = {name: torch.zeros([n + 1 for n in value.shape]) for name, value in weights.items()}
    torch.save(shrunk, home / 'other_arch.pth')
    partial = {name: value for name, value in weights.items() if 'mask_head' not in name}
    torch.save(partial, home / 'no_mask_head.pth')
    return home


def snapshot(folder: Path) -> dict[str, str]:
    """Every file below, with its hash, and every folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else 'folder'
        for path in sorted(folder.rglob('*'))
    }


ARCH = 'model.backbone.arch'
DATASET = 'train_dataloader.dataset'
INIT = 'model.backbone.init_cfg'

CONFIG_CASES = [
    ('no.py', "config 'no.py' does not exist"),
    ('config.txt', "config 'config.txt' is not one of .py, .json, .yaml, .yml"),
    ('syntax.py', "config 'syntax.py', line 2: '(' was never closed"),
    ('orphan.py', "nowhere.py' does not exist"),
    ('foreign_base.py', "config 'foreign_base.py': "),
    ('fails.py', "config 'fails.py': NameError: name 'undefined_name' is not defined"),
    ('no_model.py', "config 'no_model.py' has no model"),
]

OPTION_CASES = [
    ('model', "'model' is not of the form key=value"),
    ('model..type=a', "'model..type=a' is not of the form key=value"),
    ('a=[1,2', "'a=[1,2' has unbalanced brackets"),
    ('modle.type=A', "--cfg-options modle.type: the config has no 'modle', did you mean 'model'?"),
    ('train_dataloader.dataset.pipeline.9.type=A', '--cfg-options: Index 9 exceeds the length'),
    ('model.neck.in_channels.0=3', 'a single number of a list cannot be set, give the whole list'),
    (f'{ARCH}=huge', 'huge'),
    ('model.backbone.out_indices=[0,7]', 'out_indices'),
    (
        'model.backbone.type=OverLok',
        "model.backbone.type: unknown type 'OverLok', did you mean 'Ov",
    ),
    ('model.neck.in_channels=[8,16,24,40]', 'model.neck.in_channels=[8, 16, 24, 40]: the backbone'),
    ('model.backbone.archh=t', "unexpected keyword argument 'archh'"),
    (
        'model.roi_head.bbox_head.num_classes=3',
        'model.roi_head.bbox_head.num_classes is 3, but train_dataloader.dataset has 10 classes',
    ),
    (f'{DATASET}.type=CocoDatset', "unknown type 'CocoDatset', did you mean 'CocoDataset'?"),
    (f'{DATASET}.pipeline.0.type=LoadImag', "pipeline.0.type: unknown type 'LoadImag'"),
    (f'{DATASET}.data_root=data/no', f"{DATASET}.data_root: 'data/no' does not exist in "),
    (
        f'{DATASET}.data_root=data/no/digits_scenes',
        'make it with: python tools/prepare_data.py digits_scenes',
    ),
    (f'{DATASET}.ann_file=no.json', f'{DATASET}.ann_file: '),
    (f'{DATASET}.data_prefix.img=no', f'{DATASET}.data_prefix.img: '),
    (f'{DATASET}.ann_file=../../not_coco.json', "not_coco.json' has no list of COCO categories"),
    (f'{DATASET}.ann_file=../../no_images.json', f'{DATASET}: no image is left in the data set'),
    (
        f'{DATASET}.metainfo.classes=[cat,dog]',
        f"{DATASET}: 2 of its 2 classes are no categories of 'data/digits_scenes/annotations/"
        "instances_train.json', such as 'cat'; the file has '0', '1', '2', '3', '4', '5', ...",
    ),
    (
        'val_evaluator.type=CocoMetrik',
        "val_evaluator.type: unknown type 'CocoMetrik', did you mean",
    ),
    ('val_evaluator.metric=mAP', 'val_evaluator: '),
    ('val_evaluator.ann_file=no.json', "val_evaluator.ann_file: 'no.json' does not exist"),
    ('default_hooks.timer.type=Tymer', "default_hooks.timer.type: unknown type 'Tymer'"),
    ('train_cfg.type=Loop', "train_cfg.type: unknown type 'Loop'"),
    (
        'train_dataloader.sampler.type=Samplr',
        "train_dataloader.sampler.type: unknown type 'Samplr'",
    ),
    (
        'optim_wrapper.optimizer.type=AdamV',
        "optim_wrapper.optimizer.type: unknown type 'AdamV', did you mean 'Adam",
    ),
    ('optim_wrapper.optimizer.lrr=1', "unexpected keyword argument 'lrr'"),
    ('optim_wrapper.optimizer.lr=-1', 'optim_wrapper.optimizer: Invalid learning rate: -1'),
    ('param_scheduler.0.type=Linear', "param_scheduler.0.type: unknown type 'Linear'"),
]

TRAIN_CASES = [
    (['det.py', '--what'], 'unrecognized arguments: --what'),
    (['det.py', '--launcher', 'ssh'], "argument --launcher: invalid choice: 'ssh'"),
    (['det.py', '--launcher', 'pytorch'], '--launcher pytorch: RANK is not set'),
    (['det.py', '--work-dir', 'work'], "work_dir 'work' holds the checkpoints of another run"),
    (['det.py', '--work-dir', 'a_file'], "work_dir 'a_file' is a file, not a directory"),
    (['det.py', '--resume', '--work-dir', 'full'], "--resume: no checkpoint in work_dir 'full'"),
    (['det.py', '--resume', 'no.pth'], "--resume: checkpoint 'no.pth' does not exist"),
    (['det.py', '--resume', 'det.pth'], "--resume: checkpoint 'det.pth' has no 'meta', it holds"),
    (['det.py', '--resume', 'code.pth'], "checkpoint 'code.pth' refused: it carries code (posix."),
    (['det.py', '--resume', '--work-dir', 'work'], "checkpoint 'work/iter_9.pth' is a text file"),
    (['det.py', '--resume', '--overwrite'], '--resume and --overwrite contradict each other'),
    (
        ['no_base_batch.py', '--auto-scale-lr'],
        '--auto-scale-lr needs auto_scale_lr.base_batch_size',
    ),
]

CHECKPOINT_CASES = [
    ('no.pth', "checkpoint 'no.pth' does not exist"),
    ('directory.pth', "checkpoint 'directory.pth' is a directory, not a file"),
    ('empty.pth', "checkpoint 'empty.pth' is empty (0 bytes)"),
    ('truncated.pth', "checkpoint 'truncated.pth' is damaged: the file is cut short"),
    ('text.pth', "checkpoint 'text.pth' is a text file, not one written by torch.save"),
    ('picture.pth', "checkpoint 'picture.pth' is a file of another kind"),
    ('archive.pth', "checkpoint 'archive.pth' is a file of another kind"),
    ('code.pth', "checkpoint 'code.pth' refused: it carries code (posix.mkdir)"),
    ('old_code.pth', "checkpoint 'old_code.pth' refused: it carries code (posix.mkdir)"),
    ('no_tensors.pth', "checkpoint 'no_tensors.pth' holds no tensors"),
    ('list.pth', "checkpoint 'list.pth' holds a list, not a dict of tensors"),
    ('foreign.pth', "checkpoint 'foreign.pth' fits nothing"),
    ('other_arch.pth', "checkpoint 'other_arch.pth' is of another arch"),
]

TEST_CASES = [
    (['det.py', 'no_mask_head.pth'], "checkpoint 'no_mask_head.pth' lacks "),
    (
        ['det.py', 'det.pth', '--eval', 'mIoU'],
        "--eval: 'mIoU' is not what 'CocoMetric' can evaluate",
    ),
    (['cls.py', 'cls.pth', '--eval', 'bbox'], "'Accuracy' can evaluate: 'accuracy'"),
    (['seg.py', 'seg.pth', '--eval', 'accuracy'], "can evaluate: 'mIoU', 'mDice', 'mFscore'"),
    (['no_masks.py', 'no_mask_head.pth', '--eval', 'segm'], 'the model has no mask head'),
    (['det.py', 'det.pth', '--out', 'old.pkl'], "--out: 'old.pkl' exists"),
    (['det.py', 'det.pth', '--out', 'new.txt'], "--out: 'new.txt' does not end in .pkl or .pickle"),
    (['det.py', 'det.pth', '--out', 'no/new.pkl'], "--out: the folder of 'no/new.pkl' does not"),
    (['det.py', 'det.pth', '--show-dir', 'full'], "--show-dir: 'full' is not an empty folder"),
    (
        ['det.py', 'det.pth', '--show-dir', 'new', '--launcher', 'pytorch'],
        '--show-dir works in one',
    ),
    (['cls.py', 'det.pth'], "checkpoint 'det.pth' lacks "),
    (['det.py'], 'the following arguments are required: checkpoint'),
]


def check(tool, name, arguments, message, folder, capsys):
    before = snapshot(folder)
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        tool(name)(arguments)
    errors = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2
    assert [line for line in errors if line.startswith('error: ')] == errors[-1:]
    assert message in errors[-1]
    assert 'Traceback' not in '\n'.join(errors)
    assert snapshot(folder) == before


@pytest.mark.parametrize(('config', 'message'), CONFIG_CASES)
def test_config(bad, at_home, tool, capsys, config, message):
    check(tool, 'train', [config, '--work-dir', 'full'], message, bad, capsys)


@pytest.mark.parametrize(('option', 'message'), OPTION_CASES)
def test_option(bad, at_home, tool, capsys, option, message):
    arguments = ['det.py', '--work-dir', 'full', '--cfg-options', option]
    check(tool, 'train', arguments, message, bad, capsys)


@pytest.mark.parametrize(('arguments', 'message'), TRAIN_CASES)
def test_train(bad, at_home, tool, capsys, arguments, message):
    check(tool, 'train', arguments, message, bad, capsys)


@pytest.mark.skipif(torch.cuda.is_available(), reason='needs a machine without a GPU')
def test_amp_without_gpu(bad, at_home, tool, capsys):
    check(tool, 'train', ['det.py', '--amp'], '--amp needs a GPU', bad, capsys)


@pytest.mark.parametrize(('file', 'message'), CHECKPOINT_CASES)
def test_checkpoint_to_test(bad, at_home, tool, capsys, file, message):
    check(tool, 'test', ['det.py', file, '--work-dir', 'full'], message, bad, capsys)


@pytest.mark.parametrize('key', ['load_from', f'{INIT}.checkpoint'])
@pytest.mark.parametrize(
    'file', ['no.pth', 'truncated.pth', 'text.pth', 'code.pth', 'foreign.pth', 'other_arch.pth']
)
def test_checkpoint_to_start_from(bad, at_home, tool, capsys, key, file):
    options = [f'{key}={file}'] + [f'{INIT}.type=Pretrained'] * (key != 'load_from')
    arguments = ['det.py', '--work-dir', 'full', '--cfg-options', *options]
    check(tool, 'train', arguments, f"'{file}'", bad, capsys)


@pytest.mark.parametrize(('arguments', 'message'), TEST_CASES)
def test_test(bad, at_home, tool, capsys, arguments, message):
    check(tool, 'test', [*arguments, '--work-dir', 'full'], message, bad, capsys)


def test_code_would_run_in_an_unrestricted_reader(bad, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.load(bad / 'code.pth', weights_only=False)
    assert (tmp_path / MARKER).is_dir()


def test_debug_shows_the_traceback(bad, at_home, tool, capsys):
    with pytest.raises(SystemExit):
        tool('train')(['no.py', '--debug'])
    errors = capsys.readouterr().err
    assert 'Traceback' in errors
    assert errors.endswith("error: config 'no.py' does not exist\n")


def test_unexpected_failure_is_code_1(at_home, tool, capsys, monkeypatch):
    def fail(path):
        raise ZeroDivisionError('of ours\nand more')

    monkeypatch.setattr('mmoverlock.engine.config._read', fail)
    with pytest.raises(SystemExit) as stop:
        tool('train')(['det.py'])
    assert stop.value.code == 1
    assert capsys.readouterr().err.startswith('error: ZeroDivisionError: of ours and more (')


@pytest.mark.parametrize(
    ('gpus', 'env', 'message'),
    [
        ('two', {}, "GPUS must be a number of at least 1, got 'two'"),
        ('0', {}, "GPUS must be a number of at least 1, got '0'"),
        ('1', dict(PORT='high'), "PORT must be a number from 1 to 65535, got 'high'"),
        ('1', dict(PORT='in use'), 'cannot be used (Address already in use)'),
        ('1', dict(NNODES='2'), 'NNODES=2 needs MASTER_ADDR'),
        ('1', dict(NNODES='2', NODE_RANK='2'), "NODE_RANK must be a number from 0 to 1, got '2'"),
    ],
)
def test_launcher(gpus, env, message, monkeypatch, capsys):
    from mmoverlock.engine.launch import main

    with socket.socket() as taken:
        taken.bind(('', 0))
        taken.listen()
        for name, value in env.items():
            port = str(taken.getsockname()[1])
            monkeypatch.setenv(name, port if value == 'in use' else value)
        monkeypatch.setattr('torch.cuda.device_count', lambda: 0)
        with pytest.raises(SystemExit) as stop:
            main([gpus, 'script.py'])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_launcher_knows_the_number_of_gpus(monkeypatch, capsys):
    from mmoverlock.engine.launch import main

    monkeypatch.setattr('torch.cuda.device_count', lambda: 2)
    with pytest.raises(SystemExit):
        main(['8', 'script.py'])
    assert capsys.readouterr().err == "error: GPUS must be a number from 1 to 2, got '8'\n"


def test_in_a_process_of_its_own(bad):
    """As the others, but with everything Python may print around the error."""
    before = snapshot(bad)
    command = [sys.executable, str(ROOT / 'tools/test.py'), 'det.py', 'code.pth']
    done = subprocess.run(command, cwd=bad, capture_output=True, text=True)
    assert done.returncode == 2
    assert "error: checkpoint 'code.pth' refused" in done.stderr.splitlines()[-1]
    assert done.stderr.count('error: ') == 1
    assert 'Traceback' not in done.stderr
    assert snapshot(bad) == before
