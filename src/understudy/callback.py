"""Callbacks: what is sent, how it is signed, when it is tried again. Sending is up to whoever carries the fake."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from understudy.contract.codecs import encode_json, parse_json
from understudy.contract.conditions import same
from understudy.contract.model import CHALLENGE, Callback, Handshake, Sign
from understudy.contract.reading import ReadError, Reading
from understudy.contract.templates import Template
from understudy.contract.views import expressions, read_text, rendered_headers
from understudy.errors import SignatureInvalid
from understudy.lifecycle import Job, Json
from understudy.signatures import fits, receiver_key, signature

#: Is called when a delivery is over: with the status of the answer, None for none, and a note.
Done = Callable[[int | None, str], None]

# What the name of a header is (RFC 9110, section 5.6.2); one that a client has chosen may be anything.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class NoKeyFits(SignatureInvalid):
    """None of the keys at hand has made the signature."""


class Delivery(NamedTuple):
    """One attempt to deliver a callback, ready to be sent.

    Attributes:
        id: The same for all attempts.
        job_id: The job that it tells of.
        url: Where to.
        headers: Names and values, signature included.
        body: The bytes.
        attempt: From 1.
        timeout_seconds: How long the provider waits for an answer.
        first: What is sent before it, and must be answered as it says; None for nothing.
        expected: What its answer must have in it, where it is such.
        signed: Whether a signature is among the headers.
    """

    id: str
    job_id: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    attempt: int
    timeout_seconds: float
    first: Delivery | None = None
    expected: Json = None
    signed: bool = False

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers as bytes, with their names in small letters."""
        return [(name.lower().encode(), value.encode()) for name, value in self.headers]

    def met(self, body: bytes) -> bool:
        """Say whether an answer is as expected; more may be in it."""
        try:
            answer = parse_json(body)
        except ValueError:
            return False
        if isinstance(answer, dict) and isinstance(self.expected, dict):
            return all(name in answer and same(answer[name], value) for name, value in self.expected.items())
        return same(answer, self.expected)


class Notice(NamedTuple):
    """What is delivered, in however many attempts.

    Attributes:
        id: The same for all attempts.
        job: The job as it was when the callback fell due.
        event: The name of the event, where the contract names one.
    """

    id: str
    job: Job
    event: str | None


def compose(callback: Callback, notice: Notice, *, url: str, attempt: int, scope: Mapping[str, Any]) -> Delivery:
    """Compose one attempt.

    Args:
        callback: The contract's part.
        notice: What is delivered.
        url: Where to.
        attempt: From 1.
        scope: With `now`, `secret`, `server`.
    """
    job = notice.job
    delivery = {"id": notice.id, "attempt": attempt, "timestamp": int(scope["now"])}
    inner = {**scope, "job": job, "delivery": delivery, "event": {"name": notice.event}}
    body = encode_json(callback.view.render(inner, job.state).body)
    inner["delivery"] = {**delivery, "body": body.decode()}
    headers = [("content-type", "application/json")]
    named = [(str(name.render(inner)), value) for name, value in callback.named_headers]
    headers += rendered_headers((*callback.headers, *(pair for pair in named if _TOKEN.fullmatch(pair[0]))), inner)
    signed = callback.sign is not None and (callback.sign.when is None or callback.sign.when.holds(inner))
    if callback.sign is not None and signed:
        inner["signature"] = signature(callback.sign, inner)
        headers += rendered_headers(callback.sign.headers, inner)
    return Delivery(
        id=notice.id,
        job_id=job.id,
        url=url,
        headers=tuple(headers),
        body=body,
        attempt=attempt,
        timeout_seconds=callback.timeout_seconds,
        signed=signed,
    )


