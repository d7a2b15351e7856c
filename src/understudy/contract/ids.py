"""Compile what the ids of jobs are made of: what the client wants, parts of its request, and what is minted."""

from __future__ import annotations

from collections.abc import Iterable

from understudy.contract.compiler import At, Compiler
from understudy.contract.expressions import Expression
from understudy.contract.operations import Operation, path_names
from understudy.contract.templates import Text
from understudy.contract.views import expressions
from understudy.errors import suggestion


def compile_id(
    compiler: Compiler, node: str | list[str], at: At, creates: Iterable[Operation]
) -> tuple[tuple[Expression, ...], Text]:
    """Compile what ids are made of.

    Args:
        compiler: Notes what is wrong.
        node: As it stands in the file: a pattern, or places where a client may choose an id, and the pattern last.
        at: Where it stands.
        creates: The operations whose requests it may name.

    Returns:
        The places, and the pattern, in which the pieces that are minted are text.
    """
    *places, pattern = node if isinstance(node, list) else [node]
    chosen = tuple(compiler.expression(place, (*at, index)) for index, place in enumerate(places))
    if pattern.startswith("$"):
        compiler.problem(at, f'the last is a pattern to mint ids by, and "{pattern}" is none')
    text = compiler.text(pattern, at)
    for part in expressions(text):
        if part.root != "request":
            compiler.problem(at, f'an id is made of the request for its job; "{part.text}" is no part of that')
        for operation in creates if part.path[:1] == ("path",) else ():
            names = path_names(operation.path)
            if part.path[1:] and part.path[1] not in names:
                what = f'{operation.id} has no path parameter "{part.path[1]}"; {suggestion(part.path[1], names)}'
                compiler.problem(at, what)
    return chosen, text
