"""Look at a folder of one's own data before training: a report, and a contact sheet."""

import tempfile
from pathlib import Path

import cv2
import mmcv
import numpy as np

import mmoverlock
from mmoverlock.checks.samples import training_sheet
from mmoverlock.datasets.formats import find_format, read_labels, read_objects
from mmoverlock.datasets.inspect import (
    Inspection,
    inspect_classes,
    inspect_labels,
    inspect_objects,
)
from mmoverlock.runtime.images import new_file
from mmoverlock.utils.files import removed_on_error
from mmoverlock.utils.silence import silence

from .config import load_config
from .finetune import use_data_root
from .finetune.common import FOLDER

SHEET = 'contact_sheet.jpg'
_QUALITY = 85
_TASKS = {'mmpretrain': 'classification', 'mmdet': 'detection', 'mmseg': 'segmentation'}
_CONFIGS = {
    'classification': 'overlock/overlock-xt_finetune.py',
    'boxes': 'fasterrcnn_overlock/faster-rcnn_overlock-t_finetune.py',
    'masks': 'maskrcnn_overlock/mask_rcnn_overlock_t_finetune.py',
    'segmentation': 'upernet_overlock/upernet_overlock-t_finetune.py',
}


def inspect_folder(
    root: str, config: str | None = None, data_format: str | None = None, out: str | None = None
) -> None:
    """Print what a folder of data holds, and draw samples as training gets them.

    Args:
        root: The folder; nothing in it is changed.
        config: Whose task and training pipeline; by default those of a config for fine-tuning.
        data_format: One of :data:`mmoverlock.datasets.formats.FORMATS`; by default found out.
        out: The folder of the contact sheet; by default ``work_dirs/<the folder's name>``.

    Raises:
        ValueError: the data have a fault that stops training.
    """
    cfg = load_config(config) if config else None
    task = _TASKS.get(cfg.get('default_scope')) if cfg else None
    if cfg and task is None:
        raise ValueError(f'--config {config}: it is of none of {", ".join(_TASKS)}')
    with tempfile.TemporaryDirectory() as scratch:
        kind, found = _inspect(root, task, data_format, Path(scratch, FOLDER))
        print(found)
        if found.problems:
            more = f'; and {len(found.problems) - 1} more, see above' if found.problems[1:] else ''
            raise ValueError(f'{found.problems[0]}{more}')
        cfg = cfg or load_config(_default_config(kind))
        cfg.work_dir = scratch
        with silence():
            use_data_root(cfg, root, None if kind == 'classification' else data_format)
            sheet = training_sheet(cfg)
    name = Path(cfg.filename).name
    folder = Path(out or Path('work_dirs', Path(root).resolve().name))
    folder.mkdir(parents=True, exist_ok=True)
    path = new_file(folder, SHEET)
    picture = np.ascontiguousarray(sheet.picture[..., ::-1])
    with removed_on_error(path):
        mmcv.imwrite(picture, str(path), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    print(f'{path}: {sheet.drawn} training samples as {name} delivers them')


def _inspect(
    root: str, task: str | None, data_format: str | None, scratch: Path
) -> tuple[str, Inspection]:
    """A key of the default configs, and what was found."""
    name = find_format(root, task, data_format)
    if name == 'class_folders':
        return 'classification', inspect_classes(root)
    if task == 'segmentation' or name == 'label_images':
        return 'segmentation', inspect_labels(read_labels(root, scratch, name))
    data = read_objects(root, name)
    return 'masks' if data.with_masks else 'boxes', inspect_objects(data)


def _default_config(kind: str) -> str:
    """The config for fine-tuning, of the installed package or of the repository."""
    package = Path(mmoverlock.__file__).parent
    places = [package / '.mim' / 'configs', package.parent / 'configs']
    for place in places:
        if (place / _CONFIGS[kind]).is_file():
            return str(place / _CONFIGS[kind])
    raise ValueError(f'{_CONFIGS[kind]} is not in {places[0]}: name a config with --config')
