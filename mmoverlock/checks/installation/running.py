"""Whether mmoverlock itself runs, by which backends, and as fast as it should."""

import re
from collections.abc import Iterator, Mapping

from .findings import ERROR, WARNING, Finding
from .probing import Result

STEPS = ('mmoverlock', 'operators', 'speed')
# The network of the probe by our kernels and by the reference alone: 2.5 to 5 times faster on the
# CPUs that were measured. Busy neighbours lower it.
EXPECTED, POOR = 2.0, 1.3


def check_running(results: Mapping[str, Result]) -> Iterator[Finding]:
    """Judge the probe's steps :data:`STEPS`."""
    facts, error = results['mmoverlock']
    if error:
        text = f'cannot be imported: {error[:300]}'
        yield Finding('mmoverlock', text, ERROR, "pip install --upgrade 'mmoverlock[all]'")
        return
    waiting = f'; sets GOMP_SPINCOUNT={facts["limited"]}' if facts['limited'] else ''
    yield Finding('mmoverlock', f'{facts["version"]}{waiting}')
    facts, error = results['operators']
    if error:
        yield Finding(
            'operators', f'a small network does not run: {error[:300]}', ERROR, _remedy(error)
        )
        return
    for name, one in sorted(facts['operators'].items()):
        yield _operator(name, one['backend'], one['reasons'])
    yield _speed(*results['speed'], slow='reference' in _backends(facts, 'contmix'))


def _backends(facts: Mapping, operator: str) -> set[str]:
    return {one['backend'] for name, one in facts['operators'].items() if name == operator}


def _operator(name: str, backend: str, reasons: Mapping[str, str]) -> Finding:
    why = '; '.join(f'not {other}: {reason}' for other, reason in sorted(reasons.items()))
    text = f'{backend:<10} {why}' if why else backend
    if name != 'contmix' or backend != 'reference':
        return Finding(name, text)
    return Finding(name, f'{text} (slow)', WARNING, _remedy('; '.join(reasons.values())))


def _remedy(text: str) -> str:
    """The command that a message names, or what turns off a backend that cannot run."""
    command = re.search(r'pip install (?:"[^"]+"|\S+)', text)
    if command:
        return command[0]
    return (
        'unset MMOVERLOCK_BACKEND'
        if 'asked for' in text or 'backend' in text
        else 'pip install triton'
    )


def _speed(facts: Mapping, error: str, slow: bool) -> Finding:
    if error:
        return Finding('speed', f'not measured: {error[:300]}', WARNING, 'mmoverlock doctor')
    ours, plain = facts['auto'], facts['reference']
    times = (
        f'XXT at {facts["size"]}² on {facts["device"]}: {1000 * ours:.0f} ms, by plain PyTorch '
        f'{1000 * plain:.0f} ms: {plain / ours:.1f} times faster'
    )
    if slow:
        return Finding('speed', f'{times}, because plain PyTorch is all that runs')
    text = f'{times}; {EXPECTED:g} or more is expected'
    if plain / ours >= POOR:
        return Finding('speed', text)
    remedy = 'top -o %CPU  # end what else runs, then repeat; if it stays, please open an issue'
    return Finding('speed', text, WARNING, remedy)
