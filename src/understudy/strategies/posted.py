"""Hypothesis strategies of callbacks: what a provider sends, and in which order it arrives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import httpx
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from understudy.callback import Delivery
from understudy.client import Client
from understudy.clock import VirtualClock
from understudy.contract.model import Contract
from understudy.errors import UsageError
from understudy.folders import Paths, find_provider
from understudy.library import load_provider
from understudy.lifecycle import Job, State, Step
from understudy.provider import Provider
from understudy.stage import Send
from understudy.strategies.asks import contract_of, requests
from understudy.transport import FakeTransport

T = TypeVar("T")

_HOOK = "http://127.0.0.1:9/hook"

# When a job is in the states on the way to its end.
_ON_THE_WAY = (Step(State.QUEUED, seconds=1), Step(State.RUNNING, seconds=1))


@dataclass(frozen=True)
class Callback:
    """A callback, as a provider sends it.

    Attributes:
        headers: Its headers, with the signature where there is one.
        body: Its body.
        job: The job that it tells of, as the provider knows it.
    """

    headers: dict[str, str]
    body: bytes
    job: Job


def delivery_orders(
    deliveries: Sequence[T], *, duplicates: bool = True, losses: bool = False
) -> SearchStrategy[list[T]]:
    """Draw the orders in which callbacks may arrive.

    Args:
        deliveries: The callbacks, or whatever arrives.
        duplicates: Whether some may come up to three times.
        losses: Whether some may not come.

    Returns:
        Lists of them; the plainest is as they were sent.

    Example:
        >>> from hypothesis import find
        >>> from understudy.strategies import delivery_orders
        >>> find(delivery_orders(["a", "b"]), lambda order: order[0] == "b")
        ['b', 'a']
    """
    counts = st.sampled_from([1, *((2, 3) if duplicates else ()), *((0,) if losses else ())])

    @st.composite
    def orders(draw: DrawFn) -> list[T]:
        sent = [delivery for delivery in deliveries for _ in range(draw(counts))]
        return draw(st.permutations(sent))

    return orders()


def callback_bodies(
    provider: str | Contract, *, secret: str | None = None, paths: Paths = ()
) -> SearchStrategy[Callback]:
    """Draw callbacks as the provider's fake sends them, for jobs that have ended in any way that it calls back for.

    They are signed at the time of a new `VirtualClock`, a minute more or less: read them by such a clock.

    Args:
        provider: The provider's name, a path to its contract, or the contract.
        secret: The key that they are signed with, where they are; that of the fake by default.
        paths: Folders with `contracts/` and `fakes/` to look in before the working directory.

    Returns:
        The callbacks, each of a job of its own.

    Raises:
        UsageError: There is no such provider, or it sends no callbacks.

    Example:
        >>> from hypothesis import find
        >>> from understudy.strategies import callback_bodies
        >>> callback = find(callback_bodies("kie"), lambda callback: callback.job.error is not None)
        >>> callback.job.error.name, callback.headers["content-type"]
        ('content-policy', 'application/json')
    """
    contract = contract_of(provider, paths)
    callback = contract.job_type.callback
    if callback is None:
        raise UsageError(f"{contract.name} sends no callbacks")
    ways = [
        (state, failure)
        for state in callback.trigger
        for failure in (tuple(contract.job_type.failures) or (None,) if state is State.FAILED else (None,))
    ]
    drawn = st.tuples(requests(contract), st.sampled_from(ways))
    return drawn.map(lambda found: _sent(contract, found[0], *found[1], secret))


def _sent(
    contract: Contract, request: dict[str, Any], state: State, failure: str | None, secret: str | None
) -> Callback:
    """Make a job that comes to a state, and return the callback about that."""
    _, behaviour = load_provider(find_provider(str(contract.folder)))
    if secret is not None:
        behaviour = behaviour._replace(secrets=dict.fromkeys(behaviour.secrets, secret))
    sent: list[tuple[Delivery, Job]] = []

    def send(delivery: Delivery, done: Any) -> None:
        sent.append((delivery, replace(stand_in.plays[delivery.job_id].job)))
        done(200, "")

    taker: Send = send
    stand_in = Provider(contract, behaviour, clock=VirtualClock(), balance=1e9, send=taker)
    transport = FakeTransport(lambda host: stand_in.handle, contract.hosts, stand_in.clock, 0, stand_in.record)
    steps = [step for step in _ON_THE_WAY if step.state is not state and step.state in contract.job_type.words.by_state]
    stand_in.next_job(timeline=(*steps, Step(state)), failure=failure)
    with httpx.Client(transport=transport) as http:
        client = Client(contract, api_key="understudy-key", http=http, clock=stand_in.clock)
        client.submit(**request, callback_url=_HOOK)
    stand_in.clock.advance(10)
    delivery, job = next(entry for entry in reversed(sent) if entry[1].state is state)
    return Callback(dict(delivery.headers), delivery.body, job)
