"""Counts what happens: looks on while stand-ins play, and says afterwards what of their contracts was touched."""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from understudy.contract.catalogue import ENGINE_ERRORS
from understudy.journal import Attempt, Entry, Exchange, Transition
from understudy.lifecycle import TERMINAL, State

if TYPE_CHECKING:
    from understudy.behaviour import Behaviour
    from understudy.contract.model import Contract
    from understudy.coverage.report import Covered
    from understudy.provider import Provider
    from understudy.store import Plays

Touch = tuple[str, str]


class Tally:
    """Counts what is touched of each provider that it looks at; it outlives their resets."""

    def __init__(self) -> None:
        self._watched: dict[str, tuple[Contract, Behaviour]] = {}
        self._counts: dict[str, Counter[Touch]] = {}
        self._lock = threading.Lock()

    def attend(self, provider: Provider) -> None:
        """Count what happens at a stand-in from now on, together with others of that name."""
        contract = provider.contract
        with self._lock:
            self._watched[contract.name] = contract, provider.behaviour
            counts = self._counts.setdefault(contract.name, Counter())
        errors = frozenset(name for kind in contract.job_types.values() for name in kind.errors.rules)
        provider.journal.listeners.append(partial(self._note, counts, provider.plays, errors))

    def _note(self, counts: Counter[Touch], plays: Plays, errors: frozenset[str], entry: Entry) -> None:
        found = (*touched(entry, errors), *_expired(entry, plays))
        with self._lock:
            for touch in found:
                counts[touch] += 1

    def report(self) -> list[Covered]:
        """Return what was touched of the providers at which anything has happened."""
        from understudy.coverage.items import items_of
        from understudy.coverage.report import Covered

        with self._lock:
            seen = [(name, Counter(counts)) for name, counts in sorted(self._counts.items()) if counts]
        return [
            Covered(
                name,
                tuple(item._replace(times=counts[item.kind, item.name]) for item in items_of(*self._watched[name])),
            )
            for name, counts in seen
        ]


def touched(entry: Entry, errors: frozenset[str]) -> Iterable[Touch]:
    """Return what an entry of a journal touches, each as a kind and a name.

    Args:
        entry: The entry.
        errors: The named errors that the contract has rules for; for another one its fallback is touched.
    """
    match entry:
        case Exchange():
            return _by_answer(entry.operation, entry.status, entry.scenario, entry.error, errors)
        case Transition():
            return _by_move(entry.before, entry.state, entry.failure)
        case Attempt():
            ways = {"delivered": entry.delivered, "refused": not entry.delivered and entry.status is not None}
            ways |= {"retried": entry.attempt > 1, "signed": entry.signed and entry.status is not None}
            return (("callbacks", way) for way, holds in ways.items() if holds)
        case _:
            return (("faults", entry.fault),)


@functools.lru_cache(maxsize=1024)
def _by_answer(
    operation: str | None, status: int | None, scenario: str | None, error: str | None, errors: frozenset[str]
) -> tuple[Touch, ...]:
    found = []
    if operation is not None and status is not None:
        found.append(("operations", f"{operation} {status}"))
    if operation is not None and scenario is not None:
        found.append(("scenarios", scenario))
    while error is not None and error not in errors:
        error = ENGINE_ERRORS.get(error)
    if error is not None:
        found.append(("errors", error))
    return tuple(found)


@functools.lru_cache(maxsize=1024)
def _by_move(before: State | None, state: State, failure: str | None) -> tuple[Touch, ...]:
    found = []
    if before is not state:  # or it has only got another word
        found = [(kind_of(state), state.value), ("transitions", walk(before, state))]
    if failure is not None:
        found.append(("failures", failure))
    return tuple(found)


def _expired(entry: Entry, plays: Plays) -> Iterator[Touch]:
    """Return what is touched when somebody asks for a job that has expired since: nobody has moved it there."""
    for job_id in entry.jobs if isinstance(entry, Exchange) else ():
        play = plays.get(job_id)
        job = play.kept(entry.at) if play is not None and play.job_type.retention.expires else None
        if play is not None and job is not None and job.state is not play.job.state:
            yield kind_of(job.state), job.state.value
            yield "transitions", walk(play.job.state, job.state)


def kind_of(state: State) -> str:
    """Return what a state counts as: an outcome where nothing follows it."""
    return "outcomes" if state in TERMINAL else "states"


def walk(before: State | None, state: State) -> str:
    """Return the name of a transition; one from None is that of a new job."""
    return f"{before or 'new'} → {state}"
