"""Tests of where callbacks go, and of the secret and the header that a create asks them to have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.small import VIEW, create_with, small
from understudy import Client, Fake, Receiver, SignatureInvalid, State, UsageError, VirtualClock, serve
from understudy.fake import API_KEY

SHOWN: dict[str, Any] = {
    "algorithm": "secret",
    "when": "$request.body#/hook/secret",
    "key": "$request.body#/hook/secret",
    "headers": {"X-Hook-Secret": "$signature"},
}
SIGNED: dict[str, Any] = {**SHOWN, "algorithm": "hmac-sha256", "message": "{$delivery.body}", "encoding": "hex"}
NAMED = {"{$request.body#/header}": "$request.body#/value", "X-Fixed": "$request.body#/fixed"}


def fake_of(root: Path, url: str = "$request.body#/callback", **callback: Any) -> Fake:
    """Return a fake with these callbacks."""
    part = {"trigger": ["succeeded"], "view": VIEW, **callback}
    return Fake("small", paths=[small(root, create=create_with(callbackUrl=url), callback=part)])


def heard(fake: Fake, receiver: Receiver, body: Any, **request: Any) -> Any:
    """Make a job, and return the callback that comes of it."""
    fake.client().post("/jobs", json={"prompt": "a", **body}, **request).raise_for_status()
    fake.clock.sleep(60)
    (callback,) = receiver.received
    return callback


@pytest.mark.parametrize(("url", "place"), [("$request.query.hook", "params"), ("$request.header.Hook", "headers")])
def test_the_address_may_be_in_the_query_or_in_a_header(tmp_path: Path, url: str, place: str) -> None:
    """Wherever the contract has the address, the callback goes there, and the client puts it there."""
    with Receiver() as receiver, fake_of(tmp_path, url) as fake:
        heard(fake, receiver, {}, **{place: {"hook": receiver.url}})
        client = Client(fake.contract, api_key=API_KEY, http=fake.client(), clock=fake.clock)
        client.submit({"prompt": "a"}, callback_url=receiver.url)
        fake.clock.sleep(60)
        assert len(receiver.received) == 2


@pytest.mark.parametrize("sign", [SHOWN, SIGNED, {**SHOWN, "encoding": "base64"}])
def test_the_secret_of_the_request_is_what_the_callback_is_known_by(tmp_path: Path, sign: dict[str, Any]) -> None:
    """What was sent as the secret comes back, as it is or as a key, and the receiver who has it can tell."""
    with Receiver() as receiver, fake_of(tmp_path, sign=sign) as fake:
        client = Client(fake.contract, api_key=API_KEY, http=fake.client(), clock=fake.clock)
        client.submit({"prompt": "a", "hook": {"secret": "s3"}}, callback_url=receiver.url)
        fake.clock.sleep(60)
        (sent,) = receiver.received
        assert (sent.headers["x-hook-secret"] == "s3") == (sign is SHOWN)
        assert client.read_callback(sent.headers, sent.body, secret="s3").state is State.SUCCEEDED
        for wrong in ("s4", ""):
            with pytest.raises(SignatureInvalid):
                client.read_callback(sent.headers, sent.body, secret=wrong)
        with pytest.raises(SignatureInvalid):
            client.read_callback({}, sent.body, secret="s3")


@pytest.mark.parametrize("sign", [SHOWN, SIGNED])
def test_a_forged_callback_has_another_secret(tmp_path: Path, sign: dict[str, Any]) -> None:
    """The fault of a wrong signature is one that the receiver sees."""
    with Receiver() as receiver, fake_of(tmp_path, sign=sign) as fake:
        fake.fault("callback-wrong-signature", on="callback")
        sent = heard(fake, receiver, {"hook": {"secret": "s3"}, "callback": receiver.url})
        client = Client(fake.contract, api_key=API_KEY, http=fake.client())
        with pytest.raises(SignatureInvalid):
            client.read_callback(sent.headers, sent.body, secret="s3")


def test_without_a_secret_a_callback_shows_none(tmp_path: Path) -> None:
    """A create that names no secret gets callbacks without one."""
    with Receiver() as receiver, fake_of(tmp_path, sign=SHOWN) as fake:
        assert "x-hook-secret" not in heard(fake, receiver, {"callback": receiver.url}).headers


@pytest.mark.parametrize(
    ("body", "there"),
    [
        ({"header": "X-Mine", "value": "v", "fixed": 5}, {"x-mine": "v", "x-fixed": "5"}),
        ({"header": "X-Mine"}, {}),
        ({"value": "v"}, {}),
        ({"header": "no name", "value": "v"}, {}),
        ({"header": "X-Mine\r\nX-Other", "value": "v"}, {}),
    ],
)
def test_a_request_may_name_the_header(tmp_path: Path, body: Any, there: dict[str, str]) -> None:
    """A header is called as the request says, if that can be a name; one without a value is left out."""
    with Receiver() as receiver, fake_of(tmp_path, headers=NAMED) as fake:
        headers = heard(fake, receiver, {**body, "callback": receiver.url}).headers
        assert {name: value for name, value in headers.items() if name.startswith("x-")} == there


# An address of the account


def accounted(root: Path, **more: Any) -> Path:
    """Write a provider that knows where to call back, whatever a create says."""
    part = {"trigger": ["succeeded"], "view": VIEW, "account": True}
    return small(root, callback=part, **more)


def test_an_account_may_have_an_address(tmp_path: Path) -> None:
    """A job whose create names no address tells of itself at that of the account, and any other where it wants."""
    with Receiver() as ours, Receiver() as theirs:
        with Fake("small", paths=[accounted(tmp_path)], callback_url=ours.url) as fake:
            heard(fake, ours, {})
            assert next(iter(fake.jobs.values())).callback_url is None
            heard(fake, theirs, {"callback": theirs.url})
        assert len(ours.received) == 1
        with Fake("small", paths=[tmp_path]) as fake:
            fake.client().post("/jobs", json={"prompt": "a"})
            fake.clock.sleep(60)
            assert fake.journal.attempts == []


def test_an_address_of_the_account_is_loopback_unless_it_was_named(tmp_path: Path) -> None:
    """The address of an account is no way around the rule of where callbacks may go."""
    with Fake("small", paths=[accounted(tmp_path)], callback_url="https://hooks.test/") as fake:
        fake.client().post("/jobs", json={"prompt": "a"})
        fake.clock.sleep(60)
        (attempt,) = fake.journal.attempts
        assert attempt.note == "not sent: hooks.test is not loopback and was not allowed"


def test_a_live_server_knows_the_address_of_the_account(tmp_path: Path) -> None:
    """Of several providers, those call back there that would."""
    with (
        Receiver() as receiver,
        serve("small", "oxen", paths=[accounted(tmp_path)], clock=VirtualClock(), callback_url=receiver.url) as server,
    ):
        httpx.post(f"{server.url_of('small')}/jobs", json={"prompt": "a"}, trust_env=False).raise_for_status()
        server.advance(60)
        assert len(receiver.wait(1)) == 1


def test_who_calls_no_account_is_given_no_address() -> None:
    """An address for a provider that wants it in the create is a mistake, and is told."""
    with pytest.raises(UsageError, match="oxen sends no callbacks to an address of the account"):
        Fake("oxen", callback_url="http://127.0.0.1/")
    with pytest.raises(UsageError, match="no provider here sends callbacks to an address of the account"):
        serve("oxen", callback_url="http://127.0.0.1/")
