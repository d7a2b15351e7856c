"""The in-process transport: a fake behind any httpx client, sync and async, streaming, without a socket.

It answers in the library whose request came in: the classes of responses, streams and errors are those of httpx, or of
httpx2, which has the same ones and does not take those of the other.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import Any

import httpx

from understudy.clock import Clock, VirtualClock
from understudy.errors import ClockExhausted
from understudy.wire import Outcome, Reply, Request, Severed, Stream, Transmission, Wait, problem

# How long an idle client of a clock that runs by itself sleeps before it looks again, in seconds of that clock.
_PAUSE_SECONDS = 0.05

Handle = Callable[[Request], Outcome]
Route = Callable[[str], Handle | None]


class FakeTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Answers the requests of a client of httpx or httpx2 from a fake.

    Args:
        route: Returns what answers the requests to a host, or None for a host that is nobody's.
        hosts: The hosts that there are, for the message to whoever asks for another.
        clock: The fake's clock. A client that waits for a reply or an event moves it, if it is virtual.
        latency_seconds: What each request takes.
        note: Told of a request to a host that is nobody's, and of its answer.
    """

    def __init__(
        self,
        route: Route,
        hosts: tuple[str, ...],
        clock: Clock,
        latency_seconds: float,
        note: Callable[[Request, Outcome], object],
    ) -> None:
        self._route = route
        self._hosts = hosts
        self._clock = clock
        self._latency_seconds = latency_seconds
        self._note = note

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        outcome = self._begin(request, request.read())
        if isinstance(outcome, Reply):
            return self._response(request, outcome)
        deadline = self._clock.now() + _read_timeout(request)
        while isinstance(outcome, Wait):
            self._clock.sleep(_pause(self._clock, min(outcome.until, deadline)))
            outcome = self._looked(request, outcome, deadline)
        return self._response(request, outcome)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        outcome = self._begin(request, await request.aread())
        if isinstance(outcome, Reply):
            return self._response(request, outcome)
        deadline = self._clock.now() + _read_timeout(request)
        while isinstance(outcome, Wait):
            await self._clock.sleep_async(_pause(self._clock, min(outcome.until, deadline)))
            outcome = self._looked(request, outcome, deadline)
        return self._response(request, outcome)

    def _begin(self, request: httpx.Request, body: bytes) -> Outcome:
        if isinstance(self._clock, VirtualClock):
            self._clock.advance(self._latency_seconds)
        else:
            self._clock.run_due()
        host = request.url.host  # which httpx puts together anew each time
        handle = self._route(host)
        if handle is None:
            reply = _nobodys(host, self._hosts)
            self._note(Request(request.method.upper(), str(request.url.copy_with(query=None))), reply)
            return reply
        headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in request.headers.raw]
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        return handle(Request(request.method.upper(), path, query, headers, body, host=host))

    def _looked(self, request: httpx.Request, wait: Wait, deadline: float) -> Outcome:
        """Return the reply when its time has come, unless the client has given up before."""
        self._clock.run_due()
        if self._clock.now() >= wait.until:
            return wait.resume()
        if self._clock.now() >= deadline:
            wait.abandon()
            raise _library(request).ReadTimeout(f"no answer within {_read_timeout(request):g} seconds", request=request)
        return wait

    def _response(self, request: httpx.Request, outcome: Reply | Stream | Severed) -> httpx.Response:
        library = _library(request)
        if isinstance(outcome, Severed):
            kind = library.ConnectError if outcome.refused else library.ReadError
            raise kind(_REFUSED if outcome.refused else _RESET, request=request)
        headers = [(name.encode(), value.encode()) for name, value in outcome.headers]
        response: Callable[..., httpx.Response] = functools.partial(library.Response, headers=headers)
        if isinstance(outcome, Stream):
            return response(200, stream=_stream_of(library, _Frames)(outcome, self._clock, request))
        if outcome.transmission is None or request.method == "HEAD":
            return response(outcome.status, content=outcome.body)
        headers.append((b"content-length", str(len(outcome.body)).encode()))
        body = _stream_of(library, _Body)(outcome.body, outcome.transmission, self._clock, request)
        return response(outcome.status, stream=body)


def _library(request: httpx.Request) -> ModuleType:
    """Return the library that a request is of; a class that somebody derived from its request is of it, too."""
    return sys.modules[type(request).__mro__[-2].__module__]


@functools.cache
def _stream_of(library: ModuleType, kind: type) -> Callable[..., Any]:
    """Return a kind of stream as a class that the clients of a library take."""
    return type(kind.__name__, (kind, library.SyncByteStream, library.AsyncByteStream), {})


def _pause(clock: Clock, until: float) -> float:
    """Return how long to sleep before the next look: a clock that does not wait for us is looked at often."""
    seconds = max(until - clock.now(), 0.0)
    return seconds if isinstance(clock, VirtualClock) else min(seconds, _PAUSE_SECONDS)


def _read_timeout(request: httpx.Request) -> float:
    seconds = request.extensions.get("timeout", {}).get("read")
    return float("inf") if seconds is None else float(seconds)


