"""The in-process transport: a fake behind any httpx client, sync and async, streaming, without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import httpx

from understudy.clock import Clock, VirtualClock
from understudy.contract.codecs import dump_json
from understudy.errors import ClockExhausted
from understudy.wire import Outcome, Reply, Request, Stream, Wait

Handle = Callable[[Request], Outcome]
Route = Callable[[str], Handle | None]


class FakeTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Answers the requests of an httpx client from a fake.

    Args:
        route: Returns what answers the requests to a host, or None for a host that is nobody's.
        hosts: The hosts that there are, for the message to whoever asks for another.
        clock: The fake's clock. A client that waits for a reply or an event moves it, if it is virtual.
        latency_seconds: What each request takes.
    """

    def __init__(self, route: Route, hosts: tuple[str, ...], clock: Clock, latency_seconds: float) -> None:
        self._route = route
        self._hosts = hosts
        self._clock = clock
        self._latency_seconds = latency_seconds

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        outcome = self._begin(request, request.read())
        while isinstance(outcome, Wait):
            self._clock.sleep(self._patience(request, outcome))
            outcome = self._resumed(request, outcome)
        return self._response(request, outcome)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        outcome = self._begin(request, await request.aread())
        while isinstance(outcome, Wait):
            await self._clock.sleep_async(self._patience(request, outcome))
            outcome = self._resumed(request, outcome)
        return self._response(request, outcome)

    def _begin(self, request: httpx.Request, body: bytes) -> Outcome:
        if isinstance(self._clock, VirtualClock):
            self._clock.advance(self._latency_seconds)
        else:
            self._clock.run_due()
        handle = self._route(request.url.host)
        if handle is None:
            return _nobodys(request.url.host, self._hosts)
        headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in request.headers.raw]
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        return handle(Request(request.method.upper(), path, query, headers, body))

    def _patience(self, request: httpx.Request, wait: Wait) -> float:
        """Return how long to wait: until the reply comes, or until the client's own read timeout."""
        return min(wait.until - self._clock.now(), _read_timeout(request))

    def _resumed(self, request: httpx.Request, wait: Wait) -> Outcome:
        if self._clock.now() < wait.until:
            seconds = _read_timeout(request)
            raise httpx.ReadTimeout(f"no answer within {seconds:g} seconds of virtual time", request=request)
        return wait.resume()

    def _response(self, request: httpx.Request, outcome: Reply | Stream) -> httpx.Response:
        if isinstance(outcome, Reply):
            return httpx.Response(outcome.status, headers=outcome.headers, content=outcome.body)
        frames = _Frames(outcome, self._clock, _read_timeout(request), request)
        return httpx.Response(200, headers=outcome.headers, stream=frames)


def _read_timeout(request: httpx.Request) -> float:
    seconds = request.extensions.get("timeout", {}).get("read")
    return float("inf") if seconds is None else float(seconds)


def _nobodys(host: str, hosts: tuple[str, ...]) -> Reply:
    detail = f"{host} is not a host of this fake, and nothing leaves the process; it plays {', '.join(hosts)}."
    body = {"type": "about:blank", "title": "unexpected host", "status": 421, "detail": detail}
    return Reply(421, [("content-type", "application/problem+json")], dump_json(body).encode(), error="unexpectedHost")


class _Frames(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The frames of a stream, one by one; whoever waits for the next one moves a virtual clock.

    Keep-alives wake nobody in virtual time: a wait that only they would end is a wait that nothing ends.
    """

    def __init__(self, stream: Stream, clock: Clock, read_timeout: float, request: httpx.Request) -> None:
        self._stream = stream
        self._clock = clock
        self._read_timeout = read_timeout
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        while (frame := self._next()) is not None:
            if frame:
                yield frame
            elif not isinstance(self._clock, VirtualClock):
                self._clock.sleep(self._real_patience())
                self._clock.run_due()
            elif not self._clock.step():
                raise self._endless()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (frame := self._next()) is not None:
            if frame:
                yield frame
            elif not isinstance(self._clock, VirtualClock):
                await self._clock.sleep_async(self._real_patience())
                self._clock.run_due()
            elif not await self._clock.step_async() and not self._stream.frames:
                raise self._endless()

    def _next(self) -> bytes | None:
        """Return the next frame, nothing when there is none yet, or None at the end."""
        if self._stream.frames:
            return self._stream.frames.popleft()
        if self._stream.ended:
            return None
        due, silence = self._clock.next_due(), self._stream.keep_alive_seconds or float("inf")
        # a client whose read timeout is shorter than the silence between keep-alives would have given up
        if due is not None and self._read_timeout < min(due - self._clock.now(), silence):
            self._clock.sleep(self._read_timeout)
            seconds = f"{self._read_timeout:g} seconds of virtual time"
            raise httpx.ReadTimeout(f"the stream was silent for {seconds}", request=self._request)
        return b""

    def _real_patience(self) -> float:
        due = self._clock.next_due()
        return 0.05 if due is None else min(max(due - self._clock.now(), 0.0), 0.05)

    def _endless(self) -> ClockExhausted:
        return ClockExhausted(
            "a client waits for an event, and nothing is planned that would send one.\n"
            "  It may have come before the client subscribed: there is no replay. Subscribe first, or poll."
        )

    def close(self) -> None:
        self._stream.close()

    async def aclose(self) -> None:
        self._stream.close()
