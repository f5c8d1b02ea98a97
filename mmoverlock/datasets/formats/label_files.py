"""Label images written into a work_dir, as training reads them."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from ..exif import ORIENTATION
from ..parallel import in_parallel
from .files import replace_text
from .label_scan import label_values

_VERSION = 1  # raise when the same input no longer gives the same files


@dataclass(slots=True)
class Conversion:
    """How a label image is written.

    Attributes:
        source: The user's file.
        target: The PNG file to write.
        labels: The label of each value, or, if `by_colour`, of each colour as 0xRRGGBB.
        by_colour: Whether the image's colours count, not its values.
        turn: The EXIF orientation by which to turn it.
    """

    source: Path
    target: Path
    labels: Mapping[int, int]
    by_colour: bool = False
    turn: int = 1


def convert(one: Conversion) -> None:
    """Write a label image whose values all have labels."""
    with Image.open(one.source) as image:
        if one.by_colour:
            rgb = np.asarray(image.convert('RGB')).astype(np.int64)  # (H, W, 3)
            values = rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]
        else:
            values = label_values(image)
    keys = np.array(sorted(one.labels))
    labels = np.array([one.labels[key] for key in keys.tolist()], np.uint8)
    write_label(one.target, labels[np.searchsorted(keys, values)], one.turn)


def write_label(path: Path, labels: np.ndarray, turn: int = 1) -> None:
    """Write labels (H, W), uint8, as a PNG file that is there only when complete.

    `turn` is an EXIF orientation: the labels are turned as a viewer turns such a picture.
    """
    image = Image.fromarray(labels)
    if turn != 1:
        image.getexif()[ORIENTATION] = turn
        image = ImageOps.exif_transpose(image)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f'.{path.name}.{os.getpid()}')
    Image.fromarray(np.asarray(image)).save(scratch, 'PNG')
    scratch.replace(path)


def write_once(
    folder: Path, jobs: Sequence[Any], write: Callable[[Any], None], inputs: Sequence[Path]
) -> None:
    """Call `write` for each job, in parallel, unless the same was done before.

    Args:
        folder: For a file, written.txt, that tells what was done last.
        jobs: Data classes whose text is the same for the same input; each with a `target`, the
            path of the file that `write` makes.
        write: Of a module.
        inputs: Files whose change asks for new ones.
    """
    digest = hashlib.sha256(str(_VERSION).encode())
    for path in inputs:
        state = path.stat()
        digest.update(f'{path} {state.st_size} {state.st_mtime_ns}'.encode())
    for job in jobs:
        digest.update(repr(job).encode())
    record = folder / 'written.txt'
    done = record.is_file() and record.read_text(encoding='utf-8') == digest.hexdigest()
    if jobs and not (done and all(job.target.is_file() for job in jobs)):
        in_parallel(write, jobs, 'write label images')
        replace_text(record, digest.hexdigest())
