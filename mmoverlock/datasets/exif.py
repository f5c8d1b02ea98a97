"""How the EXIF tag of an image has OpenCV, which training uses, turn it."""

from contextlib import suppress

from PIL import Image

ORIENTATION = 0x0112  # the tag; 1 is upright, from 5 on width and height change places
_TAGGED = ('JPEG', 'MPO', 'PNG')  # OpenCV turns no others; Pillow tells a TIFF's size as turned


def orientation_of(image: Image.Image, header_only: bool = False) -> int:
    """The EXIF orientation by which OpenCV turns an image, 1 to 8; 1: it does not.

    Args:
        image: Open.
        header_only: Decode no PNG for a tag that may follow its pixels.
    """
    if image.format not in _TAGGED or (header_only and 'exif' not in image.info):
        return 1
    tag = 1
    with suppress(Exception):  # the data may be damaged in any way
        tag = image.getexif().get(ORIENTATION)
    return tag if tag in range(1, 9) else 1
