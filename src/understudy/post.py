"""The post: sends the callbacks of a fake in this process, over a socket or into an ASGI application."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from understudy.callback import Delivery, Done
from understudy.reach import NOT_MET, NOT_SENT, refusal, tls

if TYPE_CHECKING:
    import httpx
    from starlette.types import ASGIApp

    from understudy.application import Application


class Post:
    """Sends callbacks, one after another.

    Args:
        allowed_hosts: Hosts that may be called beside loopback.
        app: An ASGI application that gets all of them, whatever their address.
    """

    def __init__(self, allowed_hosts: Iterable[str], app: ASGIApp | None) -> None:
        self._allowed = frozenset(host.lower() for host in allowed_hosts)
        self._app = None if app is None else _application(app)
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
            delivery.url, headers=delivery.raw_headers, content=delivery.body, timeout=delivery.timeout_seconds
        )

    def close(self) -> None:
        """Close what was opened; more can be sent after it."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._app is not None:
            self._app.close()


def _application(app: ASGIApp) -> Application:
    # it brings asyncio, which most tests do without
    from understudy.application import Application

    return Application(app)
