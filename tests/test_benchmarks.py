"""Every benchmark runs, in small, and refuses to time what does not agree."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmoverlock.ops.dispatch import OPERATORS

from .user import ARCH

BENCHMARKS = Path(__file__).parents[1] / 'benchmarks'


def test_benchmark(tmp_path):
    """What a benchmark prints and writes; test_device_check runs the others."""
    environment = {key: value for key, value in os.environ.items() if key != 'TRITON_INTERPRET'}
    command = [sys.executable, BENCHMARKS / 'contmix.py', '--rounds', '1', '--device', 'cpu']
    done = subprocess.run(
        [*command, '--out', tmp_path, '--shape', *'1 2 3 4 8 9 7'.split()],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / 'contmix.json').read_text())
    rivals = {row['rival'] for row in results['rows']}
    assert {'numba', 'reference'} <= rivals
    assert all(row['median_ms'] > 0 and row['peak_mb'] >= 0 for row in results['rows'])
    assert all(row['roofline'] is None or 0 < row['roofline'] < 2 for row in results['rows'])
    assert (tmp_path / 'contmix.png').stat().st_size > 10_000
    for rival in rivals:
        assert rival in done.stdout


def test_triton_static(tmp_path):
    """A sample of the kernels is compiled for a GPU that is not here, and nothing spills."""
    pytest.importorskip('triton')
    environment = {key: value for key, value in os.environ.items() if key != 'TRITON_INTERPRET'}
    file = tmp_path / 'static.json'
    command = [sys.executable, BENCHMARKS / 'triton_static.py', '--sample', '--out', file]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    rows = json.loads(file.read_text())
    assert {row['kernel'] for row in rows} == {
        *('contmix_forward', 'contmix_grad_query', 'contmix_grad_keys', 'contmix_grad_value'),
        *('conv_forward', 'conv_grad_kernels', 'conv_grad_value', 'convolve', 'correlate'),
        *('convolve_branches', 'add_normalized', 'sum_gradient', 'gradients_of_maps'),
        *('convolve_back', 'correlate_branches'),
    }
    assert all(0 < row['registers'] <= 255 and row['spilled'] == 0 for row in rows)
    assert {r['config'] for r in rows if r['matrix']} == {
        r['config'] for r in rows if 'ROWS True' in r['config']
    }, 'rows of a window are for the matrix units'
    # The best tile of each kernel loads its channels by vectors.
    for kernel, most in (('forward', 8), ('grad_query', 16), ('grad_keys', 16), ('grad_value', 16)):
        loads = [sum(r['loads'].values()) for r in rows if r['kernel'] == f'contmix_{kernel}']
        assert min(loads) <= most, kernel


def device_check(folder, *options):
    command = [sys.executable, folder / 'device_check.py', *options]
    return subprocess.run(command, capture_output=True, text=True)


def test_device_check(tmp_path):
    """Every step runs, in small, and what it checks holds on a CPU."""
    for package in ('triton', 'timm', 'mmdet'):
        pytest.importorskip(package)
    done = device_check(BENCHMARKS, '--dry-run', '--out', tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = {one['step']: one for one in json.loads((tmp_path / 'report.json').read_text())}
    assert {one['status'] for one in found.values()} == {'passed'}
    ran = ' '.join(row['backends'] for row in found['operators']['rows'])
    for operator in ('contmix', 'dynamic_conv2d', 'depthwise_conv2d', 'dilated_branches'):
        assert f'{operator}: triton' in ran
    for name, rivals in dict(
        contmix_speed={'numba', 'reference'},
        branches_speed={'numba', 'reference'},
        depthwise_speed={'numba', 'reference', 'chosen'},
        training_speed={'ours', 'reference', '+ channels_last', '(convnext_tiny)'},
        inference_speed={'ours', 'reference', '+ channels_last', '(convnext_tiny)'},
    ).items():
        assert rivals <= {row['rival'] for row in found[name]['rows']}
    assert '| float32 | ' in (tmp_path / 'report.md').read_text()


STEPS_THAT_FAIL = """
import os, time

class Skip(Exception): pass

class Setting:
    def __init__(self, device, tiny): pass
    broken = False
    def prepare(self): pass
    def check_context(self):
        if self.broken:
            os._exit(4)

def tiles(): return {}

def good(setting):
    'Works.'
    yield dict(what='it', ok=True)

def wrong(setting):
    'Is wrong.'
    yield dict(what='it', ok=False)

def raises(setting):
    'Raises.'
    yield dict(what='begun')
    raise ValueError('no such kernel')

def breaks(setting):
    'Breaks what the next steps need.'
    setting.broken = True
    raise RuntimeError('illegal memory access')
    yield

def left_out(setting):
    'Needs something.'
    raise Skip('mmdet is not installed')
    yield

def dies(setting):
    'Takes the process with it.'
    yield dict(what='begun')
    os._exit(7)

def slow(setting):
    'Takes long.'
    if not os.path.exists('quick'):
        time.sleep(60)
    yield dict(what='it')

