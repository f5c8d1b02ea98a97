"""The machine: cores, how threads wait, room on the disk and in shared memory, writable folders."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from math import ceil
from pathlib import Path

from .findings import ERROR, NOTE, WARNING, Finding

GB = 1 << 30
_QUOTA = Path('/sys/fs/cgroup/cpu.max')  # cgroup 2
_QUOTA_1 = Path('/sys/fs/cgroup/cpu')  # cgroup 1
SHARED = Path('/dev/shm')


def cores() -> tuple[int, int, float | None]:
    """Of the machine, those this process may use, and the share of a container (None: no limit)."""
    affinity = getattr(os, 'sched_getaffinity', None)
    whole = os.cpu_count() or 1
    return whole, len(affinity(0)) if affinity else whole, _quota()


def _quota() -> float | None:
    with contextlib.suppress(OSError, ValueError):
        quota, period = _QUOTA.read_text(encoding='ascii').split()
        return None if quota == 'max' else int(quota) / int(period)
    with contextlib.suppress(OSError, ValueError):
        quota, period = (
            int((_QUOTA_1 / f'cpu.cfs_{name}_us').read_text(encoding='ascii'))
            for name in ('quota', 'period')
        )
        return None if quota < 0 else quota / period
    return None


def check_threads() -> Iterator[Finding]:
    """Cores, load, and the OpenMP settings as the user's shell has them."""
    whole, allowed, quota = cores()
    usable = min(allowed, ceil(quota)) if quota else allowed
    limits = f', {allowed} of them for this process' if allowed != whole else ''
    limits += f', {quota:g} by the limit of the container' if quota else ''
    yield Finding('cores', f'{whole}{limits}')
    text = os.environ.get('OMP_NUM_THREADS')
    threads = int(text) if text and text.isdecimal() else None
    if threads is None and quota and usable < allowed:
        yield Finding(
            'OMP_NUM_THREADS', f'not set: {allowed} threads would share {quota:g} cores', WARNING,
            f'export OMP_NUM_THREADS={usable}',
        )  # fmt: skip
    elif threads is not None and threads > usable:
        yield Finding(
            'OMP_NUM_THREADS', f'{threads} threads would share {usable} cores', WARNING,
            f'export OMP_NUM_THREADS={usable}',
        )  # fmt: skip
    elif threads == 1 and usable > 1:
        yield Finding(
            'OMP_NUM_THREADS', f'1: one thread of {usable} cores', WARNING,
            f'export OMP_NUM_THREADS={usable}',
        )  # fmt: skip
    else:
        yield Finding('OMP_NUM_THREADS', text or 'not set')
    yield _waiting()
    with contextlib.suppress(OSError, AttributeError):
        load = os.getloadavg()[0]
        busy = load > whole + 0.5
        text = f'{load:.1f} processes want the {whole} cores'
        level = WARNING if busy else 'ok'
        yield Finding('load', text, level, 'top -o %CPU  # see which, and end them' if busy else '')


def _waiting() -> Finding:
    policy, spins = (os.environ.get(name) for name in ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT'))
    if policy and policy.upper() == 'ACTIVE':
        return Finding(
            'OMP_WAIT_POLICY', 'ACTIVE: idle threads keep their cores busy', WARNING,
            'unset OMP_WAIT_POLICY',
        )  # fmt: skip
    if policy:
        return Finding('OMP_WAIT_POLICY', policy)
    if spins:
        return Finding('GOMP_SPINCOUNT', spins)
    return Finding('GOMP_SPINCOUNT', 'not set: mmoverlock sets 1000, if it is imported first')


def check_room() -> Iterator[Finding]:
    """Room for checkpoints, and for the batches that DataLoader workers hand over."""
    free = shutil.disk_usage('.').free
    level = ERROR if free < GB / 5 else WARNING if free < 5 * GB else 'ok'
    remedy = 'du -sh work_dirs/* | sort -h  # see what may go, or use --work-dir on another disk'
    yield Finding('disk', f'{free / GB:.1f} GB free here', level, remedy if level != 'ok' else '')
    if SHARED.is_dir():
        usage = shutil.disk_usage(SHARED)
        level = ERROR if usage.free < GB / 32 else WARNING if usage.free < GB else 'ok'
        remedy = (
            'mount -o remount,size=8G /dev/shm  # as root; of a container: docker run --shm-size=8g'
        )
        text = f'{usage.free / GB:.2f} of {usage.total / GB:.2f} GB free, for DataLoader workers'
        yield Finding('shared memory', text, level, remedy if level != 'ok' else '')


def check_folders(package: Path) -> Iterator[Finding]:
    """Folders that are written to.

    Args:
        package: mmoverlock's folder.
    """
    own = os.environ.get('NUMBA_CACHE_DIR')
    user = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
    places = [Path(own)] if own else [package / 'ops' / 'contmix' / '__pycache__', user / 'numba']
    home = os.environ.get('TORCH_HOME')
    hub = Path(home) if home else user / 'torch'
    yield from (
        _folder(
            'numba cache', places,
            f'export NUMBA_CACHE_DIR={tempfile.gettempdir()}/numba_cache',
            'kernels are compiled again in every process',
        ),
        _folder('downloads', [hub], 'export TORCH_HOME=/another/folder', 'no weights are kept'),
        _folder('work_dirs', [Path('work_dirs')], 'mmoverlock train CONFIG --work-dir /a/folder'),
    )  # fmt: skip


def _folder(topic: str, places: list[Path], remedy: str, effect: str = '') -> Finding:
    for place in places:
        if _is_writable(place):
            return Finding(topic, str(place))
    text = f'{places[0]} cannot be written to' + (f': {effect}' if effect else '')
    return Finding(topic, text, WARNING, remedy)


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or in the one in which it would be made."""
    there = next((one for one in (folder, *folder.absolute().parents) if one.is_dir()), None)
    if there is None:
        return False
    try:
        with tempfile.TemporaryFile(dir=there):
            return True
    except OSError:
        return False


def check_start_up(hooked: bool) -> Finding:
    """Whether mmcv's operators are found without importing mmoverlock first."""
    if hooked:
        return Finding('import hook', 'mmcv finds its operators from the start of Python on')
    return Finding(
        'import hook', 'mmoverlock must be imported before mmcv, mmdet, mmseg or mmpretrain', NOTE,
        "pip install 'mmoverlock[all]'  # in a clone: pip install -e '.[all]'",
    )  # fmt: skip
