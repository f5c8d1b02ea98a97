"""Label images: which picture belongs to which label image, and in which split they are.

Pictures and label images have the same name in two folders, but for a suffix such as ``_mask``:

- ``images/train/a.jpg`` and ``masks/train/a.png``, or ``train/a.jpg`` and ``masks/train/a.png``
- ``train/images/a.jpg`` and ``train/masks/a.png``
- ``train/a.jpg`` and ``train_labels/a.png``, or ``train/a.jpg`` and ``train/a_mask.png``
- ``images/a.jpg`` and ``masks/a.png``: not divided
- Pascal VOC's: ``JPEGImages``, ``SegmentationClass`` and ``ImageSets/Segmentation/train.txt``

Folders may hold further folders.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from mmoverlock.utils.errors import shown

from .data import HOLD_OUT, SPLITS
from .files import IMAGES, read_text, walk

_LABEL_FOLDERS = (
    'annotations', 'labels', 'masks', 'semantic', 'annotation', 'label', 'mask', 'ann_dir', 'annot',
    'segmentationclass', 'segmentationclasspng', 'gtfine', 'gt', 'segmentations', 'labelstr',
    'labeltr',
)  # fmt: skip
_PICTURE_FOLDERS = (
    'images', 'image', 'imgs', 'img', 'img_dir', 'pictures', 'jpegimages', 'leftimg8bit',
    'imagestr',
)  # fmt: skip
_LABEL_SUFFIXES = (
    '', '_mask', '_masks', '_label', '_labels', '_gt', '_seg', '_segmentation', '_l', '_p',
    '_gtfine_labeltrainids', '_gtfine_labelids',
)  # fmt: skip
_PICTURE_SUFFIXES = ('', '_leftimg8bit', '_image', '_img', '_sat')
_ALIASES = dict(
    train=('train', 'training'), val=('val', 'valid', 'validation'), test=('test', 'testing')
)
_LOSSY = ('.jpg', '.jpeg')
_Named = dict[str, list[Path]]


@dataclass(frozen=True)
class Pair:
    """A picture, its label image, and the name that both have, with the folders that hold it."""

    picture: Path
    label: Path
    name: str


@dataclass
class Layout:
    """Where the label images are.

    Attributes:
        where: For messages: 'masks/', 'train/masks/'.
        splits: The pairs of each split, in the order of names; empty if no names agree.
        problems: Files without a partner or with several, one line each.
        notes: Pictures that are left out.
    """

    where: str
    splits: dict[str, list[Pair]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def looks_like(root: str | Path) -> str | None:
    """What a folder with label images has, for messages: 'label images in masks/'; else None."""
    layout = find_layout(Path(root))
    return layout and f'label images in {layout.where}'


def find_layout(root: Path) -> Layout | None:
    """The pairs in a folder, divided into splits, or None if there are no label images.

    Without a folder or a list for validation, every fifth picture is held out.
    """
    layout = _voc(root) or _folders(root)
    if layout is None or not layout.splits:
        return layout
    if 'train' not in layout.splits:
        layout.problems.append(f"'{root}' has label images, but none for training")
    elif 'val' not in layout.splits:
        pairs = layout.splits['train']
        held = slice(HOLD_OUT - 1, None, HOLD_OUT)
        layout.splits['val'] = pairs[held]
        if len(pairs) < HOLD_OUT:
            layout.problems.append(
                f"'{root}' has {len(pairs)} pictures with label images: of at least {HOLD_OUT}, "
                'some are held out for validation; or divide them into train/ and val/'
            )
        del pairs[held]
    layout.splits = {split: layout.splits[split] for split in SPLITS if split in layout.splits}
    return layout


def _voc(root: Path) -> Layout | None:
    """VOC's lists of names."""
    folders = _subfolders(root)
    lists = root / 'ImageSets' / 'Segmentation'
    paths = {split: lists / f'{split}.txt' for split in SPLITS}
    paths = {split: path for split, path in paths.items() if path.is_file()}
    if not paths or not {'jpegimages', 'segmentationclass'} <= folders.keys():
        return None
    layout = Layout('SegmentationClass/')
    pictures = _by_name(walk(folders['jpegimages'], IMAGES), folders['jpegimages'])
    labels = _by_name(walk(folders['segmentationclass'], IMAGES), folders['segmentationclass'])
    for split, path in paths.items():
        names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
        for folder, files in (('JPEGImages', pictures), ('SegmentationClass', labels)):
            layout.problems += [
                f"'{path}' lists '{name}', '{root / folder}' has no such image"
                for name in names
                if name not in files
            ]
        found = sorted({name for name in names if name in pictures and name in labels})
        layout.splits[split] = [Pair(pictures[name][0], labels[name][0], name) for name in found]
    return layout


def _folders(root: Path) -> Layout | None:
    """Folders of splits, or of pictures and label images without a split."""
    folders = _subfolders(root)
    splits = {split: _of_split(folders, names) for split, names in _ALIASES.items()}
    return _search(root, splits) or _search(root, dict(train=_undivided(root, folders)))


