"""What a create asks for: the body and the input of a job, read of what was sent, and read again when somebody looks.

As it came, a body takes half the room of what is read of it, and nobody looks at most.
"""

from __future__ import annotations

import sys

from understudy.contract.codecs import parse_json
from understudy.contract.creates import Create
from understudy.contract.expressions import first_value
from understudy.contract.model import JobType
from understudy.lifecycle import Json
from understudy.wire import RequestView

# Characters.
_SHORT_TEXT = 32


def read_input(group: Create, body: Json, given: Json) -> dict[str, Json]:
    """Return the input of a job, and keep what is short in it once for all jobs.

    Args:
        group: Whose create it is.
        body: What was sent.
        given: What of it stands where the input is.
    """
    for part in (given, body):
        if isinstance(part, dict):
            _share(part)
    if not isinstance(given, dict):
        return {}
    beside = group.claims if given is body else ()
    return {key: value for key, value in given.items() if key not in beside} if beside else given


def read_again(kind: JobType, operation: str | None, sent: bytes) -> tuple[Json, dict[str, Json]]:
    """Return the body and the input of a job once more.

    Args:
        kind: What kind of job it is.
        operation: The operation that made it; its body alone says what the input is.
        sent: The body as it came, which is JSON.
    """
    group = next(group for group in kind.creates if operation in group.operations)
    body = parse_json(sent)
    given = first_value(group.input, {"request": RequestView(body, {}, {}, {})})
    return body, read_input(group, body, given)


def _share(part: dict[str, Json]) -> None:
    """Keep short texts, such as those of formats and sizes, once for all jobs that have them."""
    for name, value in part.items():
        if value.__class__ is str and len(value) <= _SHORT_TEXT:
            part[name] = sys.intern(value)
