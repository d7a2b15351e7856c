"""Tests of the pictures that a fake serves as results."""

import io
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from understudy import media
from understudy.media import Picture, draw, picture

FORMATS = {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP"}  # ours to Pillow's

any_text = st.text(st.characters(exclude_categories=()), max_size=60)  # no category excluded: surrogates too
formats = st.sampled_from(sorted(FORMATS))
small_sides = st.integers(1, 160)
ratio_numbers = st.integers(1, 64) | st.floats(0.25, 64).map(lambda number: round(number, 2))


def decoded(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


# Sizes


@given(ratio_numbers, ratio_numbers, st.integers(512, 2048))
def test_size_has_the_asked_area_and_ratio(wide: float, high: float, side: int) -> None:
    """For a ratio up to 16:1, area and ratio are within a few percent of the asked ones and sides multiples of 8."""
    assume(1 / 16 <= wide / high <= 16)
    asked = picture(aspect_ratio=f"{wide}:{high}", side=side, format="png", text="")
    assert asked.width % 8 == asked.height % 8 == 0
    assert math.isclose(asked.width * asked.height, side * side, rel_tol=0.05)
    assert math.isclose(asked.width / asked.height, wide / high, rel_tol=0.05)


@given(st.text(max_size=12) | st.from_regex(r"[0-9]{1,3}(\.[0-9])?:[0-9]{1,3}", fullmatch=True), st.integers())
def test_size_is_within_bounds_whatever_is_asked(aspect_ratio: str, side: int) -> None:
    """Any aspect ratio and any side give sides that are multiples of 8 from 8 to 8192."""
    asked = picture(aspect_ratio=aspect_ratio, side=side, format="png", text="")
    for length in (asked.width, asked.height):
        assert 8 <= length <= 8192
        assert length % 8 == 0


@pytest.mark.parametrize(
    ("aspect_ratio", "side", "size"),
    [
        ("1:1", 1024, (1024, 1024)),
        ("16:9", 2048, (2728, 1536)),
        ("9:16", 2048, (1536, 2728)),
        ("21:9", 4096, (6256, 2680)),
        ("2.39:1", 1024, (1584, 664)),
        (" 4:3 ", 1024, (1184, 888)),
    ],
)
def test_size_of_common_shapes(aspect_ratio: str, side: int, size: tuple[int, int]) -> None:
    """The usual aspect ratios and resolutions give the sizes worked out by hand."""
    asked = picture(aspect_ratio=aspect_ratio, side=side, format="png", text="")
    assert (asked.width, asked.height) == size


@pytest.mark.parametrize(
    "aspect_ratio",
    ["auto", "", "16x9", "0:1", "1:0", "-1:2", "17:1", "1:17", "1:2:3", "9" * 400 + ":" + "9" * 400, "١٦:٩"],
)
def test_size_is_square_when_the_ratio_is_not_one(aspect_ratio: str) -> None:
    """What is not a ratio of two positive numbers, or is too steep, is taken as 1:1."""
    asked = picture(aspect_ratio=aspect_ratio, side=512, format="png", text="")
    assert (asked.width, asked.height) == (512, 512)


@pytest.mark.parametrize(
    ("aspect_ratio", "side", "size"),
    [("16:1", 4096, (8192, 512)), ("1:1", 10**400, (8192, 8192)), ("1:1", -5, (8, 8)), ("16:1", 8, (32, 8))],
)
def test_size_is_bounded(aspect_ratio: str, side: int, size: tuple[int, int]) -> None:
    """A picture that would be too large is scaled down with its ratio kept, and no side is shorter than 8."""
    asked = picture(aspect_ratio=aspect_ratio, side=side, format="png", text="")
    assert (asked.width, asked.height) == size


# Formats


@pytest.mark.parametrize(
    ("asked", "extension", "media_type"),
    [
        ("png", "png", "image/png"),
        ("JPG", "jpg", "image/jpeg"),
        ("Jpeg", "jpeg", "image/jpeg"),
        ("WebP", "webp", "image/webp"),
        ("gif", "png", "image/png"),
        ("", "png", "image/png"),
    ],
)
def test_format_names_the_file(asked: str, extension: str, media_type: str) -> None:
    """A format is known in any case, decides extension and media type, and is PNG when unknown."""
    result = picture(aspect_ratio="1:1", side=8, format=asked, text="")
    assert (result.extension, result.media_type) == (extension, media_type)


def test_picture_keeps_what_it_is_given() -> None:
    """A picture made by hand has exactly the given fields, and its format is known in any case."""
    made = Picture(7, 9, "JPEG", "a")
    assert (made.width, made.height, made.format, made.text) == (7, 9, "JPEG", "a")
    assert made.extension == "jpeg"


@pytest.mark.parametrize("size", [(0, 8), (8, 0), (-8, 8), (8193, 8), (8, 8193)])
def test_picture_refuses_a_side_out_of_bounds(size: tuple[int, int]) -> None:
    """A picture made by hand with a side that cannot be drawn is refused with the size in the message."""
    with pytest.raises(ValueError, match=f"{size[0]}x{size[1]}"):
        Picture(*size, "png", "")


def test_picture_refuses_an_unknown_format() -> None:
    """A picture made by hand with an unknown format is refused with the format in the message."""
    with pytest.raises(ValueError, match="'gif'"):
        Picture(8, 8, "gif", "")


# Drawing


@given(small_sides, small_sides, formats, any_text)
def test_drawn_file_decodes_to_the_picture(width: int, height: int, extension: str, text: str) -> None:
    """Any text on a picture of any size is drawn, as a file of exactly the asked format and size."""
    image = decoded(draw(Picture(width, height, extension, text)))
    assert image.format == FORMATS[extension]
    assert image.size == (width, height)


@given(formats, any_text)
def test_drawing_is_deterministic(extension: str, text: str) -> None:
    """The same picture drawn anew, not remembered, has identical bytes."""
    asked = Picture(64, 48, extension, text)
    first = draw(asked)
    media._drawn.cache_clear()
    assert draw(asked) == first


@given(any_text, any_text)
def test_different_texts_give_different_pictures(one: str, other: str) -> None:
    """Two texts give two pictures, even where they differ only in characters that cannot be seen."""
    assume(one != other)
    assert draw(Picture(64, 48, "png", one)) != draw(Picture(64, 48, "png", other))


@given(any_text)
def test_ink_stands_out_from_the_background(text: str) -> None:
    """The frame's colour has at least the WCAG's contrast of 4.5 to 1 with the background's."""

    def luminance(pixel: tuple[int, ...]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in pixel)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    image = decoded(draw(Picture(64, 48, "png", text))).convert("RGB")
    frame, background = image.getpixel((0, 0)), image.getpixel((2, 2))
    assert isinstance(frame, tuple)
    assert isinstance(background, tuple)
    dark, light = sorted((luminance(frame), luminance(background)))
    assert (light + 0.05) / (dark + 0.05) >= 4.5


@pytest.mark.parametrize("extension", sorted(FORMATS))
@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n\n",
        "\r\n\t\x00\x1b\x7f",
        "\ud800\udfff",
        "👩‍👩‍👧 漢字 العربية",
        "e" + "\u0301" * 5000,
        "x" * 20_000,
        "a b\n" * 5000,
    ],
    ids=["empty", "newlines", "controls", "surrogates", "scripts", "accents", "long word", "long text"],
)
def test_awkward_texts_are_drawn(extension: str, text: str) -> None:
    """Texts that fonts, encoders and line breaking stumble over are drawn in every format."""
    asked = picture(aspect_ratio="4:3", side=128, format=extension, text=text)
    assert decoded(draw(asked)).size == (asked.width, asked.height)


