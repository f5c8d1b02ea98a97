"""mmdet's reader of COCO files: classes by name, files read by a function that mends them.

mmdet's data sets and CocoMetric read annotation files with one class, ``COCO``. Of the names of a
config's classes it returns the ids in the file's order, so that labels and names do not belong
together, and two files with their categories in other orders have other labels. A file's fault
shows where it is used, often at the end of the first epoch.

CocoMetric takes the figures of each class from pycocotools in the order of its labels, but they are
in the order of the ids: it would call a class's AP by another's name.

mmdet is not imported for this: classes are changed when their modules are imported.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

from .on_import import on_import

MODULE = 'mmdet.datasets.api_wrappers.coco_api'
PARALLEL = 'mmdet.datasets.api_wrappers.cocoeval_mp'
MASKLESS = 'maskless'  # key of an annotation without a usable mask: whether it is a crowd

_readers: list[Callable[[str], dict[str, Any]]] = []


def read_files_with(reader: Callable[[str], dict[str, Any]]) -> None:
    """Have COCO files read by `reader`, a function of the path, from now on."""
    _readers[:] = [reader]


def change_api(module: Any) -> None:
    """Change the module :data:`MODULE`."""
    change(module.COCO)
    module.COCOeval = type('COCOeval', (module.COCOeval,), {})  # pycocotools' own stays as it is
    keep_order(module.COCOeval)


def change_parallel(module: Any) -> None:
    """Change the module :data:`PARALLEL`, the evaluation in several processes."""
    keep_order(module.COCOevalMP)


def keep_order(kind: Any) -> None:
    """Change a class ``COCOeval``: its arrays are in the order of the ids that were asked for."""
    evaluate, accumulate = kind.evaluate, kind.accumulate

    def evaluate_(self: Any) -> None:
        self.asked = list(dict.fromkeys(self.params.catIds))
        evaluate(self)

    def accumulate_(self: Any, p: Any = None) -> None:
        accumulate(self, p)
        if p is None and self.params.useCats:
            found = list(self.params.catIds)
            order = [found.index(one) for one in self.asked]
            for name, axis in dict(precision=2, scores=2, recall=1).items():
                self.eval[name] = self.eval[name].take(order, axis)

    kind.evaluate, kind.accumulate = evaluate_, accumulate_


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
    """Change mmdet's classes now, if their modules are imported, or as soon as they are."""
    for name, change_it in ((MODULE, change_api), (PARALLEL, change_parallel)):
        if not on_import(name, change_it) and not _is_changed(sys.modules[name]):
            before = getattr(sys.modules[name], 'COCOeval', None)
            change_it(sys.modules[name])
            _pass_on(before, getattr(sys.modules[name], 'COCOeval', None))


def _is_changed(module: Any) -> bool:
    kind = module.COCOevalMP if module.__name__ == PARALLEL else module.COCOeval
    return kind.evaluate.__module__ == __name__


def _pass_on(before: Any, after: Any) -> None:
    """Give mmdet's modules that imported a class by its name the one that has replaced it."""
    for name, module in list(sys.modules.items()):
        if name.startswith('mmdet.') and getattr(module, 'COCOeval', None) is before is not after:
            module.COCOeval = after
