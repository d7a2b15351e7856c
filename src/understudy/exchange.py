"""A request that a client makes, and the answer to it, as data."""

from __future__ import annotations

import email.utils
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from understudy.contract.codecs import parse_json
from understudy.contract.expressions import Expression, Place
from understudy.contract.views import View
from understudy.errors import (
    UsageError,
)
from understudy.lifecycle import Json
from understudy.wire import RequestView

#: The longest pause that a provider's Retry-After is believed for, in seconds.
MAX_PAUSE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request and give back the answer."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; the names of headers are in lower case. `at` is when, in unix seconds."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    at: float


class NoAnswer(Exception):
    """Nothing came back: `sent` says whether the request may have reached the provider."""

    def __init__(self, text: str, *, sent: bool) -> None:
        super().__init__(text)
        self.sent = sent


Command = Send | Sleep


class Draft:
    """A request in the making."""

    def __init__(self) -> None:
        self.body: Json = None
        self.query: dict[str, Json] = {}
        self.headers: list[tuple[str, str]] = []
        self.path: dict[str, Json] = {}

    def put(self, place: Place, value: Json, complaint: str) -> None:
        """Put a value where a place says, or raise UsageError where there is no such place."""
        target = next((item for item in place if isinstance(item, Expression) and item.root == "request"), None)
        if target is None:
            raise UsageError(complaint)
        match target.path:
            case ("query", name):
                self.query[name] = value
            case ("header", name):
                self.headers.append((name, str(value)))
            case ("path", name):
                self.path[name] = value
            case _:
                self._put_in_body(target.pointer or (), value)

    def _put_in_body(self, pointer: Sequence[str], value: Json) -> None:
        if not pointer:
            self.body = {**(self.body or {}), **value}
            return
        node = self.body = {} if self.body is None else self.body
        for name in pointer[:-1]:
            node = node.setdefault(name, {})
        node[pointer[-1]] = value


def decoded(answer: Answer) -> Json:
    try:
        return parse_json(answer.body)
    except ValueError:
        return None


def answer_scope(
    answer: Answer, body: Json, request: Draft | None = None, given: dict[str, Json] | None = None
) -> dict[str, Any]:
    """Return what conditions may look at: the answer, the request, and what is known of the job."""
    view = None if request is None else RequestView(request.body, request.query, dict(request.headers), request.path)
    return {
        "statusCode": answer.status,
        "response": {"body": body, "header": answer.headers},
        "request": view,
        "job": {"input": given},
    }


def succeeded(view: View, answer: Answer, scope: Mapping[str, Any]) -> bool:
    return 200 <= answer.status < 300 and (view.success is None or view.success.holds(scope))


def retry_after(answer: Answer) -> float | None:
    """Return the Retry-After of an answer in seconds, given as seconds or as an HTTP date (RFC 9110, 10.2.3)."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isdecimal():
        return min(float(text), MAX_PAUSE_SECONDS)
    try:
        moment = email.utils.parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None
    return min(max(moment - answer.at, 0.0), MAX_PAUSE_SECONDS)
