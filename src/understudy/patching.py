"""Patching: every httpx client of this process that asks a host of a fake is answered by it, through respx."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from understudy.errors import UsageError
from understudy.reach import refusal

try:
    import respx
    from respx.mocks import HTTPCoreMocker
except ImportError:
    text = "mock() needs the package respx, which is not installed"
    raise UsageError(f"{text}: pip install 'understudy[test]'") from None

if TYPE_CHECKING:
    import httpx

    from understudy.transport import FakeTransport


class Patch:
    """Lets a transport answer what any client asks of some hosts, for as long as it is entered.

    It is no decorator: one around an async function would end before the function begins.

    Args:
        transport: What answers, and what refuses a host that is nobody's.
        hosts: The hosts that it answers for.
        allowed_hosts: Hosts beside loopback to which requests are let through.
    """

    def __init__(self, transport: FakeTransport, hosts: Collection[str], allowed_hosts: frozenset[str]) -> None:
        self._router = _Router(transport, hosts, allowed_hosts)

    def __enter__(self) -> None:
        self._router.start()

    def __exit__(self, *exc_info: object) -> None:
        self._router.stop()


class _Router(respx.MockRouter):
    """A router of respx that is one transport.

    It is asked for sync requests by one method and for async ones by the other, which the side effect of a route could
    not tell apart. What respx patches are the connection pools of httpx: a client with a transport of another kind,
    such as one that calls an application, does not reach them, and keeps what it has.
    """

    def __init__(self, transport: FakeTransport, hosts: Collection[str], allowed_hosts: frozenset[str]) -> None:
        super().__init__(assert_all_called=False, using=HTTPCoreMocker.name)
        self._transport = transport
        self._hosts = hosts
        self._allowed_hosts = allowed_hosts
        self.route().mock(side_effect=self._let_through)

    def handler(self, request: httpx.Request) -> httpx.Response:
        return self._transport.handle_request(request) if self._answers(request) else super().handler(request)

    async def async_handler(self, request: httpx.Request) -> httpx.Response:
        if self._answers(request):
            return await self._transport.handle_async_request(request)
        return await super().async_handler(request)

    def _answers(self, request: httpx.Request) -> bool:
        """Say whether the transport answers: for its hosts, and with a refusal once nobody else is left to ask."""
        if request.url.host in self._hosts:
            return True
        return self._is_last() and refusal(str(request.url), self._allowed_hosts) is not None

    def _let_through(self, request: httpx.Request) -> httpx.Request | None:
        """Return the request to have it go on to the network, or None to have the next router asked."""
        return request if self._is_last() else None

    def _is_last(self) -> bool:
        """Say whether no router is asked after this one, such as one of the user's own."""
        return HTTPCoreMocker.routers[-1] is self
