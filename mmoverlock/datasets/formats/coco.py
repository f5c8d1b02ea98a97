"""COCO JSON: one file per split, in the usual places, or one file in all."""

import re
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

from mmoverlock.utils.errors import shown

from .data import ObjectData
from .files import (
    IMAGES,
    contains,
    find_file,
    is_hidden,
    read_json,
    split_of,
    split_of_folders,
    walk,
)
from .notes import Notes
from .objects import RawImage, RawObject, assemble, measure

_KEYS = ('images', 'annotations', 'categories')
_MANY = 50  # JSON files: one per image, which another format has
_NAMES = re.compile(r'(instances_.*|_annotations\.coco)\.json')


def looks_like(root: Path) -> str | None:
    """The first COCO file of a folder, or None."""
    files = _files(root)
    return f"'{files[0].relative_to(root)}'" if files else None


def has_masks(root: Path) -> bool:
    """Whether the first COCO file of a folder has a polygon or run lengths."""
    return any(contains(path, rb'"segmentation"\s*:\s*(\[\s*\[|\{)') for path in _files(root)[:1])


def read(root: Path) -> ObjectData:
    """Read a folder's COCO files.

    Raises:
        ValueError: a file is no COCO file, two are for the same split, ids or names are there
            twice, or something that is referred to is missing; and as :func:`measure` and
            :func:`assemble`.
    """
    notes = Notes()
    contents = {
        path: (split, _check_content(path)) for path, split in _files_by_split(root, notes).items()
    }
    categories = {path: category_names(path, content) for path, (_, content) in contents.items()}
    drop_supercategories(contents, categories, notes)
    for path, found in categories.items():
        check_names(path, found)
    names = [name for found in categories.values() for _, name in sorted(found.items(), key=_order)]
    labels = {name: label for label, name in enumerate(dict.fromkeys(names))}
    images = []
    for path, (split, content) in contents.items():
        ids = {key: labels[name] for key, name in categories[path].items()}
        found = _images(root, path, split, content, notes)
        _add_objects(path, content, found, ids, notes)
        images += found.values()
    return assemble(root, 'COCO', list(labels), images, notes, measure(images, notes))


def _files(root: Path) -> list[Path]:
    """Files with the usual names; if there are none, others that have COCO's three keys."""
    inside = [path for path in sorted(root.iterdir()) if not is_hidden(path.name)]
    folders = [root / 'annotations', root, *(path for path in inside if split_of(path.name))]
    files = [
        path
        for folder in folders
        if folder.is_dir()
        for path in walk(folder, ('.json',), deep=False)
    ]
    named = [path for path in files if _NAMES.fullmatch(path.name)]
    if named or len(files) > _MANY:
        return named
    patterns = [rb'"%s"\s*:' % key.encode() for key in _KEYS]
    return [path for path in files if contains(path, *patterns)]


def _files_by_split(root: Path, notes: Notes) -> dict[Path, str | None]:
    splits = {path: split_of_folders(path, root) or split_of(path.name) for path in _files(root)}
    if any(splits.values()):
        for path in [path for path, split in splits.items() if not split]:
            notes.add('COCO files without a split in their names, not used', f"'{path}'")
            del splits[path]
    order = {'train': 0, 'val': 1, 'test': 2}
    splits = dict(sorted(splits.items(), key=lambda pair: order.get(pair[1], 0)))
    for (one, split), (other, other_split) in zip(
        splits.items(), list(splits.items())[1:], strict=False
    ):
        if split == other_split:
            what = f"for '{split}'" if split else 'without a split in their names'
            raise ValueError(f"two COCO files {what}: '{one}' and '{other}'")
    return splits


def _check_content(path: Path) -> dict[str, Any]:
    """A COCO file's content; ValueError if it is another."""
    content = read_json(path)
    check_lists(content, path)
    for key in ('images', 'categories'):
        if not content[key]:
            raise ValueError(f"the list '{key}' of '{path}' is empty")
    return content


def check_lists(content: Any, path: Path) -> None:
    """Raise ValueError if a file's content is not three lists of dicts."""
    if isinstance(content, list):
        raise ValueError(f"'{path}' is a list, as predictions are: a COCO file has {shown(_KEYS)}")
    content = content if isinstance(content, dict) else {}
    missing = [key for key in _KEYS if not isinstance(content.get(key), list)]
    if missing:
        raise ValueError(f"'{path}' has no list {shown(missing)}: a COCO file has {shown(_KEYS)}")
    for key in _KEYS:
        odd = [one for one in content[key] if not isinstance(one, dict)]
        if odd:
            raise ValueError(f"'{path}': {odd[0]!r} in the list '{key}' is not an object with keys")


def as_id(value: Any, where: str) -> int | str:
    """An id, as a number if it is one; ValueError if there is none."""
    if isinstance(value, str) and value.strip():
        return int(value) if re.fullmatch(r'\s*-?\d+\s*', value) else value.strip()
    if type(value) is int or (isinstance(value, float) and value.is_integer()):
        return int(value)
    raise ValueError(f'{where} is {value!r}: a number or a text is needed')


def annotation_name(one: Mapping[str, Any], number: int) -> str:
    """What a message calls an annotation, the `number`-th: by its id, if it has one."""
    return f'annotation {one["id"]!r}' if one.get('id') is not None else f'annotation no. {number}'


def _order(item: tuple[int | str, str]) -> tuple[bool, int | str]:
    """Sorts numbers before texts."""
    return isinstance(item[0], str), item[0]


