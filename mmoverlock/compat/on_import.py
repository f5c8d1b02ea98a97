"""Changing a module of another library now if it is imported, or else as soon as it is."""

import importlib.abc
import importlib.util
import sys
from collections.abc import Callable
from typing import Any


class _Finder(importlib.abc.MetaPathFinder):
    """Finds a module as everybody does, and changes it after its import."""

    def __init__(self, module: str, change: Callable[[Any], None]) -> None:
        self.module, self.change = module, change

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != self.module:
            return None
        sys.meta_path.remove(self)  # once
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self.change)
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: Any, change: Callable[[Any], None]) -> None:
        self.loader, self.change = loader, change

    def create_module(self, spec: Any) -> Any:
        return self.loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        self.loader.exec_module(module)
        self.change(module)


def on_import(name: str, change: Callable[[Any], None]) -> bool:
    """Have `change` called with a module once it is imported; false if it is imported already."""
    if name in sys.modules:
        return False
    if not any(isinstance(one, _Finder) and one.module == name for one in sys.meta_path):
        sys.meta_path.insert(0, _Finder(name, change))
    return True
