"""Tests of the codecs: what each one renders, and that it reads it back."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.documents import hostile_values, json_values, nested, numbers
from understudy.contract.codecs import (
    CODECS,
    MAX_NESTING,
    CodecError,
    as_number,
    as_text,
    dump_json,
    find_codec,
    parse_json,
    plain_number,
)
from understudy.contract.conditions import same

ARGUMENTS = {"default": '{"a": [1]}', "head": "2", "preference": '"wait"', "after": '"whsec_"'}

whole_seconds = st.integers(0, 2**33)  # until the year 2242; later a float holds no milliseconds

#: Codec → what the job may hold for it.
DOMAINS: dict[str, st.SearchStrategy[Any]] = {
    "json": json_values,
    "string": numbers,
    "decimal": st.integers() | st.floats(-(2.0**53), 2.0**53),  # a greater float has no whole digits to keep
    "epoch": whole_seconds,
    "epochMs": whole_seconds.map(lambda value: value / 8),
    "iso": whole_seconds.map(lambda value: value / 8),
    "isoSeconds": whole_seconds,
    "seconds": st.integers(0, 10**6),
    "milliseconds": st.integers(0, 10**9).map(lambda value: value / 1000),
    "percent": st.integers(0, 100).map(lambda value: value / 100),
    "base64": st.binary(),
    "omit": json_values,
    "default": json_values.filter(lambda value: value != {"a": [1]}),
}
WRITE_ONLY = {"sha256hex", "whsec", "head", "preference", "after"}

codecs = st.sampled_from(sorted(CODECS)).map(lambda name: find_codec(name, ARGUMENTS.get(name)))


#: Texts with the pieces of which JSON is, right and wrong.
odd_json = st.lists(
    st.sampled_from(
        [*'{}[]:,"- ', "1e5", "1e999", "-0", "0.1", "18446744073709551616", "9" * 19, "NaN", "true", "null"]
    )
    | st.sampled_from(['"a"', '"\\ud800"', '"\\ud83d\\ude00"', '"é"', "\ufeff", "\x01", "[" * 200, "]" * 200]),
    max_size=8,
).map("".join)


@given(odd_json | json_values.map(dump_json))
def test_bytes_are_parsed_as_text_is(text: str) -> None:
    """Whichever parser reads a body, it is the same value of the same types, or refused."""
    found: list[str] = []
    for form in (text, text.encode()):
        try:
            found.append(repr(parse_json(form)))
        except ValueError:
            found.append("refused")
    assert found[0] == found[1] or (text.startswith("\ufeff") and found[0] == "refused")


def test_every_codec_is_either_read_back_or_write_only():
    """The domains below speak of every codec that can be read, and no other codec can be."""
    readable = {name for name in CODECS if find_codec(name, ARGUMENTS.get(name)).read is not None}
    assert readable == set(DOMAINS) == CODECS - WRITE_ONLY


@pytest.mark.parametrize("name", sorted(DOMAINS))
@given(data=st.data())
def test_what_is_rendered_is_read_back(name: str, data: st.DataObject):
    """On its domain, reading what a codec rendered gives the value back."""
    codec = find_codec(name, ARGUMENTS.get(name))
    value = data.draw(DOMAINS[name])
    assert codec.read is not None
    rendered = codec.render(value)
    assert same(parse_json(dump_json(rendered)), rendered)  # it goes over the wire unharmed
    assert same(codec.read(rendered), value)


@given(codecs, hostile_values)
def test_a_value_that_a_codec_cannot_take_is_a_codec_error(codec: Any, value: Any):
    """Whatever is rendered or read, a codec gives a value or raises CodecError, and nothing else."""
    for function in (codec.render, codec.read):
        if function is not None:
            with contextlib.suppress(CodecError):
                function(value)


@pytest.mark.parametrize(
    ("name", "value", "wire"),
    [
        ("json", {"a": "é", "b": None}, '{"a":"é","b":null}'),
        ("string", 4, "4"),
        ("string", "4", "4"),
        ("decimal", 0.08, "0.08"),
        ("decimal", 0.0000001, "0.0000001"),
        ("decimal", 18.0, "18"),
        ("decimal", 10**30 + 1, "1" + "0" * 29 + "1"),
        ("epoch", 1763640000.4, 1763640000),
        ("epochMs", 1763640000.123, 1763640000123),
        ("iso", 1795176000, "2026-11-20T12:00:00.000Z"),
        ("isoSeconds", 1795176000.9, "2026-11-20T12:00:00Z"),
        ("seconds", 12.6, 13),
        ("milliseconds", 1.5, 1500),
        ("percent", 0.5, 50),
        ("base64", b"hi", "aGk="),
        ("sha256hex", "hi", hashlib.sha256(b"hi").hexdigest()),
        ("sha256hex", b"hi", hashlib.sha256(b"hi").hexdigest()),
        ("whsec", "whsec_aGk=", b"hi"),
        ("whsec", "aGk", b"hi"),
        ("head", "a/b/c", "a/b"),
        ("preference", "wait=5", 5),
        ("preference", 'respond-async, Wait = "10"; foo', 10),
        ("preference", "wait=a while", "a while"),
        ("preference", "wait", None),
        ("preference", "respond-async", None),
        ("after", "whsec_abc", "abc"),
        ("after", "abc_whsec_", "abc_whsec_"),
    ],
)
def test_what_a_codec_renders(name: str, value: Any, wire: Any):
    """Each codec writes what the manual of the format says."""
    assert find_codec(name, ARGUMENTS.get(name)).render(value) == wire


@pytest.mark.parametrize(
    ("name", "wire", "value"),
    [
        ("string", "9007199254740993", 9007199254740993),  # more digits than a float has
        ("decimal", "0.080", 0.08),
        ("iso", "2026-11-20T13:00:00+01:00", 1795176000.0),
        ("iso", "2026-11-20T12:00:00", 1795176000.0),  # without a zone it is taken as UTC
        ("isoSeconds", "2026-11-20T12:00:00.500Z", 1795176000.5),
        ("base64", "data:image/png;base64,aGk=", b"hi"),
        ("base64", "data:image/png;base64,", b""),
        ("default", {"a": [1]}, None),
        ("default", {"a": [True]}, {"a": [True]}),  # 1 is not true
    ],
)
def test_what_a_codec_reads(name: str, wire: Any, value: Any):
    """Reading forgives what providers are known to vary, and nothing that changes the value."""
    read = find_codec(name, ARGUMENTS.get(name)).read
    assert read is not None
    assert same(read(wire), value)


@pytest.mark.parametrize(
    ("name", "wire", "expected"),
    [
        ("json", "{", "JSON inside the text"),
        ("json", {}, "text"),
        ("string", "four", "a number inside the text"),
        ("string", "1_000", "a number inside the text"),
        ("decimal", "NaN", "a number inside the text"),
        ("epoch", "12", "a number"),
        ("epoch", True, "a number"),
        ("epochMs", 10**400, "a number"),
        ("iso", "yesterday", "a time such as 2026-01-01T00:00:00Z"),
        ("base64", "no base64!", "base64 text"),
    ],
)
def test_what_a_codec_does_not_read(name: str, wire: Any, expected: str):
    """What a codec cannot have rendered raises an error that says what was expected."""
    read = find_codec(name, None).read
    assert read is not None
    with pytest.raises(CodecError, match=f"^{expected}$"):
        read(wire)


@pytest.mark.parametrize(
    ("name", "value"), [("iso", 1e12), ("epochMs", 1e308), ("base64", "text"), ("json", object()), ("sha256hex", 4)]
)
def test_what_a_codec_does_not_render(name: str, value: Any):
    """A value outside the domain is a CodecError in the direction of the wire, too."""
    with pytest.raises(CodecError):
        find_codec(name, None).render(value)


@pytest.mark.parametrize(
    ("name", "argument", "text"),
    [
        ("epochms", None, 'there is no codec "epochms"; did you mean "epochMs"?'),
        ("iso", "1", 'the codec "iso" takes no argument'),
        ("head", None, 'the codec "head" takes an argument'),
        ("default", "nothing", 'the argument of "default" must be JSON, not nothing'),
        ("head", "0", 'the argument of "head" must be a whole number above 0'),
        ("head", "true", 'the argument of "head" must be a whole number above 0'),
        ("preference", "5", 'the argument of "preference" must be text in quotes'),
        ("preference", '""', 'the argument of "preference" must be text in quotes'),
    ],
)
def test_a_codec_that_is_written_wrong_is_named(name: str, argument: str | None, text: str):
    """A wrong name, a missing, superfluous or wrong argument is an error with what to write instead."""
    with pytest.raises(CodecError) as caught:
        find_codec(name, argument)
    assert str(caught.value) == text


# --- JSON -----------------------------------------------------------------------------------------------------------


@given(json_values)
def test_json_comes_back(value: Any):
    """Parsing what was dumped gives the value back, from text and from bytes, and the text is compact."""
    text = dump_json(value)
    assert same(parse_json(text), value)
    assert same(parse_json(text.encode()), value)
    assert same(parse_json(json.dumps(value)), value)
    assert same(parse_json(b"\xef\xbb\xbf" + text.encode()), value)  # a byte order mark is passed over


@given(st.text() | st.binary() | st.text('[]{}",:\\ud8019eE+-.', max_size=60))
def test_what_is_not_json_is_a_value_error(text: str | bytes):
    """Any text or bytes either parse, and then can be sent on, or raise ValueError."""
    try:
        value = parse_json(text)
    except ValueError:
        return
    assert same(json.loads(dump_json(value).encode()), value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NaN",
        "-Infinity",
        "1e999",
        '"\\ud800"',
        b'"\xed\xa0\x80"',
        b"\xff\xfe1\x00",
        "9" * 5000,
        "[" * 100_000,
        json.dumps(nested(MAX_NESTING + 1)),
        json.dumps(nested(MAX_NESTING)).replace("[]", '{"a": {}}'),
    ],
    ids=range(11),
)
def test_what_cannot_be_sent_on_is_not_json(text: str | bytes):
    """Numbers that are none, half characters, other encodings and endless nesting are refused."""
    with pytest.raises(ValueError):  # noqa: PT011  (any, its own subclasses too)
        parse_json(text)


def test_what_json_has_not_is_a_codec_error() -> None:
    """Bytes where JSON is written are told like anything that a codec cannot take."""
    with pytest.raises(CodecError, match="a JSON value in the place of bytes"):
        dump_json({"picture": b"x"})


def test_nesting_up_to_the_limit_is_json():
    """Brackets do not count when they are text, nor when they stand side by side."""
    values: list[Any] = [nested(MAX_NESTING), "[" * 500, [[]] * 500]
    for value in values:
        assert parse_json(json.dumps(value)) == value


@given(numbers)
def test_a_plain_number_is_the_same_number(value: float):
    """A number is shown without a needless `.0`, and is equal to what it was."""
    assume(not isinstance(value, int))
    shown = plain_number(value)
    assert shown == value
    assert not dump_json(shown).endswith(".0")


def test_text_stands_as_it_is_and_all_else_as_json():
    """Inside text a value is written as a provider would write it, not as Python would."""
    assert [as_text(value) for value in ("a", True, 1, {"a": None})] == ["a", "true", "1", '{"a":null}']
    with pytest.raises(CodecError):
        as_text(b"bytes")


def test_a_number_is_no_boolean():
    """A boolean is not taken for the number that Python makes of it."""
    assert as_number(2) == 2
    with pytest.raises(CodecError):
        as_number(True)
