"""Where the sections come from: what they have in common, and what single ones have not."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from .numbers import format_cells


def describe(facts: Mapping[str, Any]) -> dict[str, str]:
    """The facts of a section, see :class:`~mmoverlock.analysis.record.Record`, for a reader."""
    images, whole, classes = format_cells(
        [facts['images'], facts['images_in_the_set'], facts['classes']]
    )
    all_of_them = facts['images'] == facts['images_in_the_set']
    return {
        'Task': facts['task'],
        'Config': facts['config'],
        'Checkpoint': facts['checkpoint'],
        'Data set': facts['dataset'],
        'Images': images if all_of_them else f'{images} of {whole}, spread over the set',
        'Classes': classes,
        'Date': facts['date'],
        'Machine': facts['machine'],
        'Versions': ', '.join(f'{name} {number}' for name, number in facts['versions'].items()),
        'Command': facts['command'],
    }


def split_origins(
    origins: Mapping[str, Mapping[str, str]],
) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """What most sections share, and for each section what differs from that.

    Args:
        origins: What :func:`describe` gave, by section; one at least.
    """
    names = next(iter(origins.values()))
    common = {
        name: Counter(origin[name] for origin in origins.values()).most_common(1)[0][0]
        for name in names
    }
    own = {
        section: {name: text for name, text in origin.items() if text != common[name]}
        for section, origin in origins.items()
    }
    return common, own
