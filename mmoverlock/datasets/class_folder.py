"""A user's own pictures, sorted into one folder for each class."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.registry import DATASETS
from mmpretrain.datasets import CustomDataset
from mmpretrain.datasets.custom import find_folders, get_samples

from mmoverlock.utils.errors import shown

from .formats.files import IMAGES, is_hidden

SPLITS = ('train', 'val', 'test')
_VALIDATION = ('val', 'valid', 'validation')  # the folder's names


def class_names(data_root: str | Path) -> list[str]:
    """The names of the classes: of the folders in ``data_root/train``, or else in `data_root`.

    Raises:
        ValueError: if there are none.
    """
    root = Path(data_root)
    if not root.is_dir():
        raise ValueError(f"data_root '{data_root}' is not a folder")
    root = root / 'train' if (root / 'train').is_dir() else root
    names = [name for name in find_folders(str(root))[0] if not is_hidden(name)]
    if not names:
        raise ValueError(f"'{root}' holds no folders, one for each class is needed")
    return names


@DATASETS.register_module()
class ClassFolder(CustomDataset):
    """mmpretrain's folders of classes, divided into training and validation if they are not yet.

    Either ``data_root/{train,val}/CLASS/...`` (or ``valid``, ``validation``), and
    ``data_root/test/CLASS/...`` if other images than those of validation are for testing. Or
    ``data_root/CLASS/...``: then, of the images of each class in the order of their names, every
    fifth is held out for both, always the same.

    Args:
        data_root: The folder.
        split: 'train', 'val' or 'test'.
        hold_out: Of undivided folders, hold out every n-th image of each class.
        pipeline: MMEngine's.
        **kwargs: Of mmpretrain's CustomDataset; `extensions` are by default those of all formats
            that are read, .webp and .tiff among them.

    Raises:
        ValueError: if the folders are not as above, the splits have different classes, there is
            only one, or a class has no image.
    """

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        hold_out: int = 5,
        pipeline: Sequence[Any] = (),
        **kwargs: Any,
    ):
        if split not in SPLITS:
            raise ValueError(f"split='{split}': allowed are {', '.join(SPLITS)}")
        if hold_out < 2:
            raise ValueError(f'hold_out={hold_out}: at least 2 is needed')
        names = class_names(data_root)
        root = Path(data_root)
        self.split, self.hold_out = split, hold_out
        self.divided = (root / 'train').is_dir()
        folder = ''
        if self.divided:
            folder = 'val' if split == 'test' and not (root / 'test').is_dir() else split
            others = [name for name in _VALIDATION if (root / name).is_dir()]
            folder = others[0] if folder == 'val' and others else folder
            if not (root / folder).is_dir():
                raise ValueError(f"'{root}' holds a folder 'train', but no '{folder}'")
            odd = sorted({*names} ^ {*class_names(root / folder)})
            if odd:
                raise ValueError(
                    f"'{root}/train' and '{root}/{folder}' have different classes: {shown(odd)} "
                    'only in one of them'
                )
        if len(names) < 2:
            raise ValueError(f"'{root}' holds one class, '{names[0]}': at least two are needed")
        metainfo = dict(classes=tuple(names))
        kwargs.setdefault('extensions', IMAGES)
        super().__init__(data_root, folder, metainfo=metainfo, pipeline=pipeline, **kwargs)

    def load_data_list(self) -> list[dict]:
        mine, empty = [], []
        for label, name in enumerate(self.metainfo['classes']):
            samples, _ = get_samples(self.img_prefix, {name: label}, self.is_valid_file)
            held = slice(self.hold_out - 1, None, self.hold_out)
            if not self.divided and self.split == 'train':
                del samples[held]
            elif not self.divided:
                samples = samples[held]
            paths = [str(Path(self.img_prefix, path)) for path, _ in samples]
            mine += [dict(img_path=path, gt_label=label) for path in paths]
            if not samples:
                empty.append(name)
        if empty:
            few = '' if self.divided else f' ({self.hold_out} are needed to hold one out)'
            raise ValueError(
                f"no image for {self.split} in {len(empty)} class folders of '{self.img_prefix}'"
                f'{few}: {shown(empty)}'
            )
        return mine
