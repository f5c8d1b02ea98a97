"""All checks of an installation, in the order of the report."""

from collections.abc import Iterator
from pathlib import Path

from . import imports, machine, packages, probing, running
from .findings import ERROR, Finding

PACKAGE = Path(__file__).resolve().parents[2]  # mmoverlock's folder


def examine() -> Iterator[tuple[str, list[Finding]]]:
    """Look at everything; each section as soon as it is done: its title and what was found.

    It takes about half a minute, more if kernels must be compiled. Nothing is changed.
    """
    found = packages.installed()
    listed = [packages.check_python(), *packages.check_packages(found)]
    yield 'Packages', listed
    results = probing.run(imports.steps(found))
    imported = list(imports.check_imports(results, found))
    if 'mmcv' in results and not results['mmcv'].error:
        imported.append(machine.check_start_up(results['mmcv'].facts['hooked']))
    yield 'What they can do', imported
    yield 'Threads', list(machine.check_threads())
    yield 'Disk and memory', [*machine.check_room(), *machine.check_folders(PACKAGE)]
    if any(one.level == ERROR for one in (*listed, *imported)):
        text = 'not tried, as something that it needs is missing or broken'
        yield 'mmoverlock', [Finding('mmoverlock', text)]
    else:
        yield 'mmoverlock', list(running.check_running(probing.run(running.STEPS)))
