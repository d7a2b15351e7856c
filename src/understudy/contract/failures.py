"""Compile what goes wrong by contract: the named errors of requests, and the ways in which jobs fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from understudy.contract.catalogue import Catalogue, ErrorRule
from understudy.contract.compiler import At, Compiler
from understudy.contract.model import Failure

Operations = Callable[[Iterable[str], At], tuple[str, ...]]


def compile_catalogue(
    compiler: Compiler, node: dict[str, Any], at: At, transports: tuple[Any, ...], operations: Operations
) -> Catalogue:
    """Compile the named errors.

    Args:
        compiler: Notes what is wrong.
        node: As it stands in the file; the format's schema has been held to it.
        at: Where it stands.
        transports: How errors may come.
        operations: Returns operations that are named at a place, and notes those that there are not.
    """
    rules = {
        name: tuple(_rule(compiler, name, entry, (*at, name, index), operations) for index, entry in enumerate(entries))
        for name, entries in node.items()
        if not name.startswith("x-")
    }
    return Catalogue(rules, transports)


def _rule(compiler: Compiler, name: str, node: dict[str, Any], at: At, operations: Operations) -> ErrorRule:
    named = node.get("operations")
    return ErrorRule(
        name=name,
        operations=None if named is None else frozenset(operations(named, (*at, "operations"))),
        when=compiler.condition(node.get("when"), (*at, "when")),
        http=node["http"],
        headers=compiler.headers(node.get("headers"), (*at, "headers")),
        body=compiler.template(node.get("body"), (*at, "body")),
        message=compiler.template(node.get("message"), (*at, "message")),
        committed=node.get("committed", "no"),
        retry=node.get("retry", "never"),
        transport=node.get("transport"),
    )


def compile_failures(compiler: Compiler, node: dict[str, Any], at: At) -> dict[str, Failure]:
    """Compile the ways in which jobs fail; the arguments are those of `compile_catalogue`."""
    return {
        name: Failure(
            name=name,
            code=entry.get("code"),
            message=compiler.template(entry.get("message"), (*at, name, "message")),
            refund=compiler.share(entry),
            http=entry.get("http"),
            headers=entry.get("headers"),
        )
        for name, entry in node.items()
        if not name.startswith("x-")
    }
