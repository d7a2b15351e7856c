"""Compile how callbacks are signed: an object that says it all, or a word that stands for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from understudy.contract.compiler import At, Compiler
from understudy.contract.model import Sign

#: Word → the object that it stands for.
SIGNS: dict[str, dict[str, Any]] = {
    "standard-webhooks": {
        "when": "$secret.webhook",
        "key": "$secret.webhook|whsec",
        "message": "{$delivery.id}.{$delivery.timestamp}.{$delivery.body}",
        "encoding": "base64",
        "headers": {
            "webhook-id": "$delivery.id",
            "webhook-timestamp": "$delivery.timestamp",
            "webhook-signature": "v1,{$signature}",
        },
        "separator": " ",
    },
}


def compile_sign(
    compiler: Compiler, written: str | dict[str, Any], at: At, operation: Callable[[str, At], str]
) -> Sign:
    """Compile how a callback is signed.

    Args:
        compiler: Notes what is wrong.
        written: As it stands in the file.
        at: Where it stands.
        operation: Checks the name of an operation.
    """
    node = SIGNS[written] if isinstance(written, str) else written
    return Sign(
        when=compiler.condition(node.get("when"), (*at, "when")),
        algorithm=node.get("algorithm", "hmac-sha256"),
        key=compiler.expression(node["key"], (*at, "key")),
        message=compiler.text(node.get("message", ""), (*at, "message")),
        encoding=node.get("encoding", "text"),
        headers=compiler.headers(node["headers"], (*at, "headers")),
        separator=node.get("separator"),
        tolerance_seconds=node.get("toleranceSeconds", 300),
        jwks=operation(node["jwks"], (*at, "jwks")) if "jwks" in node else None,
    )
