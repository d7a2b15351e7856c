"""The pictures that a fake serves as results.

A picture is a real PNG, JPEG or WebP file of the asked size with the prompt written on it. It is described by a
`Picture` when the result is made and drawn by `draw` when the result is fetched, so a result that nobody fetches
costs nothing. Pillow is imported when the first picture is drawn.
"""

import functools
import hashlib
import io
import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

#: By file format, in lower case.
MEDIA_TYPES = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp"}

_GRID = 8  # pixels; the sides of a picture of an asked ratio are multiples of it
_LONGEST_SIDE = 8192  # pixels
_STEEPEST_RATIO = 16.0
_ASPECT_RATIO = re.compile(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)", re.ASCII)

_LONGEST_TEXT = 600  # characters; a large picture has room for more, but drawing them takes longer than all the rest
_SMALLEST_FONT = 8  # pixels
_LINE_HEIGHT = 1.25  # of the font's size
_ELLIPSIS = "…"
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"  # the bundled font has only the ASCII one
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"

# Four shades from the background to the ink: enough for smooth letters, and a PNG holds four pixels in a byte.
_SHADES = 4
_INK = _SHADES - 1


@dataclass(frozen=True, slots=True)
class Picture:
    """A result picture that is not drawn yet.

    Args:
        width: The width in pixels, 1 to 8192.
        height: The height in pixels, 1 to 8192.
        format: The file format, in any case: "png", "jpg", "jpeg" or "webp".
        text: What is written on the picture; any string.

    Raises:
        ValueError: A side is out of bounds, or the format is not one of the four.
    """

    width: int
    height: int
    format: str
    text: str

    def __post_init__(self) -> None:
        if not (1 <= self.width <= _LONGEST_SIDE and 1 <= self.height <= _LONGEST_SIDE):
            raise ValueError(f"a picture's sides are 1 to {_LONGEST_SIDE} pixels, not {self.width}x{self.height}")
        if self.extension not in MEDIA_TYPES:
            raise ValueError(f"a picture's format is one of {', '.join(MEDIA_TYPES)}, not {self.format!r}")

    @property
    def media_type(self) -> str:
        """The file's media type.

        Returns:
            "image/png", "image/jpeg" or "image/webp".
        """
        return MEDIA_TYPES[self.extension]

    @property
    def extension(self) -> str:
        """The ending of the file's name, without the dot.

        Returns:
            The format in lower case: "png", "jpg", "jpeg" or "webp".
        """
        return self.format.lower()


def picture(*, aspect_ratio: str, side: int, format: str, text: str) -> Picture:
    """Describe the picture of an asked shape and resolution.

    Every argument is accepted: what a picture cannot have is replaced by the nearest thing that it can have.

    Args:
        aspect_ratio: Width to height as "W:H", such as "16:9". Anything else ("auto", a zero, a ratio steeper than
            16 to 1) is taken as "1:1".
        side: The side in pixels of the square that has the picture's area, such as 1024 for "1K".
        format: "png", "jpg", "jpeg" or "webp" in any case; anything else is taken as "png".
        text: What is written on the picture; any string.

    Returns:
        A picture with about side * side pixels whose sides have the ratio, each rounded to a multiple of 8 pixels.
        It is smaller where a side would be longer than 8192 pixels.
    """
    return Picture(*_sides(aspect_ratio, side), _known(format), text)


def sized(width: int, height: int, *, format: str, text: str) -> Picture:
    """Describe the picture of an asked size in pixels; a side that no picture can have is as near as one can."""
    width, height = (min(max(side, 1), _LONGEST_SIDE) for side in (width, height))
    return Picture(width, height, _known(format), text)


def _known(format: str) -> str:
    return format.lower() if format.lower() in MEDIA_TYPES else "png"


def draw(picture: Picture) -> bytes:
    """Draw a picture and encode it; the last few drawn are remembered.

    The background's colour is derived from the text, so that pictures of different prompts can be told apart.
    Letters that Pillow's bundled font lacks are drawn without their accents, or as empty boxes.

    Args:
        picture: What to draw.

    Returns:
        The bytes of the image file, the same for equal pictures.
    """
    return _drawn(picture.width, picture.height, picture.extension, picture.text)


@functools.lru_cache(maxsize=32)
def _sides(aspect_ratio: str, side: int) -> tuple[int, int]:
    """Width and height in pixels of a shape with the area of a square."""
    root = math.sqrt(_ratio(aspect_ratio))
    # Bounded before the multiplication: an integer can be too large to become a float.
    area_side = min(max(side, _GRID), _LONGEST_SIDE)
    width, height = area_side * root, area_side / root
    scale = min(1.0, _LONGEST_SIDE / max(width, height))
    return _on_grid(width * scale), _on_grid(height * scale)