@pytest.mark.parametrize("extension", sorted(FORMATS))
def test_the_prompt_is_written_on_the_picture(extension: str) -> None:
    """A prompt leaves ink in the upper part of the picture, and an empty one leaves none there."""

    def shades(text: str) -> int:
        image = decoded(draw(Picture(256, 256, extension, text))).convert("L").crop((10, 10, 246, 128))
        low, high = image.getextrema()
        assert isinstance(low, int | float)
        assert isinstance(high, int | float)
        return int(high - low)

    assert shades("") < 10
    assert shades("A fox on a hill") > 80


def test_the_caption_is_written_on_the_picture() -> None:
    """Ink is left in the lower left corner even without a prompt, and it differs between formats of one size."""

    def caption(extension: str) -> Image.Image:
        return decoded(draw(Picture(256, 256, extension, ""))).convert("RGB").crop((4, 200, 252, 252))

    assert caption("png").getcolors(1) is None
    assert caption("png").tobytes() != caption("webp").tobytes()


def test_a_drawn_picture_is_remembered() -> None:
    """Fetching a picture twice draws it once, and at most 32 pictures are remembered."""
    media._drawn.cache_clear()
    for number in range(40):
        assert draw(Picture(8, 8, "png", str(number))) is draw(Picture(8, 8, "PNG", str(number)))
    found = media._drawn.cache_info()
    assert (found.hits, found.misses, found.currsize) == (40, 40, 32)


def test_importing_does_not_import_pillow() -> None:
    """A process that imports the module but draws nothing does not pay for importing Pillow."""
    source = str(Path(media.__file__).parents[1])
    program = "import sys, understudy.media; sys.exit('PIL' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": source}, check=True)


# Lines


@given(any_text, st.integers(0, 12), st.integers(0, 5))
def test_lines_fit_and_lose_nothing_but_the_end(text: str, width: int, rows: int) -> None:
    """Lines fit the room, and are the text in order but for breaks, up to an ellipsis where it does not fit."""
    lines = media._wrapped(text, lambda character: 1, width, rows)
    assert len(lines) <= rows
    assert all(len(line) <= max(width, 1) for line in lines)
    written, whole = ("".join(part.split()) for part in ("".join(lines), text))
    if written != whole and rows:
        assert written.endswith("…")
        assert whole.startswith(written[:-1])


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("a fox", ["a fox"]),
        ("a fox sat", ["a fox", "sat"]),
        ("a foxes", ["a", "foxes"]),
        ("foxglove", ["foxgl", "ove"]),
        ("a\n\nfox\n", ["a", "", "fox"]),
        (" foxes", [" foxe", "s"]),
        ("a fox sat on a mat by me", ["a fox", "sat", "on a…"]),
        ("one two three four five", ["one", "two", "thre…"]),
        ("a\nb\n\nc", ["a", "b", "…"]),
    ],
)
def test_lines_of_examples(text: str, lines: list[str]) -> None:
    """Lines break at spaces and newlines, within a word only when it is too long, and end with an ellipsis."""
    assert media._wrapped(text, lambda character: 1, 5, 3) == lines


@pytest.mark.parametrize(
    ("text", "legible"),
    [
        ("café Ångström", "cafe Angstrom"),
        ("a\u2014b\u2011c", "a-b-c"),
        ("a\r\nb\rc\td\u00a0e", "a\nb c d e"),
        ("\x00\ud800", "\ufffd\ufffd"),
        ("漢字 ½", "漢字 ½"),
        ("x" * 601, "x" * 600 + "…"),
        ("x" * 600, "x" * 600),
    ],
)
def test_characters_that_the_font_lacks(text: str, legible: str) -> None:
    """Characters that the bundled font lacks become ones that it has where there are such, and a long text is cut."""
    assert media._legible(text) == legible
