"""The carrier: brings requests from the network to the providers, and their answers back (an ASGI application)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

import anyio.to_thread
from starlette.types import Receive, Scope, Send

from understudy.clock import Clock, Entry, SystemClock
from understudy.directory import Addresses, Directory
from understudy.errors import ClockExhausted
from understudy.logbook import Logbook
from understudy.roster import Role, Roster
from understudy.wire import (
    MAX_BODY_BYTES,
    NO_BODY,
    Outcome,
    Reply,
    Request,
    Severed,
    Stream,
    Transmission,
    Wait,
    encoded,
    problem,
)

#: Result files that are drawn at one time; the others wait.
MAX_DRAWING = 4

# Where a scope has what came of a request that could not be answered at once.
_BEGUN = "understudy.begun"


class Line(Protocol):
    """The connections of a server."""

    def hang_up(self, client: tuple[str, int], *, reset: bool) -> None:
        """End the connection of a client: by a TCP reset, or by closing it."""

    def go_down(self, until: float) -> None:
        """Stop listening until a moment of the providers' clock."""


class Carrier:
    """Answers for the providers: below `/<provider>/`, or at the root under a provider's own host.

    Args:
        roster: The providers.
        clock: By which waits end.
        log: Told of each request.
        addresses: Where the server listens.
        line: Ends connections as nobody should.
    """

    def __init__(self, roster: Roster, clock: Clock, log: Logbook, addresses: Addresses, line: Line) -> None:
        self._directory = Directory(roster, addresses)
        self._clock = clock
        self._log = log
        self._line = line
        self._machine = SystemClock()  # how long we take is not a matter of the providers' clock
        self._drawing = asyncio.Semaphore(MAX_DRAWING)
        self._waiters: set[_Waiter] = set()
        self._answering = 0
        self._stopping = False

    @property
    def parked(self) -> int:
        """How many requests wait for the clock, or for news, and for nothing else."""
        return sum(waiter.parked for waiter in tuple(self._waiters))

    @property
    def at_work(self) -> int:
        """How many requests are being answered that do not wait."""
        return self._answering - self.parked

    def forget(self) -> None:
        """Look anew where requests lead: a provider has changed."""
        self._directory.forget()

    def stop(self) -> None:
        """End all waits and streams; called in the event loop."""
        self._stopping = True
        for waiter in self._waiters:
            waiter.wake()

    def at_once(self, scope: Scope, body: bytes) -> Reply | None:
        """See `understudy.connection.Prompt`."""
        self._answering += 1
        try:
            began = self._machine.now()
            role, request = self._addressed(scope)
            if role is None or _may_be_file(role, request):
                return None
            request.body = body
            try:
                outcome = role.provider.handle(request)
            except (Exception, ClockExhausted) as error:
                outcome = self._failure(error, request)
            if isinstance(outcome, Reply) and outcome.transmission is None:
                self._log.request(role, request, outcome, (self._machine.now() - began) * 1000)
                return outcome
            scope[_BEGUN] = role, request, outcome
            return None
        finally:
            self._answering -= 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._answering += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self._answering -= 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = self._machine.now()
        role, request, begun = scope.get(_BEGUN) or (*self._addressed(scope), None)
        outcome: Reply | Stream | Severed
        try:
            outcome = await self._outcome(role, request, begun, receive)
        except (_Gone, asyncio.CancelledError):  # cancelled is who is still at work at the very end
            return
        except (Exception, ClockExhausted) as error:
            outcome = self._failure(error, request)
        self._log.request(role, request, outcome, (self._machine.now() - began) * 1000)
        if isinstance(outcome, Stream):
            await self._stream(outcome, scope, receive, send)
        elif isinstance(outcome, Severed):
            await self._sever(outcome, scope, receive)
        elif outcome.transmission is not None:
            await self._transmit(outcome, outcome.transmission, scope, receive, send)
        else:
            await _reply(outcome, send)

    def _failure(self, error: BaseException, request: Request) -> Reply:
        """Return what is answered where no answer can be found."""
        if isinstance(error, ClockExhausted):
            return problem(508, "the clock is exhausted", str(error))
        self._log.defect(error, f"{request.method} {request.path}")
        return problem(500, "a defect of Understudy", "Its log has the traceback. Please report it.")

    # --- whose it is ---

    def _addressed(self, scope: Scope) -> tuple[Role | None, Request]:
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        request = Request(
            scope["method"], scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1"), headers
        )
        first, _, rest = request.path.removeprefix("/").partition("/")
        place = self._directory.find(request.header.get("host", ""), first, scope["server"][1])
        if place is None:
            return None, request
        role, named, request.host, request.server_url, request.asset_url = place
        if named:
            request.path = f"/{rest}"
        return role, request

    # --- what is answered ---

    async def _outcome(
        self, role: Role | None, request: Request, begun: Outcome | None, receive: Receive
    ) -> Reply | Stream | Severed:
        if role is None:
            return self._directory.nobodys(request)
        body = await _body(receive)
        outcome = await self._handled(role, request, body) if begun is None else begun
        if isinstance(outcome, Wait):
            with self._waiter(receive) as waiter:
                while isinstance(outcome, Wait):
                    try:
                        await self._until(outcome.until, waiter)
                    except _Gone:
                        outcome.abandon()
                        raise
                    if self._stopping:
                        return problem(503, "the server stops", "It was stopped before the job had ended.")
                    outcome = outcome.resume()
        return outcome

    async def _handled(self, role: Role, request: Request, body: bytes) -> Outcome:
        request.body = body
        if not _may_be_file(role, request):
            return role.provider.handle(request)
        async with self._drawing:
            return await anyio.to_thread.run_sync(role.provider.handle, request, abandon_on_cancel=True)

    async def _until(self, when: float, waiter: _Waiter) -> None:
        entry = self._alarm(when, waiter)
        try:
            while not (entry.done or self._stopping):
                await waiter.wait()
                if waiter.gone:
                    raise _Gone
        finally:
            entry.cancel()

    # --- how it is sent ---

    async def _sever(self, severed: Severed, scope: Scope, receive: Receive) -> None:
        if severed.down_until is not None and not severed.refused:
            self._line.go_down(severed.down_until)
        await self._cut(scope, receive, reset=True)

    async def _cut(self, scope: Scope, receive: Receive, *, reset: bool) -> None:
        """End a connection, and see it gone: only then may a server be left without the rest of an answer."""
        self._line.hang_up(scope["client"], reset=reset)
        await receive()  # the body has been read, so there is nothing else to be told

    async def _transmit(
        self, reply: Reply, transmission: Transmission, scope: Scope, receive: Receive, send: Send
    ) -> None:
        headers = [*_encoded(reply.headers), (b"content-length", str(len(reply.body)).encode())]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        with self._waiter(receive) as waiter:
            for chunk in transmission.chunks(reply.body):
                if transmission.pause_seconds:
                    with suppress(_Gone):
                        await self._until(self._clock.now() + transmission.pause_seconds, waiter)
                if waiter.gone or self._stopping:
                    break
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if transmission.sent_bytes is None and not (waiter.gone or self._stopping):
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await self._cut(scope, receive, reset=transmission.reset)

    async def _stream(self, stream: Stream, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _encoded(stream.headers)})
        with self._waiter(receive) as waiter:
            stream.wake = waiter.wake
            try:
                await self._frames(stream, waiter, send)
            finally:
                stream.close()
        if stream.broken:
            await self._cut(scope, receive, reset=False)
        else:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _frames(self, stream: Stream, waiter: _Waiter, send: Send) -> None:
        silence = stream.keep_alive_seconds
        due = float("inf") if silence is None else self._clock.now() + silence
        entry = Entry((due, 0))
        try:
            while not (self._stopping or waiter.gone):
                if stream.frames:
                    frame = stream.frames.popleft()
                elif stream.ended:
                    return
                elif self._clock.now() >= due:
                    frame = stream.keep_alive
                else:
                    entry = self._alarm(due, waiter) if entry.done else entry
                    await waiter.wait()
                    continue
                await send({"type": "http.response.body", "body": frame, "more_body": True})
                due = float("inf") if silence is None else self._clock.now() + silence
        finally:
            entry.cancel()

    def _alarm(self, when: float, waiter: _Waiter) -> Entry:
        """Put a waiter on the agenda; what never comes is not put there, for a virtual clock would go to it."""
        if when == float("inf"):
            return Entry((when, 0, waiter.wake))
        entry = self._clock.call_at(when, waiter.wake)
        self._clock.changed()  # whoever moves a virtual clock moves it for those that wait
        return entry

    @contextmanager
    def _waiter(self, receive: Receive) -> Iterator[_Waiter]:
        waiter = _Waiter(receive)
        self._waiters.add(waiter)
        try:
            yield waiter
        finally:
            self._waiters.discard(waiter)
            waiter.close()


