"""What can go wrong with a contract: the faults that it can meet, where they strike it, and what they take."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from understudy.contract.model import Contract, JobType
from understudy.contract.templates import Object, Template
from understudy.contract.views import View
from understudy.faults import fault_class, fault_names

# What a fault needs beside the part of a contract that it strikes, or else nobody notices it.
_NEEDS: Mapping[str, Callable[[JobType], Any]] = {
    "callback-before-answer": lambda kind: kind.callback,
    "callback-stale": lambda kind: kind.callback and kind.callback.sign,
    "callback-wrong-signature": lambda kind: kind.callback and kind.callback.sign,
    "link-expires": lambda kind: kind.assets,
    "not-yet-visible": lambda kind: kind.status and kind.status.invisible_error,
}


def combinations(contract: Contract) -> list[tuple[str, str]]:
    """Return the faults that a contract can meet, each with a part that it strikes."""
    kind = contract.job_type
    return [
        (name, part)
        for name in fault_names()
        for part in fault_class(name).on
        if part in kind.parts
        if name not in _NEEDS or _NEEDS[name](kind)
        if "pointer" not in parameters(name) or pointers(kind, part)
    ]


def parameters(name: str) -> dict[str, Any]:
    """Return the parameters of a fault, each with what it is unless said otherwise."""
    return {field.name: field.default for field in dataclasses.fields(fault_class(name))}


def errors_of(kind: JobType, operations: set[str]) -> list[str]:
    """Return the named errors that some operations can answer; of none of them, all."""
    return [
        name
        for name, rules in kind.errors.rules.items()
        if not operations or any(rule.operations is None or rule.operations & operations for rule in rules)
    ]


def pointers(kind: JobType, part: str) -> list[str]:
    """Return the pointers to the members of what is sent as a part."""
    found = [pointer for view in _views(kind, part) for _, body in view.variants[None] for pointer in _below(body)]
    return list(dict.fromkeys(found))


def _views(kind: JobType, part: str) -> list[View]:
    """Return how a part looks on the wire."""
    own = {
        "create": [create.reply for create in kind.creates],
        "status": [kind.status.reply] if kind.status else [],
        "result": [kind.result.reply] if kind.result else [],
        "cancel": [kind.cancel.reply] if kind.cancel else [],
        "delete": [kind.delete.reply] if kind.delete else [],
        "list": [kind.listing.reply] if kind.listing else [],
        "callback": [kind.callback.view] if kind.callback else [],
        "models": [entry.reply for entry in kind.model_operations],
        "files": [entry.reply for entry in kind.uploads],
        "replies": list(kind.replies.values()),
        "renew": [kind.assets.renew.reply] if kind.assets and kind.assets.renew else [],
    }
    return own.get(part, [])


def _below(template: Template, at: str = "") -> Iterator[str]:
    """Return the pointers to the members of a template."""
    for key, inner in template.members if isinstance(template, Object) else ():
        yield f"{at}/{key}"
        yield from _below(inner, f"{at}/{key}")