def category_names(path: Path, content: Mapping[str, Any]) -> dict[int | str, str]:
    """The names of the classes by id."""
    found: dict[int | str, str] = {}
    for one in content['categories']:
        key = as_id(one.get('id'), f"'{path}': the id of a category")
        name = str(one.get('name') if one.get('name') is not None else '').strip()
        if not name:
            raise ValueError(f"'{path}': category {key!r} has no name")
        if key in found:
            raise ValueError(f"'{path}': two categories have the id {key!r}")
        found[key] = name
    return found


def check_names(path: Path, categories: Mapping[int | str, str]) -> None:
    """Raise ValueError if two categories have one name."""
    names = list(categories.values())
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"'{path}': two categories have the name '{twice}'")


def drop_supercategories(
    contents: Mapping[Path, tuple[str | None, Mapping[str, Any]]],
    categories: Mapping[Path, dict[int | str, str]],
    notes: Notes,
) -> None:
    """Drop a category 0 without objects that is the supercategory of others: Roboflow's.

    A single class often has its name.
    """
    all_of = {
        key: [one for _, content in contents.values() for one in content[key]]
        for key in ('annotations', 'categories')
    }
    if any(one.get('category_id') in (0, '0') for one in all_of['annotations']):
        return
    above = [one.get('supercategory') for one in all_of['categories']]
    for path, found in categories.items():
        if 0 in found and found[0] in above:
            notes.add(
                'categories that are only a supercategory, not used', f"'{path}', '{found.pop(0)}'"
            )


def _image_folders(root: Path, path: Path, split: str | None) -> list[Path]:
    """Where the images of a file usually are, the likeliest first."""
    places = [place for place in (root, root / 'images') if place.is_dir()]
    folders = [] if path.parent == root / 'annotations' else [path.parent]
    if split:
        inside = [one for place in places for one in sorted(place.iterdir()) if one.is_dir()]
        own = [one for one in inside if split_of(one.name) == split]
        folders += own or [one for one in inside if split_of(one.name)]
    folders += [folder / 'images' for folder in folders]
    return list(dict.fromkeys([*folders, *reversed(places), path.parent]))


def _search_folder(root: Path, split: str | None, images: list[Mapping[str, Any]]) -> list[Path]:
    """The one folder that has the first image, such as CVAT's images/default/ or FiftyOne's data/.

    Of several, the one under a folder with the name of the split.
    """
    tail = Path(str(images[0].get('file_name')).replace('\\', '/')).parts
    found = [path for path in walk(root, IMAGES) if path.parts[-len(tail) :] == tail]
    found = [path for path in found if split_of_folders(path, root) == split] or found
    return [found[0].parents[len(tail) - 1]] if len(found) == 1 else []


def _images(
    root: Path, path: Path, split: str | None, content: Mapping[str, Any], notes: Notes
) -> dict[int | str, RawImage]:
    """The images by id."""
    folders = _image_folders(root, path, split)
    if not any(find_file(str(one.get('file_name')), folders) for one in content['images']):
        folders += _search_folder(root, split, content['images'])
    found: dict[int | str, RawImage] = {}
    names: dict[Path, int | str] = {}
    missing = []
    for one in content['images']:
        key = as_id(one.get('id'), f"'{path}': the id of an image")
        if key in found:
            raise ValueError(f"'{path}': two images have the id {key!r}")
        name = one.get('file_name')
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"'{path}': image {key!r} has no file_name")
        where = find_file(name, folders)
        if where is None and (name.startswith('/') or PureWindowsPath(name).is_absolute()):
            where = find_file(PureWindowsPath(name).name, folders)
            if where:
                notes.add(
                    'absolute paths that do not exist, found by their last part',
                    f"'{path}', image {key!r}",
                )
        if where is None:
            missing.append(f"image {key!r}: '{name}'")
            where = root / name
        if where in names:
            raise ValueError(f"'{path}': images {names[where]!r} and {key!r} are both '{name}'")
        names[where] = key
        found[key] = RawImage(
            where,
            split,
            path,
            _size(one, path),
            f'image {key!r}',
            key if type(key) is int else None,
        )
    if missing:
        places = shown(str(folder) for folder in folders)
        raise ValueError(
            f"{len(missing)} of {len(content['images'])} images of '{path}' do not exist, the "
            f'first: {missing[0]}, looked for in {places}'
        )
    return found


def _size(image: Mapping[str, Any], path: Path) -> tuple[int, int] | None:
    size = image.get('width'), image.get('height')
    if None in size:
        return None
    try:
        return int(size[0]), int(size[1])
    except (TypeError, ValueError):
        raise ValueError(
            f"'{path}', image {image['id']!r}: width {size[0]!r} and height {size[1]!r} are not "
            'numbers'
        ) from None


def _add_objects(
    path: Path,
    content: Mapping[str, Any],
    images: Mapping[int | str, RawImage],
    labels: Mapping[int | str, int],
    notes: Notes,
) -> None:
    """Put the annotations into their images."""
    seen = set()
    for number, one in enumerate(content['annotations'], 1):
        key, name = one.get('id'), annotation_name(one, number)
        where = f"'{path}', {name}"
        image = images.get(as_id(one.get('image_id'), f'{where}: image_id'))
        if image is None:
            raise ValueError(f'{where}: no image has the id {one["image_id"]!r}')
        label = labels.get(as_id(one.get('category_id'), f'{where}: category_id'))
        if label is None:
            raise ValueError(
                f'{where}: no category has the id {one["category_id"]!r}, but there are '
                f'{shown(map(str, labels))}'
            )
        if key is not None and str(key) in seen:
            notes.add('annotations with the id of another, numbered again', where)
        seen.add(str(key))
        ignored = bool(one.get('iscrowd')) or bool(one.get('ignore'))
        image.objects.append(
            RawObject(
                name,
                label,
                one.get('bbox') or None,
                one.get('segmentation'),
                ignored,
                one.get('area'),
            )  # fmt: skip
        )
