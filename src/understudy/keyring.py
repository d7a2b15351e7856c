"""The flow that reads a callback with the right keys: handed in, or fetched where the provider publishes them."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from understudy.callback import NoKeyFits
from understudy.errors import ProviderError, UsageError
from understudy.exchange import REQUEST_TIMEOUT_SECONDS, Answer, Command, Draft, NoAnswer, decoded
from understudy.lifecycle import Job, Json
from understudy.signatures import public_keys
from understudy.talk import Talk

Keys = tuple[bytes, ...]


class KeyRing(Talk):
    """Reads callbacks; public keys are fetched when they are first needed, and kept."""

    _kept: Keys = ()

    def callback(
        self, headers: Mapping[str, str], body: bytes, *, secret: str | None, jwks: Json | bytes, now: float
    ) -> Generator[Command, Any, Job]:
        """Read a callback; see `Client.read_callback`."""
        read = partial(self.reader.callback, headers, body, secret=secret, now=now)
        callback = self.job_type.callback
        operation = None if callback is None or callback.sign is None else callback.sign.jwks
        if jwks is not None:
            return read(keys=_handed(jwks))
        if secret is not None or operation is None:
            return read()
        if self._kept:
            with suppress(NoKeyFits):  # the provider may have new ones
                return read(keys=self._kept)
        self._kept = yield from self._fetched(operation)
        return read(keys=self._kept)

    def _fetched(self, name: str) -> Generator[Command, Any, Keys]:
        what = "the keys that callbacks are verified with could not be fetched"
        try:
            answer: Answer = yield self._writer.send(self.contract.operations[name], Draft(), REQUEST_TIMEOUT_SECONDS)
        except NoAnswer as error:
            raise self._error(ProviderError, what, name, cause=error) from None
        body = decoded(answer)
        if not 200 <= answer.status < 300:
            found = self.job_type.errors.recognise(name, answer.status, body)
            raise self._error(ProviderError, what, name, answer=answer, found=found)
        keys = public_keys(body)
        if not keys:
            raise self._error(ProviderError, f"{what}: no key for Ed25519 is in the answer", name, answer=answer)
        return keys


def _handed(jwks: Json | bytes) -> Keys:
    keys = public_keys(jwks)
    if not keys:
        raise UsageError("jwks holds no key for Ed25519: expected a JWK Set, a JWK, or the 32 bytes of a key")
    return keys
