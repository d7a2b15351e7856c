"""Scenes: what a stand-in is told to play, so that what no request brings about is seen too.

A story of the contract's own names is told in the header of a request: each error, each word of a state, each failure.
The twin gets the same request, and so plays the same. Each scene has an account of its own, so that no limit binds and
no money runs out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import quote

from understudy.contract.model import Contract
from understudy.contract.operations import Operation
from understudy.fake import API_KEY
from understudy.lifecycle import TERMINAL, Json, State
from understudy.probes import request_to, rules_of
from understudy.provider import SCENARIO_HEADER
from understudy.verify.offers import Order
from understudy.verify.questions import Question, bare, taken_by
from understudy.wire import Request

Story = dict[str, Json]

# The error that tells what is wrong with a request: it is asked for with one.
_OF_A_REQUEST = "invalid"

# A check that a job is played in, the states that it goes through, and its story.
_Way = tuple[str, tuple[State, ...], Story]


class Scene(NamedTuple):
    """A request with a story.

    Attributes:
        check: What it is a part of.
        request: The request, with the stand-in key of an account of its own.
        account: That key.
        order: What is ordered, where it makes a job.
        states: Which states the job goes through.
    """

    check: str
    request: Request
    account: str
    order: Order | None = None
    states: tuple[State, ...] = ()


def unplayable(contract: Contract, server: str) -> Request:
    """Return a request with a story that no job can go through, which a stand-in alone looks at, and refuses."""
    return _told(bare(contract, "GET", server, "/understudy"), {"timeline": []}, API_KEY)


def scenes(
    contract: Contract, orders: Iterable[Order], asked: Iterable[Question], asks: Callable[[Operation], bool]
) -> Iterator[Scene]:
    """Yield what is played, check by check.

    Args:
        contract: What the provider promises.
        orders: What creates take.
        asked: What is asked without a story.
        asks: Says whether an operation is asked at all.
    """
    writer = _Scenes(contract, asks)
    yield from writer.errors()
    yield from writer.transports(asked)
    yield from writer.jobs(orders)


class _Scenes:
    """Writes the scenes of one contract."""

    def __init__(self, contract: Contract, asks: Callable[[Operation], bool]) -> None:
        self._contract, self._asks, self._kind = contract, asks, contract.job_type
        self._made = 0

    def errors(self) -> Iterator[Scene]:
        """Yield each error, in the first operation where other rules are for it than in those before."""
        seen: set[tuple[int, ...]] = set()
        for name, part in self._kind.operation_ids().items():
            operation = self._contract.operations[name]
            for error in self._kind.errors.rules if self._asks(operation) else ():
                rules = tuple(id(rule) for rule in rules_of(self._kind, error, name))
                if error != _OF_A_REQUEST and rules and rules not in seen:
                    seen.add(rules)
                    story: Story = {"error": error}
                    if part != "create":
                        story = {"faults": [{"fault": "error", "on": part, "with": {"error": error}}]}
                    request = request_to(operation, taken_by(self._contract, operation))
                    for transport in self._kind.errors.transports:
                        yield self._scene("scene-errors", request, {**story, "errors": transport})

    def transports(self, asked: Iterable[Question]) -> Iterator[Scene]:
        """Yield what was asked, with errors coming in each other way."""
        for question in asked:
            for transport in self._kind.errors.transports[1:]:
                yield self._scene("scene-transports", question.request, {"errors": transport})

    def jobs(self, orders: Iterable[Order]) -> Iterator[Scene]:
        """Yield for the first order of each create each way that a job can go, for the others one that succeeds."""
        seen: dict[str, list[Request]] = {}
        for order in orders:
            before = seen.setdefault(order.operation, [])
            if order.request not in before:
                for check, states, story in _OTHERS if before else self._ways():
                    yield self._scene(check, order.request, story, order, states)
                before.append(order.request)

    def _ways(self) -> Iterator[_Way]:
        for state, words in self._kind.words.by_state.items():
            named = [{"status": word.word} for word in words[1:] if word.spoken]  # the first is shown by itself
            for states, story in (_through(state, step) for step in ({"state": state}, *named)):
                if state is not State.FAILED or not self._kind.failures:
                    yield "scene-states", states, story
                else:
                    yield from (("scene-failures", states, {**story, "failure": name}) for name in self._kind.failures)

    def _scene(
        self, check: str, request: Request, story: Story, order: Order | None = None, states: tuple[State, ...] = ()
    ) -> Scene:
        self._made += 1
        account = f"{API_KEY}-{self._made}"
        return Scene(check, _told(request, story, account), account, order, states)


def _through(state: State, step: Story) -> tuple[tuple[State, ...], Story]:
    """Return the states of a job that gets into one at once, is seen there, and ends; and the story."""
    if state in TERMINAL:
        return (state,), {"timeline": [step]}
    return (state, State.SUCCEEDED), {"timeline": [{**step, "progress": 0.5, "reads": 1}, {"state": State.SUCCEEDED}]}


_OTHERS: tuple[_Way, ...] = (("scene-models", *_through(State.SUCCEEDED, {"state": State.SUCCEEDED})),)


def _told(request: Request, story: Story, account: str) -> Request:
    """Return a request with a story, from an account."""
    headers = [(name, value.replace(API_KEY, account)) for name, value in request.headers]
    query = request.query.replace(quote(API_KEY), quote(account))
    return replace(request, headers=[*headers, (SCENARIO_HEADER, json.dumps(story))], query=query)
