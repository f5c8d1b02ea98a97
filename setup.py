"""Builds and installs mmoverlock; all metadata stands here.

MMEngine finds configs written as `_base_ = 'mmoverlock::...'` in `mmoverlock/.mim`, which holds
configs/, tools/ and model-index.yml. A wheel gets copies of them, an editable install links.
"""

import os
import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM_PARTS = ('configs', 'tools', 'model-index.yml')
TESTED_MINORS = range(10, 14)  # Python 3.10 to 3.13
HOOK = 'mmoverlock_import_hook'
# HOOK.pth, which Python runs at start-up. It is silent if an editable install's checkout is gone.
START_UP = (
    f'import sys; exec("try:\\n import {HOOK} as hook\\n hook.install()\\n'
    'except ImportError:\\n pass")\n'
)


def copy(source: Path, target: Path) -> None:
    """Copy a file, or a folder without its caches."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns('__pycache__', '*.py[cod]'))
    else:
        shutil.copyfile(source, target)


def link(source: Path, target: Path) -> None:
    """Make a relative symlink, or a copy where the system forbids symlinks (Windows)."""
    try:
        target.symlink_to(os.path.relpath(source, target.parent), source.is_dir())
    except OSError:
        copy(source, target)


class BuildPy(build_py):
    """`build_py` that also fills `mmoverlock/.mim` and writes the import hook's `.pth`."""

    def run(self) -> None:
        editable = getattr(self, 'editable_mode', False)
        mim = (ROOT if editable else Path(self.build_lib)) / 'mmoverlock' / '.mim'
        # pip builds in the source folder: an earlier build may have left files since removed.
        shutil.rmtree(mim if editable else mim.parent, ignore_errors=True)
        super().run()
        mim.mkdir(parents=True)
        for part in MIM_PARTS:
            (link if editable else copy)(ROOT / part, mim / part)
        # What is in `build_lib` is not in an editable wheel; `install_lib` is that wheel's folder.
        wheel = self.get_finalized_command('install').install_lib if editable else self.build_lib
        (Path(wheel) / f'{HOOK}.pth').write_text(START_UP, encoding='utf-8')


def read_version() -> str:
    """Read `__version__` without importing the package, which would need PyTorch."""
    text = (ROOT / 'mmoverlock' / '__init__.py').read_text(encoding='utf-8')
    return re.search(r"^__version__ = '(.+)'$", text, re.MULTILINE).group(1)


def read_requirements(name: str) -> list[str]:
    """Read requirements/NAME.txt without its comments."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    return [line for line in (line.partition('#')[0].strip() for line in lines) if line]


extras = {
    name: read_requirements(name) for name in ('det', 'cls', 'seg', 'data', 'analysis', 'deploy')
}
extras['all'] = sorted({line for lines in extras.values() for line in lines})
extras |= {name: read_requirements(name) for name in ('demo', 'tests', 'docs')}

setup(
    name='mmoverlock',
    version=read_version(),
    description='OverLoCK backbones for the OpenMMLab libraries, with nothing to compile',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    keywords='computer vision, backbone, object detection, segmentation, classification',
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3',
        *(f'Programming Language :: Python :: 3.{minor}' for minor in TESTED_MINORS),
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    python_requires='>=3.10',
    packages=find_packages(include=['mmoverlock', 'mmoverlock.*']),
    py_modules=[HOOK],
    package_data={'': ['*.md', '*.txt'], 'mmoverlock.analysis.report': ['template/*']},
    install_requires=read_requirements('runtime'),
    extras_require=extras,
    entry_points={'console_scripts': ['mmoverlock = mmoverlock.cli.main:main']},
    cmdclass={'build_py': BuildPy},
    zip_safe=False,
)
