"""Text in pictures: of every script that an installed font has, and never as empty boxes.

The font is DejaVu Sans, which comes with matplotlib. What it lacks is taken from the fonts of the
machine, MMOVERLOCK_FONT first. A character that no font has is drawn as its number, such as
``\\u732b``, and a warning names the script, once.
"""

import functools
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from PIL import ImageDraw, ImageFont, features

from mmoverlock import environment
from mmoverlock.utils.log import warn

Run = tuple[ImageFont.FreeTypeFont, str]
_BASE = 'DejaVu Sans'
_INVISIBLE = ('Cf', 'Mn', 'Me', 'Mc')  # joiners, and marks on the character before
_PLAIN = ('regular', 'sans', 'cjk')  # of several fonts those are taken, and not these:
_ODD = ('bold', 'italic', 'oblique', 'mono', 'serif', 'light', 'thin', 'black', 'condensed', 'last')
_PACKAGES = {
    'CJK': 'fonts-noto-cjk', 'HIRAGANA': 'fonts-noto-cjk', 'KATAKANA': 'fonts-noto-cjk',
    'HANGUL': 'fonts-noto-cjk', 'THAI': 'fonts-thai-tlwg', 'emoji': 'fonts-symbola',
}  # fmt: skip  # of Debian and Ubuntu
_SHAPED = (
    'THAI', 'DEVANAGARI', 'BENGALI', 'TAMIL', 'TELUGU', 'KANNADA', 'MALAYALAM', 'GUJARATI',
    'GURMUKHI', 'ORIYA', 'SINHALA', 'KHMER', 'LAO', 'MYANMAR', 'TIBETAN', 'ARABIC', 'HEBREW',
)  # fmt: skip


class Font:
    """Fonts of one size, in pixels; each character is drawn with the first that has it."""

    def __init__(self, size: int):
        self.size = size

    def getlength(self, text: str) -> float:
        """Width of the text in pixels."""
        return sum(font.getlength(part) for font, part in self._runs(text))

    def draw(
        self, draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, ink: Any,
        anchor: str = 'lm',
    ) -> None:  # fmt: skip
        """Draw the text beside `place`: its left ('lm') or right end ('rm'), halfway up."""
        x, y = place
        if anchor == 'rm':
            x -= self.getlength(text)
        for font, part in self._runs(text):
            draw.text((x, y), part, ink, font, anchor='lm')
            x += font.getlength(part)

    def _runs(self, text: str) -> Iterator[Run]:
        """Parts of the text, each with its font."""
        for path, part in split(text):
            yield _load(path, self.size), part


def split(text: str) -> list[tuple[str, str]]:
    """Parts of the text, each with the file of the font that has its characters.

    What none has is replaced by escapes.
    """
    text = ' '.join(text.split())
    parts: list[list[str]] = []
    for character in text:
        path = parts[-1][0] if parts else base_font()
        follows = unicodedata.category(character) in _INVISIBLE and parts
        if not follows and not (character == ' ' and _has(path, character)):
            path = find_font(character)
            if path is None:
                _warn(character)
                path, character = (
                    base_font(),
                    character.encode('ascii', 'backslashreplace').decode(),
                )
        elif follows and not _has(path, character):
            continue  # such as the selector of an emoji's form
        if parts and parts[-1][0] == path:
            parts[-1][1] += character
        else:
            parts.append([path, character])
    if any(_script(character) in _SHAPED for character in text):
        _check_shaping()
    return [(path, part) for path, part in parts]


def drawable(text: str) -> str:
    """The text, with escapes for the characters that no font has."""
    return ''.join(part for _, part in split(text))


def is_plain(text: str) -> bool:
    """Whether the basic font has all of the text."""
    return all(_has(base_font(), character) for character in text if character != '\n')


def families(text: str) -> list[str]:
    """For matplotlib: the names of the fonts of a text."""
    paths = dict.fromkeys([base_font(), *(path for path, _ in split(text))])
    for path in paths:
        font_manager.fontManager.addfont(path)
    return [font_manager.FontProperties(fname=path).get_name() for path in paths]


@functools.cache
def base_font() -> str:
    return font_manager.findfont(_BASE)


@functools.cache
def find_font(character: str) -> str | None:
    """The file of a font that has the character."""
    own = environment.font()
    paths = [base_font()]
    if own:
        if not Path(own).is_file():
            raise ValueError(f"MMOVERLOCK_FONT: '{own}' is no file")
        paths.insert(0, own)
    for path in paths:
        if _has(path, character):
            return path
    return next((path for path in _installed() if _has(path, character)), None)


@functools.cache
def _installed() -> list[str]:
    """The font files of the machine, those for running text first."""

    def rank(path: str) -> tuple[int, str]:
        name = Path(path).name.lower()
        odd = sum(word in name for word in _ODD) - ('sans' in name and 'serif' in name)
        return 2 * odd - sum(word in name for word in _PLAIN), name

    return sorted(font_manager.findSystemFonts(), key=rank)


def _has(path: str, character: str) -> bool:
    return ord(character) in _characters(path)


@functools.cache
def _characters(path: str) -> frozenset[int]:
    """What a font has; nothing, if the file is broken or has only bitmaps of one size."""
    try:
        ImageFont.truetype(path, 20)
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError, ValueError):
        if path == environment.font():
            raise ValueError(f"MMOVERLOCK_FONT: '{path}' is no font that can be scaled") from None
        return frozenset()


@functools.cache
def _load(path: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size)


@functools.cache
def _script(character: str) -> str:
    """The first word of the character's name: 'CJK', 'THAI', 'DEVANAGARI', ...; or 'emoji'."""
    if unicodedata.category(character) in ('So', 'Sk') and ord(character) > 0x2000:
        return 'emoji'
    return unicodedata.name(character, 'unknown').split()[0].split('-')[0]


_warned: set[str] = set()


def _warn(character: str) -> None:
    """Say once for each script that it has no font."""
    script = _script(character)
    if script not in _warned:
        _warned.add(script)
        shown = script if script in ('CJK', 'emoji', 'unknown') else script.capitalize()
        package = _PACKAGES.get(script, 'fonts-noto-core')
        warn(
            f'no installed font has {shown} characters, such as U+{ord(character):04X}: they are '
            f'drawn as numbers. Install a font (Debian, Ubuntu: {package}), or set MMOVERLOCK_FONT '
            'to a font file',
        )


@functools.cache
def _check_shaping() -> None:
    if not features.check('raqm'):
        warn(
            'Pillow has no Raqm here: Thai, Arabic and Indic names are drawn without joining or '
            'reordering their letters',
        )
