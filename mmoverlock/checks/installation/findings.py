"""What was found, and how it is told."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

OK, NOTE, WARNING, ERROR = 'ok', 'note', 'warning', 'error'


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Args:
        topic: What it is about: 'PyTorch'.
        text: What was found, in one line.
        level: 'ok'; 'note', nothing to be done; 'warning', slow or partly broken; 'error', a
            detector cannot be trained.
        remedy: The command that heals it.
    """

    topic: str
    text: str
    level: str = OK
    remedy: str = ''


def report(sections: Iterable[tuple[str, list[Finding]]]) -> str:
    """The text for the terminal, or for an issue: plain, without the user's name in paths."""
    lines, count = [], {WARNING: 0, ERROR: 0}
    for title, findings in sections:
        lines += ['', title]
        for one in findings:
            lines.append(f'  {one.level:<8}{one.topic:<22}{one.text}'.rstrip())
            if one.remedy:
                lines.append(f'{"":12}-> {one.remedy}')
            if one.level in count:
                count[one.level] += 1
    verdict = (
        'Training a detector would not work here' if count[ERROR] else 'All that is needed works'
    )
    numbers = ', '.join(
        f'{number} {level}{"s"[: number - 1]}' for level, number in count.items() if number
    )
    lines += ['', f'{verdict}{f" ({numbers})" if numbers else ""}.']
    return without_home('\n'.join(lines).lstrip('\n'))


def exit_code(findings: Iterable[Finding]) -> int:
    """1 if a detector could not be trained, else 0."""
    return int(any(one.level == ERROR for one in findings))


def without_home(text: str) -> str:
    """Write the home folder as ~."""
    home = os.path.expanduser('~')
    return text.replace(home, '~') if Path(home) != Path(home).parent else text
