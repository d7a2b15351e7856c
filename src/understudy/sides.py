"""The sides of a live server: our own pages, and the providers, which pages of others may ask as well (CORS)."""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from understudy.carrier import Carrier
from understudy.wire import Reply

_EVERYTHING = ["*"]  # a browser app under test comes from anywhere, and sends what its provider takes


class Sides:
    """The application of a live server.

    Args:
        carrier: Answers for the providers.
        admin: The application of our own pages.
    """

    def __init__(self, carrier: Carrier, admin: ASGIApp) -> None:
        to_page = Route("/__admin", lambda _: RedirectResponse("/__admin/"))
        self._ours = Starlette(routes=[to_page, Mount("/__admin", admin)])
        self._carrier = carrier
        self._to_pages = CORSMiddleware(
            carrier,
            allow_origins=_EVERYTHING,
            allow_methods=_EVERYTHING,
            allow_headers=_EVERYTHING,
            expose_headers=_EVERYTHING,
        )

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self._side(scope)(scope, receive, send)

    def at_once(self, scope: Scope, body: bytes) -> Reply | None:
        """See `understudy.connection.Prompt`."""
        return self._carrier.at_once(scope, body) if self._side(scope) is self._carrier else None

    def _side(self, scope: Scope) -> ASGIApp:
        if scope["path"].startswith("/__admin/") or scope["path"] == "/__admin":
            return self._ours
        for name, _ in scope["headers"]:
            if name == b"origin":
                return self._to_pages
        return self._carrier
