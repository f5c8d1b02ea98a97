"""What is in a user's own data: counts per class and split, sizes, and what looks wrong.

One function for each kind of data: objects, label images, class folders. Each decodes all images.
"""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from .formats.data import SPLITS, LabelData, ObjectData
from .image_facts import ImageFacts, read_facts, relative, repeated
from .parallel import in_parallel

SIZES = {'small': 32**2, 'medium': 96**2, 'large': float('inf')}  # COCO's, areas in pixels
FEW = 10  # objects or images; a class with fewer in training is pointed out
_ROWS = 100  # classes listed in the table
_NAMED = 5  # cases listed of each kind of note
_BAR = 24  # characters


@dataclass
class Inspection:
    """What was found; printed by ``str``.

    Attributes:
        lines: The report: what there is, a table of the classes, sizes.
        notes: What may be meant or not, one line each.
        problems: What stops training: images that cannot be decoded.
    """

    lines: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        notes = [f'note: {note}' for note in self.notes]
        problems = [f'broken: {problem}' for problem in self.problems]
        return '\n'.join([*self.lines, '', *notes, *problems]).rstrip()


def inspect_objects(data: ObjectData) -> Inspection:
    """Count objects, and images with them, per class and split; sizes of images and objects."""
    numbers = {split: len(content['images']) for split, content in data.splits.items()}
    what = f'{data.format}, boxes {"and masks" if data.with_masks else "without masks"}'
    result = _begin(data.root, what, numbers, data.classes, data.notes)
    columns, objects, per_image, empty = {}, [], [], {}
    for split, content in data.splits.items():
        mine = [one for one in content['annotations'] if not one.get('iscrowd')]
        crowds = len(content['annotations']) - len(mine)
        if crowds:
            result.notes.append(f'{split}: {crowds} objects are crowds, which training ignores')
        objects += mine
        counts = Counter(one['category_id'] - 1 for one in mine)
        pairs = {(one['image_id'], one['category_id'] - 1) for one in mine}
        images = Counter(label for _, label in pairs)
        found = Counter(one['image_id'] for one in mine)
        per_image += [found[one['id']] for one in content['images']]
        empty[split] = sum(not found[one['id']] for one in content['images'])
        labels = range(len(data.classes))
        columns[split, 'objects'] = [counts[label] for label in labels]
        columns[split, 'images'] = [images[label] for label in labels]
    totals = {key: sum(cells) for key, cells in columns.items() if key[1] == 'objects'}
    totals |= {(split, 'images'): number for split, number in numbers.items()}
    result.lines += table(data.classes, columns, totals)
    paths = {
        split: [str(data.root / one['file_name']) for one in content['images']]
        for split, content in data.splits.items()
    }
    _add_images(result, data.root, paths, data.ignore_orientation)
    areas = [one['area'] for one in objects]
    if areas:
        result.lines += [_row('object sizes', _coco_sizes(areas))]
        result.lines += [_row('per image', f'{spread(per_image)} objects')]
    if any(empty.values()):
        text = ', '.join(f'{number} {split}' for split, number in empty.items() if number)
        result.lines += [_row('without any', f'images: {text}')]
    _add_rare(result, data.classes, columns, 'objects')
    return result


def inspect_labels(data: LabelData) -> Inspection:
    """Count the shares of the pixels, and images, per class and split; sizes of images."""
    numbers = {split: len(pairs) for split, pairs in data.splits.items()}
    result = _begin(data.root, data.format, numbers, data.classes, data.notes)
    columns, totals = {}, {}
    for split, pairs in data.splits.items():
        paths = [path for _, path in pairs]
        counts = np.stack(in_parallel(_count_labels, paths, f'count labels of {split}'))
        known = counts[:, : len(data.classes)]
        columns[split, 'pixels'] = (known.sum(0) / counts.sum()).tolist()
        columns[split, 'images'] = (known > 0).sum(0).tolist()
        totals[split, 'pixels'] = float(known.sum() / counts.sum())
        totals[split, 'images'] = len(pairs)
    result.lines += table(data.classes, columns, totals)
    paths = {split: [str(path) for path, _ in pairs] for split, pairs in data.splits.items()}
    _add_images(result, data.root, paths)
    _add_rare(result, data.classes, columns, 'images')
    return result


def inspect_classes(root: str | Path) -> Inspection:
    """Count images per class and split, in a folder of class folders."""
    from .class_folder import ClassFolder  # needs mmpretrain

    root = Path(root)
    splits = [split for split in SPLITS if split != 'test' or (root / 'test').is_dir()]
    folders = {split: ClassFolder(str(root), split, serialize_data=False) for split in splits}
    samples = {split: folder.data_list for split, folder in folders.items()}
    classes = folders['train'].metainfo['classes']
    numbers = {split: len(mine) for split, mine in samples.items()}
    result = _begin(root, 'class folders', numbers, classes)
    columns = {}
    for split, mine in samples.items():
        counts = Counter(sample['gt_label'] for sample in mine)
        columns[split, 'images'] = [counts[label] for label in range(len(classes))]
    totals = {(split, 'images'): number for split, number in numbers.items()}
    result.lines += table(classes, columns, totals)
    paths = {split: [sample['img_path'] for sample in mine] for split, mine in samples.items()}
    _add_images(result, root, paths)
    _add_rare(result, classes, columns, 'images')
    return result


