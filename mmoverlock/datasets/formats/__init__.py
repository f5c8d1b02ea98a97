"""A user's own annotated images, in whichever of the usual formats, read into one form.

:func:`find_format` says which format a folder has. A format's reader returns :class:`ObjectData`
(COCO, YOLO, Pascal VOC, LabelMe) or :class:`LabelData` (label images); writers put what OpenMMLab's
data sets read, COCO JSON or label images, into a work_dir. Nothing here changes the user's files.
"""

from .data import HOLD_OUT, SPLITS, LabelData, ObjectData
from .label_images import looks_like
from .segmentation import count_pixels, read_labels, write_pairs

__all__ = [
    'HOLD_OUT',
    'SPLITS',
    'LabelData',
    'ObjectData',
    'count_pixels',
    'looks_like',
    'read_labels',
    'write_pairs',
]
