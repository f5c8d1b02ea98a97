"""The Jittor port agrees with PyTorch where Jittor is there; the rest of the experiment runs here."""

from __future__ import annotations

import csv
import ctypes
import glob
import importlib
import re
import runpy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mmoverlock.models import load_official
from mmoverlock.models.overlock import arch

from ..testing import assert_close, draw, golden_arrays, golden_json, golden_state_dict

PROJECT = Path(__file__).parents[2] / 'projects/jittor_overlock'
CPU = dict(use_mkl='0', nvcc_path='', log_silent='1')  # of Jittor


@pytest.fixture
def project(monkeypatch):
    """Imports a module of the project by its name."""
    monkeypatch.syspath_prepend(PROJECT)
    return importlib.import_module


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a program of the project in this process; returns what it prints."""
    monkeypatch.syspath_prepend(PROJECT)
    monkeypatch.setenv('MMOVERLOCK_BACKEND', 'reference')

    def call(program: str, *args) -> str:
        monkeypatch.setattr(sys, 'argv', [program, *map(str, args)])
        runpy.run_path(PROJECT / program, run_name='__main__')
        return capsys.readouterr().out

    return call


# ------------------------------------------------------------------------------- with Jittor


def interpreter() -> Path:
    own = PROJECT / '.venv/bin/python'
    if find_spec('jittor'):
        return Path(sys.executable)
    if not own.is_file():
        pytest.skip('Jittor is not installed; projects/jittor_overlock/run.sh installs it')
    return own


def in_jittor(folder: Path, monkeypatch) -> subprocess.CompletedProcess:
    for name, value in CPU.items():
        monkeypatch.setenv(name, value)
    command = [interpreter(), PROJECT / 'parity.py', folder]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def weights(tmp_path, project) -> Path:
    """The golden network's, under our names."""
    interpreter()
    reference = project('parity_reference')
    model = reference.Classifier(reference.CLASSES)
    load_official(model, golden_state_dict('cls/xxt'))
    state = {name: x.contiguous() for name, x in model.state_dict().items()}
    save_file(state, tmp_path / reference.WEIGHTS)
    return tmp_path / reference.WEIGHTS


def test_every_gradient_equals_pytorch(weights, project, monkeypatch):
    project('parity_reference').write(weights.parent)
    done = in_jittor(weights.parent, monkeypatch)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count('\n') == 8


def test_golden_numbers(weights, project, monkeypatch):
    """The published networks' logits and gradients, and NATTEN's of the operator alone."""
    reference, folder = project('parity_reference'), weights.parent
    images = {'64x64': draw(0, 2, 3, 64, 64), '72x104': draw(1, 1, 3, 72, 104)}
    for name, image in images.items():
        reference.in_both(reference.evaluated, folder / f'{name}.npz', weights, image=image)
    inputs = dict(image=draw(3, 2, 3, 64, 64), grad_main=draw(4, 2, 20), grad_aux=draw(5, 2, 20))
    reference.in_both(reference.trained, folder / 'train.npz', weights, **inputs)
    operators = [golden_arrays(f'dynamic_conv_{i}') for i in range(3)]
    for i, golden in enumerate(operators):
        batch, groups, channels, height, width, size = golden['shape']
        rng, maps = np.random.default_rng(100 + i), (batch, groups, height, width)
        logits, value, grad = (
            rng.standard_normal((*maps, last)) for last in (size**2, channels, channels)
        )
        kernels = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        case = {'in/kernels': kernels, 'in/value': value, 'in/grad': grad}
        case = {name: x.astype(np.float32) for name, x in case.items()}
        known = {'out/out': golden['out'], 'out/grad value': golden['grad_value']}
        unknown = {'out/grad kernels': np.zeros_like(case['in/kernels'])}
        np.savez(folder / f'operator{i}.npz', pytorch_error=0, **case, **known, **unknown)

    in_jittor(folder, monkeypatch)  # whose comparison knows no gradient of the kernels

    results = {file.stem: dict(np.load(file)) for file in folder.glob('jittor/*.npz')}
    for i, golden in enumerate(operators):
        found = results[f'operator{i}']
        assert_close(found['out'], golden['out'], 1e-5)
        assert_close(found['grad value'], golden['grad_value'], 1e-5)
        assert_close(found['grad kernels'][..., ::3], golden['grad_attn'], 1e-5)
    for name in images:
        assert_close(results[name]['main'], golden_arrays(f'cls_xxt_{name}')['logits'], 1e-4)
    found, golden = results['train'], golden_arrays('cls_xxt_train_64x64')
    assert_close(found['main'], golden['main'], 1e-4)
    assert_close(found['aux'], golden['aux'], 1e-4)
    assert_close(found['grad image'][:, :, ::8, ::8], golden['input_grad'], 1e-4)
    norms = sorted(golden_json('cls_xxt_train_grad_norms').values())
    names = [name for name in found if name.startswith('grad ') and name != 'grad image']
    ours = sorted(np.linalg.norm(found[name].astype(np.float64)) for name in names)
    assert len(ours) == len(norms)
    # In theory, 61 are zero.
    assert max(ours[:61]) < 1e-6 * norms[-1]
    np.testing.assert_allclose(ours[61:], norms[61:], rtol=1e-4)


