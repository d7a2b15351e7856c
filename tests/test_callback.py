"""Tests of what callbacks say, how they are signed, and where they may go."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.small import small
from understudy.callback import Delivery, Notice, compose, verify
from understudy.contract.build import load_contract
from understudy.contract.model import Callback
from understudy.errors import SignatureInvalid
from understudy.fake import Fake
from understudy.lifecycle import Job, State
from understudy.reach import is_loopback, refusal

NOW = 1_800_000_000.0

#: Forms of signing that are in use: the value alone, with text around it, over the body, with more than one header.
SIGNS: dict[str, dict[str, Any]] = {
    "two headers": {
        "message": "{$job.id}.{$delivery.timestamp}",
        "encoding": "base64",
        "headers": {"X-Time": "$delivery.timestamp", "X-Signature": "$signature"},
    },
    "one header": {
        "message": "{$delivery.timestamp}.{$delivery.body}",
        "encoding": "hex",
        "headers": {"X-Signature": "t={$delivery.timestamp},v1={$signature}"},
    },
    "no time": {
        "message": "{$delivery.body}",
        "encoding": "hex",
        "headers": {"X-Signature": "sha256={$signature}", "X-Kind": "fixed"},
    },
    "delivery": {
        "message": "{$delivery.id}.{$delivery.timestamp}.{$delivery.body}",
        "encoding": "base64",
        "headers": {
            "X-Id": "$delivery.id",
            "X-Time": "$delivery.timestamp|string",
            "X-Signature": "$signature",
        },
    },
}


@pytest.fixture(scope="module")
def callbacks(tmp_path_factory) -> dict[str, Callback]:
    """Return a callback that is signed in each of the forms."""
    found = {}
    for name, sign in SIGNS.items():
        callback = {
            "view": {"body": {"id": "$job.id", "event": "$event.name", "text": "$job.model"}},
            "headers": {"X-Attempt": "$delivery.attempt"},
            "trigger": {"succeeded": "done"},
            "timeoutSeconds": 7,
            "sign": {"when": "$secret.hook", "algorithm": "hmac-sha256", "key": "$secret.hook", **sign},
        }
        root = small(tmp_path_factory.mktemp(name), callback=callback)
        part = load_contract(root / "contracts/small").job_type.callback
        assert part is not None
        found[name] = part
    return found


def job_of(job_id: str, text: str) -> Job:
    return Job(id=job_id, state=State.SUCCEEDED, model=text, callback_url="http://127.0.0.1/hook")


def composed(callback: Callback, job: Job, secret: str, *, attempt: int = 1) -> Delivery:
    scope = {"now": NOW, "secret": {"hook": secret}}
    return compose(
        callback, Notice("delivery-1", job, "done"), url="http://127.0.0.1/hook", attempt=attempt, scope=scope
    )


def lower(delivery: Delivery) -> dict[str, str]:
    return {name.lower(): value for name, value in delivery.headers}


names = st.sampled_from(sorted(SIGNS))
ids = st.text("abcdef0123456789-", min_size=1)
secrets = st.text(min_size=1)


# What is sent


def test_a_delivery_is_ready_to_be_sent(callbacks) -> None:
    """It has the URL, the body, the headers and the patience that the contract and the job say."""
    delivery = composed(callbacks["two headers"], job_of("a", "é"), "s", attempt=3)
    assert (delivery.url, delivery.attempt, delivery.timeout_seconds) == ("http://127.0.0.1/hook", 3, 7)
    assert (delivery.id, delivery.job_id) == ("delivery-1", "a")
    assert json.loads(delivery.body) == {"id": "a", "event": "done", "text": "é"}
    assert delivery.headers[:3] == (("content-type", "application/json"), ("X-Attempt", "3"), ("X-Time", "1800000000"))


def test_it_is_signed_only_where_the_contract_says_so(callbacks) -> None:
    """Without the secret that the condition asks for there is no signature."""
    unsigned = compose(
        callbacks["two headers"],
        Notice("d", job_of("a", "b"), None),
        url="http://127.0.0.1/hook",
        attempt=1,
        scope={"now": NOW, "secret": {}},
    )
    assert [name for name, _ in unsigned.headers] == ["content-type", "X-Attempt"]
    never = callbacks["two headers"]._replace(sign=None)
    assert len(composed(never, job_of("a", "b"), "s").headers) == 2


def test_a_contract_may_sign_always(callbacks) -> None:
    """Without a condition every callback is signed."""
    sign = callbacks["two headers"].sign
    assert sign is not None
    always = callbacks["two headers"]._replace(sign=sign._replace(when=None))
    assert "x-signature" in lower(composed(always, job_of("a", "b"), "s"))


# Signatures


@given(names, ids, st.text(), secrets, st.integers(-300, 300))
def test_what_is_signed_verifies(callbacks, name: str, job_id: str, text: str, secret: str, drift: int) -> None:
    """Each callback verifies with the secret that it was signed with, for as long as its timestamp is near."""
    callback, job = callbacks[name], job_of(job_id, text)
    delivery = composed(callback, job, secret)
    verify(callback.sign, job, lower(delivery), delivery.body, secret=secret, now=NOW + drift)


@given(names, st.data())
def test_no_part_can_be_changed(callbacks, name: str, data) -> None:
    """A change of the secret, of a signed header, of the job or of a signed body is found."""
    callback, job = callbacks[name], job_of("a1", "text")
    delivery = composed(callback, job, "secret")
    headers, body, secret = lower(delivery), delivery.body, "secret"
    signed = [header.lower() for header, _ in callback.sign.headers if header != "X-Kind"]
    part = data.draw(st.sampled_from(["secret", *signed, *(["body"] if "body" in SIGNS[name]["message"] else ["job"])]))
    if part == "secret":
        secret = data.draw(secrets)
        assume(secret != "secret")
    elif part == "job":
        job = job_of(data.draw(ids.filter(lambda other: other != "a1")), "text")
    elif part == "body":
        body = data.draw(st.binary().filter(lambda other: other != delivery.body))
    else:
        headers[part] = data.draw(st.text().filter(lambda other: other.strip() != headers[part]))
        assume(int(NOW) not in _numbers(headers[part]) or "signature" in part)
    with pytest.raises(SignatureInvalid):
        verify(callback.sign, job, headers, body, secret=secret, now=NOW)


def _numbers(text: str) -> set[float]:
    try:
        return {float(text)}
    except ValueError:
        return set()


@pytest.mark.parametrize("name", ["two headers", "one header", "delivery"])
@pytest.mark.parametrize("drift", [-301, 301, 10**9])
def test_a_stale_timestamp_is_refused(callbacks, name: str, drift: int) -> None:
    """A timestamp further from now than the contract's tolerance is refused, whatever its signature."""
    delivery = composed(callbacks[name], job_of("a", "b"), "s")
    with pytest.raises(SignatureInvalid, match="not within 300 seconds"):
        verify(callbacks[name].sign, job_of("a", "b"), lower(delivery), delivery.body, secret="s", now=NOW + drift)


