"""Callbacks over loopback: how many a live server delivers, against what one shared httpx client can post."""

from __future__ import annotations

import asyncio
import json
import selectors
import socket
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import httpx
import uvloop

from benchmarks import played
from benchmarks.contenders import UNDERSTUDY, Served, served
from benchmarks.figures import Found, Missing, Scale, in_turn, ratios
from benchmarks.load import ask, check
from benchmarks.programs import beside, on_last_cpu

#: In one round.
CALLBACKS = 500

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
_END_ALL = played.request("POST", "/__admin/clock", {"advance_seconds": 60})
_PATIENCE_SECONDS = 30.0


class Sink:
    """Takes callbacks on this machine, and answers each with as little as there is.

    Attributes:
        url: Where they come in.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/told"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for key in tuple(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()

    def take(self, count: int) -> list[float]:
        """Return when each of so many callbacks came."""
        came = list[float]()
        while len(came) < count:
            ready = self._selector.select(_PATIENCE_SECONDS)
            if not ready:
                raise RuntimeError(f"{len(came)} of {count} callbacks came, and then none for {_PATIENCE_SECONDS:g} s")
            for key, _ in ready:
                assert isinstance(key.fileobj, socket.socket)
                if key.fileobj is self._listener:
                    self._selector.register(self._listener.accept()[0], selectors.EVENT_READ, bytearray())
                elif self._read(key.fileobj, key.data):
                    came.append(time.perf_counter())
        return came

    def _read(self, connection: socket.socket, seen: bytearray) -> bool:
        """Read on, and say whether a callback is there, which is answered; they come one after another on each."""
        piece = connection.recv(65536)
        if not piece:
            self._selector.unregister(connection)
            connection.close()
            return False
        seen += piece
        head, found, body = bytes(seen).partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]):
            return False
        seen.clear()
        connection.sendall(_ANSWER)
        return True


def loopback(scale: Scale) -> Found | Missing:
    """Signed callbacks that a live server delivers in a second, against the posts of one shared client."""
    if reason := UNDERSTUDY.lacks():
        return Missing(reason)
    count = scale.size(CALLBACKS, 20)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        one, sink = stack.enter_context(served(UNDERSTUDY, folder)), stack.enter_context(Sink())
        pool = stack.enter_context(beside())
        stack.enter_context(on_last_cpu())

        def delivered() -> float:
            make_jobs(one, count, sink.url)
            with socket.create_connection(("127.0.0.1", one.port)) as admin:
                began = time.perf_counter()
                admin.sendall(_END_ALL)
                return count / (sink.take(count)[-1] - began)

        def posted() -> float:
            posting = pool.submit(post, sink.url, count)
            came = sink.take(count)
            posting.result()
            return (count - 1) / (came[-1] - came[0])

        rounds = in_turn(scale.rounds(11), delivered, posted)
    return {"loopback": ratios("Understudy", "one httpx client", rounds, "/s")}


def make_jobs(server: Served, count: int, url: str) -> None:
    """Make so many jobs that call back."""
    server.reset()
    create = played.request("POST", f"/{played.PROVIDER}{played.CREATE_PATH}", {**played.BODY, "callBackUrl": url})
    for _ in range(count):
        check(ask(server.port, create), server.contender.expected)


def post(url: str, count: int) -> None:
    """Post so many callbacks with one client, one after another, which is how it is quickest."""
    body = json.dumps(played.POLLED).encode()
    headers = {"content-type": "application/json", "x-webhook-timestamp": "1767225602", "x-webhook-signature": "0" * 44}

    async def posted() -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            for _ in range(count):
                (await client.post(url, content=body, headers=headers)).raise_for_status()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(posted())
