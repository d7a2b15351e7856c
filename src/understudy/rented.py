"""A live server that is shared by tests: each has a key, and so an account, of its own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from understudy.markers import clock_of, is_in_virtual_time, paths, with_peer
from understudy.server import LiveServer, serve
from understudy.store import Account, account_name
from understudy.strictness import complaints

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
    with serve(paths=paths(request.config), clock=clock_of(request.node)) as server:
        server.share_clock()
        with_peer(request.node, server)
        yield server
