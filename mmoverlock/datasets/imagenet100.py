"""ImageNet-100: a hundred classes of ImageNet-1K, out of its folder or in their own packaging.

imagenet100_classes.txt is the usual list (Tian et al., "Contrastive Multiview Coding", 2020).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from mmengine.registry import DATASETS
from mmpretrain.datasets import BaseDataset
from mmpretrain.datasets.custom import find_folders

from mmoverlock.utils.errors import shown

from . import folders

STANDARD_LIST = Path(__file__).with_name('imagenet100_classes.txt')


@DATASETS.register_module()
class ImageNet100(BaseDataset):
    """Some classes of ImageNet-1K, of which nothing is copied.

    Layouts, recognized by what is there::

        train/n01440764/*.JPEG        val/n01440764/*.JPEG       an ImageNet-1K folder
        train/n01440764/*.JPEG        val/*.JPEG, meta/val.txt   the same with annotation files
        train.X1/n01440764/*.JPEG     val.X/n01440764/*.JPEG     the packaging: train.X1 .. train.X4
        Labels.json: class id -> names

    Labels count the class ids in lexical order, whatever their order in the list, as they would if
    the chosen folders stood alone. ``metainfo`` holds the names as ``classes`` and the ids as
    ``class_ids``.

    Args:
        data_root: The folder.
        split: ``train`` or ``val``.
        class_list: The class ids, or a text file with one in each line; by default Labels.json's if
            there is one, else the usual hundred.
        **kwargs: mmpretrain's ``BaseDataset``: pipeline, data_prefix, test_mode, ...

    Raises:
        ValueError: a folder or the class list is missing or wrong, a class is absent or empty.
    """

    def __init__(
        self,
        data_root: str = '',
        split: str = 'train',
        class_list: str | Sequence[str] | None = None,
        **kwargs,
    ) -> None:
        self.split = folders.check_split(split)
        self.class_list = class_list
        super().__init__(ann_file='', data_root=str(data_root), **kwargs)

    def load_data_list(self) -> list[dict]:
        root = Path(self.img_prefix)
        parts = sorted(path for path in root.glob(f'{self.split}.X*') if path.is_dir())
        parts = parts or [root / self.split]
        if not parts[0].is_dir():
            raise ValueError(
                f"'{root}' has neither {self.split}/ nor {self.split}.X*/ with folders of classes"
            )
        names = _names_in(root / 'Labels.json')
        ids = self._class_ids(names)
        present = {one for part in parts for one in find_folders(str(part))[0]}
        listed = root / 'meta' / f'{self.split}.txt'
        if not present and listed.is_file():
            samples = folders.listed_images(_listed(listed, ids), parts[0], ids, listed)
        else:
            self._check_folders(ids, present, shown(parts), known=names)
            samples = folders.labelled_images(
                {one: [part / one for part in parts if (part / one).is_dir()] for one in ids}
            )
        if not names.keys() >= {*ids}:
            names = {**_imagenet_names(), **names}
        self._metainfo.setdefault('classes', tuple(names.get(one, one) for one in ids))
        self._metainfo['class_ids'] = tuple(ids)
        return samples

    def _class_ids(self, names: dict[str, str]) -> list[str]:
        if self.class_list is None:
            return sorted(names) or folders.read_class_ids(STANDARD_LIST)
        if isinstance(self.class_list, (str, Path)):
            return folders.read_class_ids(Path(self.class_list))
        if not self.class_list:
            raise ValueError('class_list is empty')
        return folders.ordered(self.class_list, 'class_list')

    def _check_folders(self, ids: list[str], present: set[str], where: str, known: dict) -> None:
        absent = [one for one in ids if one not in present]
        if absent:
            source = self.class_list if isinstance(self.class_list, str) else 'the class list'
            raise ValueError(
                f'{len(absent)} of the {len(ids)} classes of {source} are no folder of {where}, '
                f"such as '{absent[0]}'; there are {shown(sorted(present)) or 'none'}"
            )
        surplus = sorted(present - known.keys())
        if known and surplus and self.class_list is None:
            raise ValueError(f'{shown(surplus)} of {where} do not stand in Labels.json')


def _names_in(path: Path) -> dict[str, str]:
    """Class id -> names, of a packaging's Labels.json; empty where there is none."""
    if not path.is_file():
        return {}
    names = folders.read_json(path)
    if not isinstance(names, dict) or {*map(type, names.values())} != {str}:
        raise ValueError(f"'{path}' is not a JSON object of class ids and names")
    return names


def _imagenet_names() -> dict[str, str]:
    """Class id -> names, of ImageNet-1K, in the order of its labels."""
    from timm.data import ImageNetInfo  # here, because it takes a second to import

    return ImageNetInfo().label_descriptions(as_dict=True)


def _listed(path: Path, ids: list[str]) -> Iterator[tuple[str, str]]:
    """File names and class ids of ImageNet-1K's annotation file: lines of ``name label``."""
    order = list(_imagenet_names())
    unknown = [one for one in ids if one not in order]
    if unknown:
        raise ValueError(f'{shown(unknown)} of the class list are no classes of ImageNet-1K')
    for line in folders.read_lines(path, 'annotation file'):
        name, _, label = line.rpartition(' ')
        if not name or not label.isdecimal() or int(label) >= len(order):
            raise ValueError(f"'{path}': '{line}' is not 'name label' with a label of 0 to 999")
        yield name, order[int(label)]