def _search(root: Path, splits: dict[str, Iterator[tuple[Path, Path]]]) -> Layout | None:
    """The first place of each split where names agree; if there is none, what is wrong."""
    layout = odd = None
    for split, places in splits.items():
        for pictures, labels in places:
            found = _match(root, pictures, labels)
            if found and found.splits:
                layout = layout or Layout(found.where)
                layout.splits[split] = found.splits['']
                layout.problems += found.problems
                layout.notes += found.notes
                break
            odd = odd or found
    return layout or odd


def _of_split(folders: dict[str, Path], names: Iterable[str]) -> Iterator[tuple[Path, Path]]:
    """The folders where pictures and label images of a split may be."""

    def places(kinds: Iterable[str]) -> Iterator[Path | None]:
        for kind, name in product(kinds, names):
            yield _subfolders(folders.get(kind)).get(name)
            yield _subfolders(folders.get(name)).get(kind)
            for joined in (f'{name}_{kind}', f'{kind}_{name}', f'{name}{kind}'):
                yield folders.get(joined)

    whole = [folders[name] for name in names if name in folders]
    labels = [path for path in places(_LABEL_FOLDERS) if path]
    pictures = [path for path in places(_PICTURE_FOLDERS) if path] if labels else []
    yield from product([*pictures, *whole], labels)
    yield from zip(whole, whole, strict=True)


def _undivided(root: Path, folders: dict[str, Path]) -> Iterator[tuple[Path, Path]]:
    labels = [folders[name] for name in _LABEL_FOLDERS if name in folders]
    pictures = [folders[name] for name in _PICTURE_FOLDERS if name in folders]
    yield from product([*pictures, root], labels)
    yield from ((path, path) for path in [*pictures, root])


def _subfolders(folder: Path | None) -> dict[str, Path]:
    """The folders in a folder, by their names in lower case."""
    if folder is None or not folder.is_dir():
        return {}
    folders = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    return {name.lower(): folder / name for name in folders}


def _match(root: Path, pictures: Path, labels: Path) -> Layout | None:
    """The pairs in two folders, or in one, under the key '' of :attr:`Layout.splits`.

    None if there are no images in one of them; for a single folder, if there are no pairs.
    """
    apart = pictures != labels
    inner = f'{labels}{os.sep}'
    images = [
        path for path in walk(pictures, IMAGES) if not (apart and str(path).startswith(inner))
    ]
    maps = list(walk(labels, (*IMAGES, '.gif'))) if apart and images else images
    if not images or not maps:
        return None
    all_pictures, all_labels = _by_name(images, pictures), _by_name(maps, labels)
    mine, theirs = _matching(all_pictures, all_labels, apart)
    names = sorted(mine.keys() & theirs.keys())
    if not names and not apart:
        return None
    layout = Layout(f'{labels.relative_to(root).as_posix()}/' if labels != root else f"'{root}'")
    if not names:
        layout.problems.append(
            f"no label image in '{labels}' is called like a picture in '{pictures}', such as "
            f"'{maps[0].name}' and '{images[0].name}'"
        )
        return layout
    for name in names:
        exact = [path for path in theirs[name] if path.suffix.lower() not in _LOSSY]
        for what, found in (('pictures', mine[name]), ('label images', exact)):
            if len(found) > 1:
                layout.problems.append(f'two {what} have one name: {shown(map(str, found), 2)}')
    layout.splits[''] = [Pair(mine[name][0], theirs[name][0], name) for name in names]
    used = {path for found in theirs.values() for path in found}
    lonely = {path for name in mine.keys() - theirs.keys() for path in mine[name]}
    lonely = sorted(lonely - used)
    if lonely:
        number = f"{len(lonely)} (first: '{lonely[0]}')"
        layout.notes.append(f'pictures without a label image, left out: {number}')
    layout.problems += [
        f"'{theirs[name][0]}': there is no picture of this name in '{pictures}'"
        for name in sorted(theirs.keys() - mine.keys())
    ]
    return layout


def _matching(pictures: _Named, labels: _Named, apart: bool) -> tuple[_Named, _Named]:
    """Pictures and label images without the endings of most pairs; of several, the first."""
    best: tuple[int, _Named, _Named] = -1, {}, {}
    for ending in _PICTURE_SUFFIXES if apart else ('',):
        mine = _without(pictures, ending)
        for other in (_LABEL_SUFFIXES if apart else _LABEL_SUFFIXES[1:]) if mine else ():
            theirs = _without(labels, other)
            number = len(mine.keys() & theirs.keys())
            if number == len(pictures):
                return mine, theirs
            if number > best[0]:
                best = number, mine, theirs
    return best[1:]


def _by_name(paths: Iterable[Path], folder: Path) -> _Named:
    """Image files by their path in `folder` without suffix, JPEG files last."""
    start, found = len(f'{folder}{os.sep}'), {}
    for path in sorted(paths, key=lambda path: path.suffix.lower() in _LOSSY):
        name = os.path.splitext(str(path)[start:])[0].replace(os.sep, '/')
        found.setdefault(name, []).append(path)
    return found


def _without(named: _Named, ending: str) -> _Named:
    """Those whose names have the ending, by the names without it."""
    if not ending:
        return named
    end = -len(ending)
    return {
        name[:end]: paths
        for name, paths in named.items()
        if name[end:].lower() == ending and name[:end] and name[end - 1] != '/'
    }
