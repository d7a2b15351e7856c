"""Bodies by their media type: JSON, and forms with their files. What the one side writes the other reads."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

from understudy.contract.codecs import as_text, encode_json, parse_json
from understudy.contract.validation import FORM, MULTIPART, TEXT, BodyCheck, FormField
from understudy.lifecycle import Json


class Part(dict[str, Json]):
    """A file in a form: what tells of it, which is all that expressions see, and its bytes.

    Args:
        name: The name of the file.
        content: Its bytes.
        media_type: Its media type.
    """

    def __init__(self, name: str, content: bytes, media_type: str) -> None:
        super().__init__(name=name, mediaType=media_type, size=len(content))
        self.content = content

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Part) and dict.__eq__(self, other) and self.content == other.content

    __hash__ = None  # as every dict


class Malformed(Exception):
    """A body is not what its content type says."""


def decode_body(media_type: str, content_type: str, body: bytes, fields: Mapping[str, FormField] | None = None) -> Json:
    """Decode a body.

    Args:
        media_type: The bare media type, such as `application/json`.
        content_type: The whole header, with its boundary.
        body: The bytes.
        fields: What the fields of a form are by their schema; text where it does not say.

    Returns:
        The JSON value; for a form, an object of its fields, files as Part.

    Raises:
        Malformed: The bytes are not of that media type.
    """
    if media_type == MULTIPART:
        return _folded(_multipart_fields(content_type, body), fields or {})
    if media_type == FORM:
        return _folded(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True), fields or {})
    if "json" not in media_type:
        return body
    try:
        return parse_json(body)
    except ValueError as error:
        raise Malformed(str(error)) from None


def encode_body(media_type: str, body: Json) -> tuple[str, bytes]:
    """Return the content type and the bytes of a body, which may have files in it, as `bytes`, where it is a form.

    Raises:
        CodecError: It has something in it that cannot be sent in that way.
        TypeError: The same.
        ValueError: The same.
    """
    if "json" in media_type:
        return media_type, encode_json(body)
    fields = list(_fields(body)) if isinstance(body, Mapping) else []
    if media_type == FORM:
        return media_type, urlencode([(name, as_text(value)) for name, value in fields]).encode()
    if media_type == MULTIPART:
        parts = [_part(name, value) for name, value in fields]
        boundary = f"understudy-{hashlib.sha256(b''.join(parts)).hexdigest()[:16]}"  # nothing in them can foresee it
        dashes = f"--{boundary}".encode()
        written = b"".join(dashes + b"\r\n" + part + b"\r\n" for part in parts)
        return f"{media_type}; boundary={boundary}", written + dashes + b"--\r\n"
    return media_type, body if isinstance(body, bytes) else as_text(body).encode()


def as_received(check: BodyCheck, body: Json) -> Json:
    """Return a body as it comes out of the way in which a client sends it: a form has no null, and no number."""
    media_type = check.written_as
    return body if "json" in media_type else decode_body(media_type, *encode_body(media_type, body), check.fields)


def _fields(body: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a form: a list is its items one by one, and null is nothing."""
    for name, value in body.items():
        yield from ((name, item) for item in (value if isinstance(value, list) else [value]) if item is not None)


_ESCAPES = str.maketrans({"\\": "\\\\", '"': "%22", "\r": "%0D", "\n": "%0A"})


def _part(name: str, value: Any) -> bytes:
    shown = name.translate(_ESCAPES)
    head = f'content-disposition: form-data; name="{shown}"'
    if isinstance(value, bytes):
        head += f'; filename="{shown}"\r\ncontent-type: application/octet-stream'
    return f"{head}\r\n\r\n".encode() + (value if isinstance(value, bytes) else as_text(value).encode())


def _folded(pairs: Iterable[tuple[str, Any]], fields: Mapping[str, FormField]) -> dict[str, Json]:
    given: dict[str, list[Any]] = {}
    for name, value in pairs:
        given.setdefault(name, []).append(value)
    return {name: fields.get(name, TEXT).read(values) for name, values in given.items()}


_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]+)"|([^";\s]+))', re.IGNORECASE)
_DISPOSITION = re.compile(r"^content-disposition:[ \t]*form-data[ \t]*(.*)$", re.IGNORECASE | re.MULTILINE)
_PARAMETER = re.compile(r';\s*([^=;\s]+)=(?:"((?:[^"\\]|\\.)*)"|([^";\s]*))')
_ESCAPED = re.compile(r'\\(["\\])')
_TYPE = re.compile(r"^content-type:[ \t]*([\w!#$&^.+/-]+)", re.ASCII | re.IGNORECASE | re.MULTILINE)


def _multipart_fields(content_type: str, body: bytes) -> list[tuple[str, Any]]:
    """Decode a form as browsers and HTTP clients write it (HTML standard, section 4.10.22.7; RFC 7578)."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise Malformed("the content type names no boundary")
    boundary = (found[1] or found[2]).encode("latin-1", "replace")
    _, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary)
    fields: list[tuple[str, Any]] = []
    for part in parts:
        if part.startswith(b"--"):
            return fields
        head, _, content = part.partition(b"\r\n\r\n")
        text = head.decode("utf-8", "replace")
        disposition = _DISPOSITION.search(text)
        given = {
            name.lower(): _ESCAPED.sub(r"\1", quoted) or bare
            for name, quoted, bare in _PARAMETER.findall(disposition[1] if disposition else "")
        }
        if "name" not in given:
            continue
        file_name = given.get("filename")
        if "filename*" in given:  # RFC 8187: charset'language'percent-encoded
            file_name = unquote(given["filename*"].rpartition("'")[2])
        media_type = _TYPE.search(text)
        value = (
            content.decode("utf-8", "replace")
            if file_name is None
            else Part(file_name, content, media_type[1].lower() if media_type else "text/plain")
        )
        fields.append((given["name"], value))
    raise Malformed("the boundary does not fit the body, or the body was cut off")
