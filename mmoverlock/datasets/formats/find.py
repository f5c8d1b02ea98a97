"""Which format a folder has, and its reader."""

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType

from mmoverlock.utils.errors import did_you_mean, shown

from .data import SPLITS, ObjectData
from .files import IMAGES, is_hidden, walk

_LOOKED_FOR = {
    'coco': 'annotations/instances_*.json or _annotations.coco.json',
    'yolo': 'data.yaml or classes.txt, with images and labels/*.txt',
    'voc': 'Annotations/*.xml',
    'labelme': "JSON files with 'shapes'",
    'label_images': 'images and label images of the same names',
    'class_folders': 'a folder of images for each class',
}
FORMATS = tuple(_LOOKED_FOR)
_OBJECTS = ('coco', 'yolo', 'voc', 'labelme')
_TASKS = {
    'detection': _OBJECTS,
    'segmentation': ('label_images', *_OBJECTS),
    'classification': ('class_folders',),
    None: FORMATS,
}


def find_format(data_root: str | Path, task: str | None = None, name: str | None = None) -> str:
    """Which of :data:`FORMATS` a folder has.

    Args:
        data_root: The folder.
        task: 'detection', 'segmentation' or 'classification', if only the formats that this task
            can use are wanted. For segmentation, objects must have masks if there are label images,
            too.
        name: Of a format, to be chosen if the folder has it.

    Raises:
        ValueError: `data_root` is no folder; it has no format, not the one chosen, or several.
    """
    if task not in _TASKS:
        raise ValueError(f"task='{task}' is none of {shown(filter(None, _TASKS))}")
    allowed = _TASKS[task]
    if name is not None and name not in allowed:
        use = f'{task} can use' if task and name in FORMATS else 'allowed are'
        raise ValueError(
            f"data format '{name}': {use} {shown(allowed)}{did_you_mean(name, FORMATS)}"
        )
    root = Path(data_root)
    if not root.is_dir():
        what = 'is a file, not a folder' if root.is_file() else 'is not a folder'
        raise ValueError(f"data_root '{data_root}' {what}")
    wanted = [name] if name else allowed
    found = {one: what for one in wanted if (what := _looks_like(one, root))}
    if len(found) > 1:
        found.pop('class_folders', None)  # folders of images that other formats have, too
    if len(found) > 1 and task == 'segmentation':
        found = {one: what for one, what in found.items() if _has_masks(one, root)} or found
    if not found:
        looked_for = '; '.join(f'{one}: {_LOOKED_FOR[one]}' for one in wanted)
        others = [one for one in FORMATS if one not in allowed]
        only = [f', only {one} ({what})' for one in others if (what := _looks_like(one, root))]
        only += [f", but '{path}' has" for path in _folders(root) if _has_any(path, wanted)][:1]
        known = f'a format that {task} can use' if task else 'a known format'
        raise ValueError(
            f"'{root}' has no data in {known}{''.join(only)} (looked for {looked_for})"
        )
    if len(found) > 1:
        both = ', '.join(f'{one} ({what})' for one, what in found.items())
        raise ValueError(
            f"'{root}' has data in {len(found)} formats: {both}; choose one as the data format"
        )
    return next(iter(found))


def read_objects(data_root: str | Path, name: str | None = None) -> ObjectData:
    """Read a folder of images with annotated objects.

    Args:
        data_root: The folder.
        name: Of its format, of :data:`FORMATS`, or None: found out.

    Raises:
        ValueError: see :func:`find_format`, or the data have a fault: in one line, file and id.
    """
    return _module(find_format(data_root, 'detection', name)).read(Path(data_root))


def _module(name: str) -> ModuleType:
    return import_module(f'.{name}', __package__)


def _looks_like(name: str, root: Path) -> str | None:
    if name == 'class_folders':
        return _class_folders(root)
    return _module(name).looks_like(root)


def _has_masks(name: str, root: Path) -> bool:
    return name == 'label_images' or _module(name).has_masks(root)


def _folders(root: Path) -> list[Path]:
    return sorted(one for one in root.iterdir() if one.is_dir() and not is_hidden(one.name))


def _has_any(folder: Path, names: Iterable[str]) -> bool:
    return any(_looks_like(name, folder) for name in names if name != 'class_folders')


def _class_folders(root: Path) -> str | None:
    """The first folder that holds images, not under a split's name."""
    place = root / 'train' if (root / 'train').is_dir() else root
    for folder in _folders(place):
        if folder.name not in SPLITS:
            if next(walk(folder, IMAGES), None):
                return f"'{folder.relative_to(root)}'"
    return None
