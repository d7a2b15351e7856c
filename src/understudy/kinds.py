"""The kinds of values of which no two are the same: what is left to compare is whether both are of the kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import urlsplit

from understudy.contract.codecs import CodecError
from understudy.contract.expressions import Expression
from understudy.lifecycle import Json

Kind = Literal["id", "time", "duration", "link", "text", "number"]

#: A recorded number that stands for a time must lead to one of these years, or its unit is not the contract's.
FIRST_YEAR_SECONDS, LAST_YEAR_SECONDS = 946684800.0, 4102444800.0  # 2000 and 2100

_BY_CODEC: dict[str, Kind] = {
    **dict.fromkeys(("epoch", "epochMs", "iso", "isoSeconds"), "time"),
    **dict.fromkeys(("seconds", "milliseconds"), "duration"),
    "base64": "text",
}
_BY_NAME: dict[tuple[str, str], Kind] = {
    ("job", "id"): "id",
    ("job", "durationSeconds"): "duration",
    **{("job", name): "time" for name in ("createdAt", "startedAt", "updatedAt", "endedAt")},
    ("file", "uploadedAt"): "time",
    ("delivery", "timestamp"): "time",
    ("now", ""): "time",
    ("job", "progress"): "number",
    ("account", "balance"): "number",
    **{(root, "url"): "link" for root in ("output", "file", "asset")},
    ("delivery", "id"): "text",
    ("signature", ""): "text",
}


def kind_of(expression: Expression) -> Kind | None:
    """Return the kind of value that an expression stands for, or None for one that is compared as it is."""
    for codec in expression.codecs:
        if codec.name in _BY_CODEC:
            return _BY_CODEC[codec.name]
    if expression.path[:1] == ("outputs",):
        return _BY_NAME.get(("output", expression.path[-1]))
    root = "job" if expression.root == "jobs" else expression.root
    return _BY_NAME.get((root, expression.path[-1] if expression.path else ""))


def alike(kind: Kind, expression: Expression, recorded: Json, actual: Json) -> bool:
    """Say whether two values are alike as far as two of their kind can be.

    Args:
        kind: Any but an id, of which only the whole recording says whether it is the same.
        expression: What stands for both.
        recorded: The one that was recorded.
        actual: The other.
    """
    if (recorded is None, isinstance(recorded, str)) != (actual is None, isinstance(actual, str)):
        return False
    return recorded is None or _FITS[kind](_read(expression, recorded), _read(expression, actual))


def _read(expression: Expression, value: Json) -> Json:
    """Return what a value on the wire stands for; what cannot be read is NaN, which no kind takes."""
    number = _seconds(value)  # a header, or a part of a text, holds a number as text
    for form in (value,) if number is None else (value, number):
        try:
            return expression.decoded(form)
        except (CodecError, OverflowError):
            continue
    return float("nan")


def _seconds(value: Json) -> float | None:
    """Return a number, or the number that a text is."""
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _times(recorded: Json, actual: Json) -> bool:
    before, now = _seconds(recorded), _seconds(actual)
    if before is None or now is None:
        return recorded is None and actual is None  # such as an empty text for a time that has not come
    return FIRST_YEAR_SECONDS <= before < LAST_YEAR_SECONDS


def _durations(recorded: Json, actual: Json) -> bool:
    return _numbers(recorded, actual) and (_seconds(recorded) or 0) >= 0


def _numbers(recorded: Json, actual: Json) -> bool:
    """Say whether both are numbers or a default for one: no two runs agree on a balance, or on how far a job is."""
    return all(value is None or _seconds(value) is not None for value in (recorded, actual))


def _links(recorded: Json, actual: Json) -> bool:
    """Say whether two links lead to the same host."""
    try:
        return urlsplit(str(recorded))[:2] == urlsplit(str(actual))[:2]
    except ValueError:
        return False


def _texts(recorded: Json, actual: Json) -> bool:
    return isinstance(recorded, str | bytes) and isinstance(actual, str | bytes)


_FITS: Mapping[Kind, Callable[[Json, Json], bool]] = {
    "time": _times,
    "duration": _durations,
    "link": _links,
    "text": _texts,
    "number": _numbers,
}