# ------------------------------------------------------------------------------- without


def test_sizes_are_those_of_mmoverlock(project):
    sizes = project('jittor_overlock.sizes') if find_spec('jittor') else _by_path('sizes')
    columns = list(vars(arch.ARCHS['xxt']))
    for name, ours in arch.ARCHS.items():
        theirs = sizes.ARCHS[name]
        assert {c: getattr(theirs, c) for c in columns} == vars(ours)
        assert theirs.ctx_dim == ours.ctx_dim
    used = {size for one in sizes.ARCHS.values() for size in one.kernel_size}
    assert {size: arch.DILATED_BRANCHES[size] for size in used} == sizes.DILATED_BRANCHES


def _by_path(name: str):
    """A module of the port that needs no Jittor, without the package, which does."""
    path = PROJECT / f'jittor_overlock/{name}.py'
    spec = importlib.util.spec_from_file_location(f'_port_{name}', path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_operator_compiles_for_cuda():
    """By NVRTC, which comes with PyTorch for CUDA and needs no GPU. Nothing runs."""
    found = glob.glob(f'{Path(torch.__file__).parents[1]}/nvidia/cu*/lib/libnvrtc.so.*')
    if not found:
        pytest.skip('no NVRTC: this PyTorch is not for CUDA')
    nvrtc = ctypes.CDLL(found[0])
    headers = PROJECT / 'jittor_overlock/ops'
    text = '#define GPU\n'
    text += ''.join((headers / name).read_text() for name in ('pixels.h', 'dynamic_conv2d.h'))
    for task in ('Forward', 'GradKernels', 'GradValue'):
        for form in ('<5, 16>', '<13, 24>'):
            kind = task + form
            text += f'template __global__ void run_part<{kind}>({kind}, int, int, int);\n'
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b'op.cu', 0, None, None)
    target = (ctypes.c_char_p * 1)(b'--gpu-architecture=sm_80')
    failed = nvrtc.nvrtcCompileProgram(program, 1, target)
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    assert not failed, log.value.decode()
    nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size))
    assert size.value > 1000


def small_data(project, mirrored: bool = True):
    data = project('experiment.data')
    rng = np.random.default_rng(0)
    splits = [
        data.Split(rng.integers(0, 256, (n, 32, 40, 3), np.uint8), rng.integers(0, 6, n))
        for n in (10, 7)
    ]
    half = np.full(3, 127.5, np.float32)
    return data.Data(*splits, [f'class {i}' for i in range(6)], half, half, mirrored)


def test_batches_depend_on_seed_and_epoch_alone(project):
    data = small_data(project)
    batches = [*data.training_batches(3, 1, 4)]
    assert [x.shape for x, _ in batches] == [(4, 3, 32, 40)] * 2
    assert batches[0][0].dtype == np.float32
    for (x, y), (again, labels) in zip(batches, data.training_batches(3, 1, 4), strict=True):
        assert (x == again).all() and (y == labels).all()
    for other in ((4, 1), (3, 2)):
        assert any((y != z).any() for (_, y), (_, z) in zip(batches, data.training_batches(*other, 4), strict=True))  # fmt: skip
    every = [y for _, y in data.validation_batches(4)]
    assert [len(y) for y in every] == [4, 3]
    assert (np.concatenate(every) == data.val.labels).all()


def test_shifted_pictures_are_crops(project):
    module, rng = project('experiment.data'), np.random.default_rng(0)
    images = np.arange(2 * 16 * 16).reshape(2, 16, 16, 1).repeat(3, -1)
    moved = module.shifted(images, rng)
    assert moved.shape == images.shape
    for one, now in zip(images, moved, strict=True):
        wide = np.pad(one, ((2, 2), (2, 2), (0, 0)), mode='reflect')
        crops = [wide[i : i + 16, j : j + 16] for i in range(5) for j in range(5)]
        assert sum((crop == now).all() for crop in crops) == 1


