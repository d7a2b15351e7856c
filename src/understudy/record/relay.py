"""The relay: on loopback, between a program and a provider. It carries all, and keeps what was said."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import httpx
import uvicorn
from starlette.types import Receive, Scope, Send

from understudy.certificates import certificates
from understudy.clock import Clock, SystemClock
from understudy.connection import Connection
from understudy.directory import HOST_HEADER
from understudy.errors import UsageError
from understudy.listen import Server, listen, loop_factory
from understudy.proxy import Proxy
from understudy.reach import host_of, is_loopback, tls
from understudy.record.tape import EVENTS, Called, Seen, Tape, frames_in
from understudy.wire import MAX_BODY_BYTES, Reply, problem

#: More of an answer is carried, and not kept.
MAX_KEPT_BYTES = 4 * 1024 * 1024

#: Exchanges and frames that are kept; later ones are carried, and not kept.
MAX_KEPT = 10_000

# In real seconds: how long a connection to the provider may take, and how long it may say nothing.
_CONNECT_SECONDS, _IDLE_SECONDS = 20.0, 600.0

_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer"}
    | {"transfer-encoding", "upgrade"}
)
_OURS = frozenset({"host", "content-length", "accept-encoding", "expect"})


@contextmanager
def relayed(
    upstreams: Sequence[str], *, port: int = 0, callback_port: int = 0, clock: Clock | None = None
) -> Iterator[Relay]:
    """Open a relay on 127.0.0.1.

    Args:
        upstreams: The base URLs that it forwards to, and to no other host: the first for what comes straight, all of
            them, by their hosts, for what comes by its proxy.
        port: Where it listens; 0 for any that is free.
        callback_port: Where callbacks come in; the same.
        clock: By which times are noted; the machine's by default.

    Returns:
        A context manager over the relay, which is closed at the end of the block.

    Raises:
        UsageError: A URL is none, or another program has a port.
    """
    for upstream in upstreams:
        if urlsplit(upstream).scheme not in ("http", "https") or not host_of(upstream):
            raise UsageError(f'"{upstream}" is no URL to forward to: say https://HOST, or http://HOST')
    sockets = [listen("127.0.0.1", port, "port")]
    try:
        sockets.append(listen("127.0.0.1", callback_port, "port"))
    except UsageError:
        sockets[0].close()
        raise
    hosts = list(dict.fromkeys(map(host_of, upstreams)))
    made = certificates(hosts)
    with TemporaryDirectory(prefix="understudy-") as folder:
        bundle = Path(folder, "authorities.pem")
        bundle.write_bytes(made.bundle)
        way_in = listen("127.0.0.1", 0, "port")
        proxy = Proxy(way_in, hosts, frozenset(), made.tls, bundle)
        relay = Relay(upstreams, proxy, [one.getsockname()[1] for one in sockets], clock or SystemClock())
        relay.start(sockets, way_in)
        try:
            yield relay
        finally:
            relay.close()


class Relay:
    """Carries requests to a provider, and keeps them; made by `relayed`.

    Attributes:
        tape: What was seen so far.
        lost: How many exchanges were carried that were too many to be kept.
        url: Where programs find it in place of the provider.
        callback_url: Where the provider's callbacks come in.
        environment: The variables by which a program finds it behind the provider's own addresses.
        refused: The hosts that were asked for and are none of the provider's, and how often.
    """

    def __init__(self, upstreams: Sequence[str], proxy: Proxy, ports: Sequence[int], clock: Clock) -> None:
        self.tape: Tape = []
        self.lost = 0
        self.url = f"http://127.0.0.1:{ports[0]}"
        self.callback_url = f"http://127.0.0.1:{ports[1]}/callback"
        self.environment = proxy.environment
        self.refused = proxy.refused
        self._callback_port = ports[1]
        self._proxy, self._clock = proxy, clock
        self._straight = upstreams[0].rstrip("/")
        self._by_host = {host_of(url): "{0.scheme}://{0.netloc}".format(urlsplit(url)) for url in reversed(upstreams)}
        self._loop: Future[asyncio.AbstractEventLoop] = Future()

    # --- its life ---

    def start(self, sockets: Sequence[Any], way_in: Any) -> None:
        """Listen, in a thread of its own; called once, by `relayed`."""
        config = uvicorn.Config(
            self, interface="asgi3", http=Connection, ws="none", lifespan="off", access_log=False, log_config=None
        )
        self._server = Server(config)

        async def main() -> None:
            timeout = httpx.Timeout(_IDLE_SECONDS, connect=_CONNECT_SECONDS)
            limits = httpx.Limits(max_connections=None)
            async with httpx.AsyncClient(trust_env=False, verify=tls(), timeout=timeout, limits=limits) as client:
                self._client = client
                await self._proxy.open(self, way_in)
                self._loop.set_result(asyncio.get_running_loop())
                await self._server.serve(list(sockets))
                await self._proxy.close()

        def run() -> None:
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(main())

        self._thread = threading.Thread(target=run, name="understudy-record", daemon=True)
        self._thread.start()
        self._loop.result()

    def close(self) -> None:
        """Stop; what is on its way is given up."""
        self._loop.result().call_soon_threadsafe(self._server.stop)
        self._thread.join()

    def stop(self) -> None:
        """See `understudy.proxy`: nothing here waits for a clock."""

    # --- requests ---

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        body = await _body(receive)
        base = self._base(scope, headers)
        if body is None:
            await _say(problem(413, "the body is too large", f"More than {MAX_BODY_BYTES:,} bytes."), send)
        elif base is None:
            detail = "This relay answers to this machine alone, and for the hosts of --upstream."
            await _say(problem(403, "not from here", detail), send)
        elif scope["server"][1] == self._callback_port:
            self._keep(Called(self._clock.now(), headers, body))
            await _say(Reply(200, [], b""), send)
        else:
            query = scope["query_string"].decode("latin-1")
            url = base + scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
            await self._forward(scope, url, headers, body, receive, send)

    def _base(self, scope: Scope, headers: Mapping[str, str]) -> str | None:
        """Return where a request is forwarded to; None for nowhere."""
        called = HOST_HEADER.fullmatch(headers.get("host", ""))
        host = called[1].strip("[]").lower() if called else ""
        if "ask" in scope.get("state", {}):  # by the proxy, which has seen that the host is one of them
            return self._by_host.get(host)
        return self._straight if is_loopback(host) else None

    async def _forward(
        self, scope: Scope, url: str, headers: Mapping[str, str], body: bytes, receive: Receive, send: Send
    ) -> None:
        sent = [(name, value) for name, value in headers.items() if name not in _HOP_BY_HOP | _OURS]
        sent.append(("accept-encoding", "identity"))
        seen = Seen(self._clock.now(), scope["method"], url, headers, body, 0, {}, b"", 0)
        try:
            request = self._client.build_request(seen.method, url, headers=sent, content=body or None)
            reply = await self._client.send(request, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            await _say(problem(502, "no answer", f"{host_of(url)} does not answer: {type(error).__name__}"), send)
            return
        seen.status, seen.at = reply.status_code, self._clock.now()
        seen.answered = {name.lower(): value for name, value in reply.headers.items()}
        self._keep(seen)
        raw = [(name.lower(), value) for name, value in reply.headers.raw if name.lower().decode() not in _HOP_BY_HOP]
        carrying = asyncio.create_task(self._carry(reply, seen, raw, send))
        gone = asyncio.ensure_future(receive())  # the body has been read, so there is nothing else to be told
        try:
            await asyncio.wait({carrying, gone}, return_when=asyncio.FIRST_COMPLETED)
            if carrying.done() and carrying.exception() is not None:  # it broke off, and so does this
                for line in (self._server, self._proxy):
                    line.hang_up(scope["client"], reset=False)
                await gone
        finally:
            carrying.cancel()
            gone.cancel()
            await reply.aclose()
            seen.answer = _decoded(seen)

    async def _carry(self, reply: httpx.Response, seen: Seen, headers: list[tuple[bytes, bytes]], send: Send) -> None:
        await send({"type": "http.response.start", "status": reply.status_code, "headers": headers})
        async for piece in self._pieces(reply, seen):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pieces(self, reply: httpx.Response, seen: Seen) -> AsyncIterator[bytes]:
        """Yield the pieces of an answer as they come, and keep them, and when the frames of a stream ended."""
        rest = b""
        async for piece in reply.aiter_raw():
            if not seen.size:
                seen.at = self._clock.now()
            seen.size += len(piece)
            if seen.media_type == EVENTS:
                rest = (rest + piece).replace(b"\r\n", b"\n")[-MAX_KEPT_BYTES:]
                whole, mark, rest = rest.rpartition(b"\n\n")
                seen.frames += [(self._clock.now(), frame) for frame in frames_in(whole + mark)]
                del seen.frames[MAX_KEPT:]
            elif len(seen.answer) < MAX_KEPT_BYTES:
                seen.answer += piece
            yield piece

    def _keep(self, what: Seen | Called) -> None:
        if len(self.tape) < MAX_KEPT:
            self.tape.append(what)
        else:
            self.lost += 1


def _decoded(seen: Seen) -> bytes:
    """Return the body that was kept, unpacked where it was sent packed all the same."""
    if "content-encoding" not in seen.answered:
        return seen.answer
    with suppress(httpx.HTTPError):
        coded = {"content-encoding": seen.answered["content-encoding"]}
        return httpx.Response(200, headers=coded, content=seen.answer).content[:MAX_KEPT_BYTES]
    return b""


async def _body(receive: Receive) -> bytes | None:
    """Read the body of a request; None where it is too large."""
    body, more = b"", True
    while more and len(body) <= MAX_BODY_BYTES:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return None if len(body) > MAX_BODY_BYTES else body


async def _say(reply: Reply, send: Send) -> None:
    headers = [(name.encode(), value.encode()) for name, value in reply.headers]
    headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
