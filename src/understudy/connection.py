"""A connection of a live server: what uvicorn does with it, but for the answers that are there at once."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from typing import Protocol, cast
from urllib.parse import unquote

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from understudy.wire import NO_BODY, Reply, encoded

#: A request with a larger body is not answered at once.
MAX_PROMPT_BYTES = 64 * 1024


class Prompt(Protocol):
    """An application that can answer some requests at once."""

    def at_once(self, scope: Scope, body: bytes) -> Reply | None:
        """Answer a request that has come whole, if the answer is there at once.

        Args:
            scope: As ASGI has it. What was found out of an answer that takes time may be left in it.
            body: The body.

        Returns:
            The answer; None where the application is to be called as ASGI has it.
        """


class Turn(ServerState):
    """What the connections of a server share: the plain requests that a turn of its event loop has read.

    They are answered together, and then all answers are sent. Where each is read, answered and sent before the next,
    the system's part of one comes between two answers, and a client is woken in the middle of our work: that takes half
    as long again. Where there is one connection, nobody else can come. Where several have asked, the clients that were
    answered last are just asking again, and as long as more come, the others wait for them.
    """

    def __init__(self) -> None:
        super().__init__()
        self._asked: list[tuple[Connection, bytes]] = []

    def add(self, connection: Connection, body: bytes) -> None:
        """Have a request answered soon."""
        self._asked.append((connection, body))
        if len(self.connections) == 1:
            self.answer()
        elif len(self._asked) == 1:
            connection.loop.call_soon(self._look, connection.loop, 1)

    def _look(self, loop: asyncio.AbstractEventLoop, before: int) -> None:
        """Answer, unless more has come than there was before."""
        if len(self._asked) > before:
            loop.call_soon(self._look, loop, len(self._asked))
        else:
            self.answer()

    def answer(self) -> None:
        """Answer all that has come, in the order in which it came."""
        asked, self._asked = self._asked, []
        replies = [connection.ask(body) for connection, body in asked]
        for (connection, body), reply in zip(asked, replies, strict=True):
            connection.answer(body, reply)


class Connection(HttpToolsProtocol):
    """A connection on which what can be answered at once is, and that can end as none should.

    A task, a dozen messages and their checks cost uvicorn more than most answers cost us. So a plain request waits here
    until it has come whole, and is answered with those that come with it; all else goes the way of ASGI.
    """

    server_state: Turn
    _answering: RequestResponseCycle | None = None  # uvicorn tells of the end only the request that it read last
    _body: bytearray | None = None  # of a plain request that has not been answered

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self.access_log = False  # where somebody listens to all logs, as pytest does, uvicorn would write one

    def on_message_begin(self) -> None:
        if self._body is not None:
            self.server_state.answer()  # the next request on this connection has begun
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._body = bytearray() if self._is_plain() else None
        if self._body is None:
            self._go_on()

    def on_body(self, body: bytes) -> None:
        if self._body is None:
            super().on_body(body)
            return
        self._body += body
        if len(self._body) > MAX_PROMPT_BYTES:
            self._hand_over(self._body)

    def on_message_complete(self) -> None:
        if self._body is None:
            super().on_message_complete()
            return
        raw_path, _, query = self.url.partition(b"?")
        path = raw_path.decode("latin-1")
        self.scope["method"] = self.parser.get_method().decode("ascii")
        self.scope["raw_path"], self.scope["query_string"] = raw_path, query
        self.scope["path"] = unquote(path) if "%" in path else path
        self.server_state.add(self, bytes(self._body))

    def _is_plain(self) -> bool:
        """Say whether nothing else is under way, and nothing but an answer is asked for."""
        return (
            hasattr(self.app, "at_once")
            and (self.cycle is None or self.cycle.response_complete)
            and self.url.startswith(b"/")
            and b"#" not in self.url
            and not self.expect_100_continue
            and not self.flow.write_paused
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
        )

    def ask(self, body: bytes) -> Reply | None:
        """Ask the application for the answer to a plain request that has come whole."""
        app = cast(Prompt, self.app)  # or this were no plain request
        return app.at_once(cast(Scope, self.scope), body)

    def answer(self, body: bytes, reply: Reply | None) -> None:
        """Send the answer; where there is none yet, the request goes the way of ASGI."""
        if reply is None:
            self._hand_over(body)
            super().on_message_complete()
            return
        self._body = None
        if not self.transport.is_closing():
            self._write(reply)

    def _hand_over(self, body: bytes | bytearray) -> None:
        """Leave a request to ASGI, as if it came only now."""
        self._body = None
        self._go_on()
        if body:
            super().on_body(bytes(body))

    def _write(self, reply: Reply) -> None:
        pieces = [STATUS_LINE[reply.status], *[b"%s: %s\r\n" % header for header in self.server_state.default_headers]]
        pieces += [b"%s: %s\r\n" % encoded(name, value) for name, value in reply.headers]
        if reply.status not in NO_BODY:
            pieces.append(b"content-length: %d\r\n" % len(reply.body))
        pieces.append(b"\r\n")
        if reply.status not in NO_BODY and self.scope["method"] != "HEAD":
            pieces.append(reply.body)
        self.transport.write(b"".join(pieces))
        self.on_response_complete()

    def _go_on(self) -> None:
        waiting = len(self.pipeline)
        super().on_headers_complete()
        if len(self.pipeline) == waiting:
            self._answering = self.cycle

    def on_response_complete(self) -> None:
        self._answering = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()

    def eof_received(self) -> None:
        self.server_state.answer()  # a client that says no more may still read
        super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.server_state.answer()
        super().connection_lost(exc)
        if self._answering is not None:
            self._answering.disconnected = True
            self._answering.message_event.set()

    def hang_up(self, *, reset: bool) -> None:
        """End: by a TCP reset, or by closing when all that was sent has gone."""
        if not reset:
            self.transport.close()
            return
        with socket.socket(fileno=os.dup(self.transport.get_extra_info("socket").fileno())) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # so that abort resets
        self.transport.abort()
