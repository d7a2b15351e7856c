"""The closed list of codecs: how a value goes onto the wire and, unless it is write-only, how it comes back."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

import orjson

from understudy.errors import suggestion
from understudy.lifecycle import Json

#: The media types of JSON Lines: a JSON value on each line. None of them is registered.
JSON_LINES = frozenset({"application/jsonl", "application/x-jsonl", "application/jsonlines", "application/x-ndjson"})

#: JSON and YAML that is nested deeper is refused, so that nothing here can run out of stack.
MAX_NESTING = 100


_LARGEST = sys.float_info.max


class CodecError(Exception):
    """A value cannot be encoded or decoded; the text says what was expected."""


class Codec(NamedTuple):
    """One codec.

    Attributes:
        name: As it is written after the `|`.
        render: From the job's value to the wire.
        read: From the wire to the job's value; None for a write-only codec.
        argument: The argument in parentheses, where it takes one.
    """

    name: str
    render: Callable[[Any], Json]
    read: Callable[[Any], Json] | None
    argument: Json = None


def dump_json(value: Json) -> str:
    """Return compact JSON text, as every reply, callback and frame is written.

    Raises:
        CodecError: There is something in it that JSON has not, such as bytes.
    """
    try:
        return orjson.dumps(value, option=_JSON_ALONE).decode()
    except TypeError:
        return _ENCODER.encode(value)


def encode_json(value: Json) -> bytes:
    """Return compact JSON in UTF-8; it raises what `dump_json` does."""
    try:
        # a copy: whatever orjson makes holds 4 KB for as long as it lives
        return bytes(memoryview(orjson.dumps(value, option=_JSON_ALONE)))
    except TypeError:
        return _ENCODER.encode(value).encode()


def parse_json(text: str | bytes) -> Json:
    """Parse JSON text, and nothing that could not be written again: no NaN, no half character, no endless nesting.

    Raises:
        ValueError: It is not JSON.
    """
    if isinstance(text, bytes):
        if not _LONG_NUMBER.search(text):
            try:
                value = orjson.loads(text)
            except ValueError:  # what is wrong with it, the other parser says
                pass
            else:
                if text.count(b"[") + text.count(b"{") > MAX_NESTING:  # or it cannot be
                    check_nesting(value)
                return value
        text = text.decode("utf-8-sig")
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if text.count("[") + text.count("{") > MAX_NESTING:  # or it cannot be
        check_nesting(value)
    if "\\u" in text or not text.isascii():
        dump_json(value).encode()  # half a character (a lone surrogate) raises a ValueError
    return value


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is no number")
    return number


def _no_json(value: Any) -> Json:
    raise CodecError(f"a JSON value in the place of {type(value).__name__}")


# orjson is some ten times as fast, and refuses what it cannot write: integers of more than 64 bits, half characters,
# and with these options what is no JSON value. Reading, it would take such an integer for a float.
_LONG_NUMBER = re.compile(rb"[0-9][0-9]{18}")  # twice as fast as 19 of them: it looks for the first by itself
_JSON_ALONE = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_no_json)
_DECODER = json.JSONDecoder(parse_constant=_finite, parse_float=_finite)


def check_nesting(value: Json, most: int = MAX_NESTING) -> None:
    """Raise ValueError when a value is nested more than so many levels deep."""
    if most < 0:
        raise ValueError("it is nested too deeply")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        check_nesting(item, most - 1)


def as_number(value: Json) -> float:
    """Return a number that a float can hold, or raise CodecError."""
    if value.__class__ is not float and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise CodecError("a number")
    if not -_LARGEST <= value <= _LARGEST:
        raise CodecError("a number")
    return value


def as_text(value: Json) -> str:
    """Return a value as it stands inside text: text as it is, all else as JSON.

    Raises:
        CodecError: It is no JSON value.
    """
    return value if isinstance(value, str) else dump_json(value)


def _as_text(value: Json) -> str:
    if not isinstance(value, str):
        raise CodecError("text")
    return value


def _read_json(value: Json) -> Json:
    try:
        return parse_json(_as_text(value))
    except ValueError:
        raise CodecError("JSON inside the text") from None


def _whole(value: Json, factor: int = 1) -> int:
    return round(as_number(as_number(value) * factor))


def _divided(value: Json, factor: int) -> float:
    return as_number(value) / factor


def plain_number(value: float) -> float:
    """Return a number as JSON should show it: `18` and not `18.0`."""
    return int(value) if float(value).is_integer() else value


def _read_number(value: Json) -> float:
    try:
        return plain_number(as_number(parse_json(_as_text(value))))
    except ValueError:
        raise CodecError("a number inside the text") from None


def _decimal(value: Json) -> str:
    text = format(Decimal(str(as_number(value))), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _iso(value: Json, unit: str = "milliseconds") -> str:
    try:
        moment = datetime.fromtimestamp(as_number(value), tz=UTC)
    except (OverflowError, OSError, ValueError):
        raise CodecError("a time between the years 1 and 9999") from None
    return moment.isoformat(timespec=unit).replace("+00:00", "Z")


def _read_iso(value: Json) -> float:
    try:
        moment = datetime.fromisoformat(_as_text(value))
    except ValueError:
        raise CodecError("a time such as 2026-01-01T00:00:00Z") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _read_base64(value: Json) -> bytes:
    text = _as_text(value).rpartition(";base64,")[2]  # a data URI carries its media type in front
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise CodecError("base64 text") from None


def _base64(value: Any) -> str:
    if not isinstance(value, bytes):
        raise CodecError("bytes")
    return base64.b64encode(value).decode()


def _whsec(value: Any) -> bytes:
    text = _as_text(value).removeprefix("whsec_")
    return _read_base64(text + "=" * (-len(text) % 4))  # some leave the padding out


def _sha256hex(value: Any) -> str:
    return hashlib.sha256(value if isinstance(value, bytes) else _as_text(value).encode("utf-8", "replace")).hexdigest()


def _preference(header: Json, name: str) -> Json:
    """Return the value of a preference in a header `Prefer` (RFC 7240): a whole number as such, None for none."""
    for piece in re.split("[,;]", _as_text(header)):
        key, _, value = (part.strip() for part in piece.partition("="))
        if key.lower() == name.lower():
            text = value.strip('"')
            return int(text) if re.fullmatch("[0-9]{1,9}", text) else text or None
    return None


def _same(value: Json) -> Json:
    return value


_PLAIN = {
    codec.name: codec
    for codec in (
        Codec("json", dump_json, _read_json),
        Codec("string", as_text, _read_number),
        Codec("decimal", _decimal, _read_number),
        Codec("epoch", _whole, as_number),
        Codec("epochMs", partial(_whole, factor=1000), lambda value: _divided(value, 1000)),
        Codec("iso", _iso, _read_iso),
        Codec("isoSeconds", lambda value: _iso(value, "seconds"), _read_iso),
        Codec("seconds", _whole, as_number),
        Codec("milliseconds", partial(_whole, factor=1000), lambda value: _divided(value, 1000)),
        Codec("percent", partial(_whole, factor=100), lambda value: _divided(value, 100)),
        Codec("base64", _base64, _read_base64),
        Codec("sha256hex", _sha256hex, None),
        Codec("whsec", _whsec, None),
        Codec("omit", _same, _same),
    )
}

_WITH_ARGUMENT: dict[str, Callable[[Json], Codec]] = {
    "default": lambda value: Codec(
        "default", _same, lambda read: None if as_text(read) == as_text(value) else read, value
    ),
    "head": lambda count: Codec("head", lambda text: "/".join(_as_text(text).split("/")[:count]), None, count),
    "preference": lambda name: Codec("preference", lambda header: _preference(header, name), None, name),
    "after": lambda prefix: Codec("after", lambda text: _as_text(text).removeprefix(prefix), None, prefix),
}

#: Every codec's name.
CODECS = frozenset(_PLAIN) | frozenset(_WITH_ARGUMENT)


def find_codec(name: str, argument: str | None) -> Codec:
    """Return a codec by its name.

    Args:
        name: As written after the `|`.
        argument: The text in its parentheses, or None.

    Raises:
        CodecError: There is none of that name, or its argument is missing, superfluous or not JSON.
    """
    if name not in CODECS:
        raise CodecError(f'there is no codec "{name}"; {suggestion(name, CODECS)}')
    if (name in _WITH_ARGUMENT) != (argument is not None):
        raise CodecError(f'the codec "{name}" takes {"an" if name in _WITH_ARGUMENT else "no"} argument')
    if argument is None:
        return _PLAIN[name]
    try:
        value = parse_json(argument)
    except ValueError:
        raise CodecError(f'the argument of "{name}" must be JSON, not {argument}') from None
    if name == "head" and not (type(value) is int and value > 0):
        raise CodecError('the argument of "head" must be a whole number above 0')
    if name in ("preference", "after") and not (isinstance(value, str) and value):
        raise CodecError(f'the argument of "{name}" must be text in quotes')
    return _WITH_ARGUMENT[name](value)