STEPS = {one.__name__: one for one in (good, wrong, raises, breaks, left_out, dies, slow)}
"""


def test_device_check_goes_on(tmp_path, monkeypatch):
    """After a step that fails, after one that ends the process, and where the time ran out."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(BENCHMARKS / 'device_check.py', tmp_path)
    (tmp_path / 'device.py').write_text(STEPS_THAT_FAIL)
    out = tmp_path / 'out'
    done = device_check(tmp_path, '--out', out, '--minutes', '0.05')
    assert done.returncode == 1, done.stderr

    def found():
        results = json.loads((out / 'report.json').read_text())
        return {one['step']: (one['status'], one.get('error'), len(one['rows'])) for one in results}

    expected = dict(
        good=('passed', None, 1),
        wrong=('failed', None, 1),
        raises=('broken', 'ValueError: no such kernel', 1),
        breaks=('broken', 'RuntimeError: illegal memory access', 0),
        left_out=('skipped', 'mmdet is not installed', 0),
        dies=('broken', 'the process ended with exit code 7', 1),
        slow=('running', None, 0),
    )
    assert found() == expected
    done = device_check(tmp_path, '--out', out, '--minutes', '0.05', '--steps', 'good', 'slow')
    assert done.returncode == 3
    (tmp_path / 'quick').touch()
    done = device_check(tmp_path, '--out', out)
    assert done.returncode == 1 and found() == expected | dict(slow=('passed', None, 1))
    assert '## dies: broken' in (out / 'report.md').read_text()


def test_busy():
    options = ['--arch', 'xxt', '--size', '64', '--rounds', '1']
    command = [sys.executable, BENCHMARKS / 'busy.py', *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ''
    rows = re.findall(r'^(\S.*?) +(\d+) ms +(\d+) ms +[\d.]+$', done.stdout, re.M)
    assert [name for name, *_ in rows][:2] == ["mmoverlock's default", "libgomp's default"]
    assert len(rows) == 4 and all(int(time) > 0 for _, *times in rows for time in times)


@pytest.mark.parametrize('train', [[], ['--train']], ids=['inference', 'training'])
def test_checkouts(train, tmp_path):
    def run(checkout):
        options = ['--arch', 'xxt', '--size', '32,32,2', '--rounds', '2', '--starts', '1', *train]
        command = [sys.executable, BENCHMARKS / 'checkouts.py', checkout, *options]
        return subprocess.run(command, capture_output=True, text=True)

    done = run(BENCHMARKS.parent)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r'([\d.]+ → [\d.]+ ms: [\d.]+\n)median [\d.]+, .+\n', done.stdout)
    wrong = run(tmp_path)
    assert wrong.returncode == 2
    assert wrong.stderr.endswith(f"error: '{tmp_path}' is no checkout of mmoverlock\n")


def test_ablation_adds_and_removes_every_operator(monkeypatch, capsys, tmp_path):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import model

    flags = '--ablate --arch xxt --sizes 64,64,1 --train 64,64,2 --rounds 1 --device cpu --out'
    model.main([*flags.split(), str(tmp_path)])
    assert {path.suffix for path in tmp_path.iterdir()} == {'.json', '.png'}
    printed = capsys.readouterr().out
    for name in OPERATORS.keys() - {'dynamic_conv2d', 'depthwise_conv2d_backward'}:
        for row in (f'+ {name}', f'- {name}'):
            assert len(re.findall(rf'^{re.escape(row)} ', printed, re.M)) == 2, row


def test_what_does_not_agree_is_not_timed(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from common import agree

    x = torch.ones(3)
    agree({'base': lambda: [x], 'same': lambda: [x + 1e-6]}, 'base', torch.float32)
    for wrong in (x + 1e-3, x * float('nan')):
        with pytest.raises(SystemExit, match='wrong does not agree with base'):
            agree({'base': lambda: [x], 'wrong': lambda w=wrong: [w]}, 'base', torch.float32)


def test_alignment(tmp_path):
    """The backends learn the same, at least for four steps."""
    config = tmp_path / 'few.py'
    config.write_text(
        f"_base_ = '{BENCHMARKS.parent}/configs/quickstart/overlock-xxt_digits.py'\n"
        f'arch = {ARCH.replace("dict(", "dict(_delete_=True,")}\n'
        'model = dict(backbone=dict(arch=arch), head=dict(arch=arch))\n'
        'train_dataloader = dict(dataset=dict(indices=256))\n'
        'val_dataloader = dict(dataset=dict(indices=8))\n'
    )
    command = [sys.executable, BENCHMARKS / 'alignment.py', '--config', config, '--epochs', '1']
    done = subprocess.run([*command, '--out', tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    row, again = json.loads((tmp_path / 'alignment.json').read_text())
    assert row['backend'] == 'numba' and row['steps'] == 4
    assert again['backend'] == 'reference-1-thread'
    assert row['first_step'] < 1e-5 and row['largest'] < 1e-3
    assert (tmp_path / 'alignment.png').stat().st_size > 10_000
