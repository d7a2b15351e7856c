"""Signatures: the algorithms, how a signature is written, and the keys that it is verified with."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple

from understudy.contract.codecs import CodecError, encode_json
from understudy.contract.expressions import Scope
from understudy.contract.model import Sign
from understudy.errors import UsageError
from understudy.lifecycle import Json


class Algorithm(NamedTuple):
    """A way to sign.

    Attributes:
        sign: Key and message → signature.
        receiver_key: Key → the one that a receiver verifies with.
        fits: Receiver's key, message and signature → whether they belong together.
        public: Whether anybody may have the receiver's key.
    """

    sign: Callable[[bytes, bytes], bytes]
    receiver_key: Callable[[bytes], bytes]
    fits: Callable[[bytes, bytes, bytes], bool]
    public: bool


class Encoding(NamedTuple):
    """How bytes are written; `read` may take more than `write` writes."""

    write: Callable[[bytes], str]
    read: Callable[[str], bytes]


def _hmac_sha256(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def _hmac_fits(key: bytes, message: bytes, given: bytes) -> bool:
    return hmac.compare_digest(_hmac_sha256(key, message), given)


def _is_secret(key: bytes, message: bytes, given: bytes) -> bool:
    return bool(key) and hmac.compare_digest(key, given)


def _ed25519() -> ModuleType:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        text = "a signature by ed25519 needs the package cryptography, which is not installed"
        raise UsageError(f"{text}: pip install 'understudy[signatures]'") from None
    return ed25519


def _ed25519_private(key: bytes) -> Any:
    return _ed25519().Ed25519PrivateKey.from_private_bytes(hashlib.sha256(key).digest())


def _ed25519_public(key: bytes) -> bytes:
    public: bytes = _ed25519_private(key).public_key().public_bytes_raw()
    return public


def _ed25519_sign(key: bytes, message: bytes) -> bytes:
    made: bytes = _ed25519_private(key).sign(message)
    return made


def _ed25519_fits(key: bytes, message: bytes, given: bytes) -> bool:
    ed25519 = _ed25519()
    from cryptography.exceptions import InvalidSignature

    try:
        ed25519.Ed25519PublicKey.from_public_bytes(key).verify(given, message)
    except (InvalidSignature, ValueError):  # a ValueError: it is no key
        return False
    return True


def _write_base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _read_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _write_text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _read_text(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


#: `algorithm` → what it is.
ALGORITHMS: Mapping[str, Algorithm] = {
    "hmac-sha256": Algorithm(_hmac_sha256, lambda key: key, _hmac_fits, public=False),
    "ed25519": Algorithm(_ed25519_sign, _ed25519_public, _ed25519_fits, public=True),
    "secret": Algorithm(lambda key, message: key, lambda key: key, _is_secret, public=False),  # the secret itself
}

#: `encoding` → what it is.
ENCODINGS: Mapping[str, Encoding] = {
    "base64": Encoding(lambda value: base64.b64encode(value).decode(), base64.b64decode),
    "base64url": Encoding(_write_base64url, _read_base64url),
    "hex": Encoding(bytes.hex, bytes.fromhex),
    "text": Encoding(_write_text, _read_text),  # as a secret is
}


def key_of(sign: Sign, scope: Scope) -> bytes:
    """Return the key that the contract names, or where the scope is `forged` another.

    Raises:
        UsageError: No key can be made of the secret.
    """
    try:
        value = sign.key.value(scope)
        key = value if isinstance(value, bytes) else sign.key.text_value(scope).encode()
        return b"another " + key if scope.get("forged") else key
    except CodecError as error:
        raise UsageError(f"the secret makes no key by {sign.key.text}: {error} is expected") from None


def signature(sign: Sign, scope: Scope) -> str:
    """Return the signature over what the contract says is signed."""
    made = ALGORITHMS[sign.algorithm].sign(key_of(sign, scope), sign.message.render(scope).encode())
    return ENCODINGS[sign.encoding].write(made)


def receiver_key(sign: Sign, scope: Scope) -> bytes:
    """Return what a receiver verifies with what was signed with the key that the contract names."""
    return ALGORITHMS[sign.algorithm].receiver_key(key_of(sign, scope))


def fits(sign: Sign, key: bytes, scope: Scope, given: str) -> bool:
    """Say whether a signature was made over what the contract says is signed.

    Args:
        sign: The contract's part.
        key: The receiver's key.
        scope: What was signed.
        given: The signature, as it came.
    """
    made = decoded(sign.encoding, given)
    return made is not None and ALGORITHMS[sign.algorithm].fits(key, sign.message.render(scope).encode(), made)


def decoded(encoding: str, text: str) -> bytes | None:
    """Return the bytes of a text, or None where they would be written otherwise: no two texts are one signature."""
    write, read = ENCODINGS[encoding]
    try:
        value = read(text)
    except ValueError:
        return None
    return value if write(value) == text else None


# --- keys that are public -------------------------------------------------------------------------------------------

_KIND = {"crv": "Ed25519", "kty": "OKP"}
_KEY_BYTES = 32


def jwk_set(sign: Sign, scope: Scope) -> Json:
    """Return the JWK Set (RFC 7517, RFC 8037) of a contract's key, which is called by its thumbprint (RFC 7638)."""
    jwk = {**_KIND, "x": _write_base64url(receiver_key(sign, scope))}
    name = _write_base64url(hashlib.sha256(encode_json(jwk)).digest())
    return {"keys": [{**jwk, "kid": name, "use": "sig", "alg": "EdDSA"}]}


def public_keys(given: Json | bytes) -> tuple[bytes, ...]:
    """Return the keys for Ed25519 of a JWK Set, of one JWK, or of the bytes of a key; other keys are passed over."""
    entries = given.get("keys", [given]) if isinstance(given, dict) else [given]
    keys = map(_public_key, entries if isinstance(entries, list) else ())
    return tuple(key for key in keys if key is not None and len(key) == _KEY_BYTES)


def _public_key(jwk: Json | bytes) -> bytes | None:
    if isinstance(jwk, bytes):
        return jwk
    usable = isinstance(jwk, dict) and jwk.items() >= _KIND.items() and jwk.get("use", "sig") == "sig"
    return decoded("base64url", str(jwk.get("x"))) if usable else None