@pytest.mark.parametrize("timestamp", ["", "soon", "²", "nan", "inf", "9" * 5000, "-1"])
@pytest.mark.parametrize("name", ["two headers", "delivery"])
def test_a_timestamp_that_is_none_is_refused(callbacks, name: str, timestamp: str) -> None:
    """A header that is no moment near now is refused, and never raises anything else."""
    delivery = composed(callbacks[name], job_of("a", "b"), "s")
    headers = {**lower(delivery), "x-time": timestamp}
    with pytest.raises(SignatureInvalid, match=r"timestamp|X-Time"):
        verify(callbacks[name].sign, job_of("a", "b"), headers, delivery.body, secret="s", now=NOW)


@pytest.mark.parametrize("name", sorted(SIGNS))
def test_a_missing_header_is_named(callbacks, name: str) -> None:
    """A callback without one of the headers of its signature is refused, and the message names the header."""
    delivery = composed(callbacks[name], job_of("a", "b"), "s")
    for header, _ in callbacks[name].sign.headers:
        headers = {key: value for key, value in lower(delivery).items() if key != header.lower()}
        with pytest.raises(SignatureInvalid, match=header):
            verify(callbacks[name].sign, job_of("a", "b"), headers, delivery.body, secret="s", now=NOW)


def test_kie_signs_as_its_page_says() -> None:
    """Kie's signature is the base64 of the HMAC-SHA256 of the task's id, a dot and the timestamp."""
    callback = Fake("kie").contract.job_type.callback
    assert callback is not None
    job = Job(id="281e5b0f39b9", state=State.SUCCEEDED, created_at=NOW, callback_url="http://127.0.0.1/")
    scope = {"now": NOW + 0.9, "secret": {"webhook": "key"}}
    sent = lower(compose(callback, Notice("d", job, None), url="http://127.0.0.1/hook", attempt=1, scope=scope))
    expected = base64.b64encode(hmac.new(b"key", b"281e5b0f39b9.1800000000", hashlib.sha256).digest()).decode()
    assert sent["x-webhook-signature"] == expected == "3sxqpCdDW1hNJk86JsiSK4cBvH+oKC8CC8YkK37/3X4="
    assert sent["x-webhook-timestamp"] == "1800000000"


