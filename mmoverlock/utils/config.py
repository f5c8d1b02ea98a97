"""Reading config files, and going through configs."""

import ast
import importlib
import inspect
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.config.lazy import LazyAttr, LazyObject

from .config_shape import check_shape, sizes_as_tuples

SCOPE = 'mmoverlock'  # of what a config inherits by ``mmoverlock::``
SUFFIXES = ('.py', '.json', '.yaml', '.yml')
PRETRAINED = ('Pretrained', 'PretrainedInit')  # MMEngine's name of it, and the class's
LIBRARIES = ('mmpretrain', 'mmdet', 'mmseg')


def read_config(path: str | os.PathLike) -> Config:
    """Read a config file.

    Raises:
        ValueError: the file is missing, is no config, or fails; the message is one line.
    """
    path = str(path)
    if not Path(path).is_file():
        raise ValueError(f"config '{path}' does not exist")
    if Path(path).suffix not in SUFFIXES:
        raise ValueError(f"config '{path}' is not one of {', '.join(SUFFIXES)}")
    try:
        if path.endswith('.py'):
            ast.parse(Path(path).read_text(encoding='utf-8'))
        cfg = Config.fromfile(path)
    except SyntaxError as error:
        where = f', line {error.lineno}' if error.lineno else ''  # MMEngine's for a base has none
        raise ValueError(f"config '{path}'{where}: {error.msg}") from error
    except FileNotFoundError as error:  # of a base
        raise ValueError(f"config '{path}': '{error.filename}' does not exist") from error
    except Exception as error:  # a config is a program: anything may fail in it or in its bases
        reason = str(error).strip("'").partition('\n')[0]
        raise ValueError(f"config '{path}': {type(error).__name__}: {reason}") from error
    try:
        check_shape(cfg)
    except ValueError as error:
        raise ValueError(f"config '{path}': {error}") from error
    for _, part in walk(cfg._cfg_dict):
        part.update(sizes_as_tuples(part))
        # MMEngine would pass our scope on to collate functions.
        if part.get('_scope_') == SCOPE:
            del part['_scope_']
        kind = part.get('type')
        if isinstance(kind, str) and kind.count('.') > 1:
            part['type'] = _imported(kind)
    kind = (cfg.get('model') or {}).get('type')
    library = getattr(kind, '__module__', '').partition('.')[0]
    if cfg.get('default_scope') is None and library in LIBRARIES:
        cfg.default_scope = library  # pure-Python configs need not name it
    return cfg


def _imported(kind: str) -> str | LazyObject:
    """The object whose whole path a dumped pure-Python config gives, else `kind` itself.

    MMEngine does not find it where a package has a function of the module's name, as for
    ``mmdet.models.losses.smooth_l1_loss.L1Loss``.
    """
    module, _, name = kind.rpartition('.')
    try:
        getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        return kind
    return LazyObject(module, name)


def require(cfg: Config, *keys: str) -> None:
    """Raise ValueError if the config lacks one of `keys`."""
    for key in keys:
        if cfg.get(key) is None:
            raise ValueError(f"config '{cfg.filename}' has no {key}")


def type_name(part: Any) -> str:
    """The bare name of a part's type, such as 'BN'; '' if it has none.

    Args:
        part: A dict of a config, or a type: its name, with or without a library's scope
            (``mmdet.BN``, ``mmdet::BN``), or, in a pure-Python config, the class itself or
            MMEngine's lazy object.
    """
    kind = part.get('type') if isinstance(part, Mapping) else part
    if inspect.isclass(kind) or inspect.isroutine(kind):
        return kind.__name__
    named = isinstance(kind, (str, LazyObject, LazyAttr))
    return re.split(r'::|\.', str(kind))[-1] if named else ''


def walk(part: Any, key: str = '') -> Iterator[tuple[str, Any]]:
    """Every dict in a config with its dotted key, the outer ones first; they may be changed."""
    inside = enumerate(part) if isinstance(part, (list, tuple)) else ()
    if isinstance(part, Mapping):
        yield key, part
        inside = list(part.items())
    for name, value in inside:
        yield from walk(value, f'{key}.{name}' if key else str(name))


def as_list(value: Any) -> list:
    """What may be None, one dict or several dicts (evaluators, hooks, ...) as a list."""
    if isinstance(value, Mapping):
        return [value]
    return list(value) if isinstance(value, (list, tuple)) else []


def each(value: Any, key: str) -> list[tuple[str, Any]]:
    """The dicts of :func:`as_list` with their dotted keys, where `value` stands under `key`."""
    one = isinstance(value, Mapping)
    return [(key if one else f'{key}.{i}', part) for i, part in enumerate(as_list(value))]


def hook_configs(cfg: Config) -> list[tuple[str, Any]]:
    """The dicts of a config's default and custom hooks with their dotted keys."""
    default = [
        (f'default_hooks.{key}', one) for key, one in (cfg.get('default_hooks') or {}).items()
    ]
    hooks = [*default, *each(cfg.get('custom_hooks'), 'custom_hooks')]
    return [(key, hook) for key, hook in hooks if isinstance(hook, Mapping)]
