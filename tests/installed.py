"""mmoverlock as pip installs it: a wheel, and light environments."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGED = (
    'mmoverlock mmoverlock_import_hook.py configs tools requirements setup.py pyproject.toml '
    'MANIFEST.in model-index.yml README.md CHANGELOG.md LICENSE'
).split()
PIP = '-m', 'pip', '--disable-pip-version-check'


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a command, fail with its output, return what it printed."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'WARNING' not in done.stderr, done.stderr
    return done.stdout


def copy_sources(target: Path) -> Path:
    """Copy what a release needs, so that a build leaves nothing in the sources."""
    target.mkdir()
    for name in PACKAGED:
        if (ROOT / name).is_dir():
            skip = shutil.ignore_patterns('__pycache__', '.mim')
            shutil.copytree(ROOT / name, target / name, ignore=skip)
        else:
            shutil.copy(ROOT / name, target / name)
    return target


@pytest.fixture(scope='session')
def wheel(tmp_path_factory) -> Path:
    """A wheel built from an sdist."""
    out = tmp_path_factory.mktemp('out')
    source = copy_sources(out / 'a checkout')
    run(
        sys.executable,
        '-c',
        f'from setuptools.build_meta import build_sdist; build_sdist({str(out)!r})',
        cwd=source,
    )
    (sdist,) = out.glob('*.tar.gz')
    run(
        sys.executable,
        *PIP,
        'wheel',
        '--no-deps',
        '--no-build-isolation',
        '-w',
        out,
        sdist,
        cwd=out,
    )
    (path,) = out.glob('*.whl')
    return path


class Environment:
    """A virtual environment in a new folder, with mmoverlock installed by pip.

    It finds the packages of the current environment too, but does not run the ``.pth`` files there,
    so an mmoverlock that is installed there does nothing at start-up.

    Args:
        folder: Where to make it.
        *source: What pip installs: a wheel, or ``-e`` and a checkout.
    """

    def __init__(self, folder: Path, *source: str | Path) -> None:
        venv.create(folder, symlinks=os.name != 'nt')
        self.folder = folder
        self.python = folder / ('Scripts/python.exe' if os.name == 'nt' else 'bin/python')
        purelib = "import sysconfig; print(sysconfig.get_path('purelib'))"
        self.site_packages = Path(self.run('-c', purelib).strip())
        outer = [path for path in sys.path if path.endswith(('site-packages', 'dist-packages'))]
        if sys.version_info >= (3, 12):  # setuptools supplies distutils, from a .pth file too
            outer.append('import _distutils_hack; _distutils_hack.add_shim()')
        (self.site_packages / 'outer.pth').write_text('\n'.join(outer))
        offline = '--no-deps', '--no-index', '--no-build-isolation', '--ignore-installed'
        self.run(*PIP, 'install', *offline, *source)

    def run(self, *arguments: str | Path, **options: str | Path) -> str:
        """Run its interpreter as :func:`run` does, without the PYTHONPATH of this process."""
        return run(self.python, *arguments, **{'cwd': self.folder, 'PYTHONPATH': '', **options})
