"""Compile how a list is split into pages."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from understudy.contract.compiler import At, Compiler
from understudy.contract.expressions import Expression
from understudy.contract.views import View


class Paging(NamedTuple):
    """How a list is split: `at` is where a request says which page it wants, `size_at` how many jobs on it."""

    style: Literal["token", "id", "offset", "number"]
    at: Expression
    size_at: Expression | None
    size: int
    max_size: int | None


def compile_paging(compiler: Compiler, node: dict[str, Any], at: At, reply: View) -> Paging:
    """Compile how a list is split.

    Args:
        compiler: Notes what is wrong.
        node: As it stands in the file; the format's schema has been held to it.
        at: Where it stands.
        reply: How a page looks; with a token it has to show the next one.
    """
    size = node["size"]
    if node["style"] == "token" and not {"page.next", "page.nextUrl"} & reply.fields(None):
        text = "a client cannot get to the next page: the reply shows neither $page.next nor $page.nextUrl"
        compiler.problem((*at, "style"), text)
    return Paging(
        style=node["style"],
        at=compiler.expression(node["at"], (*at, "at")),
        size_at=compiler.expression(size["at"], (*at, "size", "at")) if "at" in size else None,
        size=size["default"],
        max_size=size.get("max"),
    )
