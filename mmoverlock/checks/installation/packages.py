"""Which packages are installed, in which versions, and whether they go together."""

import platform
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata

from .findings import ERROR, NOTE, WARNING, Finding


@dataclass(frozen=True)
class Package:
    """A package that mmoverlock uses.

    Args:
        name: As pip knows it.
        low: The first version that works; '' for any.
        high: Before which version; '' for none.
        need: What is broken without it: 'error', 'warning', or 'note' of an extra.
        original: The same modules under another name of pip.
        what: What it is for, where it is optional.
    """

    name: str
    low: str = ''
    high: str = ''
    need: str = ERROR
    original: str = ''
    what: str = ''

    @property
    def pip(self) -> str:
        """The command that installs it."""
        bounds = ([f'>={self.low}'] if self.low else []) + ([f'<{self.high}'] if self.high else [])
        return f'pip install "{self.name}{",".join(bounds)}"'


# As in requirements/*.txt, which an installation does not have.
PACKAGES = (
    Package('torch', '2.6'),
    Package('torchvision'),
    Package('numpy'),
    Package('onedl-mmengine', '0.10.12', original='mmengine'),
    Package('onedl-mmcv', '2.3.6', original='mmcv'),
    Package('onedl-mmdetection', '3.5.1', original='mmdet'),
    Package('pycocotools'),
    Package('numba', '0.68', '0.69', WARNING, what='the fast kernels on a CPU'),
    Package('onedl-mmpretrain', '1.3.6', '', WARNING, 'mmpretrain', 'classification'),
    Package('onedl-mmsegmentation', '1.4.2', '', NOTE, 'mmsegmentation', 'segmentation'),
    Package('timm', '', '', NOTE, what='VOLO'),
    Package('scikit-learn', '', '', NOTE, what='the embedded digits'),
    Package('supervision', '0.31.2', '0.32', NOTE, what='YOLO, Pascal VOC, LabelMe'),
    Package('captum', '', '', NOTE, what='mmoverlock analyze'),
    Package('onnxruntime', '1.22', '', NOTE, what='exported models'),
    Package('safetensors', '', '', NOTE, what='.safetensors files'),
    Package('gradio', '6', '', NOTE, what='mmoverlock demo'),
)
_OTHER_NAMES = ('mmcv-full', 'mmcv-lite')
# torchvision 0.N belongs to PyTorch 2.(N - 15), should its metadata not say so.
_PAIR = 15

Installed = Mapping[str, list[str]]


def installed() -> dict[str, list[str]]:
    """The versions of all packages, by their normalized names, that Python finds first first."""
    found = defaultdict(list)
    for distribution in metadata.distributions():
        name = distribution.metadata['Name'] if distribution.metadata else None
        if name and distribution.version not in found[_normal(name)]:
            found[_normal(name)].append(distribution.version)
    return dict(found)


def _normal(name: str) -> str:
    return re.sub(r'[-_.]+', '-', name).lower()


def release(version: str) -> tuple[int, ...]:
    """The numbers at the beginning of a version."""
    match = re.match(r'\d+(\.\d+)*', version)
    return tuple(map(int, match[0].split('.'))) if match else ()


def check_python() -> Finding:
    """Its version and the machine's kind; pip refuses versions before 3.10."""
    text = f'{platform.python_version()}, {platform.system()} {platform.machine()}'
    return Finding('Python', text)


def check_packages(found: Installed) -> Iterator[Finding]:
    """What is missing, too old, too new, there twice, or not the maintained package."""
    for package in PACKAGES:
        yield _check(package, found)
    yield from _check_pair(found)
    names = [name for name in _OTHER_NAMES if name in found]
    if names:
        yield Finding(
            'mmcv', f'{names[0]} overwrites the files of onedl-mmcv', WARNING,
            f'pip uninstall -y {names[0]} && pip install --force-reinstall --no-deps onedl-mmcv',
        )  # fmt: skip


def _check(package: Package, found: Installed) -> Finding:
    name, original = package.name, package.original
    versions, others = found.get(name, []), found.get(original, [])
    if versions and others:
        return Finding(
            name, f'{versions[0]} and {original} {others[0]}: one overwrote the other',
            package.need, f'pip uninstall -y {original} {name} && {package.pip}',
        )  # fmt: skip
    if others:
        return Finding(
            name, f"the original {original} {others[0]} is installed, which is not tested here",
            WARNING, f'pip uninstall -y {original} && {package.pip}',
        )  # fmt: skip
    if not versions:
        what = f' (for {package.what})' if package.what else ''
        return Finding(name, f'not installed{what}', package.need, package.pip)
    if len(versions) > 1:
        return Finding(
            name, f'{" and ".join(versions)} are both installed, in two folders; the first is used',
            WARNING, f'pip uninstall -y {name} && {package.pip}',
        )  # fmt: skip
    number = release(versions[0])
    old = bool(package.low) and number < release(package.low)
    new = bool(package.high) and number >= release(package.high)
    if old or new:
        wanted = package.pip.partition(package.name)[2].rstrip('"')
        level = WARNING if new and package.need == ERROR else package.need
        return Finding(name, f'{versions[0]}: {wanted} is needed', level, package.pip)
    return Finding(name, versions[0])


def _check_pair(found: Installed) -> Iterator[Finding]:
    """torchvision is compiled for one version and one build of PyTorch."""
    if not ('torch' in found and 'torchvision' in found):
        return
    torch, vision = found['torch'][0], found['torchvision'][0]
    remedy = f'pip install --force-reinstall torch=={torch} torchvision'
    wanted = _required_torch() or f'2.{release(vision)[1] - _PAIR}'
    number = release(torch)
    if number[: len(release(wanted))] != release(wanted):
        text = f'torchvision {vision} was built for PyTorch {wanted}, not {torch}'
        yield Finding('torchvision', text, ERROR, remedy)
    builds = [version.partition('+')[2] for version in (torch, vision)]
    if all(builds) and builds[0] != builds[1]:
        text = f'torchvision is built for {builds[1]}, PyTorch for {builds[0]}'
        yield Finding('torchvision', text, ERROR, remedy)


def _required_torch() -> str | None:
    """The version that torchvision's own metadata asks for."""
    for line in metadata.requires('torchvision') or ():
        match = re.match(r'torch\s*\(?==\s*([\d.]+)', line)
        if match:
            return match[1]
    return None
