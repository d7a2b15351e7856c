"""Compile the operations that make jobs: where a request says what is wanted, and what one with a key leads to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from understudy.contract.compiler import At, Compiler
from understudy.contract.conditions import Condition
from understudy.contract.expressions import Expression, Place
from understudy.contract.operations import Operation
from understudy.contract.views import View


class Sync(NamedTuple):
    """An operation that blocks until the job ends."""

    when: Condition | None
    max_seconds: Place


class Idempotency(NamedTuple):
    """A create with a key that was there before is answered as it was then."""

    key: Place
    seconds: float
    conflict: str


class Create(NamedTuple):
    """Operations that make jobs; `told_by_json` where nothing but a body in JSON tells the input."""

    operations: tuple[str, ...]
    model: Place
    input: Place
    told_by_json: bool
    number: Place
    callback_url: Place
    claims: frozenset[str]
    late: bool
    sync: Sync | None
    idempotency: Idempotency | None
    reply: View


def compile_create(
    compiler: Compiler,
    node: dict[str, Any],
    at: At,
    *,
    names: tuple[str, ...],
    operations: Mapping[str, Operation],
    chosen_id: Place,
    reply: View,
) -> Create:
    """Compile a group of operations that make jobs in the same way.

    Args:
        compiler: Notes what is wrong.
        node: As it stands in the file.
        at: Where it stands.
        names: Its operations.
        operations: All that there are, by name.
        chosen_id: Where a client says which id it wants for its job.
        reply: What is answered.
    """
    places = {key: compiler.place_in(node, key, at) for key in ("model", "input", "count", "callbackUrl")}
    further = [compiler.place(item, (*at, "claims", index)) for index, item in enumerate(node.get("claims", ()))]
    idempotency = None
    if "idempotency" in node:
        inner, place = node["idempotency"], (*at, "idempotency")
        idempotency = Idempotency(compiler.place(inner["key"], (*place, "key")), inner["seconds"], inner["conflict"])
        further.append(idempotency.key)
    sync = None
    if "sync" in node:
        inner, place = node["sync"], (*at, "sync")
        when = compiler.condition(inner.get("when"), (*place, "when"))
        sync = Sync(when, compiler.place(inner.get("maxSeconds", []), (*place, "maxSeconds")))
    claimed = [item for place in (*places.values(), *further, chosen_id) for item in place if _of_body(item)]
    told = [item for item in places["input"] if isinstance(item, Expression)]
    return Create(
        operations=names,
        model=places["model"],
        input=places["input"],
        told_by_json=all(_in_json(operations[name]) for name in names if name in operations)
        and all(map(_of_body, told)),
        number=places["count"],
        callback_url=places["callbackUrl"],
        claims=frozenset(item.pointer[0] for item in claimed if item.pointer),
        late=node.get("validates") == "late",
        sync=sync,
        idempotency=idempotency,
        reply=reply,
    )


def _of_body(item: Any) -> bool:
    """Say whether what stands in a place is of the body of a request."""
    return isinstance(item, Expression) and item.root == "request" and item.path == ("body",)


def _in_json(operation: Operation) -> bool:
    """Say whether all that an operation takes is JSON."""
    return operation.body is None or all("json" in media_type for media_type in operation.body.media_types)
