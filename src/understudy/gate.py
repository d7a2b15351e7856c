"""The gate of the proxy: whom a client asks for, how it is refused, and how it is let through to another host."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

from understudy.directory import HOST_HEADER

#: What a client may send before it has said whom it asks for.
MAX_HEAD_BYTES = 64 * 1024

#: How long the head of a request may take, and a connection to another host, in real seconds.
HEAD_SECONDS = 20.0

# In real seconds: how long a tunnel may carry nothing, and how long a client that is refused may take to read why.
_IDLE_SECONDS = 600.0
_LINGER_SECONDS = 1.0

_PIECE = 64 * 1024
_REQUEST_LINE = re.compile(rb"([A-Z]+) ([!-~]+) (HTTP/1\.[01])\r\n")
_HOP_BY_HOP = re.compile(rb"^(?:proxy-)?connection:.*\r\n", re.IGNORECASE | re.MULTILINE)


class Asked(NamedTuple):
    """What a client asks the proxy for.

    Attributes:
        tunnel: Whether it asks for a tunnel (CONNECT), and not for an answer.
        host: Of whom, in lower case; empty for the proxy itself.
        port: Its port.
        sent: All that it has sent so far.
        head: The same as a server of its own would get it; empty for a tunnel.
    """

    tunnel: bool
    host: str
    port: int
    sent: bytes
    head: bytes


async def asked(client: socket.socket) -> Asked | None:
    """Read the head of the first request on a connection; None where it is not one, or too large.

    Raises:
        TimeoutError: It takes too long.
        OSError: The client has left.
    """
    loop, sent = asyncio.get_running_loop(), b""
    async with asyncio.timeout(HEAD_SECONDS):
        while b"\r\n\r\n" not in sent and len(sent) <= MAX_HEAD_BYTES:
            piece = await loop.sock_recv(client, _PIECE)
            if not piece:
                raise ConnectionResetError
            sent += piece
    return _read(sent)


def _read(sent: bytes) -> Asked | None:
    line = _REQUEST_LINE.match(sent)
    head, end, body = sent.partition(b"\r\n\r\n")
    if line is None or not end:
        return None
    method, target = line[1], line[2].decode("ascii")
    if method == b"CONNECT":
        called = HOST_HEADER.fullmatch(target)
        if called is None or called[2] is None or body:  # nobody speaks TLS before the tunnel stands
            return None
        return Asked(True, called[1].strip("[]").lower(), int(called[2]), sent, b"")
    if target.startswith("/"):
        return Asked(False, "", 0, sent, sent)
    try:
        url = urlsplit(target)
        host, port = url.hostname, url.port
    except ValueError:
        return None
    if not host or url.scheme not in ("http", "https"):
        return None
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    lines = _HOP_BY_HOP.sub(b"", head[line.end() :] + b"\r\n")
    first = b"%s %s %s\r\n" % (method, path.encode(), line[3])
    return Asked(False, host, port or 80, sent, first + lines + b"connection: close\r\n\r\n" + body)


async def refuse(client: socket.socket, status: int, reason: str, text: str = "") -> None:
    """Answer that it cannot be, and why; the connection ends.

    Args:
        client: The connection.
        status: The HTTP status.
        reason: Why, on one line: the reason phrase, the one thing that many clients show.
        text: The same with more words.

    Raises:
        OSError: The client has left.
    """
    loop, body = asyncio.get_running_loop(), f"{text or reason}\n".encode()
    head = f"HTTP/1.1 {status} {reason}\r\ncontent-type: text/plain; charset=utf-8\r\n"
    await loop.sock_sendall(client, f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
    client.shutdown(socket.SHUT_WR)
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):  # closed with its body unread, it would be reset, answer and all
            while await loop.sock_recv(client, _PIECE):
                pass


async def refuse_host(client: socket.socket, host: str, option: str) -> None:
    """Answer that a host cannot be reached through the proxy, why, and how it could be.

    Raises:
        OSError: The client has left.
    """
    text = (
        f"{host} is refused\n"
        f"  where: the proxy, behind which nothing leaves this machine\n"
        f"  expected: a host of a provider that is played, or one that was allowed; got: {host}\n"
        f"  do: if it is to be reached, say {option}"
    )
    await refuse(client, 403, f"{host} is refused: {option}", text)


async def established(client: socket.socket) -> None:
    """Tell a client that its tunnel stands."""
    await asyncio.get_running_loop().sock_sendall(client, b"HTTP/1.1 200 Connection established\r\n\r\n")


async def let_through(client: socket.socket, ask: Asked) -> None:
    """Carry bytes between a client and a host, unread, until both have ended.

    Raises:
        OSError: One of them has left.
        TimeoutError: Nobody says anything any more.
    """
    try:
        async with asyncio.timeout(HEAD_SECONDS):
            source, sink = await asyncio.open_connection(ask.host, ask.port)
    except (OSError, TimeoutError) as error:
        await refuse(client, 502, f"{ask.host}:{ask.port} cannot be reached: {type(error).__name__}")
        return
    await carry(client, ask, source, sink)


async def carry(client: socket.socket, ask: Asked, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Carry bytes between a client and whom it has asked for, as `let_through` does."""
    sinks = [sink]
    try:
        if ask.tunnel:
            await established(client)
        sink.write(ask.head)
        near_source, near_sink = await asyncio.open_connection(sock=client)
        sinks.append(near_sink)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_IDLE_SECONDS) as limit:

            def alive() -> None:
                limit.reschedule(loop.time() + _IDLE_SECONDS)

            await asyncio.gather(_carry(near_source, sink, alive), _carry(source, near_sink, alive))
    finally:
        for end in sinks:
            end.transport.abort()


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, alive: Callable[[], None]) -> None:
    while piece := await source.read(_PIECE):
        alive()
        sink.write(piece)
        await sink.drain()
    sink.write_eof()
