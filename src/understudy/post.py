"""The post: sends the callbacks of a fake in this process, over a socket or into an ASGI application."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from understudy.callback import Delivery
from understudy.reach import NOT_SENT, refusal, tls

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
        reason = None if self._app else refusal(delivery.url, self._allowed)
        if reason is not None:
            done(None, f"{NOT_SENT}: {reason}")
            return
        import httpx

        try:
            reply = self._posted(delivery) if self._app is None else self._app.posted(delivery)
        except TimeoutError:
            done(None, f"no answer within {delivery.timeout_seconds:g} seconds")
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

    def posted(self, delivery: Delivery) -> httpx.Response:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="understudy-post", daemon=True)
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(self._post(delivery), self._loop).result()

    async def _post(self, delivery: Delivery) -> httpx.Response:
        import httpx

        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        async with asyncio.timeout(delivery.timeout_seconds), httpx.AsyncClient(transport=transport) as client:
            return await client.post(delivery.url, headers=_encoded(delivery), content=delivery.body)

    def close(self) -> None:
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = self._thread = None


def _encoded(delivery: Delivery) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in delivery.headers]
