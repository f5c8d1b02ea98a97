"""Runs :mod:`.probe` in processes of its own, and survives whatever happens in them."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from .probe import MARK

_PROGRAM = Path(__file__).with_name('probe.py')
TIMEOUT = 300  # seconds


class Result(NamedTuple):
    """Of one step: its facts, or why it failed."""

    facts: dict[str, Any]
    error: str = ''


def run(steps: Iterable[str], timeout: float = TIMEOUT) -> dict[str, Result]:
    """Try steps in one process; if it dies, the rest in another.

    Args:
        steps: Names of functions of :mod:`.probe`, or of modules to import.
        timeout: In seconds, of each process.
    """
    left, results = list(steps), {}
    while left:
        command = [sys.executable, str(_PROGRAM), *left]
        try:
            done = subprocess.run(command, capture_output=True, timeout=timeout)
            output, how = done.stdout, _how_it_ended(done.returncode)
        except subprocess.TimeoutExpired as error:
            output, how = error.stdout or b'', f'no end after {timeout:g} seconds'
        begun = None
        for line in output.decode('utf-8', 'replace').splitlines():
            if MARK not in line:
                continue
            found = json.loads(line.partition(MARK)[2])
            begun = found['step']
            if 'facts' in found or 'error' in found:
                results[begun] = Result(found.get('facts') or {}, found.get('error', ''))
        stuck = begun or left[0]
        if stuck not in results:
            results[stuck] = Result({}, how)
        rest = [step for step in left if step not in results]
        if len(rest) == len(left):
            break
        left = rest
    return results


def _how_it_ended(code: int) -> str:
    if code < 0:
        return f'the process was ended by {signal.Signals(-code).name}'
    return f'the process ended with code {code}'
