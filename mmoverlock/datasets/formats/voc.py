"""Pascal VOC: an XML file per image, in Annotations/ or beside the images."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PureWindowsPath
from typing import Any
from xml.etree.ElementTree import Element

from mmoverlock.utils.errors import shown

from .data import SPLITS, ObjectData
from .files import IMAGES, any_contains, is_hidden, read_text, split_of_folders, walk
from .library import parse, supervision_format
from .notes import Notes
from .objects import RawImage, RawObject, assemble, measure, sort_labels


def looks_like(root: Path) -> str | None:
    """The first VOC file of a folder, or None."""
    path = any_contains(walk(root, ('.xml',)), rb'<annotation\b', probes=10)
    return f"'{path.relative_to(root)}'" if path else None


def has_masks(root: Path) -> bool:
    """Whether one of the first files of a folder has a polygon."""
    return any_contains(walk(root, ('.xml',)), rb'<polygon\b') is not None


def read(root: Path) -> ObjectData:
    """Read a folder of Pascal VOC's.

    Boxes are of whole pixels from 1 on, the last of which belong to the object, as VOC's own
    software has it. Classes are in the order of their names. 'difficult' objects are ignored.

    Raises:
        ValueError: a file is damaged or states no box, or its image is missing; and as
            :func:`measure` and :func:`assemble`.
    """
    notes, labels = Notes(), {}
    home = _home(root)
    lists = _read_lists(home)
    files = [path for path in walk(home, ('.xml',)) if not lists or path.stem in lists]
    pictures: dict[str, list[Path]] = {}
    for path in walk(home / 'JPEGImages' if (home / 'JPEGImages').is_dir() else home, IMAGES):
        pictures.setdefault(path.stem, []).append(path)
    images = []
    for path in files:
        tree = _read_tree(path)
        picture = _find_picture(path, tree, home, pictures)
        objects = _objects(path, tree, labels, notes)
        for split in lists.get(path.stem) or [split_of_folders(path, home)]:
            copies = [replace(one) for one in objects]
            images.append(RawImage(picture, split, path, _size(path, tree), objects=copies))
    annotated = {image.path for image in images}
    for path in (path for same in pictures.values() for path in same):
        if path not in annotated and (not lists or path.stem in lists):
            notes.add('images without annotations, not used', f"'{path}'")
    classes = sort_labels(images, labels)
    return assemble(root, 'Pascal VOC', classes, images, notes, measure(images, notes))


def _home(root: Path) -> Path:
    """The folder with Annotations/, which may be one or two folders down, or `root`."""
    places = [path for depth in ('', '*/', '*/*/') for path in root.glob(f'{depth}Annotations')]
    found = [
        path.parent for path in places if not any(map(is_hidden, path.relative_to(root).parts))
    ]
    if not found or any(split_of_folders(path / 'Annotations', root) for path in found):
        return root
    if len(found) > 1:
        raise ValueError(f"'{root}' has several VOC folders: {shown(found)}; choose one of them")
    return found[0]


def _read_lists(home: Path) -> dict[str, list[str]]:
    """The splits of each image's stem, from ImageSets/Main; empty without such files."""
    folder = home / 'ImageSets' / 'Main'
    lists = {name: folder / f'{name}.txt' for name in (*SPLITS, 'trainval')}
    lists = {name: path for name, path in lists.items() if path.is_file()}
    whole = lists.pop('trainval', None)
    if whole and not {'train', 'val'} <= {*lists}:
        lists = {'train': whole} | {name: lists[name] for name in lists if name == 'test'}
    splits: dict[str, list[str]] = {}
    for split, path in lists.items():
        stems = dict.fromkeys(line.strip() for line in read_text(path).splitlines())
        for stem in filter(None, stems):
            splits.setdefault(stem, []).append(split)
    return splits


def _read_tree(path: Path) -> Element:
    """The root of a VOC file; ValueError if it is another."""
    supervision_format('pascal_voc')  # says what is missing; brings defusedxml
    from defusedxml import ElementTree

    try:
        tree = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise ValueError(f"'{path}' is not XML, or cut short: {error}") from None
    if tree.tag != 'annotation':
        raise ValueError(
            f"'{path}' is not Pascal VOC's: its root is <{tree.tag}>, not <annotation>"
        )
    return tree


def _find_picture(
    path: Path, tree: Element, home: Path, pictures: Mapping[str, Sequence[Path]]
) -> Path:
    """The image of a VOC file: of the same stem, or else the one that the file names."""
    name = PureWindowsPath((tree.findtext('filename') or '').strip()).name
    found = pictures.get(path.stem) or [
        one for one in pictures.get(PureWindowsPath(name).stem, ()) if one.name == name
    ]
    if not found:
        raise ValueError(f"the image of '{path}' does not exist: '{path.stem}.*' or '{name}'")
    for wanted in (  # of several, those that fit better
        lambda one: one.parent == path.parent,
        lambda one: split_of_folders(one, home) == split_of_folders(path, home),
        lambda one: one.name == name,
    ):
        found = [one for one in found if wanted(one)] or found
    if len(found) > 1:
        raise ValueError(f"'{path}' may be for '{found[0]}' or '{found[1]}'")
    return found[0]


def _size(path: Path, tree: Element) -> tuple[int, int] | None:
    """Width and height, or None if the file states none, or 0, as some programs do."""
    texts = [(tree.findtext(f'size/{key}') or '0').strip() for key in ('width', 'height')]
    try:
        width, height = (int(float(text)) for text in texts)
    except (OverflowError, ValueError):
        raise ValueError(f"'{path}' states a size of {' x '.join(texts)}") from None
    return (width, height) if width and height else None


def _objects(path: Path, tree: Element, labels: dict[str, int], notes: Notes) -> list[RawObject]:
    """The objects of a VOC file; new classes are added to `labels`."""
    library = supervision_format('pascal_voc')
    elements = tree.findall('object')
    names = [f'object {number}' for number in range(1, len(elements) + 1)]

    def detections(elements: Sequence[Element]) -> Any:
        whole = Element('annotation')
        whole.extend(elements)
        return library.detections_from_xml_obj(whole, [], (1, 1))

    def polygons(elements: Sequence[Element]) -> list[list[list[float]]]:
        return [
            [
                (library.parse_polygon_points(one) - 1).ravel().tolist()
                for one in polygons
                if len(one)
            ]
            for polygons in (element.findall('polygon') for element in elements)
        ]

    for element in elements:
        for child in element.findall('name'):
            child.text = (child.text or '').strip() or None
    try:
        masks = parse(polygons, elements, names)
        for element in elements:  # supervision would rasterize them
            for polygon in element.findall('polygon'):
                element.remove(polygon)
        found, classes = parse(detections, elements, names) if elements else (None, [])
    except ValueError as error:
        raise ValueError(f"'{path}', {error}") from None
    objects = []
    for number, (element, name, mask) in enumerate(zip(elements, names, masks, strict=True)):
        left, top, right, bottom = found.xyxy[number].tolist()
        label = labels.setdefault(classes[found.class_id[number]], len(labels))
        ignored = (element.findtext('difficult') or '').strip() == '1'
        where = f"'{path}', {name}"
        if ignored:
            notes.add("'difficult' objects, ignored in training and evaluation", where)
        if any(
            float(element.findtext(f'bndbox/{axis}min'))
            > float(element.findtext(f'bndbox/{axis}max'))
            for axis in 'xy'
        ):
            notes.add('boxes with exchanged corners, put right', where)
        box = [left, top, right - left, bottom - top]
        objects.append(RawObject(name, label, box, mask or None, ignored))
    return objects
