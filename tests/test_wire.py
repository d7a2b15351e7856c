"""Tests of requests and replies as data."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from understudy.wire import MAX_WAITING_FRAMES, Malformed, Part, Reply, Request, Stream, decode_body

JSON, FORM, MULTIPART = "application/json", "application/x-www-form-urlencoded", "multipart/form-data"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def multipart(body: bytes, boundary: str = "b") -> Any:
    return decode_body(MULTIPART, f"{MULTIPART}; boundary={boundary}", body)


# JSON


@given(json_values, st.booleans())
def test_json_comes_back_as_it_was_sent(value: Any, ascii_only: bool) -> None:
    """Whatever is sent as JSON is decoded to the same."""
    assert decode_body(JSON, JSON, json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\\ud800"',
        b"[" * 100_000,
        b"[" * 900 + b"]" * 900,
        b'{"a":' * 900 + b"1" + b"}" * 900,
        b"9" * 5000,
        "{}".encode("utf-16"),
    ],
)
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    """Bytes that are no JSON, or JSON that could never be sent again, are malformed."""
    with pytest.raises(Malformed):
        decode_body(JSON, JSON, body)


def test_of_a_key_that_stands_twice_the_last_counts() -> None:
    """A duplicate key is not refused; its last value counts, as at most providers."""
    assert decode_body("application/vnd.x+json", "", b'{"a": 1, "a": 2}') == {"a": 2}


# Forms


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_a_form_comes_back_as_it_was_sent(fields: dict[str, str]) -> None:
    """Whatever httpx sends as a form is decoded to the same."""
    request = httpx.Request("POST", "http://x", data=fields)
    assert decode_body(FORM, FORM, request.read()) == fields


plain_names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters='"'), min_size=1)
#: Bytes with everything that could be taken for a part of the form's own syntax.
contents = st.binary() | st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n\r\n", b"--", b"\xff\x00", b"Content-Type: a", b" "])
).map(b"".join)


@given(st.dictionaries(plain_names, st.tuples(plain_names, contents) | st.text(), min_size=1))
@example({"a\\": ("\\", b"\r\n--")})
def test_a_multipart_form_comes_back_as_it_was_sent(fields: dict[str, Any]) -> None:
    """Files keep every byte, their names and their types, and fields their text, as httpx sends them."""
    files = {
        name: (None, field) if isinstance(field, str) else (*field, "image/x-test") for name, field in fields.items()
    }
    request = httpx.Request("POST", "http://x", files=files)
    body = request.read()
    boundary = request.headers["content-type"].partition("boundary=")[2]
    assume(body.count(boundary.encode()) == len(fields) + 1)
    decoded = decode_body(MULTIPART, request.headers["content-type"], body)
    assert decoded == {
        name: field if isinstance(field, str) else Part(field[0], field[1], "image/x-test")
        for name, field in fields.items()
    }


@pytest.mark.parametrize(
    ("head", "field"),
    [
        (b'Content-Disposition: form-data; name="a"', {"a": "x"}),
        (b"content-disposition:form-data;name=a", {"a": "x"}),
        (b'Content-Disposition: form-data; filename="f"; NAME="a"', {"a": Part("f", b"x", "text/plain")}),
        (b"Content-Disposition: form-data; name=a; filename*=UTF-8''%C3%A9", {"a": Part("é", b"x", "text/plain")}),
        (b"Content-Disposition: form-data; name=a; filename=f\r\nContent-Type: A/B; c", {"a": Part("f", b"x", "a/b")}),
        (b"Content-Disposition: form-data; name=a;filename=\r\nContent-Type:\xff", {"a": Part("", b"x", "text/plain")}),
        (b'Content-Disposition: form-data; name="a"; filename=""', {"a": Part("", b"x", "text/plain")}),
        (b'Content-Disposition: form-data; name="a\\"b"', {'a"b': "x"}),
        (b'Content-Disposition: form-data; note="; name=b"; name=a', {"a": "x"}),
        (b'Content-Disposition: attachment; name="a"', {}),
        (b"Content-Disposition: form-data", {}),
        (b"", {}),
    ],
)  # fmt: skip
def test_a_part_is_known_by_its_disposition(head: bytes, field: dict[str, Any]) -> None:
    """Names are read quoted, bare or percent-encoded, in any case; a part without a name is left out."""
    assert multipart(b"--b\r\n" + head + b"\r\n\r\nx\r\n--b--\r\n") == field


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (MULTIPART, b"--b\r\n\r\n--b--"),
        (f"{MULTIPART}; boundary=", b"--\r\n"),
        (f"{MULTIPART}; boundary=b", b""),
        (f"{MULTIPART}; boundary=b", b"--c\r\n\r\nx\r\n--c--"),
        (f"{MULTIPART}; boundary=b", b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\ncut o'),
    ],
)
def test_a_form_without_its_boundary_is_malformed(content_type: str, body: bytes) -> None:
    """A form without a boundary, with another one, or cut off before its end, is malformed."""
    with pytest.raises(Malformed):
        decode_body(MULTIPART, content_type, body)


def test_what_stands_around_the_parts_is_ignored() -> None:
    """A preamble, an epilogue and a quoted boundary are as good as none."""
    body = b'hello\r\n--a b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--a b--\r\nbye\r\n--a b\r\n'
    assert decode_body(MULTIPART, f'{MULTIPART}; charset=x; Boundary="a b"', body) == {"x": "1"}


syntax = st.sampled_from(
    [b"--b", b"--", b"\r\n", b"Content-Disposition: form-data", b"; name=", b'"', b"\\", b"; filename*=", b"''%", b";;"]
)
bodies = st.binary() | st.lists(syntax | st.binary(max_size=3)).map(b"".join)
content_types = st.sampled_from([JSON, FORM, MULTIPART, f"{MULTIPART}; boundary=b", "image/png", ""]) | st.text()


@given(content_types, content_types, bodies)
def test_no_body_raises_anything_but_malformed(media_type: str, content_type: str, body: bytes) -> None:
    """Whatever bytes come under whatever content type, they are decoded or malformed."""
    try:
        decoded = decode_body(media_type, content_type, body)
    except Malformed:
        return
    assert isinstance(decoded, bytes) == (media_type not in (FORM, MULTIPART) and "json" not in media_type)


# Requests, replies, streams


def test_a_request_has_its_headers_and_parameters_at_hand() -> None:
    """Of a name that stands twice the last counts, and an empty parameter is there."""
    request = Request("GET", "/a", "x=1&x=2&y=&z=%C3%A9", [("a", "1"), ("a", "2")])
    assert request.header == {"a": "2"}
    assert request.parameters == {"x": "2", "y": "", "z": "é"}


def test_a_reply_without_a_body_has_no_content_type() -> None:
    """A reply of nothing is empty, and any other is JSON with the headers it is given."""
    assert Reply.of_json(204, [("a", "b")], None) == Reply(204, [("a", "b")], b"")
    told = Reply.of_json(200, [("a", "b")], {"é": 1}, error="x")
    assert told == Reply(200, [("content-type", JSON), ("a", "b")], '{"é":1}'.encode(), error="x")


def test_a_stream_wakes_its_carrier_and_is_bounded() -> None:
    """Each frame and the end wake whoever carries the stream; of frames that nobody fetches the oldest go."""
    stream, woken = Stream([], None, b""), []
    stream.wake = lambda: woken.append(len(stream.frames))
    for index in range(MAX_WAITING_FRAMES + 1):
        stream.send(str(index).encode())
    stream.end()
    assert woken == [*range(1, MAX_WAITING_FRAMES + 1), MAX_WAITING_FRAMES, MAX_WAITING_FRAMES]
    assert (stream.frames[0], stream.ended) == (b"1", True)


def test_a_stream_that_nobody_carries_can_be_fed_and_closed() -> None:
    """Until a carrier has set what it wants to be told, nothing needs to be told."""
    stream = Stream([], None, b"")
    stream.send(b"x")
    stream.close()
    assert list(stream.frames) == [b"x"]
