"""Tests of signatures: what is signed verifies, and nothing else does."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from tests.documents import contract, contract_problems, hostile_values, job_of
from tests.signing import KINDS, NOW, PUBLIC, SECRETS, contract_of, published, sent, sign_of, verified
from tests.signing import job_of as job
from understudy.callback import verify
from understudy.clock import SystemClock
from understudy.contract.model import Sign
from understudy.contract.signs import SIGNS
from understudy.errors import SignatureInvalid, UsageError
from understudy.reader import Reader
from understudy.signatures import ENCODINGS, decoded, public_keys, receiver_key

kinds = st.sampled_from(sorted(KINDS))
keys = st.binary(min_size=1, max_size=40).map(lambda key: base64.b64encode(key).decode())


# What the fake signs


@given(kinds, st.text(), keys, st.integers(-300, 300))
def test_what_the_fake_signs_the_client_verifies(kind: str, text: str, key: str, drift: int) -> None:
    """In each of the ways, a callback verifies with the keys that go with its secret while its time is near."""
    headers, body = sent(kind, text, hook=key, webhook=key)
    verified(kind, headers, body, NOW + drift, hook=key, webhook=key)


@given(kinds, st.data())
def test_no_byte_can_be_changed(kind: str, data: st.DataObject) -> None:
    """A change of one byte of the body, the timestamp, the id, the signature or what else is signed is refused."""
    headers, body = sent(kind)
    signed = [name.lower() for name, _ in sign_of(kind).headers]
    part = data.draw(st.sampled_from(["body", *signed]))
    whole = body if part == "body" else headers[part].encode()
    at = data.draw(st.integers(0, len(whole) - 1))
    values = st.integers(0, 255) if part == "body" else st.integers(32, 126)
    other = bytes([data.draw(values.filter(lambda value: value != whole[at]))])
    changed = whole[:at] + other + whole[at + 1 :]
    if part == "body":
        body = changed
    else:
        headers[part] = changed.decode()
    with pytest.raises(SignatureInvalid):
        verified(kind, headers, body)


@given(kinds, st.integers(301, 10**9), st.sampled_from([-1, 1]))
def test_a_stale_callback_is_refused(kind: str, drift: int, sign: int) -> None:
    """A callback from another time than now is refused, whatever its signature."""
    with pytest.raises(SignatureInvalid, match="not within 300 seconds"):
        verified(kind, *sent(kind), NOW + sign * drift)


@given(kinds, keys)
def test_the_wrong_key_is_refused(kind: str, key: str) -> None:
    """A callback that was signed with another secret is refused."""
    headers, body = sent(kind, hook=f"other{key}", webhook=base64.b64encode(f"other{key}".encode()).decode())
    with pytest.raises(SignatureInvalid, match="the callback's signature is wrong"):
        verified(kind, headers, body, hook=key, webhook=key)


@pytest.mark.parametrize("kind", PUBLIC)
def test_a_public_key_is_that_of_the_secret(kind: str) -> None:
    """Who has the secret of the stand-in can verify with it what its public key verifies."""
    headers, body = sent(kind)
    verify(sign_of(kind), job(), headers, body, secret=SECRETS["hook"], now=NOW)


# Standard Webhooks


def compiled(sign: Any) -> tuple[str, Sign]:
    """Return the condition, which compares by its text, and the rest of how a contract signs."""
    callback = contract(job_of(callback={"view": {}, "sign": sign})).job_type.callback
    assert callback is not None
    assert callback.sign is not None
    assert callback.sign.when is not None
    return callback.sign.when.text, callback.sign._replace(when=None)


@pytest.mark.parametrize(("word", "written"), SIGNS.items())
def test_a_word_stands_for_an_object(word: str, written: dict[str, Any]) -> None:
    """The word compiles to what the object that it stands for compiles to."""
    assert compiled(word) == compiled(written)


@pytest.mark.parametrize("prefix", ["whsec_", ""])
def test_others_verify_what_we_sign(prefix: str) -> None:
    """The library of Standard Webhooks verifies our callbacks, with and without the prefix of the secret."""
    secret = prefix + SECRETS["webhook"].removeprefix("whsec_")
    headers, body = sent("standard-webhooks", now=SystemClock().now(), webhook=secret)
    assert Webhook(secret).verify(body, headers) == json.loads(body)


@given(st.text(), keys, st.booleans())
def test_we_verify_what_others_sign(text: str, key: str, prefixed: bool) -> None:
    """What the library of Standard Webhooks signs verifies here, and does no more with another body."""
    secret = f"whsec_{key}" if prefixed else key
    signature = Webhook(secret).sign("msg_1", datetime.fromtimestamp(NOW, tz=UTC), text)
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(NOW)), "webhook-signature": signature}
    verified("standard-webhooks", headers, text.encode(), webhook=secret)
    with pytest.raises(SignatureInvalid):
        verified("standard-webhooks", headers, f"{text} ".encode(), webhook=secret)


@given(st.lists(st.sampled_from(["v1,AAAA", "v1a,AAAA", "v2,x", "v1", ""])), st.data())
def test_any_of_several_signatures_may_fit(others: list[str], data: st.DataObject) -> None:
    """Beside signatures of other keys and of other versions, one that fits is enough, and one is needed."""
    headers, body = sent("standard-webhooks")
    right, at = headers["webhook-signature"], data.draw(st.integers(0, len(others)))
    headers["webhook-signature"] = " ".join([*others[:at], right, *others[at:]])
    verified("standard-webhooks", headers, body)
    headers["webhook-signature"] = " ".join(others)
    with pytest.raises(SignatureInvalid):
        verified("standard-webhooks", headers, body)


def test_a_secret_that_is_no_base64_is_told() -> None:
    """A secret of which no key can be made is the fault of who passed it."""
    with pytest.raises(UsageError, match=r"makes no key by \$secret.webhook\|whsec: base64 text is expected"):
        verified("standard-webhooks", *sent("standard-webhooks"), webhook="whsec_!")


# Keys that are public


def test_a_jwk_says_what_it_is() -> None:
    """The published key is a JWK for Ed25519, called by its thumbprint, and the same for the same secret."""
    [jwk] = published("ed25519, base64")["keys"]
    named = {name: jwk[name] for name in ("crv", "kty", "x")}
    digest = hashlib.sha256(json.dumps(named, separators=(",", ":")).encode()).digest()
    kid = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    x = ENCODINGS["base64url"].write(receiver_key(sign_of("ed25519, base64"), {"secret": SECRETS}))
    assert jwk == {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig", "alg": "EdDSA"}
    assert published("ed25519, digest") == {"keys": [jwk]}
    assert published("ed25519, base64", hook="other") != {"keys": [jwk]}


def test_keys_come_in_three_forms() -> None:
    """A JWK Set, one JWK and the bytes of a key are the same key; keys of other kinds and uses are passed over."""
    jwks = published("ed25519, base64")
    [key] = public_keys(jwks)
    [jwk] = jwks["keys"]
    others = [{"kty": "RSA"}, {**jwk, "use": "enc"}, {**jwk, "crv": "X25519"}, {**jwk, "x": "AA"}, {**jwk, "x": "!"}]
    assert public_keys({"keys": [*others, jwk]}) == public_keys(jwk) == public_keys(key) == (key,)


jwk_like = st.fixed_dictionaries({"kty": st.just("OKP"), "crv": st.just("Ed25519"), "x": hostile_values})


@given(hostile_values | jwk_like | st.fixed_dictionaries({"keys": hostile_values | st.lists(jwk_like)}))
def test_whatever_is_no_key_is_passed_over(given_: Any) -> None:
    """Whatever is published or handed in, what is found are keys of 32 bytes, if any."""
    assert {len(key) for key in public_keys(given_)} <= {32}


@given(st.binary(min_size=32, max_size=32))
def test_any_other_key_refuses(key: bytes) -> None:
    """Bytes that are not the provider's key, and maybe no key at all, verify nothing."""
    headers, body = sent("ed25519, base64")
    with pytest.raises(SignatureInvalid):
        verify(sign_of("ed25519, base64"), job(), headers, body, keys=(key,), now=NOW)


