"""What is known of a model: the sections of all analyses in a folder, kept as ``analysis.json``."""

import hashlib
import json
import os
import platform
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mmoverlock import __version__

from .benchmark.profiling import processor
from .catalog import NAMES
from .files import save_json
from .section import Section
from .subject import Subject

FILE = 'analysis.json'


class Record:
    """The sections of a folder, earlier ones included.

    Args:
        folder: Where they are, and all files that they name.
        checkpoint: The one that is analysed.

    Raises:
        ValueError: the folder holds other things than analyses of this checkpoint.
        OSError: it cannot be read or written.

    Attributes:
        sections: By the name of the analysis.
        facts: By the name of the analysis, where its figures come from: ``command``, ``config``,
            ``images``, ``date``, ``machine``, ``versions``, ...
    """

    def __init__(self, folder: Path, checkpoint: str):
        self.folder, self.checkpoint, self.digest = folder, checkpoint, _digest(checkpoint)
        self.sections: dict[str, Section] = {}
        self.facts: dict[str, dict[str, Any]] = {}
        self._date = time.strftime('%Y-%m-%d %H:%M')
        check_writable(folder)
        file = folder / FILE
        if file.is_file():
            self._read(file)
        elif folder.exists() and any(folder.iterdir()):
            raise ValueError(
                f"output_dir: '{folder}' is not empty, and holds no {FILE}: choose another folder"
            )

    def _read(self, file: Path) -> None:
        try:
            data = json.loads(file.read_text('utf-8'))
            same = data['sha256'] == self.digest
            found = {
                name: (Section.from_dict(one['section']), one['facts'])
                for name, one in data['analyses'].items()
                if name in NAMES
            }
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"output_dir: '{file}' is damaged: remove it") from error
        if not same:
            raise ValueError(
                f"output_dir: '{self.folder}' holds the analysis of another checkpoint, "
                f"'{data['checkpoint']}': choose another folder"
            )
        for name, (section, facts) in found.items():
            self.sections[name], self.facts[name] = section, facts

    def names(self) -> list[str]:
        """Of the sections, in the order of the report."""
        return sorted(self.sections, key=NAMES.index)

    def add(self, name: str, section: Section, subject: Subject, command: str) -> None:
        """Take in what an analysis has found just now, and write it."""
        self.sections[name] = section
        self.facts[name] = dict(
            command=command,
            config=subject.cfg.filename,
            checkpoint=self.checkpoint,
            task=subject.task,
            dataset=type(subject.dataset).__name__,
            images=len(subject.indices),
            images_in_the_set=len(subject.dataset),
            classes=len(subject.classes),
            date=self._date,
            machine=processor(subject.device),
            versions=versions(),
        )
        self.write()

    def write(self) -> None:
        """Write ``analysis.json``, into a new folder if need be."""
        analyses = {
            name: dict(section=self.sections[name].to_dict(), facts=self.facts[name])
            for name in self.names()
        }
        data = dict(checkpoint=self.checkpoint, sha256=self.digest, analyses=analyses)
        save_json(self.folder / FILE, data)


def versions() -> Mapping[str, str]:
    """Of the packages that the figures depend on."""
    names = ('torch', 'onedl-mmengine', 'onedl-mmcv')
    packages = {name.removeprefix('onedl-'): version(name) for name in names}
    return dict(mmoverlock=__version__, Python=platform.python_version(), **packages)


def check_writable(folder: Path) -> None:
    """Raise OSError, naming the folder, unless files can be made in it, or it can be made."""
    place = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    if not place.is_dir():
        raise OSError(f"output_dir: '{folder}' cannot be made: '{place}' is a file")
    if not os.access(place, os.W_OK | os.X_OK):
        raise OSError(f"output_dir: '{folder}' cannot be written to")


def _digest(checkpoint: str) -> str:
    """SHA-256 of a file; of a URL, its text."""
    path = Path(checkpoint)
    if not path.is_file():
        return hashlib.sha256(checkpoint.encode()).hexdigest()
    with path.open('rb') as file:
        digest = hashlib.sha256()
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()