# Where callbacks may go


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.0.0.1:8000/a?b#c",
        "https://127.8.9.10/",
        "http://[::1]:80/",
        "http://localhost:1/",
        "http://LOCALHOST/",
        "http://a.localhost/",
        "http://user:word@localhost/",
        "http://Hooks.Example/",
    ],
)
def test_loopback_and_what_was_allowed_may_be_called(url: str) -> None:
    """Every form of a loopback address may be called, and so may a host that the user has allowed."""
    assert refusal(url, frozenset({"hooks.example"})) is None


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://example.com/", "example.com is not loopback"),
        ("http://10.0.0.1/", "10.0.0.1 is not loopback"),
        ("http://169.254.169.254/", "169.254.169.254 is not loopback"),
        ("http://0.0.0.0/", "0.0.0.0 is not loopback"),
        ("http://127.1/", "127.1 is not loopback"),
        ("http://2130706433/", "2130706433 is not loopback"),
        ("http://0x7f.0.0.1/", "0x7f.0.0.1 is not loopback"),
        ("http://localhost.example.com/", "localhost.example.com is not loopback"),
        ("http://notlocalhost/", "notlocalhost is not loopback"),
        ("http://localhost@example.com/", "example.com is not loopback"),
        ("http://example.com#@localhost/", "example.com is not loopback"),
        ("ftp://localhost/", "not an http or https URL"),
        ("file:///etc/passwd", "not an http or https URL"),
        ("localhost:80/x", "not an http or https URL"),
        ("CALLBACK_URL", "not an http or https URL"),
        ("", "not an http or https URL"),
        ("http:///x", "not an http or https URL"),
        ("http://localhost:99999/", "not a URL"),
        ("http://localhost:x/", "not a URL"),
        ("http://[::1/", "not a URL"),
    ],
)
def test_everything_else_is_refused(url: str, reason: str) -> None:
    """A URL that leads elsewhere, or nowhere, is refused and told why."""
    refused = refusal(url)
    assert refused is not None
    assert refused.startswith(reason)


@given(st.text() | st.from_regex(r"https?://[\[\]a-z0-9.:@%\\/ -]*", fullmatch=True), st.frozensets(st.text()))
def test_no_url_raises(url: str, allowed: frozenset[str]) -> None:
    """Whatever is given as a URL is judged, never raised about."""
    reason = refusal(url, allowed)
    assert reason is None or reason


@given(st.ip_addresses())
def test_an_address_is_loopback_when_it_says_so(address) -> None:
    """Of all addresses those of the loopback networks are this machine."""
    assert is_loopback(str(address)) == address.is_loopback
    assert is_loopback(f"[{address}]") == address.is_loopback


def test_the_body_can_tell_of_the_delivery_and_differs_by_state(tmp_path: Path) -> None:
    """A body may have the delivery's id, attempt and time in it, and more in one state than in another."""
    view = {
        "body": {"id": "$delivery.id", "attempt": "$delivery.attempt", "at": "$delivery.timestamp"},
        "bodyByState": {"failed": {"sorry": "$job.id"}},
    }
    part = load_contract(small(tmp_path, callback={"view": view}) / "contracts/small").job_type.callback
    assert part is not None
    told = composed(part, job_of("a", "b"), "s", attempt=2)
    assert json.loads(told.body) == {"id": "delivery-1", "attempt": 2, "at": NOW}
    failed = composed(part, replace(job_of("a", "b"), state=State.FAILED), "s")
    assert json.loads(failed.body) == {"id": "delivery-1", "attempt": 1, "at": NOW, "sorry": "a"}


def test_no_header_says_what_the_key_is(tmp_path: Path) -> None:
    """Where a header carries a secret, a callback that was signed with another one is wrong, whatever it says."""
    sign = {
        "algorithm": "hmac-sha256",
        "key": "$secret.user",
        "encoding": "hex",
        "message": "{$delivery.body}",
        "headers": {"X-User": "$secret.user", "X-Signature": "$signature"},
    }
    callback = {"view": {"body": {"id": "$job.id"}}, "sign": sign}
    part = load_contract(small(tmp_path, callback=callback) / "contracts/small").job_type.callback
    assert part is not None
    assert part.sign is not None
    job = job_of("a", "b")
    for secret in ("ours", "theirs"):
        scope = {"now": NOW, "secret": {"user": secret}}
        sent = compose(part, Notice("d", job, None), url="http://127.0.0.1/hook", attempt=1, scope=scope)
        assert lower(sent)["x-user"] == secret
        with contextlib.nullcontext() if secret == "ours" else pytest.raises(SignatureInvalid):
            verify(part.sign, job, lower(sent), sent.body, secret="ours", now=NOW)
