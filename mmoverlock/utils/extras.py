"""Libraries of the extras, imported where they are needed."""

from importlib import import_module
from types import ModuleType


def extra(module: str, name: str) -> ModuleType:
    """Import a module of the extra `name`.

    Raises:
        ValueError: it is not installed; the message has the command that installs it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        library = module.partition('.')[0]
        if (error.name or '').partition('.')[0] != library:
            raise
        install = f"pip install 'mmoverlock[{name}]'"
        raise ValueError(f"'{library}' is needed, but not installed: {install}") from None
