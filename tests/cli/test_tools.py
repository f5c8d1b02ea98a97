"""The tools as a user runs them: training and resuming in two processes, testing, all metrics."""

import json
import os
import pickle
import subprocess
import sys

import pytest
import torch

from ..testing import assert_close
from ..user import ROOT

SMALL = dict(MMOVERLOCK_BACKEND='reference', OMP_NUM_THREADS='1', PYTHON=sys.executable)


def run_script(name: str, *arguments: str, cwd, **env: str) -> subprocess.CompletedProcess:
    environment = {key: value for key, value in os.environ.items() if key != 'PORT'}
    return subprocess.run(
        ['bash', str(ROOT / 'tools' / name), *arguments],
        cwd=cwd, env={**environment, **SMALL, **env}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


@pytest.fixture(scope='module')
def trained(home, tmp_path_factory):
    """A work_dir, with a space in its path, of two iterations in two processes."""
    work_dir = tmp_path_factory.mktemp('work') / 'my run'
    done = run_script('dist_train.sh', 'det.py', '2', '--work-dir', str(work_dir), cwd=home)
    assert done.returncode == 0, done.stderr[-2000:]
    return work_dir, done


def test_dist_train_uses_two_processes_without_gpu(trained):
    work_dir, done = trained
    assert 'GPU number: 2' in done.stdout
    assert 'Iter(train) [2/2]' in done.stdout
    config = (work_dir / 'det.py').read_text()
    assert 'model_wrapper_cfg' in config or torch.cuda.is_available()
    assert (work_dir / 'last_checkpoint').read_text().endswith('iter_2.pth')


def test_dist_train_resumes(trained, home):
    work_dir, _ = trained
    arguments = ['--work-dir', str(work_dir), '--resume', '--cfg-options', 'train_cfg.max_iters=4']
    done = run_script('dist_train.sh', 'det.py', '2', *arguments, cwd=home)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'resumed epoch: 0, iter: 2' in done.stdout
    assert 'Iter(train) [1/4]' not in done.stdout
    assert 'Iter(train) [3/4]' in done.stdout
    before = torch.load(home / 'det.pth', weights_only=True)['state_dict']
    after = torch.load(work_dir / 'iter_4.pth', weights_only=False)['state_dict']
    assert before.keys() == after.keys()
    name = 'roi_head.bbox_head.fc_cls.weight'
    assert not torch.equal(before[name], after[name])


def test_evaluates_boxes_and_masks(at_home, tool, tmp_path):
    out, pictures = tmp_path / 'predictions.pkl', tmp_path / 'pictures'
    arguments = [
        'det.py',
        'det.pth',
        '--eval',
        'bbox',
        'segm',
        '--work-dir',
        str(tmp_path / 'work'),
    ]
    tool('test')([*arguments, '--out', str(out), '--show-dir', str(pictures)])
    result = json.loads((tmp_path / 'work/metrics.json').read_text())
    assert (result['config'], result['checkpoint']) == ('det.py', 'det.pth')
    assert sorted(os.listdir(tmp_path / 'work')) == ['metrics.json', 'test']
    assert {'coco/bbox_mAP', 'coco/segm_mAP'} <= result['metrics'].keys()
    assert len(pickle.loads(out.read_bytes())) == 2
    assert sorted(path.name for path in pictures.iterdir()) == ['000000.png', '000001.png']


def test_eval_chooses_the_metrics(at_home, tool, tmp_path):
    tool('test')(['det.py', 'det.pth', '--eval', 'bbox', '--work-dir', str(tmp_path)])
    metrics = json.loads((tmp_path / 'metrics.json').read_text())['metrics']
    assert 'coco/bbox_mAP' in metrics and 'coco/segm_mAP' not in metrics


@pytest.mark.parametrize(
    ('task', 'metric', 'key'), [('cls', 'accuracy', 'accuracy/top1'), ('seg', 'mIoU', 'mIoU')]
)
def test_evaluates_other_tasks(at_home, tool, tmp_path, task, metric, key):
    out, pictures = tmp_path / 'predictions.pkl', tmp_path / 'pictures'
    arguments = [
        f'{task}.py',
        f'{task}.pth',
        '--eval',
        metric,
        '--work-dir',
        str(tmp_path / 'work'),
    ]
    tool('test')([*arguments, '--out', str(out), '--show-dir', str(pictures)])
    metrics = json.loads((tmp_path / 'work/metrics.json').read_text())['metrics']
    assert 0 <= metrics[key] <= 100
    assert len(pickle.loads(out.read_bytes())) == 2
    assert len(list(pictures.rglob('*.png'))) == 2


@pytest.mark.parametrize(
    ('task', 'options', 'key'),
    [
        ('det', ['--eval', 'bbox'], 'coco/bbox_mAP'),
        ('cls', [], 'accuracy/top1'),
        ('seg', [], 'mIoU'),
    ],
)
def test_tta(at_home, tool, tmp_path, task, options, key):
    out = tmp_path / 'predictions.pkl'
    arguments = [f'{task}.py', f'{task}.pth', '--work-dir', str(tmp_path / 'work'), '--tta']
    tool('test')([*arguments, *options, '--out', str(out)])
    assert key in json.loads((tmp_path / 'work/metrics.json').read_text())['metrics']
    assert len(pickle.loads(out.read_bytes())) == 2


def test_tta_uses_the_weights_of_the_checkpoint(at_home, tool, tmp_path):
    """The user's pictures are of one colour: a mirror image makes no difference."""
    scores = []
    for options in ([], ['--tta']):
        out = tmp_path / f'{len(options)}.pkl'
        arguments = ['cls.py', 'cls.pth', '--work-dir', str(tmp_path / 'work'), '--out', str(out)]
        tool('test')([*arguments, *options])
        scores.append([sample['pred_score'] for sample in pickle.loads(out.read_bytes())])
    assert_close(scores[1], scores[0], 1e-5)


def test_overwrite_starts_over(at_home, tool, tmp_path):
    work_dir = tmp_path / 'work'
    work_dir.mkdir()
    (work_dir / 'epoch_7.pth').write_text('old')
    (work_dir / 'notes.txt').write_text('mine')
    options = ['--cfg-options', 'train_cfg.max_iters=1', 'default_hooks.checkpoint.interval=1']
    tool('train')(['det.py', '--work-dir', str(work_dir), '--overwrite', *options])
    assert sorted(path.name for path in work_dir.glob('*.pth')) == ['iter_1.pth']
    assert (work_dir / 'notes.txt').read_text() == 'mine'


def test_error_in_one_process_of_two_is_told_once(home, tmp_path):
    done = run_script('dist_train.sh', 'no.py', '2', cwd=home)
    assert done.stderr.splitlines()[-1:] == ["error: config 'no.py' does not exist"]
    assert done.stderr.count('error:') == 1
    assert done.returncode == 2


@pytest.mark.parametrize('name', ['dist_train', 'dist_test', 'slurm_train', 'slurm_test'])
def test_scripts_say_how_to_use_them(name, tmp_path):
    done = run_script(f'{name}.sh', 'one', cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f'error: usage: {name}.sh ')


def test_slurm_runs_the_tool_for_every_gpu(tmp_path):
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    srun.chmod(0o755)
    done = run_script(
        'slurm_test.sh', 'part', 'job', 'my config.py', 'x.pth', '--eval', 'bbox', cwd=tmp_path,
        GPUS='4', SRUN_ARGS='--time 5', PATH=f'{tmp_path}:{os.environ["PATH"]}',
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert {'--ntasks=4', '--ntasks-per-node=4', '--gres=gpu:4', '--time'} <= set(lines)
    assert lines[-6:] == ['my config.py', 'x.pth', '--launcher', 'slurm', '--eval', 'bbox']
