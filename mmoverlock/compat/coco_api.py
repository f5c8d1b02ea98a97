"""mmdet's reader of COCO files: classes by name, files read by a function that mends them.

mmdet's data sets and CocoMetric read annotation files with one class, ``COCO``. Of the names of a
config's classes it returns the ids in the file's order, so that labels and names do not belong
together, and two files with their categories in other orders have other labels. A file's fault
shows where it is used, often at the end of the first epoch.

mmdet is not imported for this: the class is changed when its module is imported.
"""

import importlib.abc
import importlib.util
import sys
from collections.abc import Callable, Sequence
from typing import Any

MODULE = 'mmdet.datasets.api_wrappers.coco_api'
MASKLESS = 'maskless'  # key of an annotation without a usable mask: whether it is a crowd

_readers: list[Callable[[str], dict[str, Any]]] = []


def read_files_with(reader: Callable[[str], dict[str, Any]]) -> None:
    """Have COCO files read by `reader`, a function of the path, from now on."""
    _readers[:] = [reader]


class _Finder(importlib.abc.MetaPathFinder):
    """Finds mmdet's module as everybody does, and changes it after its import."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != MODULE:
            return None
        sys.meta_path.remove(self)  # once
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def create_module(self, spec: Any) -> Any:
        return self.loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        self.loader.exec_module(module)
        change(module.COCO)


def change(kind: Any) -> None:
    """Change mmdet's class ``COCO``: how it reads files and orders the ids of categories.

    An object without a usable mask (:data:`MASKLESS`) counts where boxes are evaluated, and is
    ignored like a crowd where masks are.
    """
    make, find, load, encode = kind.__init__, kind.getCatIds, kind.loadAnns, kind.annToRLE
    load_images = kind.loadImgs

    def __init__(self: Any, annotation_file: str | None = None) -> None:
        self.path = annotation_file
        make(self, None if _readers else annotation_file)
        if _readers and annotation_file is not None:
            self.dataset = _readers[0](annotation_file)
            self.createIndex()
            self.img_ann_map, self.cat_img_map = self.imgToAnns, self.catToImgs

    def getCatIds(
        self: Any, catNms: Sequence[str] = (), supNms: Any = (), catIds: Any = ()
    ) -> list[int]:
        if isinstance(catNms, str):
            catNms = [catNms]
        names = {str(name).strip(): order for order, name in enumerate(catNms)}
        found = find(self, [], supNms, catIds)
        if not names:
            return found
        orders = {one: names.get(str(self.cats[one]['name']).strip()) for one in found}
        return sorted((one for one in found if orders[one] is not None), key=orders.get)

    def loadImgs(self: Any, ids: Any = ()) -> Any:
        found = load_images(self, ids)
        for one in found or ():  # data sets need the names, an evaluation does not
            name = one.get('file_name')
            if not (isinstance(name, str) and name.strip()):
                raise ValueError(f"'{self.path}': image {one['id']!r} has no file_name")
        return found

    def loadAnns(self: Any, ids: Any = ()) -> Any:
        found = load(self, ids)
        for one in found or ():
            if MASKLESS in one:
                one['iscrowd'] = one[MASKLESS]
        return found

    def annToRLE(self: Any, ann: dict[str, Any]) -> Any:
        if MASKLESS not in ann:
            return encode(self, ann)
        ann['iscrowd'] = 1
        image = self.imgs[ann['image_id']]
        size = [image['height'], image['width']]
        return encode(self, dict(ann, segmentation=dict(size=size, counts=[size[0] * size[1]])))

    kind.__init__ = __init__
    kind.getCatIds, kind.loadImgs = getCatIds, loadImgs
    kind.loadAnns, kind.annToRLE = loadAnns, annToRLE


def install() -> None:
    """Change mmdet's class now, if its module is imported, or as soon as it is."""
    if MODULE in sys.modules:
        kind = sys.modules[MODULE].COCO
        if kind.getCatIds.__module__ != __name__:
            change(kind)
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
