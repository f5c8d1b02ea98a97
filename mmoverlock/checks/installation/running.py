"""Whether mmoverlock itself runs, by which backends, and as fast as it should."""

import re
from collections.abc import Iterator, Mapping, Sequence

from .findings import ERROR, WARNING, Finding
from .probing import Result

STEPS = ('mmoverlock', 'operators', 'speed')
# By how much ContMix should be faster than in plain PyTorch: 72 to 90 times was measured on a CPU
# (docs/benchmarks/results.md). No GPU has been measured.
POOR = {'cpu': 10.0, 'cuda': 1.0}


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
        yield _operator(name, one['backends'], one['reasons'])
    contmix = facts['operators'].get('contmix', {}).get('backends', ())
    yield _speed(*results['speed'], slow='reference' in contmix)


def _operator(name: str, backends: Sequence[str], reasons: Mapping[str, str]) -> Finding:
    """Which backends ran it, and why others that come before them did not."""
    why = [
        f'not {other}: {reason}'
        for other, reason in sorted(reasons.items())
        if other not in backends and not reason.endswith('is preferred')
    ]
    text = '; '.join([', '.join(backends), *why])
    if name != 'contmix' or 'reference' not in backends:
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
    ratio, poor = facts['reference'] / facts['auto'], POOR[facts['device']]
    network = (
        f'OverLoCK-XXT at {facts["size"]}×{facts["size"]} on {facts["device"]} takes '
        f'{1000 * facts["network"]:.0f} ms'
    )
    if slow:
        return Finding('speed', f'{network}, by plain PyTorch alone')
    text = f'{network}; ContMix is {ratio:.1f} times as fast as in plain PyTorch'
    if ratio >= poor:
        return Finding('speed', text)
    remedy = 'top -o %CPU  # end what else runs, then repeat; if it stays, please open an issue'
    return Finding('speed', f'{text}, {poor:g} is expected', WARNING, remedy)
