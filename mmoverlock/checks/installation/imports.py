"""Whether the packages can be imported, on which devices PyTorch runs, and what mmcv has."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from .findings import ERROR, NOTE, WARNING, Finding
from .packages import PACKAGES, Installed
from .probe import NEEDS
from .probing import Result

# Modules by package of pip, in the order in which they need each other.
MODULES = {
    'torch': 'torch',
    'torchvision': 'torchvision',
    'numba': 'numba',
    'mmengine': 'onedl-mmengine',
    'mmcv': 'onedl-mmcv',
    'mmdet': 'onedl-mmdetection',
    'pycocotools': 'pycocotools',
    'timm': 'timm',
    'natten': 'natten',
}
_NEEDED = {package.name: package for package in PACKAGES}
_REINSTALL = 'pip install --force-reinstall --no-deps'


def steps(found: Installed) -> list[str]:
    """The modules to try: those that are installed, of which none needs one that is not."""
    there = [name for name, package in MODULES.items() if _is_there(package, found)]
    if 'torch' not in there:
        there = [name for name in there if name in ('numba', 'pycocotools')]
    for module in ('mmengine', 'mmcv'):
        if module not in there:
            there = [name for name in there if name not in ('mmcv', 'mmdet')]
    return there


def _is_there(package: str, found: Installed) -> bool:
    original = _NEEDED[package].original if package in _NEEDED else ''
    return package in found or original in found


def check_imports(results: Mapping[str, Result], found: Installed) -> Iterator[Finding]:
    """What cannot be imported although it is installed, and what the devices are."""
    for name, (facts, error) in results.items():
        if error:
            need = NEEDS.get(name)
            if not (need in results and results[need].error):  # else that is what is to be mended
                yield _failed(name, error, found)
        elif name == 'torch':
            yield from _check_torch(facts)
        elif name == 'mmcv':
            what = 'compiled' if facts['compiled'] else 'from torchvision and PyTorch'
            yield Finding("mmcv's operators", what)
        elif name == 'natten':
            text = 'has na2d_av' if facts['usable'] else 'has no na2d_av (removed in 0.20)'
            yield Finding('natten', f'{text}; the models do not need it')
    if 'natten' not in found:
        yield Finding('natten', 'not installed; the models do not need it')
    if 'triton' not in found:
        cuda = results.get('torch', Result({})).facts.get('devices')
        level, remedy = (WARNING, 'pip install triton') if cuda else (NOTE, '')
        yield Finding('triton', 'not installed: needed for kernels on a GPU', level, remedy)
    else:
        yield Finding('triton', found['triton'][0])


def _failed(name: str, error: str, found: Installed) -> Finding:
    package = MODULES[name]
    version = found.get(package, [''])[0]
    remedy = f'{_REINSTALL} {package}' + (f'=={version}' if version else '')
    text = f'cannot be imported: {error[:300]}'
    if name == 'torchvision':
        remedy = f'pip install --force-reinstall torch=={found["torch"][0]} torchvision'
        text = f'does not fit PyTorch {found["torch"][0]}: {error[:300]}'
    elif name == 'mmcv' and '_ext' in error:
        remedy = f'pip uninstall -y mmcv onedl-mmcv && {_NEEDED[package].pip}'
        text = f'its compiled operators do not fit PyTorch: {error[:300]}'
    elif name == 'mmdet' and 'incompatible' in error:
        remedy = f'{_NEEDED["onedl-mmcv"].pip} && {_NEEDED["onedl-mmdetection"].pip}'
    level = NOTE if name in ('natten', 'timm') else WARNING if name == 'numba' else ERROR
    return Finding(name, text, level, remedy)


def _check_torch(facts: Mapping) -> Iterator[Finding]:
    build = (
        f'CUDA {facts["cuda"]}'
        if facts['cuda']
        else f'ROCm {facts["hip"]}'
        if facts['hip']
        else 'CPU'
    )
    yield Finding(
        'PyTorch', f'built for {build}; {facts["threads"]} threads; {facts["capability"]}'
    )
    devices = facts['devices']
    if devices:
        number = f'{len(devices)} × ' if len(devices) > 1 else ''
        yield Finding('device', number + ', '.join(sorted(set(devices))))
    elif has_gpu():
        if facts['cuda']:
            text = 'there is an NVIDIA GPU, but PyTorch cannot use it: its driver may be too old'
            remedy = 'nvidia-smi  # the CUDA version it shows must not be below that of PyTorch'
        else:
            text = 'there is an NVIDIA GPU, but this PyTorch is built for CPUs'
            remedy = 'pip install --force-reinstall torch torchvision'
        yield Finding('device', text, WARNING, remedy)
    else:
        yield Finding('device', 'CPU: no GPU was found')


def has_gpu() -> bool:
    """Whether there is an NVIDIA GPU with its driver, whatever PyTorch thinks."""
    return Path('/proc/driver/nvidia/version').exists() or shutil.which('nvidia-smi') is not None
