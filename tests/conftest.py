"""Fixtures that several test files share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import httpx

    from understudy.server import LiveServer

# What a fixture needs is imported when it is used: most tests need no server.


@pytest.fixture
def live() -> Iterator[LiveServer]:
    """All providers on real sockets, and on a clock that stands still unless it is moved."""
    from understudy import VirtualClock, serve

    with serve(clock=VirtualClock()) as server:
        yield server


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    """A client that looks at no proxy."""
    import httpx

    with httpx.Client(timeout=20, trust_env=False) as client:
        yield client
