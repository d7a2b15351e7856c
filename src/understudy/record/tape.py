"""What was seen between a program and a provider, as it came: kept in memory alone, and read from a HAR."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from understudy.errors import UsageError
from understudy.lifecycle import Json
from understudy.probes import parse_frame

#: A larger HAR is not read.
MAX_HAR_BYTES = 256 * 1024 * 1024


@dataclass(slots=True)
class Seen:
    """A request and its answer; the names of headers are in lower case.

    Attributes:
        at: When it was answered, in unix seconds.
        method: In capitals.
        url: Where it went.
        headers: Of the request.
        body: Of the request.
        status: Of the answer.
        answered: The headers of the answer.
        answer: Its body, or the beginning of one that is too long to be kept.
        size: How long that was.
        frames: Each frame of a stream of events with when it came; None where nobody knows.
    """

    at: float
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    status: int
    answered: Mapping[str, str]
    answer: bytes
    size: int
    frames: list[tuple[float | None, bytes]] = field(default_factory=list)

    @property
    def media_type(self) -> str:
        """What the answer is, without parameters."""
        return self.answered.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def streams(self) -> bool:
        """Whether it is a stream of events."""
        return self.media_type == EVENTS


#: The media type of a stream of events.
EVENTS = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Called:
    """A callback that came in; `at` is None where nobody knows when."""

    at: float | None
    headers: Mapping[str, str]
    body: bytes


Tape = list[Seen | Called]


def frames_in(text: bytes) -> Iterator[bytes]:
    """Yield the whole frames of a stream of events that say something."""
    for frame in text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n\n")[:-1]:
        if any(line.startswith((b"data", b"event")) for line in frame.split(b"\n")):
            yield frame


def event_of(frame: bytes) -> tuple[str, Json]:
    """Return the name and the data of a frame, whose fields may have a blank after the colon, or none."""
    lines = (line.partition(b":") for line in frame.split(b"\n"))
    return parse_frame(b"\n".join(name + b": " + value.removeprefix(b" ") for name, _, value in lines))


def read_har(file: Path) -> Tape:
    """Read what a browser or a proxy has seen: a HAR 1.2.

    Raises:
        UsageError: It cannot be read, or is no HAR.
    """
    try:
        if file.stat().st_size > MAX_HAR_BYTES:
            raise UsageError(f"{file} is larger than {MAX_HAR_BYTES:,} bytes: leave out what is not the provider's")
        entries = json.loads(file.read_text(encoding="utf-8-sig"))["log"]["entries"]
        seen = sorted(map(_seen, entries), key=lambda one: one.at)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{file} is no HAR 1.2: {type(error).__name__}: {error}\n"
            '  expected: a JSON object with "log" and its "entries", each with "request" and "response"'
        ) from None
    return [*seen]


def _seen(entry: Mapping[str, Any]) -> Seen:
    request, response = entry["request"], entry["response"]
    content = response.get("content", {})
    began = datetime.fromisoformat(entry["startedDateTime"]).timestamp()
    answer = _content(content)
    answered = _headers(response)
    answered.setdefault("content-type", str(content.get("mimeType", "")))
    seen = Seen(
        at=began + max(0.0, float(entry.get("time", 0))) / 1000,
        method=str(request["method"]).upper(),
        url=str(request["url"]),
        headers=_headers(request),
        body=_posted(request.get("postData") or {}),
        status=int(response["status"]),
        answered=answered,
        answer=answer,
        size=max(int(content.get("size", 0)), len(answer)),
    )
    if seen.streams:  # a HAR knows no times within an answer
        seen.frames = [(None, frame) for frame in frames_in(answer + b"\n\n")]
    return seen


def _headers(message: Mapping[str, Any]) -> dict[str, str]:
    return {str(header["name"]).lower(): str(header["value"]) for header in message.get("headers", ())}


def _content(content: Mapping[str, Any]) -> bytes:
    text = str(content.get("text", ""))
    if content.get("encoding") != "base64":
        return text.encode("utf-8", "replace")
    try:
        return base64.b64decode(text)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _posted(data: Mapping[str, Any]) -> bytes:
    if "text" in data or "params" not in data:
        return str(data.get("text", "")).encode("utf-8", "replace")

    return urlencode([(item["name"], item.get("value", "")) for item in data["params"]]).encode()
