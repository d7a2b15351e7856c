"""The courier: carries callbacks of a live server, each in a task of its own, so that no receiver holds another up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

from understudy.reach import NOT_MET, NOT_SENT, refusal, tls

if TYPE_CHECKING:
    import httpx

    from understudy.callback import Delivery, Done

#: Deliveries that are on their way at one time; the others wait.
MAX_IN_FLIGHT = 100

#: A longer answer to a challenge is none.
MAX_ANSWER_BYTES = 64 * 1024

# Connections that rest between two callbacks. Where more are on their way, a new one is quicker than one that rests:
# httpx looks at all of them for each callback, and asks the system about each.
_IDLE_CONNECTIONS = 4

# So long the rest of an answer that means nothing may take before its connection is given up, in real seconds.
_FINISH_SECONDS = 1.0


class Courier:
    """Carries callbacks.

    Args:
        allowed_hosts: Hosts that may be called beside loopback.
        after: Called when a delivery has ended, for the log.
        defect: Told of an exception that is nobody's but ours.

    Attributes:
        proxy: The URL of one by which receivers are reached; None for straight.
    """

    def __init__(
        self, allowed_hosts: Iterable[str], after: Callable[[], None], defect: Callable[[BaseException, str], None]
    ) -> None:
        self._allowed = frozenset(host.lower() for host in allowed_hosts)
        self._after = after
        self._defect = defect
        self.proxy: str | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way = 0
        self._counting = threading.Lock()
        self._room = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: httpx.AsyncClient | None = None

    def open(self) -> None:
        """Begin, in the event loop that carries."""
        self._loop = asyncio.get_running_loop()

    def send(self, delivery: Delivery, done: Done) -> None:
        """Send a callback, from any thread; see `understudy.stage.Send`."""
        reason = refusal(delivery.url, self._allowed)
        if reason is not None:
            done(None, f"{NOT_SENT}: {reason}")
            self._after()
        elif self._loop is None:
            done(None, f"{NOT_SENT}: the server does not run")
        else:
            self._count(1)
            self._loop.call_soon_threadsafe(self._start, delivery, done)

    @property
    def under_way(self) -> int:
        """How many callbacks are on their way, or wait for room."""
        return self._under_way

    def _count(self, more: int) -> None:
        with self._counting:
            self._under_way += more

    def _start(self, delivery: Delivery, done: Done) -> None:
        task = asyncio.get_running_loop().create_task(self._deliver(delivery, done))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._count(-1)

    async def _deliver(self, delivery: Delivery, done: Done) -> None:
        async with self._room:
            status, note = await self._carried(delivery)
        try:
            done(status, note)
            self._after()
        except Exception as error:
            self._defect(error, f"callback of job {delivery.job_id}")

    async def _carried(self, delivery: Delivery) -> tuple[int | None, str]:
        if delivery.first is not None:
            status, note, answer = await self._post(delivery.first)
            if status is None or not delivery.first.met(answer):
                return None, note or NOT_MET
        status, note, _ = await self._post(delivery)
        return status, note

    async def _post(self, delivery: Delivery) -> tuple[int | None, str, bytes]:
        import httpx  # a server that calls nobody starts without it, and so sooner

        if self._client is None:
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=_IDLE_CONNECTIONS)
            self._client = httpx.AsyncClient(
                trust_env=False,
                verify=tls(),
                timeout=None,  # noqa: S113 # the limit is below
                limits=limits,
                proxy=self.proxy,
            )
        headers = list(delivery.headers)
        try:
            async with AsyncExitStack() as open_until:
                # one limit for all of it: a receiver that sends a byte now and then is slow, too
                async with asyncio.timeout(delivery.timeout_seconds):
                    stream = self._client.stream("POST", delivery.url, headers=headers, content=delivery.body)
                    reply = await open_until.enter_async_context(stream)
                    status = reply.status_code
                    answer = b"" if delivery.expected is None else await _beginning(reply)
                if self._under_way <= _IDLE_CONNECTIONS:
                    await _finish(reply)
            reply.stream = httpx.ByteStream(b"")  # or the two hold each other until the garbage collector comes by
            return status, "", answer
        except TimeoutError:
            return None, f"no answer within {delivery.timeout_seconds:g} seconds", b""
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            return None, f"no answer: {type(error).__name__}", b""

    async def close(self) -> None:
        """Stop; what is on its way is given up."""
        self._loop = None
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()


async def _finish(reply: httpx.Response) -> None:
    """Read a short body, so that its connection can carry the next callback; another may have no end."""
    import httpx

    length = reply.headers.get("content-length", "")
    if length.isdecimal() and int(length) <= MAX_ANSWER_BYTES and not reply.is_stream_consumed:
        with suppress(TimeoutError, httpx.HTTPError):
            async with asyncio.timeout(_FINISH_SECONDS):
                await reply.aread()


async def _beginning(reply: httpx.Response) -> bytes:
    """Return the body of an answer to a challenge; of a longer one so much that it is none."""
    body = b""
    async for piece in reply.aiter_bytes():
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            return b""
    return body
