"""What the readers of all formats return."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SPLITS = ('train', 'val', 'test')
HOLD_OUT = 5  # without a split every fifth image is held out for validation, in the order of names


@dataclass
class ObjectData:
    """Images with boxes and perhaps masks, in COCO's terms.

    Attributes:
        root: The folder that the user named.
        format: For messages: 'COCO', 'YOLO', 'Pascal VOC', 'LabelMe'.
        classes: Names, in the order of the labels; category ids are 1, 2, ... in this order.
        splits: 'train', 'val' and perhaps 'test', each with ``images`` (id, file_name relative to
            `root`, width, height) and ``annotations`` (id, image_id, category_id, bbox as x, y,
            width, height in pixels, area, iscrowd, and ``segmentation`` as polygons or run lengths
            where the format has masks), as in COCO's files.
        with_masks: Whether every object has a mask.
        ignore_orientation: Whether the annotations are for the images as stored, not as their EXIF
            tags turn them.
        notes: What was changed or left out, one line each, with the number of cases and, of the
            first, file and id.
    """

    root: Path
    format: str
    classes: tuple[str, ...]
    splits: dict[str, dict[str, list[dict[str, Any]]]]
    with_masks: bool = False
    ignore_orientation: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass
class LabelData:
    """Images with a label image (H, W) each, one class a pixel.

    Attributes:
        root: The folder that the user named.
        format: For messages: 'label images', or the format that was rasterized.
        classes: Names, in the order of the labels.
        palette: A colour (RGB, 0 to 255) for each class.
        splits: 'train', 'val' and perhaps 'test': pairs of the paths of an image and of its label
            image (uint8; 255 is ignored).
        notes: As in :class:`ObjectData`.
    """

    root: Path
    format: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    splits: dict[str, list[tuple[Path, Path]]]
    notes: list[str] = field(default_factory=list)
