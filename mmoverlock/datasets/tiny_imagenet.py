"""Tiny-ImageNet: 200 classes of ImageNet at 64x64 (Stanford CS231n), whole or its first classes."""

from pathlib import Path

from mmengine.registry import DATASETS
from mmpretrain.datasets import BaseDataset

from mmoverlock.utils.errors import shown

from .folders import check_split, labelled_images, ordered, read_class_ids, read_lines


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
        self.split = check_split(split)
        self.num_classes = num_classes
        super().__init__(ann_file='', data_root=str(data_root), **kwargs)

    def load_data_list(self) -> list[dict]:
        root = Path(self.img_prefix)
        every = read_class_ids(root / 'wnids.txt', 'list of classes')
        number = len(every) if self.num_classes is None else self.num_classes
        if not isinstance(number, int) or not 1 <= number <= len(every):
            raise ValueError(f'num_classes={number!r} is not a number from 1 to {len(every)}')
        ids = every[:number]
        names = _names_in(root / 'words.txt')
        self._metainfo.setdefault('classes', tuple(names.get(one, one) for one in ids))
        self._metainfo['class_ids'] = tuple(ids)
        if self.split == 'val':
            return _val_images(root / 'val', every, ids)
        folders = {one: [root / 'train' / one / 'images'] for one in ids}
        absent = [places[0] for places in folders.values() if not places[0].is_dir()]
        if absent:
            raise ValueError(f'{len(absent)} of {number} class folders are absent: {shown(absent)}')
        return labelled_images(folders)


def _names_in(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    return dict(line.split('\t', 1) for line in read_lines(path, 'words') if '\t' in line)


def _val_images(folder: Path, every: list[str], ids: list[str]) -> list[dict]:
    path = folder / 'val_annotations.txt'
    known, labels, samples, files = set(every), {one: i for i, one in enumerate(ids)}, [], []
    for line in read_lines(path, 'annotation file'):
        name, tab, rest = line.partition('\t')
        class_id = rest.partition('\t')[0]
        if not tab:
            raise ValueError(f"'{path}': '{line}' is not 'file<tab>class id<tab>box'")
        if class_id not in known:
            raise ValueError(f"'{path}': class id '{class_id}' of '{name}' is not in wnids.txt")
        files.append(name)
        if class_id in labels:
            image = str(folder / 'images' / name)
            samples.append(dict(img_path=image, gt_label=labels[class_id]))
    ordered(files, f"'{path}'")
    absent = [s['img_path'] for s in samples if not Path(s['img_path']).is_file()]
    if absent:
        raise ValueError(f"{len(absent)} images that '{path}' names are absent: {shown(absent)}")
    empty = set(range(len(ids))) - {sample['gt_label'] for sample in samples}
    if empty:
        raise ValueError(f"'{path}' names no image of {shown(ids[label] for label in empty)}")
    return samples
