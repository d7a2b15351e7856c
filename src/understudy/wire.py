"""Requests and replies as data: what goes into the pipeline and what comes out of it, without any I/O."""

from __future__ import annotations

import functools
import math
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import parse_qsl

from understudy.contract.codecs import JSON_LINES, dump_json, encode_json
from understudy.lifecycle import Json

if TYPE_CHECKING:
    from understudy.contract.views import Rendered  # which brings all of the compiler, and a server has to answer soon

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")

#: A larger request body is refused unread.
MAX_BODY_BYTES = 16 * 1024 * 1024

#: The statuses of answers that have no body (RFC 9110, sections 15.3.5 and 15.4.5).
NO_BODY = frozenset({204, 304})

#: Frames that a subscriber has not fetched; the oldest go first.
MAX_WAITING_FRAMES = 1000


@dataclass
class Request:
    """A request.

    Attributes:
        method: In capitals.
        path: The raw path below the provider, percent-encoded.
        query: The raw query string, without `?`.
        headers: Names in lower case, in order.
        body: The bytes.
        server_url: This provider's external URL, without a slash at the end; empty where the real hosts are played.
        asset_url: The external URL that result files are served from; empty where the real hosts are played.
        host: The host of the provider's that was asked, in lower case; empty where it was asked under another name.
        scenario: The story that is played to it, once that is known.
        account: The name of the account whose it is, once that is known.
        header: The headers as a mapping.
        parameters: The query parameters as a mapping; the last of a name counts.
    """

    method: str
    path: str
    query: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    server_url: str = ""
    asset_url: str = ""
    host: str = ""
    scenario: str | None = field(default=None, init=False)
    account: str | None = field(default=None, init=False)
    header: dict[str, str] = field(init=False, repr=False)
    parameters: dict[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.header = dict(self.headers)
        self.parameters = _pairs(self.query)


def _pairs(query: str) -> dict[str, str]:
    """Return the parameters of a query; most have nothing in them that is encoded."""
    if not query:
        return {}
    if "%" in query or "+" in query:
        return dict(parse_qsl(query, keep_blank_values=True))
    return {name: value for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)}


@dataclass(slots=True)
class RequestView:
    """A request as expressions see it: `$request.body`, `.query`, `.header`, `.path`."""

    body: Json
    query: Mapping[str, str]
    header: Mapping[str, str]
    path: Mapping[str, str]


class Transmission(NamedTuple):
    """How a body is sent that does not come whole and at once.

    Attributes:
        sent_bytes: After so many bytes the connection ends; None for all of them.
        reset: Whether it ends by a reset, and is not closed.
        chunk_bytes: How many bytes are sent at a time.
        pause_seconds: How long each of these takes.
    """

    sent_bytes: int | None = None
    reset: bool = False
    chunk_bytes: int | None = None
    pause_seconds: float = 0.0

    def chunks(self, body: bytes) -> Iterator[bytes]:
        """Return the parts of a body that are sent."""
        size = self.chunk_bytes or max(len(body), 1)
        sent = body[: self.sent_bytes]
        return (sent[at : at + size] for at in range(0, len(sent), size))


