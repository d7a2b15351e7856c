"""Mint ids by a contract's pattern, the same from the same seed."""

from __future__ import annotations

import base64
import functools
import random
import re
import uuid
from collections.abc import Callable
from typing import Any

from understudy.contract.model import JobType
from understudy.contract.templates import Text

_PIECE = re.compile(r"\{(hex|digits|base32):(\d{1,3})\}|\{(uuid)\}")

Mint = Callable[[random.Random, int], str]

_MINT: dict[str, Mint] = {
    "hex": lambda source, length: source.randbytes((length + 1) // 2).hex()[:length],
    "digits": lambda source, length: "".join(source.choices("0123456789", k=length)),
    "base32": lambda source, length: base64.b32encode(source.randbytes(length)).decode().lower()[:length],
    "uuid": lambda source, length: str(uuid.UUID(bytes=source.randbytes(16), version=4)),
}


def wrong_pieces(id: Text) -> list[str]:
    """Return what stands in braces in the pattern of an id and is no kind of it."""
    pattern = "".join(part for part in id.parts if isinstance(part, str))
    return re.findall(r"\{[^{}]*\}", _PIECE.sub("", pattern))


def new_id(job_type: JobType, source: random.Random, request: Any) -> str:
    """Return a new id of a job, with what the contract puts there from the request, as expressions see it."""
    return mint(job_type.id.render({"request": request}), source)


def mint(pattern: str, source: random.Random) -> str:
    """Return a new id.

    Args:
        pattern: Such as `task_{hex:20}`; `{uuid}`, `{digits:n}` and `{base32:n}` are the other pieces.
        source: Where randomness comes from.
    """
    pieces, rest = _pieces(pattern)
    return "".join([text + make(source, length) for text, make, length in pieces]) + rest


@functools.lru_cache(maxsize=1024)
def _pieces(pattern: str) -> tuple[list[tuple[str, Mint, int]], str]:
    """Return the pieces of a pattern, each with the text before it, how it is made and how long it is; and the rest."""
    pieces, end = [], 0
    for match in _PIECE.finditer(pattern):
        pieces.append((pattern[end : match.start()], _MINT[match[1] or match[3]], int(match[2] or 0)))
        end = match.end()
    return pieces, pattern[end:]
