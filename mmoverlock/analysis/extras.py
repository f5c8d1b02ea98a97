"""The libraries of the extra ``analysis``, imported where they are needed."""

from importlib import import_module
from types import ModuleType

INSTALL = "pip install 'mmoverlock[analysis]'"


def extra(module: str) -> ModuleType:
    """Import a module of the extra ``analysis``.

    Raises:
        ValueError: it is not installed; the message has the command that installs it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or '').partition('.')[0] != module.partition('.')[0]:
            raise
        name = module.partition('.')[0]
        raise ValueError(f"'{name}' is needed, but not installed: {INSTALL}") from None
