"""A bar for work that takes long."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar('T')


def progress(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Go through `items`; on a terminal a bar on stderr shows how far it is, called `what`."""
    terminal = sys.stderr.isatty()
    console = Console(stderr=True)
    return iter(track(items, what, total, console=console, transient=True, disable=not terminal))