def test_errors_of_zero_gradients_are_relative_to_the_largest(project):
    largest_error = project('experiment.errors').largest_error
    expected = {'main': np.array([2.0]), 'grad a': np.array([10.0]), 'grad b': np.array([1e-16])}
    results = dict(expected, **{'grad b': np.array([1e-4]), 'main': np.array([2.0001])})
    error, name = largest_error(results, expected)
    assert name == 'main' and error == pytest.approx(5e-5)
    with pytest.raises(ValueError, match='not in both'):
        largest_error({'main': np.zeros(1)}, expected)
    with pytest.raises(ValueError, match='main is'):
        largest_error(dict(results, main=np.zeros(2)), expected)


def test_the_experiment(project, run, tmp_path):
    """Every program, on PyTorch's side: the same start gives the same losses, and the pictures."""
    small = small_data(project)
    file = tmp_path / 'small.npz'
    project('experiment.data').save(small, file)
    common = '--data', file, '--batch', 4, '--epochs', 2, '--lr', 1e-3
    run('train.py', 'pytorch', '--out', tmp_path / 'a', *common)
    start = '--weights', tmp_path / 'a/initial.safetensors'
    run('train.py', 'pytorch', '--out', tmp_path / 'b', *start, *common)
    logs = [[*csv.DictReader(open(tmp_path / name / 'log.csv'))] for name in 'ab']
    run('train.py', 'pytorch', '--float64', '--out', tmp_path / 'exact', *start, *common)
    columns = 'epoch train_loss train_loss_aux epoch_time val_loss acc_top1 acc_top5'
    for rows in logs:
        assert [*rows[0]] == columns.split()
        assert [row['epoch'] for row in rows] == ['1', '2']
        assert all(0 <= float(row['acc_top1']) <= float(row['acc_top5']) <= 100 for row in rows)
    assert [row['val_loss'] for row in logs[0]] == [row['val_loss'] for row in logs[1]]

    for program in ('erf.py', 'gradcam.py'):
        run(program, 'pytorch', tmp_path / 'a', '--data', file)
    fields = np.load(tmp_path / 'a/erf.npz')
    assert [fields[name].shape for name in fields] == [(32, 40)] * 4
    assert all((fields[name] >= 0).all() and fields[name].max() > 0 for name in fields)
    # Stage 1 looks at the pixels around the centre, stage 4 at all of them.
    near = {name: fields[name][8:24, 12:28].sum() / fields[name].sum() for name in fields}
    assert near['stage 1'] > 0.8 > 0.5 > near['stage 4']
    cams = np.load(tmp_path / 'a/gradcam.npz')
    assert cams['maps'].shape == (8, 2, 3) and (cams['maps'] >= 0).all()

    run('plot.py', tmp_path / 'a', tmp_path / 'b', '--data', file, '--out', tmp_path / 'drawn')
    drawn = sorted(path.name for path in (tmp_path / 'drawn').iterdir())
    assert drawn == ['curves.png', 'erf.png', 'gradcam.png']
    table = run('compare.py', *(tmp_path / name for name in ('a', 'b', 'exact')))
    assert '| b | 0.0e+00 | 0 | 0 |' in table
    first = float(re.search(r'\| exact \| (\S+)', table)[1])
    assert 0 < first < 1e-6


@pytest.mark.parametrize(
    ('program', 'args', 'wrong'),
    [
        ('train.py', 'tensorflow --data {data} --out {new}', "'tensorflow'"),
        ('train.py', 'pytorch --data {new} --out {new}', 'no such file'),
        ('train.py', 'pytorch --data {data} --out {new} --epochs 0', '--epochs 0'),
        ('train.py', 'pytorch --data {data} --out {new} --batch 11', '--batch 11: there are 10'),
        ('train.py', 'pytorch --data {data} --out {run}', 'it holds a run'),
        ('train.py', 'jittor --data {data} --out {new} --float64', '--float64: only pytorch'),
        ('erf.py', 'pytorch {new} --data {data}', 'no such file'),
        ('plot.py', '{new} --data {data} --out {new}', 'no such file'),
        ('compare.py', '{new}', 'it holds no steps.csv'),
        ('prepare.py', 'tiny-imagenet --out {new}', 'needs --root'),
        ('prepare.py', 'tiny-imagenet --root {new} --out {new}', 'list of classes'),
    ],
)
def test_wrong_arguments(project, run, tmp_path, capsys, program, args, wrong):
    places = dict(data=tmp_path / 'small.npz', new=tmp_path / 'new', run=tmp_path / 'run')
    project('experiment.data').save(small_data(project), places['data'])
    places['run'].mkdir()
    (places['run'] / 'log.csv').touch()
    with pytest.raises(SystemExit) as stop:
        run(program, *args.format(**places).split())
    assert stop.value.code == 2
    assert wrong in capsys.readouterr().err.splitlines()[-1]
    assert not places['new'].exists()
