"""Tests of the keys that callbacks are verified with: fetched, kept, fetched again, or handed in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import clients
from tests.clients import Driver, pair
from tests.signing import KINDS, NOW, PUBLIC, SECRETS, contract_of, job_of, provider, published, sent
from understudy import Client, Receiver, VirtualClock, serve
from understudy.errors import ProviderError, SignatureInvalid, UsageError

kind = clients.kind

KIND = PUBLIC[0]
SECRET = {"hmac": SECRETS["hook"], "standard-webhooks": SECRETS["webhook"], "ed25519": None}


def asking(kind: Any, *answers: httpx.Response | Exception) -> tuple[Driver, list[str]]:
    """Return a client whose requests get these answers, one after another, and the paths that it has asked for."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        found = answers[len(asked) - 1]
        if isinstance(found, Exception):
            raise found
        return httpx.Response(found.status_code, content=found.content)  # one that was read cannot be sent again

    return Driver(kind, contract_of(KIND), httpx.MockTransport(answer), VirtualClock(start=NOW)), asked


def keys(**secrets: str) -> httpx.Response:
    return httpx.Response(200, json=published(KIND, **secrets))


def test_keys_are_fetched_once(kind: Any) -> None:
    """The first callback has the client ask for the keys; later ones are verified with those."""
    client, asked = asking(kind, keys())
    assert [client.read_callback(*sent(KIND)).id for _ in range(3)] == [job_of().id] * 3
    assert asked == ["/keys"]


def test_new_keys_are_fetched_when_the_old_ones_do_not_fit(kind: Any) -> None:
    """When no key fits the keys are fetched once more, and then the callback is taken or refused."""
    client, asked = asking(kind, keys(), keys(hook="new"), keys(hook="new"), keys(hook="new"))
    client.read_callback(*sent(KIND))
    client.read_callback(*sent(KIND, hook="new"))
    client.read_callback(*sent(KIND, hook="new"))
    assert len(asked) == 2
    with pytest.raises(SignatureInvalid, match="the callback's signature is wrong"):
        client.read_callback(*sent(KIND, hook="forged"))
    assert len(asked) == 3


def test_a_stale_callback_asks_for_nothing_new(kind: Any) -> None:
    """Keys that are kept are not fetched again for a callback that no key could save."""
    client, asked = asking(kind, keys())
    client.read_callback(*sent(KIND))
    with pytest.raises(SignatureInvalid, match="not within 300 seconds"):
        client.read_callback(*sent(KIND, now=NOW - 301))
    assert len(asked) == 1


@pytest.mark.parametrize("form", [lambda jwks: jwks, lambda jwks: jwks["keys"][0]], ids=["set", "key"])
def test_keys_can_be_handed_in(kind: Any, form: Callable[[Any], Any]) -> None:
    """With keys, or with the secret of the stand-in, nothing is fetched."""
    client, asked = asking(kind)
    assert client.read_callback(*sent(KIND), jwks=form(published(KIND))).id == job_of().id
    assert client.read_callback(*sent(KIND), secret=SECRETS["hook"]).id == job_of().id
    with pytest.raises(SignatureInvalid):
        client.read_callback(*sent(KIND), jwks=form(published(KIND, hook="other")))
    with pytest.raises(UsageError, match="jwks holds no key for Ed25519: expected a JWK Set, a JWK, or the 32 bytes"):
        client.read_callback(*sent(KIND), jwks={"keys": []})
    assert asked == []


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (httpx.ConnectError("no route"), "could not be fetched: ConnectError: no route\n  in keys"),
        (httpx.Response(503), "could not be fetched\n  in keys\n  got: HTTP 503"),
        (
            httpx.Response(200, json={"keys": []}),
            "could not be fetched: no key for Ed25519 is in the answer\n  in keys",
        ),
        (httpx.Response(200, text="<html>"), "could not be fetched: no key for Ed25519 is in the answer"),
    ],
    ids=["silence", "error", "empty", "no JSON"],
)
def test_keys_that_do_not_come_are_the_providers_error(kind: Any, answer: Any, text: str) -> None:
    """Without keys nothing is taken, and the next callback asks for them again."""
    client, asked = asking(kind, answer, keys())
    with pytest.raises(ProviderError, match=text):
        client.read_callback(*sent(KIND))
    assert client.read_callback(*sent(KIND)).id == job_of().id
    assert len(asked) == 2


@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_client_verifies_what_the_fake_sends(kind: Any, name: str, tmp_path: Path) -> None:
    """In each of the ways, a callback of a fake in this process is taken, and one that was changed is refused."""
    client, fake = pair(kind, "small", paths=[provider(tmp_path, KINDS[name])])
    with fake, Receiver() as receiver:
        read_back(client, fake.clock, receiver, name)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_client_verifies_what_a_server_sends(name: str, tmp_path: Path) -> None:
    """The same over sockets: public keys come from the operation that the contract names."""
    paths, clock = [provider(tmp_path, KINDS[name])], VirtualClock()
    with (
        serve("small", clock=clock, paths=paths) as server,
        Receiver() as receiver,
        Client("small", api_key="key", base_url=server.url_of("small"), clock=clock, paths=paths) as client,
    ):
        read_back(client, server, receiver, name)


def read_back(client: Any, time: Any, receiver: Receiver, name: str) -> None:
    """Have a job made and called back about, and read the callback as it came and as it did not."""
    job = client.submit({"prompt": "x"}, callback_url=receiver.url)
    time.advance(10)
    [callback] = receiver.wait(1)
    secret = SECRET[name.partition(",")[0]]
    assert client.read_callback(callback.headers, callback.body, secret=secret).id == job.id
    with pytest.raises(SignatureInvalid):
        client.read_callback(callback.headers, callback.body + b" ", secret=secret)
