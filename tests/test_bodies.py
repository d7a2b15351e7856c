"""Tests of bodies: what comes in by JSON and by forms, and what a client writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests import clients
from tests.clients import Driver
from tests.small import create_with, small
from understudy import Fake, Refused, UsageError
from understudy.bodies import Malformed, Part, decode_body, encode_body
from understudy.client import Client
from understudy.contract.codecs import CodecError
from understudy.contract.validation import FORM, JSON, MULTIPART, FormField
from understudy.strategies import invalid_requests, requests

kind = clients.kind

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


# What a client writes

form_values = st.text() | st.lists(st.text(), min_size=2) | st.binary()


@given(st.dictionaries(plain_names, form_values), st.sampled_from([MULTIPART, FORM]))
def test_what_is_written_is_read(fields: dict[str, Any], media_type: str) -> None:
    """A form keeps its texts, its lists and, where it can have them, its files."""
    kinds = {name: FormField(frozenset({"array", "string"})) for name in fields}
    assume(media_type == MULTIPART or not any(isinstance(value, bytes) for value in fields.values()))
    content_type, body = encode_body(media_type, fields)
    expected = {
        name: Part(name, value, "application/octet-stream") if isinstance(value, bytes) else value
        for name, value in fields.items()
    }
    assert decode_body(media_type, content_type, body, kinds) == expected


def test_a_name_is_escaped() -> None:
    """What would end the name of a field, or its line, is written as browsers write it."""
    _, body = encode_body(MULTIPART, {'a"\r\nb': "x"})
    assert b'name="a%22%0D%0Ab"\r\n\r\nx\r\n' in body


@pytest.mark.parametrize(
    ("kinds", "items", "given_texts", "value"),
    [
        (["integer"], [], ["5"], 5),
        (["number", "null"], [], ["0.5"], 0.5),
        (["boolean"], [], ["true"], True),
        (["boolean"], [], ["yes"], "yes"),
        (["object"], [], ['{"a": 1}'], {"a": 1}),
        (["string"], [], ["5"], "5"),
        (["integer", "string"], [], ["5"], "5"),
        ([], [], ["5"], "5"),
        ([], [], ["4", "5"], "5"),
        (["array"], ["integer"], ["5"], [5]),
        (["array"], [], ["5", "a"], ["5", "a"]),
        (["array", "string"], ["string"], ["5"], "5"),
        (["array", "integer"], ["integer"], ["5", "6"], [5, 6]),
    ],
)
@pytest.mark.parametrize("media_type", [MULTIPART, FORM])
def test_a_field_is_what_its_schema_says(
    kinds: list[str], items: list[str], given_texts: list[str], value: Any, media_type: str
) -> None:
    """A form carries text; it is a number, a truth or a list where the schema knows nothing else."""
    fields = {"f": FormField(frozenset(kinds), frozenset(items))}
    content_type, body = encode_body(media_type, {"f": given_texts})
    assert decode_body(media_type, content_type, body, fields) == {"f": value}


def test_other_bodies_are_sent_as_they_are() -> None:
    """Text and bytes go under the type that is asked for; a form of no object is empty, and nothing stands for null."""
    assert encode_body("text/plain", "a") == ("text/plain", b"a")
    assert encode_body("image/png", b"\x89") == ("image/png", b"\x89")
    assert encode_body(FORM, 5) == (FORM, b"")
    assert encode_body(FORM, {"a": None, "b": 1, "c": {"d": True}}) == (FORM, b"b=1&c=%7B%22d%22%3Atrue%7D")


@pytest.mark.parametrize(("media_type", "value"), [(JSON, b"x"), (FORM, b"x"), (MULTIPART, object())])
def test_what_cannot_be_sent_is_no_body(media_type: str, value: Any) -> None:
    """Bytes are sent as files of a multipart form, and nothing but JSON otherwise."""
    with pytest.raises((CodecError, TypeError)):
        encode_body(media_type, {"a": value})


# A job that is made by a form

TAG = {"$ref": "#/components/schemas/Tag"}
VIDEO = {
    "type": "object",
    "required": ["prompt", "seconds"],
    "properties": {
        "prompt": {"type": "string"},
        "seconds": {"type": "integer", "maximum": 12},
        "loop": {"type": "boolean"},
        "tags": {"type": "array", "items": {"allOf": [TAG, TAG]}, "maxItems": 2},
        "still": {"type": "string", "format": "binary"},
        "seed": {"oneOf": [{"type": "number"}, {"type": "null"}]},
    },
}


def by_form(root: Path, media_type: str) -> Path:
    """Write a provider whose create takes a form and nothing else."""
    body = {"required": True, "content": {media_type: {"schema": {"$ref": "#/components/schemas/Video"}}}}
    told = {"id": "$job.id", "state": "$job.status", "result": "$job.result", "still": "$job.input#/still/size"}
    return small(
        root,
        paths={"/jobs": {"post": {"operationId": "createJob", "requestBody": body}}},
        schemas={"Video": {"allOf": [VIDEO]}, "Tag": {"type": "string"}},
        create=create_with(claims=["$request.body#/tags"]),
        status={"operation": "getJob", "id": "$request.path.id", "reply": {"body": told}},
        list=None,
    )


@pytest.mark.parametrize("media_type", [MULTIPART, FORM])
def test_a_client_makes_a_job_by_a_form(kind: Any, tmp_path: Path, media_type: str) -> None:
    """Where a create takes a form alone, the client writes one, and the job has what was meant."""
    fake = Fake("small", paths=[by_form(tmp_path, media_type)])
    client = Driver(kind, fake.contract, fake.transport(), fake.clock)
    input = {"prompt": "é", "seconds": 4, "loop": True, "seed": 0.5, "tags": ["a", "b"]}
    assert client.run(input).outputs
    (made,) = fake.jobs.values()
    assert made.request == input
    assert made.input == {"prompt": "é", "seconds": 4, "loop": True, "seed": 0.5}
    with pytest.raises(Refused):
        client.submit({**input, "seconds": 13})
    with pytest.raises(Refused):
        client.submit({**input, "tags": ["a", "b", "c"]})


def test_a_file_is_a_member_that_tells_its_size(tmp_path: Path) -> None:
    """A file counts as given; its name, type and size can be named, and its bytes are not kept."""
    with Fake("small", paths=[by_form(tmp_path, MULTIPART)]) as fake:
        client = Client(fake.contract, api_key="k", http=fake.client(), clock=fake.clock)
        job = client.submit({"prompt": "a", "seconds": 4, "still": b"12345"})
        told = {"name": "still", "mediaType": "application/octet-stream", "size": 5}
        assert fake.jobs[job.id].input == {"prompt": "a", "seconds": 4, "still": told}
        assert fake.client().get(f"/jobs/{job.id}").json()["still"] == 5


def test_a_file_in_a_form_that_has_none_is_refused(tmp_path: Path) -> None:
    """A form that is no multipart form carries no file, and the client says so before it asks."""
    with Fake("small", paths=[by_form(tmp_path, FORM)]) as fake:
        client = Client(fake.contract, api_key="k", http=fake.client(), clock=fake.clock)
        with pytest.raises(UsageError, match="the request to createJob cannot be written"):
            client.submit({"prompt": "a", "seconds": 4, "still": b"12345"})


@given(data=st.data())
def test_requests_by_form_are_drawn_as_they_arrive(form_fake: Fake, data: st.DataObject) -> None:
    """What is drawn as allowed is accepted, and what is drawn as wrong is refused, after the form has made it text."""
    form_fake.reset()
    client = Client(form_fake.contract, api_key="k", http=form_fake.client(), clock=form_fake.clock)
    assert client.submit(**data.draw(requests(form_fake.contract))).id
    with pytest.raises(Refused):
        client.submit(**data.draw(invalid_requests(form_fake.contract)).request)


@pytest.fixture(scope="module")
def form_fake(tmp_path_factory: pytest.TempPathFactory) -> Fake:
    """Return a fake whose create takes a form."""
    return Fake("small", paths=[by_form(tmp_path_factory.mktemp("form"), MULTIPART)])
