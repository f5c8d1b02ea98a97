"""``mmoverlock train``: another run in the work_dir is neither lost nor overwritten."""

import contextlib
import errno
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log

from mmoverlock.datasets.formats.data import SPLITS
from mmoverlock.engine.distributed import env_rank
from mmoverlock.engine.run_files import checkpoint_folders, is_checkpoint_name, template_of
from mmoverlock.utils.files import remove_temporaries

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK = '.mmoverlock.lock'  # in the work_dir of a run, while it lasts


@contextlib.contextmanager
def claimed(work_dir: str) -> Iterator[list[Path]]:
    """Keep other runs out of a work_dir, which is made for that; the first process does it for all.

    The kernel takes the lock back from a process that dies, and no child inherits it: the file that
    a killed run leaves keeps nobody out. Nor does anything where there are no locks.

    Yields:
        The folders that did not exist, the innermost first; those still empty go in the end.

    Raises:
        ValueError: another run has the work_dir.
    """
    folder = Path(work_dir)
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    if env_rank() or fcntl is None:
        yield new
        return
    lock = _lock(folder)
    try:
        yield new
    finally:
        if lock is not None:
            (folder / LOCK).unlink(missing_ok=True)
            os.close(lock)
        with contextlib.suppress(OSError):
            for path in new:
                path.rmdir()


def _lock(folder: Path) -> int | None:
    """Lock a file in the folder; its descriptor, or None where that is not possible."""
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        return None
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.read(file, 1000).decode(errors='replace')
        os.close(file)
        if error.errno not in (errno.EACCES, errno.EAGAIN):  # a file system without locks
            return None
        raise ValueError(
            f"work_dir '{folder}' is in use by another run ({owner or 'which has just begun'}): "
            'wait for its end, or choose another --work-dir'
        ) from error
    if not _is_at(file, path):  # its owner has just ended
        os.close(file)
        return _lock(folder)
    with contextlib.suppress(OSError):  # a full disk
        os.ftruncate(file, 0)
        os.write(file, f'process {os.getpid()} on {socket.gethostname()}'.encode())
    return file


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def earlier_checkpoints(cfg: Config, overwrite: bool) -> list[Path]:
    """The checkpoints of another run in the work_dir; ValueError if they are not to be removed.

    They are known by their names: other files are the user's. A run that goes on from a checkpoint
    of the work_dir is not another one.
    """
    if env_rank(local=True):
        return []
    folder = Path(cfg.work_dir)
    if cfg.get('resume') and _is_inside(cfg.get('load_from'), cfg):
        return []
    template = template_of(cfg)
    old = [path for path in sorted(folder.glob('*')) if is_checkpoint_name(path.name, template)]
    old += list(folder.glob('last_checkpoint'))
    if old and not overwrite:
        raise ValueError(
            f"work_dir '{cfg.work_dir}' holds the checkpoints of another run ({old[0].name}): "
            'continue it with --resume, choose another --work-dir, or start over with --overwrite'
        )
    return old


def _is_inside(path: str | None, cfg: Config) -> bool:
    """Whether a checkpoint is in the work_dir or, chosen by another process, not known yet."""
    if path is None or '://' in path:
        return True
    return Path(path).resolve().parent in checkpoint_folders(cfg)


def remove(old: list[Path], folder: str) -> None:
    """Remove the checkpoints of an earlier run; the first process does it."""
    if old and env_rank() == 0:
        for path in old:
            path.unlink()
        remove_temporaries(folder)
        print_log(f'--overwrite: removed {len(old)} files from {folder}', logger='current')


@contextlib.contextmanager
def data_kept_on_error(folder: Path) -> Iterator[None]:
    """After an error, bring back what an earlier run with --data-root wrote into `folder`."""
    if env_rank(local=True) or not folder.is_dir():
        yield
        return
    written = [*folder.glob('*.json'), *folder.glob('written.txt')]
    written += [path for split in SPLITS for path in (folder / split).rglob('*.png')]
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix='.data-') as scratch:
        # Links are enough: a new file is written under another name and then renamed.
        kept = {Path(scratch, path.relative_to(folder)): path for path in written}
        for copy, path in kept.items():
            copy.parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(path, copy)
        try:
            yield
        except BaseException:
            for copy, path in kept.items():
                copy.replace(path)
            raise


def link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copy2(source, target)


@contextlib.contextmanager
def undone_on_error(new: list[Path]) -> Iterator[None]:
    """Remove these folders after an error, each of which is in the next one."""
    try:
        yield
    except BaseException:
        if new and env_rank(local=True) == 0:
            shutil.rmtree(new[-1], ignore_errors=True)
        raise
