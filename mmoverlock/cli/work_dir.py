"""``mmoverlock train``: an earlier run in the work_dir is neither lost nor overwritten."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log

from mmoverlock.datasets.formats.data import SPLITS
from mmoverlock.engine.distributed import env_rank
from mmoverlock.engine.run_files import checkpoint_folders, is_checkpoint_name, template_of
from mmoverlock.utils.files import remove_temporaries


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
def undone_on_error(folder: Path) -> Iterator[None]:
    """Remove `folder` after an error, if it is new; its new parents, too."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield
    except BaseException:
        if new and env_rank(local=True) == 0:
            shutil.rmtree(new[-1], ignore_errors=True)
        raise
