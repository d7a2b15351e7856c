"""What a client under test is given: where its provider is, and what is sent to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Endpoint:
    """A provider, as a client under test is to call it.

    Attributes:
        base_url: In place of the provider's real one, such as `http://127.0.0.1:40123/acme`.
        api_key: The key of this run, and of no other.
        callback_url: Where callbacks are to go: the client asks for them by this address, and gets them by `receive`.
        webhook_secret: What callbacks are signed with, where the provider and its user share a key; None elsewhere.
        http: An HTTP client that is open already, for who wants one: an `httpx.AsyncClient` where `generate` is a
            coroutine function, an `httpx.Client` elsewhere. It has no timeout of its own and follows no redirect.
    """

    base_url: str
    api_key: str = field(repr=False)
    callback_url: str
    webhook_secret: str | None = field(repr=False)
    http: Any = field(repr=False)


@dataclass(frozen=True)
class Callback:
    """A callback, as it would come to a client's receiver.

    Attributes:
        headers: By name, as they were sent.
        body: The bytes.
    """

    headers: dict[str, str]
    body: bytes
