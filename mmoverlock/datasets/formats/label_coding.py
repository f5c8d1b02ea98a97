"""What the values and colours of label images mean: the label of each, and the names."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmoverlock.utils.errors import shown

from .class_table import IGNORED, ClassTable, Colour
from .label_scan import Scan, packed

_IGNORED_VALUES = (IGNORED, 65535)  # of 8 and of 16 bits
_GREY = 0x010101  # times a value: the colour of that grey level
_SOFT = 16  # grey levels between 0 and 255: a mask with soft edges has more


@dataclass
class Coding:
    """The meaning of all label images together.

    Attributes:
        names: Of the classes, in the order of the labels.
        palette: A colour for each.
        labels: For each label image the label of each value in :attr:`Scan.counts`.
        unknown: Values and colours that have no label, one line for each file.
        notes: How the values were understood, if it is not plain.
    """

    names: tuple[str, ...]
    palette: tuple[Colour, ...]
    labels: list[dict[int, int]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_coding(
    root: Path, table: ClassTable | None, paths: Sequence[Path], scans: Sequence[Scan]
) -> Coding:
    """Find the label of each value.

    Colour images need the colours of `table`; without them, colour images that are grey have
    values. Palette images have values; their colours count only if `table` has colours and the
    palettes differ. If all values are 0 and 255, 255 is label 1; else it is ignored, unless `table`
    has it.

    Raises:
        ValueError: the values do not tell what the classes are.
    """
    palette, differ = _common_palette(paths, scans)
    if differ and not table:
        raise ValueError(
            f"{differ}: list the classes in '{root / 'label_colors.txt'}', as 'red green blue "
            f"name', if the colours count, or in '{root / 'classes.txt'}' if the values do"
        )
    has_colours = bool(table and table.colours)
    coloured = [
        has_colours and (one.is_colour or bool(differ and one.palette)) or not _is_grey(one)
        for one in scans
    ]
    if any(coloured) and not has_colours:
        number = coloured.index(True)
        found = ', '.join(str(_rgb(key)) for key in list(scans[number].counts)[:4])
        raise ValueError(
            f"'{paths[number]}' has colours, such as {found}: list what they mean in "
            f"'{root / 'label_colors.txt'}', one class a line, 'red green blue name'"
        )
    meanings = [_meaning(*both) for both in zip(scans, coloured, strict=True)]
    values = Counter()
    for one, meaning, colours in zip(scans, meanings, coloured, strict=True):
        if not colours:
            values.update({meaning[key]: number for key, number in one.counts.items()})
    coding, labels = _of_values(root, table, paths, scans, values, any(coloured))
    if has_colours:
        colours = {packed(colour): label for label, colour in enumerate(table.colours)}
        ignored = {packed(one): IGNORED for one in table.ignored if not isinstance(one, int)}
        coding.palette, colours = table.colours, {**ignored, **colours}
    else:
        own = [palette.get(value) for value in sorted(labels, key=labels.get)]
        drawn = not all(one is None or len({*one}) == 1 for one in own)
        standard = _voc_colours(len(coding.names))
        coding.palette = tuple(
            (one if drawn and one else other) for one, other in zip(own, standard, strict=False)
        )
        colours = {}
    allowed = f'the {len(coding.names)} classes' + (f" of '{table.path}'" if table else '')
    for path, one, meaning, by_colour in zip(paths, scans, meanings, coloured, strict=True):
        known = colours if by_colour else labels
        odd = [key for key in one.counts if meaning[key] not in known]
        if odd:
            coding.unknown.append(_complaint(path, one, meaning, odd, by_colour, labels, allowed))
        coding.labels.append({key: known.get(meaning[key], IGNORED) for key in one.counts})
    return coding


def _is_grey(one: Scan) -> bool:
    return not one.is_colour or all(key == (key & 255) * _GREY for key in one.counts)


def _rgb(key: int) -> Colour:
    return key >> 16, key >> 8 & 255, key & 255


def _meaning(one: Scan, coloured: bool) -> dict[int, int]:
    """What each key of the scan's counts means: a colour as 0xRRGGBB, or a value."""
    if coloured and not one.is_colour:
        return {value: packed(one.palette[value]) for value in one.counts}
    if one.is_colour and not coloured:
        return {key: key & 255 for key in one.counts}
    return {key: key for key in one.counts}


