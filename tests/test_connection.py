"""Tests of a connection: what comes in one turn of the event loop is answered together, and nothing of it is lost."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvicorn
from anyio.lowlevel import checkpoint
from starlette.types import Receive, Scope, Send

from tests.live import connected
from understudy.connection import Connection
from understudy.listen import Server
from understudy.server import LiveServer
from understudy.wire import Reply

HEAD = b"HTTP/1.1\r\nhost: x\r\n\r\n"


class Wire(asyncio.Transport):
    """The other end of a connection: what was sent to it is kept."""

    def __init__(self, name: str, log: list[str]) -> None:
        super().__init__()
        self.name, self.log, self.sent, self.closed = name, log, b"", False

    def write(self, data: Any) -> None:
        self.log.append(f"send {self.name}")
        self.sent += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


class App:
    """An application that has most answers at once: each tells of its path. It keeps the order of all."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def at_once(self, scope: Scope, body: bytes) -> Reply | None:
        path = scope["path"]
        self.log.append(f"{scope['method']} {path}")
        return None if path == "/later" else Reply(200, [], path.encode() + body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.log.append(f"call {scope['path']}")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"late"})

    def server(self) -> Server:
        """Return a server of it, which listens nowhere."""
        config = uvicorn.Config(
            self, interface="asgi3", http=Connection, ws="none", lifespan="off", proxy_headers=False, log_config=None
        )
        server = Server(config)
        server.servers = []
        return server

    def connected(self, names: str, server: Server | None = None) -> list[tuple[Connection, Wire]]:
        """Return new connections of one server to it; each has one letter for a name."""
        server, made = server or self.server(), []
        for name in names:
            connection, wire = Connection(server.config, server.server_state, {}), Wire(name, self.log)
            connection.connection_made(wire)
            made.append((connection, wire))
        return made


def played(scene: Callable[[App], Coroutine[Any, Any, None]]) -> list[str]:
    """Return what an application was asked, and what was sent, in order."""
    app = App()
    asyncio.run(scene(app))
    return app.log


async def turns() -> None:
    """Let the event loop go round until nothing is left to be done."""
    for _ in range(10):
        await checkpoint()


def asked(path: str) -> bytes:
    return f"GET {path} ".encode() + HEAD


def test_what_comes_in_one_turn_is_answered_before_anything_is_sent() -> None:
    """The system's part of sending does not come between the answers."""

    async def scene(app: App) -> None:
        for connection, wire in (lines := app.connected("abc")):
            connection.data_received(asked(f"/{wire.name}"))
        await turns()
        assert [wire.sent.rpartition(b"\r\n")[2] for _, wire in lines] == [b"/a", b"/b", b"/c"]

    assert played(scene) == ["GET /a", "GET /b", "GET /c", "send a", "send b", "send c"]


@pytest.mark.parametrize("others", [0, 1, 2])
def test_one_that_comes_alone_hardly_waits(others: int) -> None:
    """Whose connection is the only one is answered while it is read, and who asks alone one turn of the loop later."""

    async def scene(app: App) -> None:
        (connection, _), *_ = app.connected("abc"[: 1 + others])
        connection.data_received(asked("/a"))
        app.log.append("read")
        await checkpoint()
        app.log.append("next turn")

    assert played(scene) == (["read"] * (others > 0) + ["GET /a", "send a"] + ["read"] * (others == 0) + ["next turn"])


def test_what_comes_meanwhile_is_answered_with_the_others() -> None:
    """As long as more requests come, those that are there wait for them."""

    async def scene(app: App) -> None:
        for connection, wire in app.connected("abcd"):
            connection.data_received(asked(f"/{wire.name}"))
            if wire.name != "a":
                await checkpoint()

    assert played(scene) == [f"{what}{name}" for what in ("GET /", "send ") for name in "abcd"]


def test_the_next_request_of_a_connection_waits_for_the_one_before() -> None:
    """A connection with several requests in one piece has its answers in order, also where one takes its time."""

    async def scene(app: App) -> None:
        (connection, wire), _ = app.connected("ab")
        connection.data_received(asked("/1") + b"DELETE /later " + HEAD + asked("/2"))
        await turns()
        assert wire.sent.index(b"/1") < wire.sent.index(b"late")

    assert played(scene)[:3] == ["GET /1", "send a", "DELETE /later"]


def test_who_closes_one_side_in_the_same_turn_is_answered() -> None:
    """A client that says no more may still read; the transport closes after it is told of the end."""

    async def scene(app: App) -> None:
        (connection, wire), _ = app.connected("ab")
        connection.data_received(asked("/1"))
        connection.eof_received()
        wire.close()
        await turns()

    assert played(scene) == ["GET /1", "send a"]


def test_who_leaves_in_the_same_turn_was_heard() -> None:
    """A request that came whole counts, whatever its client does next."""

    async def scene(app: App) -> None:
        (connection, wire), _ = app.connected("ab")
        connection.data_received(asked("/1"))
        wire.close()
        connection.connection_lost(None)
        await turns()

    assert played(scene) == ["GET /1"]


def test_who_has_asked_when_the_server_stops_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is told to stop in the turn in which it has read a request answers it before it closes."""
    monkeypatch.setattr("understudy.listen._GRACE_SECONDS", 0)

    async def scene(app: App) -> None:
        server = app.server()
        (connection, wire), _ = app.connected("ab", server)
        connection.data_received(asked("/1"))
        await server.shutdown()
        assert wire.closed

    assert played(scene) == ["GET /1", "send a"]


def test_what_takes_its_time_is_told_that_its_client_has_left() -> None:
    """A request that was not answered at once is called all the same, and knows then that nobody reads."""

    async def scene(app: App) -> None:
        (connection, wire), _ = app.connected("ab")
        connection.data_received(asked("/later"))
        wire.closed = True
        connection.connection_lost(None)
        await turns()

    assert played(scene) == ["GET /later", "call /later"]


@pytest.mark.parametrize("half_closed", [False, True])
def test_a_client_that_says_no_more_is_answered(live: LiveServer, *, half_closed: bool) -> None:
    """A client may close its side after its request, and one that goes on with rubbish has its answer before that."""
    with connected(live.url) as connection:
        connection.sendall(b"GET /kie/api/v1/chat/credit HTTP/1.1\r\nhost: x\r\nauthorization: Bearer key\r\n\r\n")
        if half_closed:
            connection.shutdown(socket.SHUT_WR)
        else:
            connection.sendall(b"rubbish\r\n\r\n")
        said = b"".join(iter(lambda: connection.recv(4096), b""))
    assert said.startswith(b"HTTP/1.1 200")
    assert said.count(b"HTTP/1.1 400") == (not half_closed)


@pytest.mark.parametrize("rubbish", [b"rubbish", b"\x00", b" ", b"\x16\x03\x01", b"\xff", b"GET", b"G\x00", b"\rGET\n"])
def test_rubbish_after_a_request_in_one_piece_is_refused_after_its_answer(rubbish: bytes) -> None:
    """Answers come in the order of what was said."""

    async def scene(app: App) -> None:
        (connection, wire), _ = app.connected("ab")
        connection.data_received(asked("/1") + rubbish + b"\r\n\r\n")
        await turns()
        assert wire.sent.index(b"/1") < wire.sent.index(b"HTTP/1.1 400")

    assert played(scene) == ["GET /1", "send a", "send a"]
