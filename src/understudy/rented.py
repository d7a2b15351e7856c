"""What tests have of live servers: an account of its own on one that all share, or one of its own behind a proxy."""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from understudy.markers import clock_of, given, is_in_virtual_time, paths, with_peer
from understudy.server import LiveServer, serve
from understudy.store import Account, account_name
from understudy.strictness import complaints, refused

if TYPE_CHECKING:
    import pytest


class Rented:
    """What one test has of a live server.

    Args:
        server: The server.
        scenario: The story that is played to it; None for the usual.
        balance: What its accounts have; None for the usual.

    Attributes:
        server: The server, which others use as well.
        api_key: The key of this test, and of no other: by it the server knows whose a request is.
    """

    def __init__(self, server: LiveServer, scenario: str | None, balance: float | None) -> None:
        self.server = server
        self.api_key = f"understudy-{secrets.token_hex(8)}"
        self._scenario = scenario
        self._balance = balance

    def url_of(self, provider: str) -> str:
        """Return the base URL of a provider, to be used in place of its real one.

        Raises:
            UsageError: It is not played here, or has no such scenario.
        """
        account = self.account_of(provider)
        if self._scenario is not None:
            account.story = self.server.provider(provider).behaviour.scenario(self._scenario)
        told = account.story.balance if account.story is not None else None
        balance = told if self._balance is None else self._balance
        if balance is not None:
            account.ledger.balance = balance
        return self.server.url_of(provider)

    def next_job(self, provider: str, /, **how: Any) -> None:
        """Say how the next job goes; see `Fake.next_job`."""
        self.server.provider(provider).next_job(**how)

    def fault(self, provider: str, /, fault: str, **how: Any) -> None:
        """Have something go wrong; see `Fake.fault`."""
        self.server.provider(provider).fault(fault, **how)

    def account_of(self, provider: str) -> Account:
        """Return this test's account at a provider: its money, its limits."""
        return self.server.provider(provider).accounts.of_key(self.api_key)

    def complaints(self) -> list[str]:
        """Return what a strict test fails for, and leave nothing planned for the next one."""
        name = account_name(self.api_key)
        for role in self.server.roster.playing():
            role.provider.calm()
        return [text for role in self.server.roster.playing() for text in complaints(role.provider, name)]


@contextmanager
def server_for(request: pytest.FixtureRequest) -> Iterator[LiveServer]:
    """Return the server of the session, or for a test in virtual time one of its own, on its clock."""
    if not is_in_virtual_time(request.node):
        yield request.getfixturevalue("_understudy_live")
        return
    with _own_server(request) as server:
        yield server


@contextmanager
def _own_server(request: pytest.FixtureRequest, **options: Any) -> Iterator[LiveServer]:
    """Serve for one test; where it is in virtual time, on its clock."""
    clock = clock_of(request.node) if is_in_virtual_time(request.node) else None
    with serve(paths=paths(request.config), clock=clock, **options) as server:
        if clock is not None:
            server.share_clock()
            with_peer(request.node, server)
        yield server


def led(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Generator[LiveServer, None, Iterable[str]]:
    """Lead a test, and what it starts, from the providers' real hosts to a live server of its own.

    Yields:
        The server.

    Returns:
        What the test fails for, if it is strict.
    """
    from understudy.environment import merged
    from understudy.proxy import proxied

    said = given(request)
    strict = said.pop("strict")
    with _own_server(request, **said) as server, proxied(server) as proxy, monkeypatch.context() as patch:
        values = merged(proxy.environment, os.environ)
        for name in proxy.environment:
            patch.setenv(name, values[name])
        yield server
        found = [text for role in server.roster.playing() for text in complaints(role.provider)]
        return [*found, *map(refused, proxy.refused)] if strict else []
