"""A user's segmentation data, checked and brought into the form that trains."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mmoverlock.utils.errors import shown

from ..parallel import in_parallel
from .class_table import IGNORED, ClassTable, find_class_table
from .data import LabelData
from .files import replace_text
from .find import find_format, read_objects
from .label_coding import find_coding
from .label_files import Conversion, convert, write_once
from .label_images import Pair, find_layout
from .label_scan import Scan, scan
from .notes import Notes
from .rasterize import rasterize


def read_labels(data_root: str | Path, folder: str | Path, name: str | None = None) -> LabelData:
    """Read images with a class for each pixel, and check each file.

    Label images are used where they are if training can read them: PNG files, uint8, whose values
    are labels. Of others, and of objects with masks, label images are written into `folder`; with
    the same input that is done once. Nothing in `data_root` is changed.

    Args:
        data_root: The user's folder.
        folder: In a work_dir.
        name: Of the format: 'label_images' or one of those with objects; None: it is found out.

    Raises:
        ValueError: the data cannot be used; of wrong files, the first and how many there are.
    """
    root, folder = Path(data_root).absolute(), Path(folder).absolute()
    name = name or find_format(root, 'segmentation')
    if name == 'label_images':
        return _label_images(root, folder)
    data = read_objects(root, name)
    names, splits = rasterize(data, folder)
    table = ClassTable(root, names, tuple(range(len(names))))
    note = 'where objects overlap, the smallest is on top'
    return _checked(root, data.format, table, splits, [*data.notes, note], folder)


def _label_images(root: Path, folder: Path) -> LabelData:
    layout = find_layout(root)
    if layout is None:
        raise ValueError(f"'{root}' has no folder of pictures and one of label images")
    _refuse(layout.problems)
    table = find_class_table(root)
    return _checked(root, 'label images', table, layout.splits, layout.notes, folder)


def _checked(
    root: Path,
    format: str,
    table: ClassTable | None,
    splits: dict[str, list[Pair]],
    notes: Sequence[str],
    folder: Path,
) -> LabelData:
    """Check each pair of files, and write the label images that training cannot read."""
    pairs = [pair for those in splits.values() for pair in those]
    scans = in_parallel(scan, [(pair.picture, pair.label) for pair in pairs], 'check label images')
    _refuse([one.problem for one in scans if one.problem])
    coding = find_coding(root, table, [pair.label for pair in pairs], scans)
    _refuse(coding.unknown)
    read = dict(zip(pairs, zip(scans, coding.labels, strict=True), strict=True))
    found, jobs, usable = Notes(), [], {}
    pixels = {split: Counter() for split in splits}
    for split, those in splits.items():
        usable[split] = []
        for pair in those:
            one, labels = read[pair]
            counts = Counter()
            for value, number in one.counts.items():
                counts[labels[value]] += number
            pixels[split] += counts
            _note(found, pair, one, counts)
            path = pair.label
            if not one.usable or one.turn != 1 or any(a != b for a, b in labels.items()):
                path = folder / split / f'{pair.name}.png'
                jobs.append(Conversion(pair.label, path, labels, one.is_colour, one.turn))
            usable[split].append((pair.picture, path))
    for picture in sorted({one for one, _ in usable['train']} & {one for one, _ in usable['val']}):
        found.add('pictures for both training and validation', f"'{picture}'")
    write_once(folder, jobs, convert, [job.source for job in jobs])
    lines = [*notes, *coding.notes, *found.lines(), *_missing(coding.names, pixels)]
    return LabelData(root, format, coding.names, coding.palette, usable, lines)


def _note(found: Notes, pair: Pair, one: Scan, counts: Counter[int]) -> None:
    where = f"'{pair.label}'"
    if one.animated:
        found.add('pictures of several frames, the first is used', f"'{pair.picture}'")
    if one.turn != 1:
        found.add('label images that are turned by the EXIF tags of their pictures', where)
    if one.unsure:
        found.add('label images that must be turned as their pictures are by EXIF tags', where)
    if {*counts} == {IGNORED}:
        found.add('label images whose pixels are all ignored', where)


def _missing(names: Sequence[str], pixels: dict[str, Counter[int]]) -> list[str]:
    """What the splits lack, one line each; ValueError if there is nothing to learn or evaluate."""
    present = [name for label, name in enumerate(names) if pixels['train'][label]]
    if len(present) < 2:
        only = f'have one class alone, {shown(present)}' if present else 'are ignored everywhere'
        raise ValueError(f'the label images for training {only}: there is nothing to learn')
    if not any(pixels['val'][label] for label in range(len(names))):
        raise ValueError(
            'the label images for validation are ignored everywhere: there is nothing to evaluate'
        )
    lines = []
    for split, counts in pixels.items():
        absent = [name for label, name in enumerate(names) if not counts[label]]
        if absent:
            lines.append(f'classes without a pixel in {split}: {len(absent)} ({shown(absent)})')
        if counts[IGNORED]:
            share = counts[IGNORED] / counts.total()
            lines.append(f'{split} has {share:.2%} of its pixels ignored (label {IGNORED})')
    return lines


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        more = f' (and {len(problems) - 1} more)' if problems[1:] else ''
        raise ValueError(f'{problems[0]}{more}')


def write_pairs(data: LabelData, folder: str | Path) -> dict[str, Path]:
    """Write the list of pairs that :class:`mmoverlock.datasets.LabelledImages` reads.

    Returns:
        The JSON file of each split, ``folder/train.json`` and so on.
    """
    metainfo = dict(classes=data.classes, palette=data.palette)
    paths = {}
    for split, pairs in data.splits.items():
        samples = [dict(img_path=str(one), seg_map_path=str(other)) for one, other in pairs]
        paths[split] = Path(folder, f'{split}.json')
        content = json.dumps(dict(metainfo=metainfo, data_list=samples), ensure_ascii=False)
        replace_text(paths[split], content + '\n')
    return paths
