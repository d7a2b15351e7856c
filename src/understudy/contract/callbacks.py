"""Compile callbacks: when they are sent, what they say, and how they are signed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from understudy.contract.compiler import At, Compiler
from understudy.contract.model import CHALLENGE, Callback, Handshake
from understudy.contract.signs import compile_sign
from understudy.contract.templates import leaves
from understudy.contract.views import Words
from understudy.lifecycle import TERMINAL, State


def compile_callback(
    compiler: Compiler, node: dict[str, Any], at: At, *, words: Words, operation: Callable[[str, At], str]
) -> Callback:
    """Compile what is sent, where to, and how it is signed.

    Args:
    compiler: Notes what is wrong.
    node: As it stands in the file.
    at: Where it stands.
    words: The wire words of the states.
    operation: Checks the name of an operation.
    """
    trigger, written, place = node.get("trigger", list(TERMINAL)), node.get("headers", {}), (*at, "headers")
    names = trigger if isinstance(trigger, Mapping) else dict.fromkeys(trigger)
    if "only" in node and not isinstance(trigger, Mapping):
        compiler.problem((*at, "only"), '"only" needs the names of events: make "trigger" a map from state to name')
    return Callback(
        trigger={State(state): event for state, event in names.items() if state in set(State)},
        account=node.get("account", False),
        handshake=_handshake(compiler, node["handshake"], (*at, "handshake")) if "handshake" in node else None,
        only=compiler.place(node["only"], (*at, "only")) if "only" in node else (),
        view=compiler.view(node["view"], (*at, "view"), words, None),
        headers=compiler.headers({name: value for name, value in written.items() if "{$" not in name}, place),
        named_headers=tuple(
            (compiler.text(name, (*place, name)), compiler.template(value, (*place, name)))
            for name, value in written.items()
            if "{$" in name
        ),
        sign=compile_sign(compiler, node["sign"], (*at, "sign"), operation) if "sign" in node else None,
        timeout_seconds=node.get("timeoutSeconds", 15),
        delivered=compiler.condition(node.get("delivered"), (*at, "delivered")),
        retry_after_seconds=tuple(node.get("retry", {}).get("afterSeconds", ())),
    )


def _handshake(compiler: Compiler, node: dict[str, Any], at: At) -> Handshake:
    body, reply = (compiler.template(node[key], (*at, key)) for key in ("body", "reply"))
    if not any(leaf.path == CHALLENGE for leaf in leaves(body)):
        compiler.problem((*at, "body"), 'a receiver cannot find the challenge: make "$delivery.challenge" a member')
    return Handshake(body, reply, node["timeoutSeconds"])
