"""Mutated files, and what a command may do with them.

Every case has a seed, which the failure names: `pytest tests/fuzz -k SEED` repeats it alone.
``FUZZ_SCALE=10`` tries ten times as many seeds.
"""

import contextlib
import faulthandler
import io
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..user import MARKER, snapshot

SECONDS = 60  # in which a command must have ended
SCALE = int(os.environ.get('FUZZ_SCALE', 1))
DEEP = 3000  # levels: more than Python's recursion allows


# Bytes


def mutate_bytes(data: bytes, rng: random.Random, most: int = 4) -> bytes:
    """Change `data` in one to `most` places: bits, chunks, numbers, or the end cut off."""
    for _ in range(rng.randint(1, most)):
        data = rng.choice(_BYTES)(data, rng) if data else b''
    return data


def _chunk(data: bytes, rng: random.Random) -> slice:
    start = rng.randrange(len(data))
    return slice(start, start + rng.choice((1, 4, 16, 64, len(data) // 4 + 1)))


def _flip(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 8))):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _flip_head(data: bytes, rng: random.Random) -> bytes:
    head = data[: rng.choice((16, 64, 256))]
    return _flip(head, rng) + data[len(head) :]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _insert(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(rng.choice((1, 3, 100))) + data[at:]


def _remove(data: bytes, rng: random.Random) -> bytes:
    part = _chunk(data, rng)
    return data[: part.start] + data[part.stop :]


def _duplicate(data: bytes, rng: random.Random) -> bytes:
    part = _chunk(data, rng)
    return data[: part.stop] + data[part] + data[part.stop :]


def _swap(data: bytes, rng: random.Random) -> bytes:
    a, b, c = sorted(rng.randrange(len(data) + 1) for _ in range(3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def _number(data: bytes, rng: random.Random) -> bytes:
    """A number that headers and counts may not like."""
    at, size = rng.randrange(len(data)), rng.choice((1, 2, 4, 8))
    value = rng.choice((0, 1, 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1))
    return data[:at] + value.to_bytes(size, rng.choice(('little', 'big'))) + data[at + size :]


_BYTES = (_flip, _flip_head, _cut, _insert, _remove, _duplicate, _swap, _number)


# Values of JSON, YAML and of configs


def values(rng: random.Random) -> Any:
    """A value where another is expected."""
    return rng.choice(
        [
            None, True, False, 0, 1, -1, 2**31, 2**63, -(2**63), 10**400, 1e308, -0.5,
            float('nan'), float('inf'), float('-inf'), '', 'x', 'ü漢字\u202e', '\0', '../..', '1',
            '%s{0}', 'a' * 5000, [], {}, [[]], [None], {'': None}, {'type': 'x'}, [1, 'x', None],
        ]
    )  # fmt: skip


def nested(depth: int = DEEP) -> list:
    """Lists in lists."""
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) inside a tree of dicts and lists."""
    todo = [tree]
    while todo:
        part = todo.pop()
        keys = part if isinstance(part, dict) else range(len(part)) if type(part) is list else ()
        for key in keys:
            yield part, key
            todo.append(part[key])


def mutate_tree(tree: Any, rng: random.Random, most: int = 3, depth: int = DEEP) -> Any:
    """Change a tree of dicts and lists, in place, in one to `most` places; return it."""
    for _ in range(rng.randint(1, most)):
        found = list(places(tree))
        if not found:
            return values(rng)
        part, key = rng.choice(found)
        what = rng.randrange(8)
        if what == 0:
            del part[key]
        elif what == 1 and isinstance(part[key], dict):
            part[key] = list(part[key].values())
        elif what == 1 and isinstance(part[key], list):
            part[key] = {str(i): one for i, one in enumerate(part[key])}
        elif what == 2:  # what belongs to another place
            other, name = rng.choice(found)
            value = other.get(name) if isinstance(other, dict) else None
            around = value is part or any(inner is part for inner, _ in places(value))
            part[key] = None if around else value
        elif what == 3 and isinstance(part, dict):
            part[f'{key}{rng.choice("x_ ü")}'] = part.pop(key)
        elif what == 4 and isinstance(part[key], (int, float)):
            part[key] = rng.choice((-part[key], part[key] * 1000, str(part[key]), [part[key]]))
        elif what == 5 and rng.random() < 0.1:
            part[key] = nested(depth)
        else:
            part[key] = values(rng)
    return tree


# Commands


class Hang(BaseException):
    """Nothing catches it."""


@contextlib.contextmanager
def watchdog(seconds: int = SECONDS) -> Iterator[None]:
    """Raise :class:`Hang` after so long; a library that never returns ends the process."""

    def stop(*_: Any) -> None:
        raise Hang(f'still running after {seconds} s')

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    faulthandler.dump_traceback_later(2 * seconds, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Fuzz:
    """Runs commands in the folder `home`, and collects what none may do.

    Args:
        home: The user's folder, where the process is; nothing in it may change.

    Attributes:
        codes: Exit codes that are allowed besides 0; with each goes one line.
    """

    def __init__(self, home: Path) -> None:
        self.home, self.codes = home, (2,)
        self.bugs: list[str] = []
        self.ends = dict(done=0, refused=0)

    def run(self, seed: Any, call: Any, *arguments: Any) -> str | None:
        """Call a command's main or a function; return its error, if it ends with one."""
        errors, message, bug = io.StringIO(), None, None
        start = time.monotonic()
        silent = contextlib.redirect_stdout(io.StringIO())
        with watchdog(), contextlib.redirect_stderr(errors), silent:
            try:
                call(*arguments)
            except SystemExit as end:
                message = errors.getvalue().rstrip('\n')
                lines = [line for line in message.splitlines() if line.startswith('error: ')]
                message = message.splitlines()[-1] if message else ''
                if end.code not in self.codes or lines != [message]:
                    bug = f'exit code {end.code}, {errors.getvalue()[-2000:]}'
            except (ValueError, OSError) as error:
                message = str(error)
                if '\n' in message:
                    bug = f'more than one line: {message}'
            except (Exception, Hang) as error:
                bug = f'{type(error).__name__}: {error}'
        if 'Traceback' in errors.getvalue():
            bug = f'traceback: {errors.getvalue()[-2000:]}'
        if time.monotonic() - start > SECONDS:
            bug = f'took {time.monotonic() - start:.0f} s'
        if (self.home / MARKER).exists():
            bug = 'code was run from the file'
            (self.home / MARKER).rmdir()
        if bug:
            self.bugs.append(f'seed {seed}: {arguments[-1]}: {bug}'[:1500])
        self.ends['done' if message is None else 'refused'] += 1
        if 'FUZZ_SHOW' in os.environ:
            with open(os.environ['FUZZ_SHOW'], 'a') as file:
                end = f'BUG {bug!r}' if bug else message or 'done'
                print(seed, f'{time.monotonic() - start:.1f} s', end, file=file)
        return message

    def check(self, least_done: int = 1, least_refused: int = 1) -> None:
        """That there were no bugs, and that both ends were seen: the mutants are neither all
        harmless nor all hopeless."""
        assert not self.bugs, '\n'.join([f'{len(self.bugs)} bugs', *self.bugs])
        assert self.ends['done'] >= least_done and self.ends['refused'] >= least_refused, self.ends


@contextlib.contextmanager
def unchanged(*folders: Path) -> Iterator[None]:
    """Assert that no file below the folders is changed, made or removed."""
    before = [snapshot(folder) for folder in folders]
    yield
    assert [snapshot(folder) for folder in folders] == before
