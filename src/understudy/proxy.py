"""The proxy: on loopback, for programs that call the providers by their real names. There they meet the fakes.

A client asks it to CONNECT to a host. For a host of a provider it speaks TLS itself, and what comes in is answered in
the event loop of the live server, as any other request is: no connection is opened. Any other host is refused, unless
the user has named it; then bytes go to and fro unread.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol

import uvicorn
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from understudy.carrier import Carrier
from understudy.certificates import certificates
from understudy.clock import SystemClock
from understudy.connection import Connection
from understudy.directory import HOST_HEADER, Addresses
from understudy.environment import variables
from understudy.errors import UsageError
from understudy.gate import HEAD_SECONDS, Asked, asked, carry, established, let_through, refuse, refuse_host
from understudy.listen import Server, listen
from understudy.logbook import Logbook
from understudy.reach import is_loopback
from understudy.roster import Role
from understudy.wire import Outcome, Reply, Request, Severed, Stream, problem

if TYPE_CHECKING:
    from understudy.isolation import Entrance, Room
    from understudy.server import LiveServer

#: Connections at one time.
MAX_CONNECTIONS = 256

#: Hosts that are remembered because they were refused, or because a client did not trust our certificate.
MAX_HOSTS = 1_000

# In real seconds: how long a connection may rest between two requests, how long to wait when out of sockets, and how
# long connections that have just ended may take to be noticed at the end.
_KEEP_ALIVE_SECONDS = 75
_PAUSE_SECONDS = 0.1
_GRACE_SECONDS = 0.5

Told = Callable[[Role, Request, Reply | Stream | Severed], None]


@contextmanager
def proxied(
    server: LiveServer, *, allow: Iterable[str] = (), port: int = 0, told: Told = lambda role, request, outcome: None
) -> Iterator[Proxy]:
    """Open a proxy on 127.0.0.1 behind which the providers' real hosts are the fakes of a live server.

    Args:
        server: The live server; it has to stay open for as long.
        allow: Other hosts that may be reached through it, on any port.
        port: Where it listens; 0 for any that is free.
        told: Called for each request that a fake has answered, in the server's event loop.

    Returns:
        A context manager over the proxy. At the end of the block it is closed, and its files are removed.

    Raises:
        UsageError: The extra `understudy[proxy]` is missing, another program has the port, or nobody has a host.

    Example:
        >>> import os, subprocess, understudy
        >>> from understudy.proxy import proxied
        >>> with understudy.serve("kie") as server, proxied(server) as proxy:
        ...     command = ["curl", "-s", "https://api.kie.ai/api/v1/chat/credit", "-H", "Authorization: Bearer key"]
        ...     reply = subprocess.run(command, env={**os.environ, **proxy.environment}, capture_output=True, text=True)
        >>> reply.stdout
        '{"code":200,"msg":"success","data":10000}'
    """
    hosts = sorted({host for role in server.roster for host in role.hosts if host and not is_loopback(host)})
    if not hosts:
        raise UsageError("no provider that is played has a host of its own, so there is nothing to stand in for")
    made = certificates(hosts)
    with TemporaryDirectory(prefix="understudy-") as folder:
        bundle = Path(folder, "authorities.pem")
        bundle.write_bytes(made.bundle)
        listener = listen("127.0.0.1", port, "port (a `serve --proxy` has it on --port + 2)")
        proxy = Proxy(listener, hosts, frozenset(map(str.lower, allow)), made.tls, bundle)

        async def opened(log: Logbook) -> None:
            carrier = _Carrier(server, log, proxy, told)
            server.count(carrier, proxy.port)
            await proxy.open(carrier, listener)

        async def closed(_: Logbook) -> None:
            await proxy.close()

        server.beside(opened)
        try:
            yield proxy
        finally:
            server.beside(closed)


class Answering(Protocol):
    """Who answers for the hosts of a proxy."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as an ASGI application."""

    def stop(self) -> None:
        """End all waits."""


