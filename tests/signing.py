"""A small provider that signs its callbacks in each of the known ways, and publishes its keys."""

from __future__ import annotations

import base64
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from tests.small import small
from understudy.callback import Notice, compose, verify
from understudy.contract.build import load_contract
from understudy.contract.model import Contract, Sign
from understudy.lifecycle import Job, State
from understudy.signatures import jwk_set, public_keys

NOW = 1_800_000_000.0

#: The secrets of the stand-in; `webhook` is what Standard Webhooks makes a key of.
SECRETS = {"webhook": f"whsec_{base64.b64encode(b'a key of 24 bytes or so.').decode()}", "hook": "open", "user": "u-1"}

_BODY = "{$delivery.id}.{$delivery.timestamp}.{$delivery.body}"
_HEADERS = {"X-Id": "$delivery.id", "X-Time": "$delivery.timestamp", "X-Signature": "$signature"}
_HMAC = {"key": "$secret.hook", "message": _BODY, "headers": _HEADERS}
_ED25519 = {**_HMAC, "algorithm": "ed25519", "jwks": "keys"}

#: Kind of signature → how a contract says it.
KINDS: dict[str, Any] = {
    "hmac, hex": {**_HMAC, "encoding": "hex", "algorithm": "hmac-sha256"},
    "hmac, base64": {**_HMAC, "encoding": "base64"},
    "hmac, base64url": {**_HMAC, "encoding": "base64url"},
    "standard-webhooks": "standard-webhooks",
    "ed25519, base64": {**_ED25519, "encoding": "base64"},
    "ed25519, base64url": {**_ED25519, "encoding": "base64url"},
    "ed25519, digest": {
        **_ED25519,
        "encoding": "hex",
        "message": "{$delivery.id}\n{$secret.user}\n{$delivery.timestamp}\n{$delivery.body|sha256hex}",
        "headers": {**_HEADERS, "X-User": "$secret.user"},
    },
}
PUBLIC = [name for name in KINDS if name.startswith("ed25519")]


def provider(root: Path, sign: Any) -> Path:
    """Write a provider whose callbacks are signed so; return the folder for the `paths` of a Fake."""
    callback = {"view": {"body": {"id": "$job.id", "state": "$job.status", "model": "$job.model"}}, "sign": sign}
    keys = {"/keys": {"get": {"operationId": "keys"}}}
    return small(root, paths=keys, callback=callback, behaviour={"secrets": SECRETS})


@cache
def contract_of(kind: str) -> Contract:
    """Return the contract of a provider that signs in one of the ways."""
    with tempfile.TemporaryDirectory() as folder:
        return load_contract(provider(Path(folder), KINDS[kind]) / "contracts/small")


def sign_of(kind: str) -> Sign:
    callback = contract_of(kind).job_type.callback
    assert callback is not None
    assert callback.sign is not None
    return callback.sign


def job_of(text: str = "m") -> Job:
    return Job(id="job-1", state=State.SUCCEEDED, status="succeeded", model=text, callback_url="http://127.0.0.1/")


def sent(kind: str, text: str = "m", now: float = NOW, **secrets: str) -> tuple[dict[str, str], bytes]:
    """Return the headers, names in lower case, and the body of a callback."""
    callback = contract_of(kind).job_type.callback
    assert callback is not None
    scope = {"now": now, "secret": {**SECRETS, **secrets}}
    delivery = compose(
        callback, Notice("delivery-1", job_of(text), None), url="http://127.0.0.1/hook", attempt=1, scope=scope
    )
    return {name.lower(): value for name, value in delivery.headers}, delivery.body


def published(kind: str, **secrets: str) -> Any:
    """Return the JWK Set that goes with the secrets."""
    return jwk_set(sign_of(kind), {"secret": {**SECRETS, **secrets}})


def verified(kind: str, headers: dict[str, str], body: bytes, now: float = NOW, **secrets: str) -> None:
    """Verify a callback as one does who has the secret, or the keys where they are public."""
    if kind in PUBLIC:
        keys = public_keys(published(kind, **secrets))
        verify(sign_of(kind), job_of(), headers, body, keys=keys, now=now)
    else:
        name = "webhook" if kind == "standard-webhooks" else "hook"
        verify(sign_of(kind), job_of(), headers, body, secret={**SECRETS, **secrets}[name], now=now)
