"""A user's own annotated images, in whichever of the usual formats, read into one form.

:func:`find_format` says which format a folder has. A format's reader returns :class:`ObjectData`
(COCO, YOLO, Pascal VOC, LabelMe) or :class:`LabelData` (label images); writers put what OpenMMLab's
data sets read, COCO JSON or label images, into a work_dir. Nothing here changes the user's files.
"""

from .data import LabelData, ObjectData
from .find import FORMATS, find_format, read_objects
from .segmentation import read_labels, write_pairs
from .write import write_coco

__all__ = [
    'FORMATS',
    'LabelData',
    'ObjectData',
    'find_format',
    'read_labels',
    'read_objects',
    'write_coco',
    'write_pairs',
]