def challenged(handshake: Handshake, delivery: Delivery, challenge: str) -> Delivery:
    """Return a delivery with the challenge that goes before it."""
    scope = {"delivery": {"id": delivery.id, "challenge": challenge}}
    first = delivery._replace(
        headers=(("content-type", "application/json"),),
        body=encode_json(handshake.body.render(scope)),
        timeout_seconds=handshake.timeout_seconds,
        expected=handshake.reply.render(scope),
    )
    return delivery._replace(first=first)


def answer_to(handshake: Handshake, body: bytes) -> Json:
    """Return what a receiver answers to a challenge; None where the body is none."""
    reading: Reading = {}
    try:
        handshake.body.read(parse_json(body), reading, ())
    except (ValueError, ReadError):
        return None
    challenge = reading.get(CHALLENGE)
    return handshake.reply.render({"delivery": {"challenge": challenge}}) if isinstance(challenge, str) else None


def verify(
    sign: Sign,
    job: Job,
    headers: Mapping[str, str],
    body: bytes,
    *,
    secret: str | None = None,
    keys: tuple[bytes, ...] = (),
    now: float,
) -> None:
    """Check the signature of a callback.

    Args:
        sign: The contract's part.
        job: The job that the callback tells of.
        headers: Of the callback, names in lower case.
        body: Of the callback.
        secret: The secret that it was signed with, where the receiver has it.
        keys: The provider's public keys, in place of the secret.
        now: The time, in unix seconds.

    Raises:
        SignatureInvalid: It is missing, wrong, or older than the contract's tolerance.
        UsageError: No key can be made of the secret.
    """
    given, told = _told_by_headers(sign, headers)
    if sign.key.root == "request":  # which the receiver has made: the secret in it is the one that it has
        sign = sign._replace(key=replace(sign.key, root="secret", path=("own",), pointer=None))
    delivery = {**told["delivery"], "body": _text(body)}
    if "timestamp" in delivery and not _is_near(str(delivery["timestamp"]), now, sign.tolerance_seconds):
        raise SignatureInvalid(f"the callback's timestamp is not within {sign.tolerance_seconds:g} seconds of now")
    scope = {"job": job, "delivery": delivery, "secret": _Secrets(told["secret"], secret)}
    ours = keys or (receiver_key(sign, {**scope, "secret": _Secrets({}, secret)}),)  # no header says what the key is
    if not any(fits(sign, key, scope, one) for key in ours for one in given):
        raise NoKeyFits("the callback's signature is wrong")


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise SignatureInvalid("the callback's body is no text in UTF-8, and so not what was signed") from None


def _told_by_headers(sign: Sign, headers: Mapping[str, str]) -> tuple[list[str], Mapping[str, dict[str, Json]]]:
    """Return the signatures, and by root what else the headers of the signature say."""
    given: list[str] = []
    told: defaultdict[str, dict[str, Json]] = defaultdict(dict)
    for name, template in sign.headers:
        value = headers.get(name.lower())
        if value is None:
            raise SignatureInvalid(f'the callback lacks the header "{name}"')
        several = sign.separator is not None and any(leaf.root == "signature" for leaf in expressions(template))
        for piece in value.split(sign.separator) if several else [value]:
            for path, found in _read_header(name, template, piece).items():
                if path[0] == "signature":
                    given.append(str(found))
                else:
                    told[str(path[0])][str(path[-1])] = found
    return given, told


def _read_header(name: str, template: Template, value: str) -> Reading:
    try:
        return read_text(template, value)
    except ReadError as error:
        raise SignatureInvalid(f'the callback\'s header "{name}" cannot be read: {error}') from None


def _is_near(timestamp: str, now: float, tolerance_seconds: float) -> bool:
    try:
        return abs(now - float(timestamp)) <= tolerance_seconds
    except ValueError:
        return False


class _Secrets(dict[str, Any]):
    """What the headers tell; whatever else the contract calls a secret is the one that the receiver has."""

    def __init__(self, told: Mapping[str, Any], secret: str | None) -> None:
        super().__init__(told)
        self._secret = secret

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name, self._secret)