def _nobodys(host: str, hosts: tuple[str, ...]) -> Reply:
    detail = f"{host} is not a host of this fake, and nothing leaves the process; it plays {', '.join(hosts)}."
    return problem(421, "unexpected host", detail)


# In the words of the system, as a socket would have them.
_RESET = "[Errno 104] Connection reset by peer"
_REFUSED = "[Errno 111] Connection refused"


class _Body:
    """A body that does not come whole, or not at once."""

    def __init__(self, body: bytes, transmission: Transmission, clock: Clock, request: httpx.Request) -> None:
        self._body = body
        self._transmission = transmission
        self._clock = clock
        self._request = request
        self._library = _library(request)

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._transmission.chunks(self._body):
            self._clock.sleep(self._pause())
            yield self._sent(chunk)
        self._end()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._transmission.chunks(self._body):
            await self._clock.sleep_async(self._pause())
            yield self._sent(chunk)
        self._end()

    def _pause(self) -> float:
        return min(self._transmission.pause_seconds, _read_timeout(self._request))

    def _sent(self, chunk: bytes) -> bytes:
        """Return a chunk, unless the client has given up on it before it came."""
        seconds = _read_timeout(self._request)
        if self._transmission.pause_seconds > seconds:
            raise self._library.ReadTimeout(f"nothing came within {seconds:g} seconds", request=self._request)
        return chunk

    def _end(self) -> None:
        sent = self._transmission.sent_bytes
        if sent is None or sent >= len(self._body):
            return
        if self._transmission.reset:
            raise self._library.ReadError(_RESET, request=self._request)
        text = f"peer closed connection without sending complete message body (received {sent} bytes"
        raise self._library.RemoteProtocolError(f"{text}, expected {len(self._body)})", request=self._request)


class _Frames:
    """The frames of a stream, one by one; whoever waits for the next one moves a virtual clock.

    Keep-alives wake nobody in virtual time: a wait that only they would end is a wait that nothing ends. But whoever
    was woken by something else gets the one that is due, and can look at the clock.
    """

    def __init__(self, stream: Stream, clock: Clock, request: httpx.Request) -> None:
        self._stream = stream
        self._clock = clock
        self._request = request
        self._library = _library(request)
        self._heard_at = clock.now()
        # a client that waits longer than the silence between keep-alives never gives up
        timeout, self._silence = _read_timeout(request), stream.keep_alive_seconds or float("inf")
        self._timeout = timeout if timeout < self._silence else float("inf")

    def __iter__(self) -> Iterator[bytes]:
        while self._goes_on():
            if self._has_frame():
                yield self._frame()
            elif isinstance(self._clock, VirtualClock):
                self._move(self._clock)
            else:
                self._clock.sleep(_pause(self._clock, self._heard_at + self._timeout))
                self._look()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._goes_on():
            if self._has_frame():
                yield self._frame()
            elif isinstance(self._clock, VirtualClock):
                await self._clock.settle(self._has_news)
                if not self._has_news():
                    self._move(self._clock)
            else:
                await self._clock.sleep_async(_pause(self._clock, self._heard_at + self._timeout))
                self._look()

    def _goes_on(self) -> bool:
        """Say whether anything follows; where the end is one that nobody should meet, raise what it is met as."""
        if self._stream.ended and not self._stream.frames and self._stream.broken:
            text = "peer closed connection in the middle of the stream"
            raise self._library.RemoteProtocolError(text, request=self._request)
        return bool(self._stream.frames) or not self._stream.ended

    def _has_news(self) -> bool:
        return self._has_frame() or self._stream.ended

    def _has_frame(self) -> bool:
        return bool(self._stream.frames) or self._clock.now() >= self._heard_at + self._silence

    def _frame(self) -> bytes:
        """Return the next frame, or the keep-alive that is due in its place."""
        self._heard_at = self._clock.now()
        return self._stream.frames.popleft() if self._stream.frames else self._stream.keep_alive

    def _move(self, clock: VirtualClock) -> None:
        """Go to what is due next, or to the moment at which the client gives up."""
        due, deadline = clock.next_due(), self._heard_at + self._timeout
        if due is not None and due <= deadline:
            clock.step()
        elif deadline < float("inf"):
            clock.sleep(deadline - clock.now())
            raise self._silent()
        else:
            raise self._endless()

    def _look(self) -> None:
        """Do what is due by now; give up where the client would."""
        self._clock.run_due()
        if not self._has_news() and self._clock.now() >= self._heard_at + self._timeout:
            raise self._silent()

    def _silent(self) -> Exception:
        text = f"the stream was silent for {self._timeout:g} seconds"
        silent: Exception = self._library.ReadTimeout(text, request=self._request)
        return silent

    def _endless(self) -> ClockExhausted:
        return ClockExhausted(
            "a client waits for an event, and nothing is planned that would send one.\n"
            "  It may have come before the client subscribed: there is no replay. Subscribe first, or poll."
        )

    def close(self) -> None:
        self._stream.close()

    async def aclose(self) -> None:
        self._stream.close()
