"""The checkpoints in a run's work_dir: their names, and which of them a run goes on from."""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.dist import broadcast_object_list

from mmoverlock.utils.checkpoint import read_checkpoint

TRAINING_PARTS = ('meta', 'optimizer', 'message_hub')  # of a checkpoint that a run can go on from
_TEMPLATES = ('epoch_{}.pth', 'iter_{}.pth')


def is_checkpoint_name(name: str, template: str | None = None, best: bool = True) -> bool:
    """Whether a run would give this name to a checkpoint.

    Args:
        name: Of the file, without folders.
        template: The run's ``filename_tmpl`` besides MMEngine's own two.
        best: Whether the names of best checkpoints count.
    """
    templates = [*_TEMPLATES, template] if template else _TEMPLATES
    names = '|'.join(re.escape(one).replace(r'\{\}', r'\d+') for one in templates)
    return re.fullmatch(rf'{"(best_.+_)?" if best else ""}({names})', name) is not None


def template_of(cfg: Config) -> str | None:
    """The ``filename_tmpl`` of a config's checkpoint hook."""
    return _hook(cfg).get('filename_tmpl')


def checkpoint_folders(cfg: Config) -> list[Path]:
    """The local folders of a config's checkpoints: the work_dir, and what ``out_dir`` names."""
    folders = [Path(cfg.work_dir).resolve()]
    out_dir = _hook(cfg).get('out_dir')
    if out_dir and '://' not in str(out_dir):
        folders.append(Path(out_dir, folders[0].name).resolve())
    return folders


def _hook(cfg: Config) -> dict[str, Any]:
    return (cfg.get('default_hooks') or {}).get('checkpoint') or {}


class Choice(NamedTuple):
    """What a run goes on from, and by name what it passed over and why."""

    path: str | None
    passed: dict[str, str]


def newest_checkpoint(cfg: Config) -> Choice:
    """The newest whole checkpoint of the config's work_dir that a run can go on from.

    That is the one which ``last_checkpoint`` names, unless it is missing, damaged, or another one
    was saved later and after more iterations. Checkpoints saved elsewhere, as ``out_dir`` says, are
    looked for there too; one at a URL is taken unseen.
    """
    named = _last_checkpoint(Path(cfg.work_dir))
    if '://' in named:
        return Choice(named, {})
    folders = [Path(cfg.work_dir), *checkpoint_folders(cfg)[1:]]
    found = {path.name: path for path in reversed(list(_checkpoints(folders, template_of(cfg))))}
    last = Path(named).name
    if last and last not in found:
        places = [one / last for one in folders] + [Path(named)]
        place = next((path for path in places if path.is_file()), None)
        if place is not None:
            found[last] = place
    passed = {} if last in found or not last else {last: 'it does not exist'}
    states = {}
    for name, path in found.items():
        try:
            states[name] = _state(path)
        except (ValueError, OSError) as error:
            passed[name] = str(error).removeprefix(f"checkpoint '{path}' ")
    while states:
        name = max(states, key=states.get)
        # The clock may go back, and so may a run that was resumed from an early checkpoint.
        if last in states and states[name][1] <= states[last][1]:
            name = last
        damage = _damage(found[name])
        if damage is None:
            return Choice(str(found[name]), passed)
        passed[name] = damage
        del states[name]
    return Choice(None, passed)


def agree_on_checkpoint(cfg: Config) -> None:
    """Let all processes of a run resume, or load, what the first one chose."""
    choice = [cfg.get('resume'), cfg.get('load_from')]
    broadcast_object_list(choice)
    cfg.resume, cfg.load_from = choice


def holds_checkpoints(cfg: Config) -> bool:
    """Whether a run has been saved in the config's work_dir; its files may be damaged."""
    folders = [Path(cfg.work_dir), *checkpoint_folders(cfg)[1:]]
    return any(_checkpoints(folders, template_of(cfg))) or bool(_last_checkpoint(folders[0]))


def _last_checkpoint(folder: Path) -> str:
    try:
        return (folder / 'last_checkpoint').read_text(encoding='utf-8').strip(' \r\n\t\0')
    except (OSError, UnicodeDecodeError):
        return ''


def _checkpoints(folders: list[Path], template: str | None) -> Iterator[Path]:
    for folder in folders:
        for path in sorted(folder.glob('*')):
            if is_checkpoint_name(path.name, template, best=False) and path.is_file():
                yield path


def _state(path: Path) -> tuple[str, int]:
    """When a checkpoint was saved, and after how many iterations; ValueError if it is no such."""
    checkpoint = read_checkpoint(path, mmap=True)
    absent = [part for part in TRAINING_PARTS if not isinstance(checkpoint.get(part), dict)]
    if absent:
        raise ValueError(f"has no '{absent[0]}', it holds weights only")
    meta = checkpoint['meta']
    if not all(type(meta.get(key)) is int for key in ('epoch', 'iter')):
        raise ValueError('does not say after which epoch and iteration it was saved')
    return str(meta.get('time', '')), meta['iter']


def _damage(path: Path) -> str | None:
    """What the check sums of a file say."""
    if not zipfile.is_zipfile(path):
        return None  # the legacy format has none
    try:
        with zipfile.ZipFile(path) as archive:
            part = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError) as error:
        return f'is damaged: {error}'
    return None if part is None else f"is damaged: the check sum of '{part}' is wrong"