@dataclass(slots=True)
class Reply:
    """An answer.

    Attributes:
        status: The HTTP status.
        headers: Names and values.
        body: The bytes.
        operation: The operation that answered, for the log.
        error: The named error, where it is one.
        jobs: The ids of the jobs that it is about.
        transmission: How its body is sent, where that goes wrong.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    operation: str | None = None
    error: str | None = None
    jobs: tuple[str, ...] = ()
    transmission: Transmission | None = None

    @classmethod
    def of(cls, rendered: Rendered, operation: str, jobs: tuple[str, ...]) -> Reply:
        """Return a reply of what a view has rendered: bytes as they are, all else as JSON or JSON Lines."""
        status, headers, body, media_type = rendered
        if isinstance(body, list) and media_type in JSON_LINES:
            body = "".join(f"{dump_json(line)}\n" for line in body).encode()
        if not isinstance(body, bytes):
            return cls.of_json(status, headers, body, operation, jobs=jobs)
        return cls(status, [("content-type", media_type), *headers], body, operation, jobs=jobs)

    @classmethod
    def of_json(
        cls,
        status: int,
        headers: list[tuple[str, str]],
        body: Json,
        operation: str | None = None,
        error: str | None = None,
        jobs: tuple[str, ...] = (),
    ) -> Reply:
        """Return a reply with a JSON body; None is no body."""
        if body is None:
            return cls(status, headers, b"", operation, error, jobs)
        typed = [("content-type", "application/json"), *headers]
        return cls(status, typed, encode_json(body), operation, error, jobs)


@dataclass(slots=True)
class Severed:
    """There is no answer: the connection is reset.

    Attributes:
        down_until: Until when nobody listens, in unix seconds; None where the next connection is as good as ever.
        refused: Whether it was never made: nobody listens.
        operation: The operation that would have answered.
        jobs: The ids of the jobs that the answer was about.
    """

    down_until: float | None = None
    refused: bool = False
    operation: str | None = None
    jobs: tuple[str, ...] = ()


@dataclass(slots=True)
class Wait:
    """The answer comes later: whoever carries the request waits until then and calls `resume`.

    Attributes:
        until: When, in unix seconds.
        resume: Returns what comes then.
        operation: The operation that answers.
        jobs: The ids of the jobs that the answer is about, where they are known.
        abandon: To be called when the client has gone.
    """

    until: float
    resume: Callable[[], Outcome]
    operation: str | None = None
    jobs: tuple[str, ...] = ()
    abandon: Callable[[], None] = lambda: None


Tap = Callable[["Stream", bytes], "Sequence[bytes]"]


@dataclass(slots=True)
class Stream:
    """The answer is a stream of server-sent events that others feed.

    Attributes:
        headers: Names and values.
        keep_alive_seconds: After so long without a frame the carrier sends `keep_alive`; None for never.
        keep_alive: The comment to send.
        operation: The operation that it is of.
        job_id: The one job that it tells of; None for all of an account.
        frames: What waits to be sent.
        ended: Whether no frame will follow.
        broken: Whether it ended where nobody should end.
        taps: Faults that have their hands in it: each gets the frames that those before it let through.
        wake: Called when there is something new; the carrier sets it.
        close: To be called when the client has gone.
    """

    headers: list[tuple[str, str]]
    keep_alive_seconds: float | None
    keep_alive: bytes
    operation: str | None = None
    job_id: str | None = None
    frames: deque[bytes] = field(default_factory=lambda: deque(maxlen=MAX_WAITING_FRAMES))
    ended: bool = False
    broken: bool = False
    taps: Sequence[Tap] = ()
    wake: Callable[[], None] = lambda: None
    close: Callable[[], None] = lambda: None

    def tap(self, taps: Sequence[Tap]) -> None:
        """Let faults have their hands in it, and in what waits already."""
        waiting, ended, self.taps = [*self.frames], self.ended, taps
        self.frames.clear()
        self.ended = False
        for frame in waiting:
            self.send(frame)
        if ended:
            self.end(broken=self.broken)

    def send(self, frame: bytes) -> None:
        """Send a frame, unless it has ended."""
        frames = [frame]
        for tap in self.taps:
            frames = [altered for one in frames for altered in tap(self, one)]
        for one in frames:
            self.queue(one)

    def queue(self, frame: bytes) -> None:
        """Put a frame where the carrier fetches it, unless the stream has ended."""
        if not self.ended:
            self.frames.append(frame)
            self.wake()

    def end(self, *, broken: bool = False) -> None:
        """Say that no frame will follow."""
        self.ended, self.broken = True, broken
        self.wake()


Outcome = Reply | Wait | Stream | Severed


def retry_after(form: Literal["seconds", "date"], seconds: float, now: float) -> tuple[str, str]:
    """Return a Retry-After header (RFC 9110, section 10.2.3): whole seconds, or an HTTP date, and never too soon."""
    whole = math.ceil(seconds)
    return "retry-after", str(whole) if form == "seconds" else formatdate(math.ceil(now) + whole, usegmt=True)


class Answered(Exception):
    """Somebody answers the request with a named error of the contract.

    Args:
        name: The named error.
        headers: What the answer has beside the contract's headers.
        **scope: What its template may use beside the request: `violation`, `job`.
    """

    def __init__(self, name: str, headers: Sequence[tuple[str, str]] = (), **scope: Any) -> None:
        super().__init__(name)
        self.name = name
        self.headers = headers
        self.scope = scope


def problem(status: int, title: str, detail: str, **more: Json) -> Reply:
    """Return the stand-in's own answer: a problem document (RFC 9457), which no provider sends."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return Reply(status, [("content-type", "application/problem+json")], encode_json(body), error=title)


@functools.lru_cache(maxsize=1024)
def encoded(name: str, value: str) -> tuple[bytes, bytes]:
    """Return a header as bytes; what it cannot hold becomes a blank."""
    return name.lower().encode(), _CONTROLS.sub(" ", value).encode("latin-1", "replace")


def defect(place: str, expected: str, **more: Any) -> Reply:
    """Return the stand-in's own answer where the contract asks for what cannot be made; `more` is of the Reply."""
    detail = f"{place} asks for what cannot be made: {expected} is expected. `understudy check` says where it stands."
    return replace(problem(500, "a defect of the contract", detail), **more)
