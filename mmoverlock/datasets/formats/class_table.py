"""The classes of label images: names, pixel values and colours, as the usual files list them."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mmoverlock.utils.errors import shown

from .files import read_text

Colour = tuple[int, int, int]
IGNORED = 255  # the label of pixels that neither train nor count

_STEMS = (
    'classes', 'class_names', 'names', 'labels', 'labelmap', 'label_colors', 'class_dict', 'codes',
    '_classes', 'train/_classes', 'data', 'dataset',
)  # fmt: skip
_SUFFIXES = ('.txt', '.csv', '.yaml', '.yml')
_SEPARATOR = r'[\s,;:]+'
_COLOUR = rf'(?P<r>\d+){_SEPARATOR}(?P<g>\d+){_SEPARATOR}(?P<b>\d+)'
_VALUE = rf'(?P<value>\d+){_SEPARATOR}'
_FORMS = (
    re.compile(rf'{_COLOUR}{_SEPARATOR}(?P<name>.+)'),  # CamVid's
    re.compile(rf'(?:{_VALUE})?(?P<name>.+?){_SEPARATOR}{_COLOUR}(?:[,;:].*)?'),  # CVAT's, too
    re.compile(rf'{_VALUE}(?P<name>.+)'),
    re.compile('(?P<name>.+)'),
)
_NOT_A_CLASS = re.compile('_*(ignored?|void)_*', re.IGNORECASE)


@dataclass(frozen=True)
class ClassTable:
    """Classes in the order of their labels.

    Attributes:
        path: The file that lists them.
        names: Of the classes.
        values: The pixel value of each in the user's label images.
        colours: The colour (RGB) of each in colour-coded label images, if the file has colours.
        ignored: Values and colours of pixels to ignore, besides 255.
    """

    path: Path
    names: tuple[str, ...]
    values: tuple[int, ...]
    colours: tuple[Colour, ...] = ()
    ignored: tuple[int | Colour, ...] = ()


def find_class_table(root: Path) -> ClassTable | None:
    """The classes that a file in `root` lists, if one does. One with colours goes first.

    Text files have a line for each class: the name, perhaps after its pixel value, perhaps with a
    colour (three numbers) before or after it. CSV files may have a heading. YAML files have
    ``names``, a list or a mapping from pixel values, and perhaps ``palette``.

    Raises:
        ValueError: a file cannot be read as any of these, or names a class twice.
    """
    paths = [root / f'{stem}{suffix}' for stem in _STEMS for suffix in _SUFFIXES]
    tables = [table for path in paths if path.is_file() and (table := _read(path))]
    return next((table for table in tables if table.colours), tables[0] if tables else None)


def _read(path: Path) -> ClassTable | None:
    rows = _yaml_rows(path) if path.suffix in ('.yaml', '.yml') else _text_rows(path)
    if not rows:
        return None
    if rows[0] == ('__ignore__', None, None):
        del rows[0]  # LabelMe's: it has no value
    if any(len({row[i] is None for row in rows}) > 1 for i in (1, 2)):
        raise ValueError(f"'{path}' has values or colours for some of the classes only")
    if rows and rows[0][1] is None:
        rows = [(name, number, colour) for number, (name, _, colour) in enumerate(rows)]
    rows.sort(key=lambda row: row[1])
    ignored = [row for row in rows if _is_ignored(*row)]
    rows = [row for row in rows if row not in ignored]
    names, values, colours = ([row[i] for row in rows] for i in range(3))
    for what, found in (('class', names), ('value', values), ('colour', colours)):
        twice = [one for one in dict.fromkeys(found) if one is not None and found.count(one) > 1]
        if twice:
            raise ValueError(f"'{path}' has the {what} {shown(twice[:1])} twice")
    if not 0 < len(names) <= IGNORED:
        raise ValueError(f"'{path}' has {len(names)} classes: 1 to {IGNORED} are possible")
    without = [one for row in ignored for one in row[1:] if one is not None]
    colours = tuple(colours) if any(colours) else ()
    return ClassTable(path, tuple(names), tuple(values), colours, tuple(without))


def _is_ignored(name: str, value: int, colour: Colour | None) -> bool:
    return bool(_NOT_A_CLASS.fullmatch(name)) and (value == IGNORED or colour is not None)


def _text_rows(path: Path) -> list[tuple[str, int | None, Colour | None]]:
    """Name, value and colour of each line, in the first form that all lines have."""
    lines = [line.strip() for line in read_text(path).splitlines()]
    lines = [line for line in lines if line and not line.startswith('#')]
    if path.suffix == '.csv' and lines:
        lines = [','.join(cell.strip() for cell in row) for row in csv.reader(lines)]
        if not re.search(r'\d', lines[0]) and all(re.search(r'\d', line) for line in lines[1:]):
            del lines[0]  # the heading
    for form in _FORMS:
        matches = [form.fullmatch(line) for line in lines]
        if all(matches):
            return [_row(path, match.groupdict()) for match in matches]
    return []


def _row(path: Path, cells: dict[str, str | None]) -> tuple[str, int | None, Colour | None]:
    value, colour = cells.get('value'), None
    if cells.get('r'):
        colour = _colour(path, [int(cells[one]) for one in 'rgb'])
    return cells['name'].strip(), None if value is None else int(value), colour


def _colour(path: Path, numbers: Any) -> Colour:
    right = isinstance(numbers, Sequence) and len(numbers) == 3
    if not right or not all(isinstance(one, int) and 0 <= one <= 255 for one in numbers):
        raise ValueError(f"'{path}': {numbers} is no colour, three numbers from 0 to 255 are")
    return tuple(numbers)


def _yaml_rows(path: Path) -> list[tuple[str, int | None, Colour | None]]:
    try:
        content = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise ValueError(f"'{path}' is not YAML: {' '.join(str(error).split())}") from None
    names = content.get('names') or content.get('classes') if isinstance(content, dict) else None
    if not isinstance(names, list | dict):
        return []  # of another program
    palette = content.get('palette') or [None] * len(names)
    if not isinstance(palette, list) or len(palette) != len(names):
        raise ValueError(f"'{path}': `palette` is not a list of {len(names)} colours")
    colours = [one and _colour(path, one) for one in palette]
    values = list(names) if isinstance(names, dict) else [None] * len(names)
    if not all(value is None or isinstance(value, int) for value in values):
        raise ValueError(f"'{path}': the keys of `names` are not all numbers")
    texts = [str(name).strip() for name in (names.values() if isinstance(names, dict) else names)]
    return list(zip(texts, values, colours, strict=True))
