"""Compile the operations that stop or remove a job: in which states, or under which of their words, they work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from understudy.contract.codecs import as_text, dump_json
from understudy.contract.compiler import At, Compiler
from understudy.contract.conditions import same
from understudy.contract.expressions import Place
from understudy.contract.templates import Template
from understudy.contract.views import View, Words
from understudy.errors import suggestion
from understudy.lifecycle import Job, Json, State


class Ending(NamedTuple):
    """The operation that stops a job, or removes it, in some states: in all of one, or under these words of it.

    What comes back of the cost, `refund`, is as a failure's.
    """

    operation: str
    id: Place
    link: Template | None
    states: Mapping[State, tuple[Json, ...]]
    reply: View
    refused: View
    refund: float

    def takes(self, job: Job) -> bool:
        """Say whether it works on a job as it is."""
        words = self.states.get(job.state)
        return words is not None and (not words or any(same(job.status, word) for word in words))


def compile_from(compiler: Compiler, node: list[Json], at: At, words: Words) -> dict[State, tuple[Json, ...]]:
    """Compile where an operation works.

    Args:
        compiler: Notes what is wrong.
        node: Normal states, and words of the provider's.
        at: Where it stands.
        words: The words of the states.

    Returns:
        Each state with the words under which it works; with none where it works under any.
    """
    found: dict[State, tuple[Json, ...]] = {State(entry): () for entry in node if entry in set(State)}
    for index, word in enumerate(node):
        state = words.state_named(word)
        if word in set(State):
            continue
        if state is None:
            what = f'an item of "from" cannot be {dump_json(word)}: it is no state, and no word of one'
            compiler.problem((*at, index), f"{what}; {suggestion(as_text(word), {*State, *words.spoken})}")
        elif found.get(state) != ():
            found[state] = (*found.get(state, ()), word)
    return found