def test_a_shared_secret_has_no_public_key() -> None:
    """A public key is refused where the contract signs with a secret, and where it does not sign."""
    with pytest.raises(UsageError, match="small signs its callbacks by hmac-sha256, which knows no public key"):
        Reader(contract_of("hmac, hex")).callback(*sent("hmac, hex"), secret=None, keys=(b"k" * 32,), now=NOW)


@pytest.mark.parametrize("kind", PUBLIC)
def test_a_missing_package_is_named(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the library is missing, the error says what to install."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    with pytest.raises(UsageError, match=r"needs the package cryptography.*: pip install 'understudy\[signatures\]'"):
        sent(kind)


# How a signature is written


@given(st.sampled_from(sorted(ENCODINGS)), st.binary())
def test_bytes_are_written_and_read_back(encoding: str, value: bytes) -> None:
    """Each encoding reads back what it wrote."""
    assert decoded(encoding, ENCODINGS[encoding].write(value)) == value


@given(st.sampled_from(sorted(ENCODINGS)), st.text() | st.text("abcdefABCDEF0123456789+/-_= ") | st.just("\ud800"))
def test_no_two_texts_are_one_signature(encoding: str, text: str) -> None:
    """A text is read only where its bytes are written in no other way, and never raises."""
    value = decoded(encoding, text)
    assert value is None or ENCODINGS[encoding].write(value) == text


# What a contract may say


def problems(**sign: Any) -> list[str]:
    written = {"key": "$secret.k", "message": "m", "encoding": "hex", "headers": {"S": "$signature"}, **sign}
    return contract_problems(job_of(callback={"view": {}, "sign": written}))


def test_what_a_contract_cannot_say_is_named() -> None:
    """A word, an algorithm or an encoding that is not known, keys of a secret, and a missing operation are problems."""
    misspelt = contract_problems(job_of(callback={"view": {}, "sign": "standard-webhook"}))
    assert misspelt == ['"sign" cannot be "standard-webhook"; did you mean "standard-webhooks"?']
    assert problems(algorithm="ed2551") == ['"algorithm" cannot be "ed2551"; did you mean "ed25519"?']
    assert problems(encoding="base64ur") == ['"encoding" cannot be "base64ur"; did you mean "base64url"?']
    assert problems(jwks="balance") == ['"sign" lacks "algorithm"']
    assert "hmac-sha256" in problems(jwks="balance", algorithm="hmac-sha256")[0]
    assert problems(jwks="balanc", algorithm="ed25519") == ['there is no operation "balanc"; did you mean "balance"?']
