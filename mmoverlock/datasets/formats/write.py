"""COCO files that pycocotools and mmdet's CocoDataset read."""

import json
from pathlib import Path

from .data import ObjectData
from .files import replace_text


def write_coco(data: ObjectData, folder: str | Path) -> dict[str, Path]:
    """Write ``instances_{split}.json`` into `folder`, and return the files' paths by split.

    A file appears under its name only when complete, and the same data give the same bytes.
    """
    categories = [dict(id=number, name=name) for number, name in enumerate(data.classes, 1)]
    paths = {}
    for split, content in data.splits.items():
        info = dict(description=f'{data.format} data, {split}')
        whole = dict(info=info, licenses=[], categories=categories, **content)
        paths[split] = Path(folder, f'instances_{split}.json')
        replace_text(paths[split], json.dumps(whole, separators=(',', ':')))
    return paths
