"""Our models by name: what the metafiles of configs/ say, read without building anything."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .errors import did_you_mean

PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class ModelInfo:
    """A model as a metafile describes it.

    Attributes:
        name: Its name.
        aliases: Other names: that of the published file.
        config: The config file.
        scope: The library that it belongs to: 'mmpretrain', 'mmdet' or 'mmseg'.
        weights: URL of the weights; None if there are none.
        size: Of the weights' file, in bytes, where the metafile gives it.
        sha256: Of the weights' file, in hexadecimal, where the metafile gives it.
        entry: All of the metafile's entry: Metadata, Results, Converted From.
        metafile: The metafile.
    """

    name: str
    aliases: tuple[str, ...]
    config: Path
    scope: str
    weights: str | None
    size: int | None
    sha256: str | None
    entry: dict[str, Any]
    metafile: Path

    @property
    def tasks(self) -> list[str]:
        """The tasks that there are results for, such as 'Image Classification'."""
        return [result['Task'] for result in self.entry.get('Results') or ()]


def index_root() -> Path:
    """The folder with model-index.yml and configs/: ``.mim`` where pip installed us, a checkout."""
    for folder in (PACKAGE / '.mim', PACKAGE.parent):
        if (folder / 'model-index.yml').is_file():
            return folder
    raise FileNotFoundError(f"no model-index.yml in '{PACKAGE / '.mim'}' or '{PACKAGE.parent}'")


@functools.cache
def model_infos() -> dict[str, ModelInfo]:
    """All models by name, in the metafiles' order."""
    root = index_root()
    models = {}
    for path in _load(root / 'model-index.yml')['Import']:
        content = _load(root / path)
        scopes = {one['Name']: one['Metadata']['Scope'] for one in content['Collections']}
        for entry in content['Models']:
            models[entry['Name']] = ModelInfo(
                name=entry['Name'],
                aliases=tuple(entry.get('Alias', ())),
                config=root / entry['Config'],
                scope=scopes[entry['In Collection']],
                weights=entry.get('Weights'),
                size=entry.get('Weights Size'),
                sha256=entry.get('Weights SHA256'),
                entry=entry,
                metafile=root / path,
            )
    return models


def model_info(name: str) -> ModelInfo:
    """The model of a name or an alias, in upper or lower case.

    Raises:
        ValueError: there is none; the message has the nearest name.
    """
    known = {}
    for one in model_infos().values():
        known.update(dict.fromkeys((alias.lower() for alias in (one.name, *one.aliases)), one))
    try:
        return known[name.lower()]
    except KeyError:
        hint = did_you_mean(name, known) or ', see mmoverlock.list_models()'
        raise ValueError(f"unknown model '{name}'{hint}") from None


def info_of_weights(url: str) -> ModelInfo | None:
    """The model whose weights a URL is, if it is one of ours."""
    return next((one for one in model_infos().values() if one.weights == url), None)


def _load(path: Path) -> dict[str, Any]:
    loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)  # ten times as fast, where it was built
    return yaml.load(path.read_text(encoding='utf-8'), loader)
