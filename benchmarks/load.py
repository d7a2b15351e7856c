"""The load: requests over some connections for some time, one after another on each, and no answer unread.

It asks less of a CPU than any server here, so that the server is what is measured.
"""

from __future__ import annotations

import re
import selectors
import socket
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from typing import Self

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_CLOSES = re.compile(rb"^HTTP/1\.0|\r\nconnection: *close", re.IGNORECASE)
_STATUS = re.compile(rb"HTTP/1\.[01] 2\d\d")

_READ_BYTES = 65536
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a load.

    Attributes:
        requests: How many were answered.
        seconds: In what time.
        latency_seconds: The median of how long each took.
    """

    requests: int
    seconds: float
    latency_seconds: float

    @property
    def per_second(self) -> float:
        """Requests in a second."""
        return self.requests / self.seconds


class _Connection:
    """One connection, which sends the next request when the answer to the last one is there."""

    def __init__(self, port: int, requests: Iterator[bytes]) -> None:
        self._port = port
        self._requests = requests
        self.socket = _connected(port)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.socket.close()

    def send(self) -> None:
        self._answer = b""
        self._asked = next(self._requests)
        self.began = time.perf_counter()
        self.socket.sendall(self._asked)

    def receive(self) -> bytes | None:
        """Return the answer once it is whole, else None."""
        piece = self.socket.recv(_READ_BYTES)
        self._answer += piece
        if not is_whole(self._answer, ended=not piece):
            return None
        if not piece or _CLOSES.search(self._answer):
            self.socket.close()
            self.socket = _connected(self._port)
        return self._answer


def is_whole(answer: bytes, *, ended: bool) -> bool:
    """Say whether nothing of an answer is missing.

    Raises:
        RuntimeError: The connection has ended, and something is.
    """
    head, found, body = answer.partition(b"\r\n\r\n")
    if found and (length := _LENGTH.search(head)):
        whole = len(body) >= int(length[1])
    elif found and _CHUNKED.search(head):
        whole = body.endswith(b"0\r\n\r\n")
    else:
        whole = bool(found) and ended
    if ended and not whole:
        raise RuntimeError(f"a connection ended in the middle of an answer: {answer[:500]!r}")
    return whole


def drive(port: int, requests: Sequence[bytes], expected: bytes, connections: int, seconds: float) -> Load:
    """Load a server.

    Args:
        port: Where it listens on this machine.
        requests: What is sent, over and over.
        expected: What each answer has in it, beside a status of 200 or so.
        connections: How many there are at one time.
        seconds: For how long.

    Raises:
        RuntimeError: An answer is another than expected.
    """
    turn = cycle(requests)
    latencies = list[float]()
    with selectors.DefaultSelector() as selector, ExitStack() as stack:
        lines = [stack.enter_context(_Connection(port, turn)) for _ in range(connections)]
        began = now = time.perf_counter()
        for line in lines:
            selector.register(line.socket, selectors.EVENT_READ, line)
            line.send()
        while now < began + seconds:
            ready = selector.select(_PATIENCE_SECONDS)
            if not ready:
                raise RuntimeError(f"port {port} has not answered for {_PATIENCE_SECONDS:g} seconds")
            for key, _ in ready:
                line = key.data
                answer = line.receive()
                if answer is None:
                    continue
                now = time.perf_counter()
                latencies.append(now - line.began)
                check(answer, expected)
                if line.socket is not key.fileobj:
                    selector.unregister(key.fileobj)
                    selector.register(line.socket, selectors.EVENT_READ, line)
                line.send()
    return Load(len(latencies), now - began, statistics.median(latencies))


def ask(port: int, request: bytes) -> bytes:
    """Send one request, and return the answer with its head."""
    with _Connection(port, iter([request])) as line:
        line.send()
        while (answer := line.receive()) is None:
            pass
        return answer


def check(answer: bytes, expected: bytes) -> None:
    """Refuse an answer that is another than expected.

    Raises:
        RuntimeError: It is.
    """
    if not _STATUS.match(answer) or expected not in answer:
        raise RuntimeError(f"an answer has another status than 200, or no {expected!r} in it: {answer[:500]!r}")


def _connected(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
