"""The tools as a user runs them: training and resuming in two processes, testing, all metrics."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from pycocotools import mask

from mmoverlock.visualization.curves import read_points

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


def test_two_processes_write_what_one_writes(at_home, tool, tmp_path):
    """The figures of each class, the predictions, and those of a low score as annotations."""
    cfg = Config.fromfile('det.py')
    cfg.test_dataloader.batch_size = 1  # of two pictures
    cfg.dump(tmp_path / 'det.py')
    arguments = [str(tmp_path / 'det.py'), 'det.pth', '--classwise', '--eval', 'bbox', 'mAP']
    written = []
    for processes in (1, 2):
        out = tmp_path / str(processes)
        out.mkdir()
        options = [
            *['--out', str(out / 'all.json'), '--pseudo-labels', str(out / 'labels.json')],
            *['--score-thr', '0.15', '--work-dir', str(out)],
        ]
        if processes == 1:
            tool('test')([*arguments, *options])
        else:
            done = run_script(
                'dist_test.sh', *arguments[:2], '2', *arguments[2:], *options, cwd=at_home
            )
            assert done.returncode == 0, done.stderr[-2000:]
        names = ('metrics.json', 'all.json', 'labels.json')
        written.append([json.loads((out / name).read_text()) for name in names])
    for result, found, labels in written:
        assert len(result['classes']) == 10
        assert result['classes'][0].keys() == {'class', 'bbox_AP', 'AP50'}
        assert {'coco/bbox_mAP', 'pascal_voc/mAP'} <= result['metrics'].keys()
        assert not any(key.endswith('_precision') for key in result['metrics'])
        assert [image['file_name'] for image in labels['images']] == ['000000.png', '000001.png']
        sure = [
            one['score'] for one in found
            if one['score'] >= 0.15 and min(mask.area(one['segmentation']), *one['bbox'][2:]) >= 1
        ]  # fmt: skip
        assert [one['score'] for one in labels['annotations']] == sure
    for one, two in zip(*written, strict=True):
        assert close(one) == two


def close(value):
    """To be compared: the same, but for rounding."""
    if isinstance(value, dict):
        return {key: close(part) for key, part in value.items()}
    if isinstance(value, list):
        return [close(part) for part in value]
    return pytest.approx(value, abs=1e-3) if isinstance(value, float) else value


def test_classes_are_printed_if_the_config_says_so(at_home, tool, tmp_path, capfd):
    options = ['test_evaluator.classwise=True', 'test_evaluator.metric=segm']
    tool('test')(['det.py', 'det.pth', '--work-dir', str(tmp_path), '--cfg-options', *options])
    result = json.loads((tmp_path / 'metrics.json').read_text())
    assert 'coco/3_precision' in result['metrics']  # as in mmdet
    assert [row['class'] for row in result['classes']] == list('0123456789')
    printed = capfd.readouterr()
    assert '  class  segm_AP\n  0       0.0000\n' in printed.out + printed.err


def test_label_maps_of_a_segmentor(at_home, tool, tmp_path):
    options = ['--pseudo-labels', str(tmp_path / 'labels'), '--work-dir', str(tmp_path)]
    tool('test')(['seg.py', 'seg.pth', *options, '--out', str(tmp_path / 'all.pkl'), '--classwise'])
    for sample in pickle.loads((tmp_path / 'all.pkl').read_bytes()):
        stored = Image.open(tmp_path / 'labels' / Path(sample['img_path']).name)
        assert np.array_equal(stored, sample['pred_sem_seg']['data'][0])
    (row, *_) = json.loads((tmp_path / 'metrics.json').read_text())['classes']
    assert row.keys() == {'class', 'IoU', 'Acc'} and row['class'] == '_'


def test_training_may_validate_class_by_class(at_home, tool, tmp_path):
    """Curves and the best checkpoint are those of the whole."""
    options = ['val_evaluator.classwise=True', 'train_cfg.val_interval=1']
    options += ['default_hooks.checkpoint.save_best=coco/bbox_mAP']
    options += ['visualizer.name=class_by_class']  # of one name, a process has one
    tool('train')(['det.py', '--work-dir', str(tmp_path), '--cfg-options', *options])
    assert len(list(tmp_path.glob('best_coco_bbox_mAP_iter_*.pth'))) == 1
    (scalars,) = tmp_path.glob('*/vis_data/scalars.json')
    assert 'coco/3_precision' in scalars.read_text()
    _, evaluated = read_points(tmp_path)
    assert evaluated.keys() == {'coco/bbox_mAP', 'coco/segm_mAP'}


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