def _ratio(aspect_ratio: str) -> float:
    """Width divided by height, 1.0 where the text does not say."""
    match = _ASPECT_RATIO.fullmatch(aspect_ratio.strip())
    if match is None:
        return 1.0
    width, height = float(match[1]), float(match[2])
    # Written so that the NaN of two numbers too large for a float is refused as well.
    if height > 0 and 1 / _STEEPEST_RATIO <= width / height <= _STEEPEST_RATIO:
        return width / height
    return 1.0


def _on_grid(length: float) -> int:
    """The multiple of the grid nearest to a length in pixels, at least one."""
    return max(_GRID, round(length / _GRID) * _GRID)


@functools.lru_cache(maxsize=32)
def _drawn(width: int, height: int, extension: str, text: str) -> bytes:
    from PIL import Image, ImageDraw, ImageFont  # here because most processes that import this module draw nothing

    size = max(_SMALLEST_FONT, min(min(width, height) // 6, math.isqrt(width * height) // 28))
    font, small = ImageFont.load_default(size), ImageFont.load_default(max(_SMALLEST_FONT, size // 2))
    margin = size
    caption_top = height - margin - size // 2
    line_height = round(size * _LINE_HEIGHT)
    rows = (caption_top - margin) // line_height

    # In a grey image the numbers 0 to 3 are drawn with smooth edges; the palette then makes colours of them.
    image = Image.new("L", (width, height), 0)
    canvas = ImageDraw.Draw(image)
    lines = _wrapped(_legible(text), functools.cache(font.getlength), width - 2 * margin, rows)
    for row, line in enumerate(lines):
        canvas.text((margin, margin + row * line_height), line, fill=_INK, font=font)
    canvas.text((margin, caption_top), f"{width}x{height} {extension}", fill=_INK, font=small)
    canvas.rectangle((0, 0, width - 1, height - 1), outline=_INK, width=max(1, min(width, height) // 256))
    image.putpalette(_palette(text))

    file = io.BytesIO()
    if extension == "png":
        image.save(file, "PNG", compress_level=1)
    elif extension == "webp":
        # Without loss is both faster and smaller than with loss for so few colours.
        image.convert("RGB").save(file, "WEBP", lossless=True, method=0, quality=0)
    else:
        image.convert("RGB").save(file, "JPEG", quality=60, subsampling="4:2:0")
    return file.getvalue()


def _palette(text: str) -> list[int]:
    """Red, green and blue of each shade, from the text's own colour to black or white, whichever stands out more."""
    background = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:3]
    red, green, blue = ((value / 255) ** 2.2 for value in background)
    # The luminance at which black and white have the same contrast, by the WCAG's formula.
    ink = 0 if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else 255
    return [round(value + (ink - value) * shade / _INK) for shade in range(_SHADES) for value in background]


def _legible(text: str) -> str:
    """The start of a text, in characters that can be drawn."""
    start = "".join(map(_legible_character, text[:_LONGEST_TEXT].replace("\r\n", "\n")))
    return start + _ELLIPSIS if len(text) > _LONGEST_TEXT else start


def _legible_character(character: str) -> str:
    if character == "\n":
        return character
    if character.isspace():
        return " "
    if not character.isprintable():
        return _UNKNOWN
    if character in _DASHES:
        return "-"
    plain = "".join(part for part in unicodedata.normalize("NFKD", character) if not unicodedata.combining(part))
    return plain if plain.isascii() else character


def _wrapped(text: str, advance: Callable[[str], float], width: float, rows: int) -> list[str]:
    """Break a text into lines, and end the last one with an ellipsis where the text does not fit.

    Args:
        text: The text; a newline in it ends a line.
        advance: The width in pixels of a character.
        width: The width in pixels that a line may have.
        rows: How many lines there may be.

    Returns:
        The lines. One holds more than its width only where a single character does.
    """
    lines: list[str] = []
    start = 0
    while start < len(text) and len(lines) < rows:
        end, room = start, width
        while end < len(text) and text[end] != "\n" and (room := room - advance(text[end])) >= 0:
            end += 1
        if text[end : end + 1] not in ("", "\n"):
            space = text.rfind(" ", start + 1, end + 1)
            end = space if space > 0 else max(end, start + 1)
        lines.append(text[start:end])
        start = end + (text[end : end + 1] in (" ", "\n"))
    if lines and start < len(text):
        last = lines[-1]
        while last and sum(map(advance, last + _ELLIPSIS)) > width:
            last = last[:-1]
        lines[-1] = last.rstrip() + _ELLIPSIS
    return lines
