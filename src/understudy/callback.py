"""Callbacks: what is sent, how it is signed, when it is tried again. Sending is up to whoever carries the fake."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from understudy.contract.codecs import dump_json
from understudy.contract.expressions import Expression
from understudy.contract.model import Callback, Sign
from understudy.contract.templates import Leaf, ReadError, Reading, Template, Text
from understudy.errors import SignatureInvalid
from understudy.lifecycle import Job, Json


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to deliver a callback, ready to be sent.

    Attributes:
        id: The same for all attempts.
        job_id: The job that it tells of.
        url: Where to.
        headers: Names and values, signature included.
        body: The bytes.
        attempt: From 1.
        timeout_seconds: How long the provider waits for an answer.
    """

    id: str
    job_id: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    attempt: int
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Notice:
    """What is delivered, in however many attempts.

    Attributes:
        id: The same for all attempts.
        job: The job as it was when the callback fell due.
        event: The name of the event, where the contract names one.
    """

    id: str
    job: Job
    event: str | None


def compose(callback: Callback, notice: Notice, *, attempt: int, scope: Mapping[str, Any]) -> Delivery:
    """Compose one attempt.

    Args:
        callback: The contract's part.
        notice: What is delivered.
        attempt: From 1.
        scope: With `now`, `secret`, `server`.
    """
    job = notice.job
    delivery = {"id": notice.id, "attempt": attempt, "timestamp": int(scope["now"])}
    inner = {**scope, "job": job, "delivery": delivery, "event": {"name": notice.event}}
    body = dump_json(callback.view.render(inner, job.state).body).encode()
    inner["delivery"] = {**delivery, "body": body.decode()}
    headers = [("content-type", "application/json")]
    headers += [(name, str(template.render(inner))) for name, template in callback.headers]
    if callback.sign is not None and (callback.sign.when is None or callback.sign.when.holds(inner)):
        inner["signature"] = signature(callback.sign, inner)
        headers += [(name, str(template.render(inner))) for name, template in callback.sign.headers]
    return Delivery(
        id=notice.id,
        job_id=job.id,
        url=job.callback_url or "",
        headers=tuple(headers),
        body=body,
        attempt=attempt,
        timeout_seconds=callback.timeout_seconds,
    )


def signature(sign: Sign, scope: Mapping[str, Any]) -> str:
    """Return the signature over what the contract says is signed."""
    key = sign.key.text_value(scope).encode()
    message = "".join(part if isinstance(part, str) else part.text_value(scope) for part in sign.message.parts)
    digest = hmac.new(key, message.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode() if sign.encoding == "base64" else digest.hex()


def verify(sign: Sign, job: Job, headers: Mapping[str, str], body: bytes, *, secret: str, now: float) -> None:
    """Check the signature of a callback.

    Args:
        sign: The contract's part.
        job: The job that the callback tells of.
        headers: Of the callback, names in lower case.
        body: Of the callback.
        secret: The key that the provider and the receiver share.
        now: The time, in unix seconds.

    Raises:
        SignatureInvalid: It is missing, wrong, or older than the contract's tolerance.
    """
    delivery: dict[str, Any] = {"body": body.decode("utf-8", "replace")}
    given = ""
    for name, template in sign.headers:
        value = headers.get(name.lower())
        if value is None:
            raise SignatureInvalid(f'the callback lacks the header "{name}"')
        reading = _read_header(name, template, value)
        given = reading.get(("signature",), given)
        delivery.update({str(path[1]): found for path, found in reading.items() if path[0] == "delivery"})
    if "timestamp" in delivery and not _is_near(str(delivery["timestamp"]), now, sign.tolerance_seconds):
        raise SignatureInvalid(f"the callback's timestamp is not within {sign.tolerance_seconds:g} seconds of now")
    scope = {"job": job, "delivery": delivery, "secret": _OneSecret(secret)}
    if not hmac.compare_digest(signature(sign, scope).encode(), str(given).encode()):
        raise SignatureInvalid("the callback's signature is wrong")


def _read_header(name: str, template: Template, value: str) -> Reading:
    """Return what a header says, whether it is one expression or several with text around them."""
    reading: Reading = {}
    pairs: list[tuple[Template, Json]] = [(template, value)]
    if isinstance(template, Text):
        found, leaves = template.match(value) or {}, (part for part in template.parts if isinstance(part, Expression))
        pairs = [(Leaf(leaf, omit=False), found.get(leaf.text)) for leaf in leaves]
    try:
        for node, inner in pairs:
            node.read(inner, reading, ())
    except ReadError as error:
        raise SignatureInvalid(f'the callback\'s header "{name}" cannot be read: {error}') from None
    return reading


def _is_near(timestamp: str, now: float, tolerance_seconds: float) -> bool:
    try:
        return abs(now - float(timestamp)) <= tolerance_seconds
    except ValueError:
        return False


class _OneSecret(dict[str, str]):
    """Whatever the contract calls the secret, it is this one."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def get(self, name: str, default: Any = None) -> str:
        return self._secret