class _Gone(Exception):
    """The client has left."""


class _Waiter:
    """One request that waits: for the clock, for news, for the client to leave or for the server to stop."""

    def __init__(self, receive: Receive) -> None:
        self.gone = False
        self.parked = False
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self._watch = self._loop.create_task(self._until_gone(receive))

    def wake(self) -> None:
        """Wake it, from any thread."""
        self.parked = False
        self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        """Wait until it is woken."""
        self.parked = not self._event.is_set()
        await self._event.wait()
        self._event.clear()

    def close(self) -> None:
        """Stop looking after the client."""
        self._watch.cancel()

    async def _until_gone(self, receive: Receive) -> None:
        await receive()  # the body has been read, so there is nothing else to be told
        self.gone, self.parked = True, False
        self._event.set()


async def _body(receive: Receive) -> bytes:
    """Read a body, but no more of it than it takes to see that it is too large."""
    body, more = bytearray(), True
    while more and len(body) <= MAX_BODY_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body[: MAX_BODY_BYTES + 1])


def _may_be_file(role: Role, request: Request) -> bool:
    """Say whether a request may be for a result file: drawing one takes its time."""
    if request.method not in ("GET", "HEAD"):
        return False
    routed = role.provider.contract.router.find(request.method, request.path, request.host)
    return routed is None or routed.operation is None


async def _reply(reply: Reply, send: Send) -> None:
    headers, body = _encoded(reply.headers), reply.body
    if reply.status in NO_BODY:
        body = b""
    else:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _encoded(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [encoded(name, value) for name, value in headers]
