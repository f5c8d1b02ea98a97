"""`mmoverlock doctor`: each problem has its line and the command that heals it."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmoverlock.checks.installation import examination, imports, machine, packages, probing, running
from mmoverlock.checks.installation.findings import Finding, exit_code, report, without_home
from mmoverlock.checks.installation.probing import Result
from mmoverlock.cli import doctor

ROOT = Path(__file__).parents[2]
HEALTHY = {package.name: [package.low or '1.0'] for package in packages.PACKAGES} | {
    'torch': ['2.11.0'], 'torchvision': ['0.26.0'], 'triton': ['3.6.0']
}  # fmt: skip
TORCH = dict(cuda=None, hip=None, threads=2, capability='AVX2', devices=[])
WORKING = {
    'torch': Result(TORCH),
    'torchvision': Result({}),
    'mmcv': Result(dict(compiled=False, hooked=True)),
    'mmoverlock': Result(dict(version='1', limited='1000')),
    'operators': Result(dict(operators={'contmix': dict(backends=['numba'], reasons={'natten': 'it has no contmix'})})),
    'speed': Result(dict(auto=0.1, reference=3.0, network=0.1, device='cpu', size=224)),
}  # fmt: skip


def only(findings, topic: str) -> Finding:
    (one,) = (one for one in findings if one.topic == topic and one.level != 'ok')
    return one


@pytest.fixture(autouse=True)
def pair(monkeypatch):
    monkeypatch.setattr(packages.metadata, 'requires', lambda name: ['numpy', 'torch==2.11.0'])


def test_the_table_of_packages_is_that_of_the_requirements():
    wanted = {}
    for path in (ROOT / 'requirements').glob('*.txt'):
        if path.stem in ('constraints', 'tests', 'docs'):
            continue
        for line in path.read_text().splitlines():
            match = re.match(r'([\w.-]+)(?:\[.*?\])?\s*([<>=\d.,]*)', line)
            wanted[match[1]] = match[2]
    for package in packages.PACKAGES:
        bounds = [f'>={package.low}'] * bool(package.low) + [f'<{package.high}'] * bool(
            package.high
        )
        assert wanted[package.name] == ','.join(bounds)


def test_a_healthy_list_of_packages():
    assert [one for one in packages.check_packages(HEALTHY) if one.level != 'ok'] == []


@pytest.mark.parametrize(
    ('change', 'topic', 'level', 'text', 'remedy'),
    [
        ({'torch': []}, 'torch', 'error', 'not installed', 'pip install "torch>=2.6"'),
        ({'torch': ['2.5.1']}, 'torch', 'error', '2.5.1: >=2.6 is needed', 'pip install "torch>=2.6"'),
        ({'onedl-mmdetection': []}, 'onedl-mmdetection', 'error', 'not installed', 'pip install "onedl-mmdetection>=3.5.1"'),
        ({'numba': []}, 'numba', 'warning', 'not installed (for the fast kernels on a CPU)', 'pip install "numba>=0.68,<0.69"'),
        ({'numba': ['0.61.2']}, 'numba', 'warning', '0.61.2: >=0.68,<0.69 is needed', 'pip install "numba>=0.68,<0.69"'),
        ({'numba': ['0.70.0']}, 'numba', 'warning', '0.70.0: >=0.68,<0.69 is needed', 'pip install "numba>=0.68,<0.69"'),
        ({'gradio': ['3.18']}, 'gradio', 'note', '>=6 is needed', 'pip install "gradio>=6"'),
        ({'mmcv': ['2.1.0']}, 'onedl-mmcv', 'error', '2.3.6 and mmcv 2.1.0', 'pip uninstall -y mmcv onedl-mmcv && pip install "onedl-mmcv>=2.3.6"'),
        ({'onedl-mmdetection': [], 'mmdet': ['3.3.0']}, 'onedl-mmdetection', 'warning', 'the original mmdet 3.3.0', 'pip uninstall -y mmdet && pip install "onedl-mmdetection>=3.5.1"'),
        ({'mmcv-full': ['1.7.2']}, 'mmcv', 'warning', 'overwrites', 'pip uninstall -y mmcv-full && '),
        ({'numba': ['0.68.1', '0.60.0']}, 'numba', 'warning', 'in two folders', 'pip uninstall -y numba && '),
        ({'torch': ['2.8.0']}, 'torchvision', 'error', 'was built for PyTorch 2.11.0, not 2.8.0', 'pip install --force-reinstall torch==2.8.0 torchvision'),
        ({'torch': ['2.11.0+cu128'], 'torchvision': ['0.26.0+cpu']}, 'torchvision', 'error', 'for cpu, PyTorch for cu128', 'pip install --force-reinstall torch==2.11.0+cu128 torchvision'),
    ],
)  # fmt: skip
def test_problems_of_packages(change, topic, level, text, remedy):
    found = {name: versions for name, versions in (HEALTHY | change).items() if versions}
    one = only(packages.check_packages(found), topic)
    assert one.level == level and text in one.text and one.remedy.startswith(remedy)


def test_pairs_by_number_if_the_metadata_says_nothing(monkeypatch):
    monkeypatch.setattr(packages.metadata, 'requires', lambda name: None)
    assert not list(packages._check_pair(HEALTHY))
    assert list(packages._check_pair(HEALTHY | {'torchvision': ['0.24.0']}))


@pytest.mark.parametrize(
    ('name', 'error', 'level', 'text', 'remedy'),
    [
        ('torch', 'OSError: libcudart.so.12: cannot open', 'error', 'cannot be imported: OSError', 'pip install --force-reinstall --no-deps torch==2.11.0'),
        ('torchvision', 'RuntimeError: operator torchvision::nms does not exist', 'error', 'does not fit PyTorch 2.11.0', 'pip install --force-reinstall torch==2.11.0 torchvision'),
        ('mmcv', 'ImportError: mmcv/_ext.so: undefined symbol', 'error', 'compiled operators do not fit PyTorch', 'pip uninstall -y mmcv onedl-mmcv && '),
        ('mmdet', 'AssertionError: MMCV==1.7 is used but incompatible', 'error', 'cannot be imported', 'pip install "onedl-mmcv>=2.3.6" && '),
        ('numba', 'the process was ended by SIGSEGV', 'warning', 'SIGSEGV', 'pip install --force-reinstall --no-deps numba==0.68'),
        ('timm', 'ImportError: x', 'note', 'cannot be imported', 'pip install --force-reinstall --no-deps timm==1.0'),
    ],
)  # fmt: skip
def test_problems_of_imports(name, error, level, text, remedy):
    results = WORKING | {name: Result({}, error)}
    results = {key: one for key, one in results.items() if key in imports.MODULES}
    one = only(imports.check_imports(results, HEALTHY), name)
    assert one.level == level and text in one.text and one.remedy.startswith(remedy)


def test_what_needs_a_missing_package_is_not_tried():
    assert imports.steps(HEALTHY) == [*imports.MODULES][:-1]  # without natten
    lacking = {name: one for name, one in HEALTHY.items() if name != 'torch'}
    assert imports.steps(lacking) == ['numba', 'pycocotools']
    lacking = {name: one for name, one in HEALTHY.items() if name != 'onedl-mmcv'}
    assert not {'mmcv', 'mmdet'} & {*imports.steps(lacking)}


def test_what_fails_because_another_does_is_not_told():
    results = {
        name: Result({}, 'ImportError: x') for name in ('torch', 'torchvision', 'mmengine', 'mmdet')
    }
    found = [one.topic for one in imports.check_imports(results, HEALTHY) if one.level == 'error']
    assert found == ['torch', 'mmdet']  # mmcv, which the latter needs, was not tried


def test_a_gpu_that_pytorch_does_not_use(monkeypatch):
    monkeypatch.setattr(imports, 'has_gpu', lambda: True)
    one = only(imports.check_imports({'torch': Result(TORCH)}, HEALTHY), 'device')
    assert 'built for CPUs' in one.text and one.remedy.startswith('pip install --force-reinstall')
    built = {'torch': Result(TORCH | dict(cuda='12.8'))}
    assert only(imports.check_imports(built, HEALTHY), 'device').remedy.startswith('nvidia-smi')


@pytest.mark.parametrize(
    ('environment', 'cores', 'topic', 'remedy'),
    [
        ({'OMP_NUM_THREADS': '1'}, (8, 8, None), 'OMP_NUM_THREADS', 'export OMP_NUM_THREADS=8'),
        ({'OMP_NUM_THREADS': '8'}, (8, 2, None), 'OMP_NUM_THREADS', 'export OMP_NUM_THREADS=2'),
        ({}, (64, 64, 1.5), 'OMP_NUM_THREADS', 'export OMP_NUM_THREADS=2'),
        ({'OMP_WAIT_POLICY': 'active'}, (2, 2, None), 'OMP_WAIT_POLICY', 'unset OMP_WAIT_POLICY'),
    ],
)
def test_problems_of_threads(monkeypatch, environment, cores, topic, remedy):
    for name in ('OMP_NUM_THREADS', 'OMP_WAIT_POLICY', 'GOMP_SPINCOUNT'):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(machine, 'cores', lambda: cores)
    monkeypatch.setattr(machine.os, 'getloadavg', lambda: (0.5, 0, 0))
    assert only(machine.check_threads(), topic).remedy == remedy


def test_a_busy_machine(monkeypatch):
    monkeypatch.setattr(machine.os, 'getloadavg', lambda: (1000.0, 0, 0))
    assert only(machine.check_threads(), 'load').level == 'warning'


@pytest.mark.parametrize(
    ('text', 'quota'), [('150000 100000', 1.5), ('max 100000', None), ('', None)]
)
def test_limits_of_a_container(monkeypatch, tmp_path, text, quota):
    (tmp_path / 'cpu.max').write_text(text)
    monkeypatch.setattr(machine, '_QUOTA', tmp_path / 'cpu.max')
    monkeypatch.setattr(machine, '_QUOTA_1', tmp_path)
    assert machine.cores()[2] == quota


@pytest.mark.parametrize(('free', 'level'), [(64 << 20, 'warning'), (8 << 20, 'error')])
def test_little_room(monkeypatch, tmp_path, free, level):
    usage = SimpleNamespace(free=free, total=64 << 20)
    monkeypatch.setattr(machine.shutil, 'disk_usage', lambda path: usage)
    monkeypatch.setattr(machine, 'SHARED', tmp_path)
    findings = list(machine.check_room())
    shared = only(findings, 'shared memory')
    assert shared.level == level and 'docker run --shm-size=8g' in shared.remedy
    assert only(findings, 'disk').level == 'error'


def test_folders_that_cannot_be_written(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, '_is_writable', lambda folder: False)
    remedies = {one.topic: one.remedy for one in machine.check_folders(tmp_path)}
    assert remedies['numba cache'].startswith('export NUMBA_CACHE_DIR=')
    assert remedies['downloads'].startswith('export TORCH_HOME=')
    assert '--work-dir' in remedies['work_dirs']
    monkeypatch.undo()
    (tmp_path / 'file').write_text('')
    assert machine._is_writable(tmp_path / 'new' / 'folder')
    assert not machine._is_writable(Path('/proc/none'))


@pytest.mark.parametrize(
    ('change', 'topic', 'level', 'remedy'),
    [
        ({'mmoverlock': Result({}, 'ImportError: no')}, 'mmoverlock', 'error', "pip install --upgrade 'mmoverlock[all]'"),
        ({'operators': Result({}, "ValueError: unknown backend 'fast'")}, 'operators', 'error', 'unset MMOVERLOCK_BACKEND'),
        ({'operators': Result(dict(operators={'contmix': dict(backends=['reference'], reasons={'numba': 'numba is not installed: pip install "numba>=0.68,<0.69"'})}))}, 'contmix', 'warning', 'pip install "numba>=0.68,<0.69"'),
        ({'operators': Result(dict(operators={'contmix': dict(backends=['reference'], reasons={'numba': 'reference was asked for'})}))}, 'contmix', 'warning', 'unset MMOVERLOCK_BACKEND'),
        ({'speed': Result(dict(auto=0.3, reference=0.3, network=0.1, device='cpu', size=224))}, 'speed', 'warning', 'top '),
        ({'speed': Result({}, 'the process was ended by SIGKILL')}, 'speed', 'warning', 'mmoverlock doctor'),
    ],
)  # fmt: skip
def test_problems_of_running(change, topic, level, remedy):
    one = only(running.check_running(WORKING | change), topic)
    assert one.level == level and one.remedy.startswith(remedy)


def test_processes_that_end_are_survived(monkeypatch, tmp_path):
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    (tmp_path / 'crashing.py').write_text('import os, signal; os.kill(os.getpid(), signal.SIGSEGV)')
    (tmp_path / 'quitting.py').write_text('import os; os._exit(3)')
    (tmp_path / 'failing.py').write_text('print("noise")\nraise OSError("two\\nlines")')
    (tmp_path / 'working.py').write_text('__version__ = "1.2"')
    results = probing.run(['crashing', 'failing', 'quitting', 'working', 'nowhere'])
    assert results['crashing'].error == 'the process was ended by SIGSEGV'
    assert results['failing'].error == 'OSError: two lines'
    assert results['quitting'].error == 'the process ended with code 3'
    assert results['working'] == Result(dict(version='1.2'))
    assert results['nowhere'].error.startswith('ModuleNotFoundError')


def test_a_probe_that_hangs(monkeypatch, tmp_path):
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    (tmp_path / 'hanging.py').write_text('import time; time.sleep(60)')
    assert probing.run(['hanging'], timeout=2)['hanging'].error == 'no end after 2 seconds'


@pytest.mark.parametrize('broken', [True, False])
def test_exit_code_and_report(monkeypatch, capsys, broken):
    found = HEALTHY | ({'mmdet': ['3.3.0']} if broken else {})
    monkeypatch.setattr(packages, 'installed', lambda: found)
    monkeypatch.setattr(
        probing, 'run', lambda steps: {name: WORKING[name] for name in steps if name in WORKING}
    )
    with pytest.raises(SystemExit) as stop:
        doctor.main([], 'mmoverlock doctor')
    output = capsys.readouterr().out
    if not broken:
        findings = [one for _, part in examination.examine() for one in part]
        machine_only = [one for one in findings if one.level == 'error']
        assert [
            one.topic for one in machine_only if one.topic not in ('disk', 'shared memory')
        ] == []
        assert stop.value.code == exit_code(findings)
        assert 'numba; not natten: it has no contmix' in output
        return
    assert stop.value.code == 1
    assert 'error   onedl-mmdetection' in output and 'not tried' in output
    assert '-> pip uninstall -y mmdet onedl-mmdetection' in output


def test_home_is_not_in_the_report(monkeypatch):
    monkeypatch.setenv('HOME', '/home/somebody')
    text = report([('A', [Finding('numba cache', '/home/somebody/.cache/numba')])])
    assert (
        'somebody' not in text and '~/.cache/numba' in text and 'All that is needed works.' in text
    )
    monkeypatch.setenv('HOME', '/')
    assert without_home('/tmp') == '/tmp'


# A folder of its own for each broken package, found before the real one.
BROKEN = {
    'torch': 'raise OSError("libtorch_cpu.so: cannot open shared object file")',
    'mmengine': 'raise SystemError("broken")',
}


@pytest.mark.parametrize('name', BROKEN)
def test_the_doctor_starts_where_nothing_else_does(tmp_path, name):
    (tmp_path / f'{name}.py').write_text(BROKEN[name])
    environment = os.environ | {'PYTHONPATH': str(tmp_path)}
    train = [sys.executable, ROOT / 'tools' / 'train.py', 'x.py']
    done = subprocess.run(train, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    command = [sys.executable, ROOT / 'tools' / 'doctor.py']
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr == ''
    assert re.search(rf'error   {name} +cannot be imported: (OS|System)Error', done.stdout)
    assert '-> pip install --force-reinstall --no-deps ' in done.stdout


def test_without_any_package_and_by_the_console_command(tmp_path):
    """As in a new virtual environment: -S leaves out site-packages."""
    program = tmp_path / 'mmoverlock'
    program.write_text(
        f'import sys\nsys.path.append({str(ROOT)!r})\nfrom mmoverlock.cli.main import main\nmain()\n'
    )
    environment = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    command = [sys.executable, '-S', program, 'doctor']
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr == ''
    assert '-> pip install "torch>=2.6"' in done.stdout
    assert '-> pip install "onedl-mmdetection>=3.5.1"' in done.stdout
