"""Tiny-ImageNet: 200 classes of ImageNet at 64x64 (Stanford CS231n), whole or its first classes."""

from pathlib import Path

from mmengine.registry import DATASETS
from mmpretrain.datasets import BaseDataset

from mmoverlock.utils.errors import shown

from . import folders


@DATASETS.register_module()
class TinyImageNet(BaseDataset):
    """Tiny-ImageNet as it is downloaded::

        wnids.txt   words.txt (class id, tab, names)
        train/n01443537/images/n01443537_0.JPEG
        val/images/val_0.JPEG   val/val_annotations.txt (file, tab, class id, tab, box)

    Labels count the class ids in lexical order. ``metainfo`` holds the names of words.txt as
    ``classes`` (the ids where it is missing) and the ids as ``class_ids``.

    Args:
        data_root: The folder.
        split: ``train`` or ``val``; the test images have no labels.
        num_classes: Keep the first so many class ids in lexical order; by default all of them.
        **kwargs: mmpretrain's ``BaseDataset``: pipeline, data_prefix, test_mode, ...

    Raises:
        ValueError: a file or folder is missing or wrong, a class is empty, there are fewer classes.
    """

    def __init__(
        self,
        data_root: str = '',
        split: str = 'train',
        num_classes: int | None = None,
        **kwargs,
    ) -> None:
        self.split = folders.check_split(split)
        self.num_classes = num_classes
        super().__init__(ann_file='', data_root=str(data_root), **kwargs)

    def load_data_list(self) -> list[dict]:
        root = Path(self.img_prefix)
        every = folders.read_class_ids(root / 'wnids.txt', 'list of classes')
        number = len(every) if self.num_classes is None else self.num_classes
        if not isinstance(number, int) or not 1 <= number <= len(every):
            raise ValueError(f'num_classes={number!r} is not a number from 1 to {len(every)}')
        ids, words, names = every[:number], root / 'words.txt', {}
        if words.is_file():
            lines = folders.read_lines(words, 'words')
            names = dict(line.split('\t', 1) for line in lines if '\t' in line)
        self._metainfo.setdefault('classes', tuple(names.get(one, one) for one in ids))
        self._metainfo['class_ids'] = tuple(ids)
        if self.split == 'val':
            return _val_images(root / 'val', every, ids)
        places = {one: [root / 'train' / one / 'images'] for one in ids}
        absent = [place for (place,) in places.values() if not place.is_dir()]
        if absent:
            raise ValueError(f'{len(absent)} of {number} class folders are absent: {shown(absent)}')
        return folders.labelled_images(places)


def _val_images(folder: Path, every: list[str], ids: list[str]) -> list[dict]:
    path = folder / 'val_annotations.txt'
    listed = []
    for line in folders.read_lines(path, 'annotation file'):
        name, tab, rest = line.partition('\t')
        class_id = rest.partition('\t')[0]
        if not tab:
            raise ValueError(f"'{path}': '{line}' is not 'file<tab>class id<tab>box'")
        if class_id not in every:
            raise ValueError(f"'{path}': class id '{class_id}' of '{name}' is not in wnids.txt")
        listed.append((name, class_id))
    folders.ordered([name for name, _ in listed], f"'{path}'")
    samples = folders.listed_images(listed, folder / 'images', ids, path)
    absent = [s['img_path'] for s in samples if not Path(s['img_path']).is_file()]
    if absent:
        raise ValueError(f"{len(absent)} images that '{path}' names are absent: {shown(absent)}")
    return samples
