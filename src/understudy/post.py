"""The post: sends the callbacks of a fake in this process, over a socket or into an ASGI application."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from understudy.callback import Delivery
from understudy.reach import NOT_MET, NOT_SENT, refusal, tls

if TYPE_CHECKING:
    import httpx
    from starlette.types import ASGIApp

Done = Callable[[int | None, str], None]


class Post:
    """Sends callbacks, one after another.

    Args:
        allowed_hosts: Hosts that may be called beside loopback.
        app: An ASGI application that gets all of them, whatever their address.
    """

    def __init__(self, allowed_hosts: Iterable[str], app: ASGIApp | None) -> None:
        self._allowed = frozenset(host.lower() for host in allowed_hosts)
        self._app = None if app is None else _App(app)
        self._client: httpx.Client | None = None

    def send(self, delivery: Delivery, done: Done) -> None:
        """Send a callback; see `understudy.stage.Send`."""
        if self._app is not None:
            self._app.send(delivery, done)
            return
        reason = refusal(delivery.url, self._allowed)
        if reason is not None:
            done(None, f"{NOT_SENT}: {reason}")
            return
        import httpx

        try:
            if delivery.first is not None and not delivery.first.met(self._posted(delivery.first).content):
                done(None, NOT_MET)
                return
            reply = self._posted(delivery)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            done(None, f"no answer: {type(error).__name__}")
        else:
            done(reply.status_code, "")

    def _posted(self, delivery: Delivery) -> httpx.Response:
        import httpx

        if self._client is None:
            self._client = httpx.Client(trust_env=False, verify=tls())
        return self._client.post(
            delivery.url, headers=_encoded(delivery), content=delivery.body, timeout=delivery.timeout_seconds
        )

    def close(self) -> None:
        """Close what was opened; more can be sent after it."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._app is not None:
            self._app.close()


class _App:
    """An ASGI application on an event loop of its own, in a thread, so that a test without one can call it, too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._under_way: set[asyncio.Task[None]] = set()

    def send(self, delivery: Delivery, done: Done) -> None:
        if threading.current_thread() is self._thread:  # the application itself has moved the clock
            task = asyncio.get_running_loop().create_task(self._post(delivery, done))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            return
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=_run, args=(self._loop,), name="understudy-post", daemon=True)
            self._thread.start()
            weakref.finalize(self, _stop, self._loop)
        asyncio.run_coroutine_threadsafe(self._settled(delivery, done), self._loop).result()

    async def _settled(self, delivery: Delivery, done: Done) -> None:
        """Post a callback, and see the end of those that it has led to."""
        await self._post(delivery, done)
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def _post(self, delivery: Delivery, done: Done) -> None:
        try:
            if delivery.first is not None:
                answer = await self._answered(delivery.first)
                if not delivery.first.met(answer.content):
                    done(None, NOT_MET)
                    return
            reply = await self._answered(delivery)
        except TimeoutError:
            done(None, f"no answer within {delivery.timeout_seconds:g} seconds")
        except (Exception, asyncio.CancelledError) as error:  # whatever an application does is its own affair
            done(None, f"no answer: {type(error).__name__}")
        else:
            done(reply.status_code, "")

    async def _answered(self, delivery: Delivery) -> httpx.Response:
        import httpx

        # without a client, which would keep cookies, and takes longer to make than the callback to send
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        request = httpx.Request("POST", delivery.url, headers=_encoded(delivery), content=delivery.body)
        async with asyncio.timeout(delivery.timeout_seconds):
            reply = await transport.handle_async_request(request)
            await reply.aread()
            return reply

    def close(self) -> None:
        if self._loop is not None and self._thread is not None:
            _stop(self._loop)
            self._thread.join()
            self._loop = self._thread = None


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


def _stop(loop: asyncio.AbstractEventLoop) -> None:
    with suppress(RuntimeError):  # it has been stopped
        loop.call_soon_threadsafe(loop.stop)


def _encoded(delivery: Delivery) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in delivery.headers]