class Proxy:
    """A proxy; made by `proxied`.

    Attributes:
        url: Where it listens.
        hosts: The hosts of the providers.
        bundle: The file with the authorities that clients are to trust.
        environment: The variables by which clients find it, and trust it.
        refused: The hosts that were asked for and that nobody may reach, and how often.
        distrusted: The hosts at which a client broke TLS off, and how often.
        greeting: How many connections are at the beginning of TLS.
    """

    def __init__(
        self,
        listener: socket.socket,
        hosts: Sequence[str],
        allowed: frozenset[str],
        tls: ssl.SSLContext,
        bundle: Path,
    ) -> None:
        self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.hosts, self.bundle = hosts, bundle
        self.environment = variables(self.url, bundle)
        self.refused: Counter[str] = Counter()
        self.distrusted: Counter[str] = Counter()
        self.greeting = 0
        self._allowed, self._tls = allowed, tls
        self._listeners: dict[socket.socket, asyncio.Task[None]] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._room: Room | None = None

    async def open(self, carrier: Answering, listener: socket.socket) -> None:
        """Begin, with who answers for the hosts; called once, in the event loop that it works in."""
        self._carrier = carrier
        self._config = uvicorn.Config(
            self._answer,
            interface="asgi3",  # which uvicorn does not see of a method
            http=Connection,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            proxy_headers=False,
            ws="none",
            lifespan="off",
            access_log=False,
            server_header=False,
            log_config=None,
        )
        self._server = Server(self._config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[]))  # it listens nowhere: it is handed sockets
        self._listen(listener)

    async def enter(self, room: Room, entrances: Iterable[Entrance]) -> None:
        """Answer in an isolated room, too, and take what asks for loopback there; called in the event loop."""
        self._room = room
        for listener, host, port in entrances:
            self._listen(listener, Asked(True, host, port, b"", b"") if host else None)

    async def close(self) -> None:
        """Stop listening, and end the connections that there are; called once, by `proxied`."""
        for task in self._listeners.values():
            task.cancel()
        await asyncio.wait({*self._listeners.values(), *self._work}, timeout=_GRACE_SECONDS)  # who has left is told of
        work = tuple(self._work)
        for task in work:
            task.cancel()
        self._carrier.stop()
        self._server.stop()
        await asyncio.gather(self._serving, *work, return_exceptions=True)
        for listener in self._listeners:
            listener.close()

    def hang_up(self, client: tuple[str, int], *, reset: bool) -> None:
        """See `understudy.carrier.Line`."""
        self._server.hang_up(client, reset=reset)

    def go_down(self, until: float) -> None:
        """Do nothing: others are behind this proxy too, and a provider that is down resets whoever comes."""

    def option_for(self, host: str) -> str:
        """Return how a host that is refused could be reached; nothing leads out of a room."""
        return f"--allow {host}" if self._room is None else f"--allow {host} in place of --isolated"

    # --- connections ---

    def _listen(self, listener: socket.socket, ask: Asked | None = None) -> None:
        """Take connections from now on: such as say whom they ask for, or such as all ask for the same."""
        listener.setblocking(False)
        self._listeners[listener] = asyncio.create_task(self._accept(listener, ask))

    async def _accept(self, listener: socket.socket, ask: Asked | None) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
            except OSError:  # there are no more sockets for now
                await SystemClock().sleep_async(_PAUSE_SECONDS)
            else:
                task = asyncio.create_task(self._connected(client, ask))
                self._work.add(task)
                task.add_done_callback(self._work.discard)

    async def _connected(self, client: socket.socket, known: Asked | None) -> None:
        """Look after a connection, until it has ended or the server of the fakes has it."""
        handed_over = False
        try:
            if len(self._work) + len(self._server.server_state.connections) > MAX_CONNECTIONS:
                await refuse(client, 503, f"there are {MAX_CONNECTIONS} connections to this proxy already")
            elif (ask := known or await asked(client)) is None:
                await refuse(client, 400, "this is a proxy, and that is no request for one")
            elif not ask.host or ask.host in self.hosts:
                if ask.tunnel and known is None:
                    await established(client)
                handed_over = await self._hand_over(client, ask)
            elif self._room is not None and is_loopback(ask.host):
                reached = await self._room.connect(ask.host, ask.port)
                await carry(client, ask, *await asyncio.open_connection(sock=reached))
            elif ask.host in self._allowed:
                await let_through(client, ask)
            else:
                _count(self.refused, ask.host)
                await refuse_host(client, ask.host, self.option_for(ask.host))
        except (OSError, TimeoutError):  # the client has left, or says nothing
            pass
        finally:
            if not handed_over:
                client.close()

    async def _hand_over(self, client: socket.socket, ask: Asked) -> bool:
        """Leave a connection to the server of the fakes; say whether it took it."""
        secure = ask.tunnel and ask.port != 80
        self.greeting += 1
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                functools.partial(_Line, self._config, self._server.server_state, ask),
                client,
                ssl=self._tls if secure else None,
                ssl_handshake_timeout=HEAD_SECONDS if secure else None,
            )
        except (ssl.SSLError, ConnectionError):
            _count(self.distrusted, ask.host)
            return False
        finally:
            self.greeting -= 1
        return True

    # --- requests ---

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer for a provider, where the Host is the one that the client has asked the proxy for."""
        called = HOST_HEADER.fullmatch(dict(scope["headers"]).get(b"host", b"").decode("latin-1"))
        host, ask = called[1].strip("[]").lower() if called else "", scope["state"]["ask"]
        reply: Response
        if host and host == ask.host:
            await self._carrier(scope, receive, send if ask.tunnel else _once(send))
            return
        if ask.host:
            detail = f"The connection is to {ask.host}, and the Host is {host or 'missing'}."
            reply = _as_response(problem(421, "another host", detail))
        elif is_loopback(host):
            reply = JSONResponse({"environment": self.environment}, headers={"cache-control": "no-cache"})
        else:
            reply = _as_response(problem(403, "not from here", "The proxy itself answers to this machine alone."))
        await reply(scope, receive, send)


class _Carrier(Carrier):
    """A carrier for requests to the providers' real hosts: so that links name those, too."""

    def __init__(self, server: LiveServer, log: Logbook, line: Proxy, told: Told) -> None:
        super().__init__(server.roster, server.clock, log, Addresses("127.0.0.1", *server.ports[:2]), line)
        self._told, self._proxy = told, line

    @property
    def at_work(self) -> int:
        return super().at_work + self._proxy.greeting

    def _addressed(self, scope: Scope) -> tuple[Role | None, Request]:
        role, request = super()._addressed(scope)
        request.server_url = request.asset_url = ""
        return role, request

    async def _outcome(
        self, role: Role | None, request: Request, begun: Outcome | None, receive: Receive
    ) -> Reply | Stream | Severed:
        assert role is not None  # the host is a provider's
        outcome: Reply | Stream | Severed = Severed()  # to whoever leaves before
        try:
            outcome = await super()._outcome(role, request, begun, receive)
        finally:
            self._told(role, request, outcome)
        return outcome


class _Line(Connection):
    """A connection that was handed over; what a client has sent already that asked for no tunnel comes first."""

    def __init__(self, config: uvicorn.Config, state: Any, ask: Asked) -> None:
        super().__init__(config, state, {"ask": ask})
        self._early = b"" if ask.tunnel else ask.sent

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # uvicorn looks after a connection that rests between two requests, and not before the first one
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)
        if self._early:
            self.data_received(self._early)


def _count(hosts: Counter[str], host: str) -> None:
    if host in hosts or len(hosts) < MAX_HOSTS:
        hosts[host] += 1


def _as_response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, dict(reply.headers))


def _once(send: Send) -> Send:
    """End the connection after the answer: the next request on it may be for another host."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await send(message)

    return sent
