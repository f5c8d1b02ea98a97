"""COCO files that pycocotools and mmdet's CocoDataset read."""

import json
import tempfile
from pathlib import Path

from .data import ObjectData


def write_coco(data: ObjectData, folder: str | Path) -> dict[str, Path]:
    """Write ``instances_{split}.json`` into `folder`, and return the files' paths by split.

    A file appears under its name only when complete, and the same data give the same bytes.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    categories = [dict(id=number, name=name) for number, name in enumerate(data.classes, 1)]
    paths = {}
    for split, content in data.splits.items():
        info = dict(description=f'{data.format} data, {split}')
        whole = dict(info=info, licenses=[], categories=categories, **content)
        paths[split] = folder / f'instances_{split}.json'
        with tempfile.TemporaryDirectory(dir=folder, prefix='.coco-') as scratch:
            unfinished = Path(scratch, 'unfinished')
            unfinished.write_text(json.dumps(whole, separators=(',', ':')), encoding='ascii')
            unfinished.replace(paths[split])
    return paths
