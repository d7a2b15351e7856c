"""Keys that are a pair: an access key, and a secret with which a client signs a token for each request.

The token is a JSON Web Token (RFC 7519), signed by HS256, whose issuer is the access key.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from understudy.contract.codecs import encode_json, parse_json

#: A token is good from so long before it was made: clocks differ, in seconds.
SKEW_SECONDS = 5


def token_of(pair: str, lifetime_seconds: float, now: float | None) -> str:
    """Return a token.

    Args:
        pair: The access key and the secret, with a colon between them.
        lifetime_seconds: How long it is good.
        now: In unix seconds; None for a token that is always good.
    """
    access_key, _, secret = pair.partition(":")
    times = {} if now is None else {"exp": int(now + lifetime_seconds), "nbf": int(now - SKEW_SECONDS)}
    head, claims = ({"alg": "HS256", "typ": "JWT"}, {"iss": access_key, **times})
    text = f"{_written(encode_json(head))}.{_written(encode_json(claims))}"
    return f"{text}.{_written(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())}"


def access_key_in(token: str, now: float | None) -> str | None:
    """Return the access key that a token was made with, or None where it is none that is good.

    The signature is not looked at: whoever takes any key knows no secret.

    Args:
        token: The token.
        now: In unix seconds; None for whenever it is good.
    """
    try:
        _, text, _ = token.split(".")
        claims = parse_json(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        access_key = claims["iss"]
        begins, ends = float(claims.get("nbf", 0)), float(claims.get("exp", "inf"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    good = now is None or begins <= now < ends
    return access_key if good and isinstance(access_key, str) and access_key else None


def _written(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
