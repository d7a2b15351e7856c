"""Mint ids by a contract's pattern, the same from the same seed."""

from __future__ import annotations

import base64
import random
import re
import uuid
from collections.abc import Callable

_PIECE = re.compile(r"\{(hex|digits|base32):(\d{1,3})\}|\{(uuid)\}")

_MINT: dict[str, Callable[[random.Random, int], str]] = {
    "hex": lambda source, length: source.randbytes((length + 1) // 2).hex()[:length],
    "digits": lambda source, length: "".join(source.choices("0123456789", k=length)),
    "base32": lambda source, length: base64.b32encode(source.randbytes(length)).decode().lower()[:length],
    "uuid": lambda source, length: str(uuid.UUID(bytes=source.randbytes(16), version=4)),
}


def wrong_pieces(pattern: str) -> list[str]:
    """Return what stands in braces in a pattern and is no kind of id."""
    return re.findall(r"\{[^{}]*\}", _PIECE.sub("", pattern))


def mint(pattern: str, source: random.Random) -> str:
    """Return a new id.

    Args:
        pattern: Such as `task_{hex:20}`; `{uuid}`, `{digits:n}` and `{base32:n}` are the other pieces.
        source: Where randomness comes from.
    """
    return _PIECE.sub(lambda match: _MINT[match[1] or match[3]](source, int(match[2] or 0)), pattern)
