"""Pictures and files of the output folder as the report takes them in."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..section import Picture

_WIDE = 1.6  # width by height, from which a picture has a row to itself


@dataclass(frozen=True)
class Embedded:
    """A picture inside the report.

    Attributes:
        picture: Title, file and note.
        data: The PNG file in base64; None if the file is missing or damaged.
        width: In pixels.
        height: Likewise.
    """

    picture: Picture
    data: str | None = None
    width: int = 0
    height: int = 0

    @property
    def is_wide(self) -> bool:
        return self.width > _WIDE * self.height


def embed(picture: Picture, folder: Path) -> Embedded:
    """Read the file of a picture."""
    try:
        content = (folder / picture.file).read_bytes()
        with Image.open(io.BytesIO(content), formats=['PNG']) as image:
            width, height = image.size
            image.verify()
    except Exception:  # Pillow has many for damaged files
        return Embedded(picture)
    return Embedded(picture, base64.b64encode(content).decode(), width, height)


def file_size(path: Path) -> str:
    """'12 kB' and the like; 'missing' if there is no such file."""
    try:
        size = path.stat().st_size
    except OSError:
        return 'missing'
    for unit, name in ((1e6, 'MB'), (1e3, 'kB')):
        if size >= unit:
            number = size / unit
            return f'{number:.1f} {name}' if number < 10 else f'{number:.0f} {name}'
    return f'{size} bytes'
