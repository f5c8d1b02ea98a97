"""Building what a config names, with errors that give the config's key in one line."""

import copy
import difflib
import inspect
import re
from collections.abc import Mapping
from typing import Any

from mmengine.registry import Registry

from .config import type_name, walk
from .errors import did_you_mean, one_line

# MMEngine's own.
_OWN_KEYS = (
    'type', '_scope_', 'priority', 'constructor', 'paramwise_cfg', 'convert_to_iter_based',
)  # fmt: skip
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_UNKNOWN = re.compile(r'(\S+) is not in the \S+?::(.+?) registry')


def build(registry: Registry, cfg: Mapping[str, Any], key: str, copied: bool = True) -> Any:
    """Build a copy of `cfg`, which the config holds under `key`, or `cfg` itself.

    Raises:
        ValueError: in one line, what is wrong and where: an unknown type, with the nearest known
            one; a wrong argument; whatever the class itself says.
    """
    try:
        return registry.build(copy.deepcopy(cfg) if copied else cfg)
    except Exception as error:  # built from the user's words: the cause is in the message
        message = one_line(error)
        unknown = _UNKNOWN.search(message)
        if unknown and isinstance(error, KeyError):
            name = unknown[1].strip("'")
            places = (place for place, part in walk(cfg, key) if part.get('type') == name)
            raise ValueError(unknown_type(registry, name, next(places, key))) from error
        if not isinstance(error, (ValueError, OSError, AssertionError)):
            message = f'{type(error).__name__}: {message}'
        raise ValueError(f'{key}: {message}') from error


def find_class(registry: Registry, cfg: Any) -> Any:
    """The class that `cfg` names, or None."""
    kind = cfg.get('type') if isinstance(cfg, Mapping) else None
    if not isinstance(kind, str):
        return kind
    with registry.switch_scope_and_registry(cfg.get('_scope_')) as scoped:
        return scoped.get(kind)


def check_type(registry: Registry, cfg: Any, key: str) -> None:
    """Raise ValueError if `cfg`, built later, names a type or an argument that does not exist."""
    kind = cfg.get('type') if isinstance(cfg, Mapping) else None
    if kind is None:
        return
    found = find_class(registry, cfg)
    if not callable(found):
        raise ValueError(unknown_type(registry, str(kind), key))
    parameters, free = _parameters(found)
    for name in cfg:
        if name in {*parameters, *_OWN_KEYS}:
            continue
        hint = did_you_mean(name, parameters)
        # Where any name may be given, one that is nearly a known one is a mistake.
        if not free or difflib.get_close_matches(name, parameters, cutoff=0.8):
            raise ValueError(f"{key}: {type_name(cfg)} has no argument '{name}'{hint}")


def _parameters(found: Any) -> tuple[set[str], bool]:
    """The arguments of a class, of its bases too if it passes others on, and whether it does."""
    classes = inspect.getmro(found) if inspect.isclass(found) else [found]
    names, free = set(), False
    for one in classes:
        if one is object or (inspect.isclass(one) and '__init__' not in vars(one)):
            continue
        parameters = inspect.signature(one).parameters.values()
        names |= {p.name for p in parameters if p.kind not in _VARIABLE}
        if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
            break
        free = True
    return names, free


def unknown_type(registry: Registry, name: str, key: str) -> str:
    """The message for a type that no registry of this kind knows."""
    root = registry if registry.parent is None else registry.parent
    known = {name for one in (root, *root.children.values()) for name in one.module_dict}
    return f"{key}.type: unknown type '{name}'{did_you_mean(type_name(name), known)}"
