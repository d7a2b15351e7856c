"""Readings: what a template has read from a value, and what it cannot be.

A reading is a flat mapping from the path of an expression, such as `("job", "error", "code")`, to what stood there.
"""

from __future__ import annotations

from understudy.lifecycle import Json

Path = tuple[str | int, ...]
Reading = dict[Path, Json]


class ReadError(Exception):
    """A value is not what the template describes; `pointer` says where, the text what was expected."""

    def __init__(self, pointer: Path, expected: str) -> None:
        self.pointer = pointer
        self.expected = expected
        super().__init__(f"{expected} is expected at /{'/'.join(map(str, pointer))}")


# What a job's member may be on reading; a member that is not here may be anything.
_NUMBER = (int, float)
_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "id": ((str,), "text"),
    "resultId": ((str,), "text"),
    "model": ((str,), "text"),
    "input": ((dict,), "an object"),
    "progress": (_NUMBER, "a number"),
    "logs": ((list,), "a list"),
    "position": ((int,), "a whole number"),
    "cost": (_NUMBER, "a number"),
    "spent": (_NUMBER, "a number"),
    "refunded": ((bool,), "true or false"),
    "dataRemoved": ((bool,), "true or false"),
    "createdAt": (_NUMBER, "a number"),
    "startedAt": (_NUMBER, "a number"),
    "updatedAt": (_NUMBER, "a number"),
    "endedAt": (_NUMBER, "a number"),
    "durationSeconds": (_NUMBER, "a number"),
    "pollAfterSeconds": (_NUMBER, "a number"),
    "callbackUrl": ((str,), "text"),
    "code": ((str, int), "text or a number"),
    "message": ((str,), "text"),
    "name": ((str,), "text"),
    "url": ((str,), "text"),
    "mediaType": ((str,), "text"),
    "extension": ((str,), "text"),
    "width": ((int,), "a whole number"),
    "height": ((int,), "a whole number"),
    "content": ((bytes,), "base64 text"),
    "next": ((str, int), "text or a number"),
    "nextUrl": ((str,), "text"),
    "hasMore": ((bool,), "true or false"),
}


def check_types(reading: Reading, at: Path = ()) -> None:
    """Raise ReadError when something that was read cannot be what it stands for."""
    for path, value in reading.items():
        types = _TYPES.get(str(path[-1])) if path[0] in ("job", "jobs", "error", "asset", "page") else None
        wrong = types is not None and (
            not isinstance(value, types[0]) or (isinstance(value, bool) and bool not in types[0])
        )
        if types is not None and wrong:
            raise ReadError(at, f"{types[1]} for ${'.'.join(map(str, path))}")
