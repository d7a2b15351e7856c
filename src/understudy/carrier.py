"""The carrier: brings requests from the network to the providers, and their answers back (an ASGI application)."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import anyio.to_thread
from starlette.types import Receive, Scope, Send

from understudy.clock import Clock, Entry, SystemClock
from understudy.errors import ClockExhausted, suggestion
from understudy.logbook import Logbook
from understudy.roster import Role, Roster
from understudy.wire import MAX_BODY_BYTES, Outcome, Reply, Request, Severed, Stream, Transmission, Wait, problem

#: Result files that are drawn at one time; the others wait.
MAX_DRAWING = 4

#: Places that are remembered, by how they were called.
MAX_PLACES = 1_000

#: A Host header: a name or an address, and perhaps a port.
HOST_HEADER = re.compile(r"(\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9._-]+)(?::([0-9]{1,5}))?")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a server listens.

    Attributes:
        host: As a URL names it.
        port: Where the providers answer.
        asset_port: Where links to result files lead.
    """

    host: str
    port: int
    asset_port: int

    @property
    def url(self) -> str:
        """The URL of the providers."""
        return f"http://{self.host}:{self.port}"

    @property
    def asset_url(self) -> str:
        """The URL of the result files."""
        return f"http://{self.host}:{self.asset_port}"

    def as_called(self, host: str, port: str | None, called_port: int) -> tuple[str, str]:
        """Return both URLs as a client names them: the ports that it sees may be those of a port mapping."""
        seen = str(self.port) if called_port == self.asset_port else port
        return f"http://{host}:{seen}" if seen else f"http://{host}", f"http://{host}:{self.asset_port}"


class _Place(NamedTuple):
    """Where a request leads: to whom, whether its path names them, which of their hosts, and how that is called."""

    role: Role
    named: bool
    host: str
    server_url: str
    asset_url: str


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
        self._roster = roster
        self._clock = clock
        self._log = log
        self._addresses = addresses
        self._line = line
        self._machine = SystemClock()  # how long we take is not a matter of the providers' clock
        self._drawing = asyncio.Semaphore(MAX_DRAWING)
        self._waiters: set[_Waiter] = set()
        self._answering = 0
        self._stopping = False
        self._place = functools.lru_cache(maxsize=MAX_PLACES)(self._find)

    @property
    def parked(self) -> int:
        """How many requests wait for the clock, or for news, and for nothing else."""
        return sum(waiter.parked for waiter in tuple(self._waiters))

    @property
    def at_work(self) -> int:
        """How many requests are being answered that do not wait."""
        return self._answering - self.parked

    def stop(self) -> None:
        """End all waits and streams; called in the event loop."""
        self._stopping = True
        for waiter in self._waiters:
            waiter.wake()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._answering += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self._answering -= 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = self._machine.now()
        role, request = self._addressed(scope)
        outcome: Reply | Stream | Severed
        try:
            outcome = await self._outcome(role, request, receive)
        except (_Gone, asyncio.CancelledError):  # cancelled is who is still at work at the very end
            return
        except ClockExhausted as error:
            outcome = problem(508, "the clock is exhausted", str(error))
        except Exception as error:
            self._log.defect(error, f"{request.method} {request.path}")
            outcome = problem(500, "a defect of Understudy", "Its log has the traceback. Please report it.")
        self._log.request(role, request, outcome, (self._machine.now() - began) * 1000)
        if isinstance(outcome, Stream):
            await self._stream(outcome, scope, receive, send)
        elif isinstance(outcome, Severed):
            await self._sever(outcome, scope, receive)
        elif outcome.transmission is not None:
            await self._transmit(outcome, outcome.transmission, scope, receive, send)
        else:
            await _reply(outcome, send)

    # --- whose it is ---

    def _addressed(self, scope: Scope) -> tuple[Role | None, Request]:
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        request = Request(
            scope["method"], scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1"), headers
        )
        first, _, rest = request.path.removeprefix("/").partition("/")
        place = self._place(request.header.get("host", ""), first, scope["server"][1])
        if place is None:
            return None, request
        role, named, request.host, request.server_url, request.asset_url = place
        if named:
            request.path = f"/{rest}"
        return role, request

    def _find(self, called: str, first: str, port: int) -> _Place | None:
        """Return where a request leads, by its Host header, the first segment of its path and the port."""
        address = HOST_HEADER.fullmatch(called)
        host = address[1].lower() if address else ""
        path = f"/{first}/"
        found = self._roster.find(host, path)
        if found is None:
            return None
        role, rest, own = found
        url, asset_url = self._addresses.url, self._addresses.asset_url
        if address and host not in role.hosts:
            url, asset_url = self._addresses.as_called(host, address[2], port)
        return _Place(role, rest != path, own, f"{url}/{role.place_of(own)}", f"{asset_url}/{role.name}")

    def forget(self) -> None:
        """Look anew where requests lead: a provider has changed."""
        self._place.cache_clear()

    def _nobodys(self, request: Request) -> Reply:
        urls = {role.name: f"{self._addresses.url}/{role.name}{role.base_path}" for role in self._roster}
        found = {role.name: role.provider.contract.router.find(request.method, request.path) for role in self._roster}
        # a parameter that spans segments takes the paths of all others as well: that tells nothing
        owners = [name for name, routed in found.items() if routed and not any("/" in x for x in routed.path.values())]
        first = request.path.strip("/").partition("/")[0]
        hint = (
            f"It is a path of {' and '.join(owners)}: put /{owners[0]} before it."
            if owners
            else f"A path begins with the name of a provider; {suggestion(first, urls)}"
        )
        detail = f"Nobody answers to {request.path}. {hint}"
        return problem(404, "no such provider", detail, providers=urls, admin=f"{self._addresses.url}/__admin/")

    # --- what is answered ---

    async def _outcome(self, role: Role | None, request: Request, receive: Receive) -> Reply | Stream | Severed:
        if role is None:
            return self._nobodys(request)
        request.body = await _body(receive)
        provider = role.provider
        outcome: Outcome
        routed = provider.contract.router.find(request.method, request.path, request.host)
        if request.method in ("GET", "HEAD") and (routed is None or routed.operation is None):
            async with self._drawing:  # it may be a file, and drawing one takes its time
                outcome = await anyio.to_thread.run_sync(provider.handle, request, abandon_on_cancel=True)
        else:
            outcome = provider.handle(request)
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
        entry = Entry(waiter.wake)
        entry.cancel()
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
            return Entry(waiter.wake)
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


async def _reply(reply: Reply, send: Send) -> None:
    headers, body = _encoded(reply.headers), reply.body
    if reply.status in (204, 304):
        body = b""  # these have none (RFC 9110, sections 15.3.5 and 15.4.5)
    else:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _encoded(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [_header(name, value) for name, value in headers]


@functools.lru_cache(maxsize=1024)
def _header(name: str, value: str) -> tuple[bytes, bytes]:
    """Return a header as bytes; what it cannot hold becomes a blank."""
    return name.lower().encode(), _CONTROLS.sub(" ", value).encode("latin-1", "replace")