def _begin(
    root: Path,
    what: str,
    numbers: Mapping[str, int],
    classes: Sequence[str],
    notes: Sequence[str] = (),
) -> Inspection:
    """With a line on format, images and classes."""
    images = ', '.join(f'{number} {split}' for split, number in numbers.items())
    line = f'{root}: {what}, images: {images}, {len(classes)} classes'
    return Inspection([line, ''], list(notes))


def table(
    classes: Sequence[str],
    columns: Mapping[tuple[str, str], Sequence[float]],
    totals: Mapping[tuple[str, str], float],
) -> list[str]:
    """A line for each class, with a bar for the first column, and one for all of them.

    Args:
        classes: Names.
        columns: By split and what is counted: a number, or a share (float), for each class.
        totals: Likewise, for the last line.
    """
    first = next(iter(columns.values()), [])
    most = max(first, default=0) or 1
    splits = [split for split, _ in columns]
    heads = [
        '' if before == split else split
        for before, split in zip(['', *splits], splits, strict=False)
    ]
    rows = [['', *heads], ['class', *(what for _, what in columns)]]
    for label, name in enumerate(classes[:_ROWS]):
        rows.append([_short(name), *(_number(cells[label]) for cells in columns.values())])
    if len(classes) > _ROWS:
        rows.append([f'... and {len(classes) - _ROWS} more', *([''] * len(columns))])
    rows.append(['all', *(_number(totals[key]) for key in columns)])
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    lines = []
    for number, (name, *cells) in enumerate(rows):
        label = number - 2
        bar = '#' * round(_BAR * first[label] / most) if 0 <= label < len(classes[:_ROWS]) else ''
        texts = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append('  '.join([name.ljust(widths[0]), *texts, bar]).rstrip())
    return lines


def spread(numbers: Iterable[float]) -> str:
    """Least, median and greatest."""
    numbers = list(numbers)
    low, middle, high = min(numbers), statistics.median(numbers), max(numbers)
    return f'{low:g}' if low == high else f'{low:g} to {high:g}, median {middle:g}'


def _add_images(
    result: Inspection,
    root: Path,
    paths: Mapping[str, Sequence[str]],
    ignore_orientation: bool = False,
) -> dict[str, list[ImageFacts]]:
    """Decode the images of each split, and add sizes, odd kinds, repeated and broken ones."""
    unique = sorted({path for split in paths.values() for path in split})
    facts = dict(zip(unique, read_facts(unique, 'images', ignore_orientation), strict=True))
    good = [one for one in facts.values() if not one.problem]
    if good:
        result.lines += [
            '',
            _row('width', f'{spread(one.width for one in good)} pixels'),
            _row('height', f'{spread(one.height for one in good)} pixels'),
        ]
    kinds = Counter(kind for one in good for kind in one.kinds)
    if kinds:
        text = ', '.join(f'{number} {kind}' for kind, number in kinds.most_common())
        result.lines.append(_row('kinds', text))
    result.problems += [
        f"'{relative(one.path, root)}': {one.problem}" for one in facts.values() if one.problem
    ]
    _add_repeated(result, root, {split: [facts[p] for p in mine] for split, mine in paths.items()})
    return {split: [facts[path] for path in mine] for split, mine in paths.items()}


def _add_repeated(result: Inspection, root: Path, facts: Mapping[str, list[ImageFacts]]) -> None:
    """Note which images are in several splits under other names, or several times in one."""
    splits = {one.path: split for split, mine in facts.items() for one in mine}
    unique = {one.path: one for mine in facts.values() for one in mine}
    groups = repeated(list(unique.values()))
    across = [group for group in groups if len({splits[one.path] for one in group}) > 1]
    within = [group for group in groups if group not in across]
    for found, what in (
        (across, 'images are in more than one split, which makes the scores too good'),
        (within, 'images are there more than once, with the same bytes'),
    ):
        if found:
            cases = [
                ' = '.join(f"'{relative(one.path, root)}'" for one in group) for group in found
            ]
            more = f'; and {len(cases) - _NAMED} more' if cases[_NAMED:] else ''
            result.notes.append(f'{len(found)} {what}: {"; ".join(cases[:_NAMED])}{more}')


def _add_rare(
    result: Inspection,
    classes: Sequence[str],
    columns: Mapping[tuple[str, str], Sequence[float]],
    what: str,
) -> None:
    """Note the classes with little to learn from."""
    pairs = zip(classes, columns['train', what], strict=True)
    rare = [f"'{name}' {number}" for name, number in pairs if number < FEW]
    if rare:
        more = ', ...' if rare[_NAMED:] else ''
        result.notes.append(
            f'{len(rare)} classes have fewer than {FEW} {what} for training: '
            f'{", ".join(rare[:_NAMED])}{more}'
        )


def _count_labels(path: str | Path) -> np.ndarray:
    """How many pixels each of the values 0 to 255 has (256,)."""
    with Image.open(path) as image:
        return np.bincount(np.asarray(image).ravel(), minlength=256)


def _coco_sizes(areas: Sequence[float]) -> str:
    parts, low = [], 0.0
    for name, high in SIZES.items():
        number = sum(low <= area < high for area in areas)
        parts.append(f'{name} {number} ({number / len(areas):.0%})')
        low = high
    return f"{', '.join(parts)}; COCO's terms: below 32², below 96² pixels, larger"


def _row(name: str, text: str) -> str:
    return f'{name:<13} {text}'


def _number(value: float) -> str:
    return f'{value:.1%}' if isinstance(value, float) else str(value)


def _short(name: str) -> str:
    return name if len(name) <= 24 else f'{name[:23]}…'