def _common_palette(paths: Sequence[Path], scans: Sequence[Scan]) -> tuple[dict[int, Colour], str]:
    """The colour of each value in the palettes, and where two palettes differ, if they do."""
    palette: dict[int, Colour] = {}
    first: dict[int, Path] = {}
    for path, one in zip(paths, scans, strict=True):
        for value, colour in one.palette.items():
            if palette.setdefault(value, colour) != colour:
                return {}, (
                    f"value {value} is {palette[value]} in the palette of '{first[value]}', "
                    f"{colour} in that of '{path}'"
                )
            first.setdefault(value, path)
    return palette, ''


def _of_values(
    root: Path,
    table: ClassTable | None,
    paths: Sequence[Path],
    scans: Sequence[Scan],
    values: Counter[int],
    coloured: bool,
) -> tuple[Coding, dict[int, int]]:
    """The names, and the label of each value."""
    used, plain = {*values}, {*values} - {*_IGNORED_VALUES}
    names = table.names if table else ()
    listed = not table or table.values == tuple(range(len(names)))
    top = max(used, default=0)
    if used in ({0, 255}, {0, 65535}) and len(names) < 3 and listed and not coloured:
        names = names if len(names) == 2 else ('background', *(names or ('foreground',)))
        note = f"the label images have the values 0, '{names[0]}', and {top}, '{names[1]}'"
        return Coding(names, (), notes=[note]), {0: 0, top: 1}
    labels = dict.fromkeys(_IGNORED_VALUES, IGNORED)
    if table:
        labels.update({one: IGNORED for one in table.ignored if isinstance(one, int)})
        labels.update({value: label for label, value in enumerate(table.values)})
        return Coding(names, ()), labels
    if not plain:
        raise ValueError(f"all pixels of the label images in '{root}' are ignored ({top})")
    top = max(plain)
    shades = plain - {0}
    if {value for value, _ in values.most_common(2)} == {0, 255} and len(shades) > _SOFT:
        where = next(path for path, one in zip(paths, scans, strict=True) if len(one.counts) > 2)
        raise ValueError(
            f"'{where}' has soft edges: {len(shades)} grey levels between 0 and 255 in all label "
            'images; write masks of 0 and 255 alone'
        )
    if top >= IGNORED or 2 * len(plain) < top + 1:
        some = ', '.join(map(str, sorted(plain)[:6])) + (
            ', ...' if plain - {*sorted(plain)[:6]} else ''
        )
        raise ValueError(
            f"the values of the label images in '{root}', {some}, do not count up from 0: list "
            f"what they mean in '{root / 'classes.txt'}', one class a line, 'value name'"
        )
    names = tuple(f'class {label}' for label in range(top + 1))
    return Coding(names, ()), labels | {label: label for label in range(top + 1)}


def _complaint(
    path: Path,
    one: Scan,
    meaning: Mapping[int, int],
    odd: Sequence[int],
    by_colour: bool,
    labels: Mapping[int, int],
    allowed: str,
) -> str:
    key = odd[0]
    if by_colour:
        what, right = f'colour {_rgb(meaning[key])}', 'allowed are those of'
    else:
        values = sorted(value for value, label in labels.items() if label != IGNORED)
        whole = values == [*range(len(values))]
        span = f'0 to {values[-1]}' if whole else shown(map(str, values))
        ignored = f' and {IGNORED} (ignored)' if labels.get(IGNORED) == IGNORED else ''
        what, right = f'value {meaning[key]}', f'allowed are {span}{ignored} for'
    more = f', and {len(odd) - 1} more' if odd[1:] else ''
    return f"'{path}': {what} in {one.counts[key]} pixels{more}; {right} {allowed}"


def _voc_colours(number: int) -> list[Colour]:
    """Pascal VOC's colours: bit 3i, 3i + 1, 3i + 2 of the label are bit 7 - i of R, G, B."""
    return [
        tuple(
            sum((label >> 3 * i + channel & 1) << 7 - i for i in range(8)) for channel in range(3)
        )
        for label in range(number)
    ]
