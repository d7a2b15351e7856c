"""Tests of keys that are a pair, of which a client makes a token for each request."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clients import Driver
from tests.small import small
from understudy import AsyncClient, Client, Fake
from understudy.contract.keypairs import access_key_in, token_of

NOW = 1_767_225_600.0
SCHEME = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "x-key-pair": {"lifetimeSeconds": 1800}}

words = st.text(st.characters(codec="ascii", exclude_characters=":"), min_size=1)


def part(token: str, index: int) -> bytes:
    text = token.split(".")[index]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@given(words, words)
def test_a_token_is_what_the_rfcs_say(access_key: str, secret: str) -> None:
    """Head and claims are JSON in base64url, and HMAC-SHA256 by the secret is over both (RFC 7515, RFC 7519)."""
    token = token_of(f"{access_key}:{secret}", 1800, NOW)
    signed, _, _ = token.rpartition(".")
    assert json.loads(part(token, 0)) == {"alg": "HS256", "typ": "JWT"}
    assert json.loads(part(token, 1)) == {"iss": access_key, "exp": NOW + 1800, "nbf": NOW - 5}
    assert part(token, 2) == hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    assert "=" not in token


@pytest.mark.parametrize(("later", "good"), [(-6, False), (-5, True), (0, True), (1799, True), (1800, False)])
def test_a_token_has_its_time(later: float, good: bool) -> None:
    """It is good from a little before it was made until its end."""
    assert (access_key_in(token_of("me:secret", 1800, NOW), NOW + later) == "me") is good


@pytest.mark.parametrize("claims", [{}, {"iss": ""}, {"iss": 7}, {"iss": "me", "exp": "soon"}, [], "me", None])
def test_what_is_no_token_is_none(claims: Any) -> None:
    """Whatever comes, it is refused and not tripped over."""
    text = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    assert access_key_in(f"e30.{text}.e30", NOW) is None


@given(st.text())
def test_any_text_is_looked_at(text: str) -> None:
    """A text that is no token has no access key in it."""
    assert access_key_in(text, NOW) is None


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_client_makes_a_token_for_each_request(kind: Any, tmp_path: Path) -> None:
    """A wait may be longer than a token is good; the access key alone is the account, and the secret is never sent."""
    timeline = [{"state": "running", "seconds": 7200}, {"state": "succeeded"}]
    root = small(tmp_path, security=SCHEME, behaviour={"timeline": timeline})
    with Fake("small", paths=[root]) as fake:
        client = Driver(kind, fake.contract, fake.transport(), fake.clock, api_key="me:hush-hush")
        job = client.submit({"prompt": "a"})
        assert client.wait(job, timeout_seconds=9000).outputs
        assert {exchange.account for exchange in fake.journal.exchanges} == {fake.provider.accounts.of_key("me").name}
        assert "hush-hush" not in str(fake.journal.exchanges)


def test_a_token_that_is_out_of_date_is_refused(tmp_path: Path) -> None:
    """So is a bare key; a token that a fake makes for its own clients is always good."""
    with Fake("small", paths=[small(tmp_path, security=SCHEME)]) as fake, fake.client() as http:
        for token in (token_of("me:s", 60, fake.clock.now() - 61), "me"):
            assert http.get("/jobs/a", headers={"authorization": f"Bearer {token}"}).status_code == 401
        fake.clock.advance(10**6)
        assert http.get("/jobs/a").status_code == 404
