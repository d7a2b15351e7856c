"""Counts what happens: looks on while stand-ins play, and says afterwards what of their contracts was touched."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
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

#: What finds out what an entry of a journal touches, and what of the entry it needs: entries are counted by it.
Sort = tuple[Callable[..., Iterator[Touch]], tuple[str | int | None, ...]]


class Tally:
    """Counts what is touched of each provider that it looks at; it outlives their resets."""

    def __init__(self) -> None:
        self._watched: dict[str, tuple[Contract, Behaviour]] = {}
        self._counts: dict[str, dict[Sort, int]] = {}
        self._lock = threading.Lock()

    def attend(self, provider: Provider) -> None:
        """Count what happens at a stand-in from now on, together with others of that name."""
        contract = provider.contract
        with self._lock:
            self._watched[contract.name] = contract, provider.behaviour
            counts = self._counts.setdefault(contract.name, {})
        note: Callable[[Entry], None] = partial(self._note, counts)
        if any(kind.retention.expires for kind in contract.job_types.values()):
            note = partial(self._note_expired, counts, provider.plays)
        provider.journal.listeners.append(note)

    def _note(self, counts: dict[Sort, int], entry: Entry) -> None:
        sort = sort_of(entry)
        with self._lock:
            counts[sort] = counts.get(sort, 0) + 1

    def _note_expired(self, counts: dict[Sort, int], plays: Plays, entry: Entry) -> None:
        """Count an entry, and with it the jobs that it finds expired: nobody has moved them there."""
        self._note(counts, entry)
        for job_id in entry.jobs if isinstance(entry, Exchange) else ():
            play = plays.get(job_id)
            job = play.kept(entry.at) if play is not None else None
            if play is not None and job is not None and job.state is not play.record.state:
                self._note(counts, Transition(entry.at, job_id, job.state, job.status, play.record.state))

    def report(self) -> list[Covered]:
        """Return what was touched of the providers at which anything has happened."""
        from understudy.coverage.items import items_of
        from understudy.coverage.report import Covered

        with self._lock:
            seen = [(name, dict(sorts)) for name, sorts in sorted(self._counts.items())]
        found = []
        for name, sorts in seen:
            contract, behaviour = self._watched[name]
            errors = frozenset(error for kind in contract.job_types.values() for error in kind.errors.rules)
            counts = Counter[Touch]()
            for (touched, told), times in sorts.items():
                counts.update(dict.fromkeys(touched(errors, *told), times))
            if counts:
                items = items_of(contract, behaviour)
                found.append(Covered(name, tuple(item._replace(times=counts[item.kind, item.name]) for item in items)))
        return found


def sort_of(entry: Entry) -> Sort:
    """Return what of an entry tells what it touches, after what finds that out."""
    match entry:
        case Transition():
            return _by_move, (entry.before, entry.state, entry.failure)
        case Exchange():
            return _by_answer, (entry.operation, entry.status, entry.scenario, entry.error)
        case Attempt():
            return _by_attempt, (entry.delivered, entry.status is not None, entry.attempt > 1, entry.signed)
        case _:
            return _by_fault, (entry.fault,)


def _by_move(_: frozenset[str], before: State | None, state: State, failure: str | None) -> Iterator[Touch]:
    if before is not state:  # or it has only got another word
        yield kind_of(state), state.value
        yield "transitions", walk(before, state)
    if failure is not None:
        yield "failures", failure


def _by_answer(
    errors: frozenset[str], operation: str | None, status: int | None, scenario: str | None, error: str | None
) -> Iterator[Touch]:
    if operation is not None and status is not None:
        yield "operations", f"{operation} {status}"
    if operation is not None and scenario is not None:
        yield "scenarios", scenario
    while error is not None and error not in errors:  # where there is no rule for it, its fallback is touched
        error = ENGINE_ERRORS.get(error)
    if error is not None:
        yield "errors", error


def _by_attempt(_: frozenset[str], delivered: bool, answered: bool, again: bool, signed: bool) -> Iterator[Touch]:
    ways = {"delivered": delivered, "refused": answered and not delivered, "retried": again}
    ways["signed"] = signed and answered
    return (("callbacks", way) for way, holds in ways.items() if holds)


def _by_fault(_: frozenset[str], fault: str) -> Iterator[Touch]:
    yield "faults", fault


def kind_of(state: State) -> str:
    """Return what a state counts as: an outcome where nothing follows it."""
    return "outcomes" if state in TERMINAL else "states"


def walk(before: State | None, state: State) -> str:
    """Return the name of a transition; one from None is that of a new job."""
    return f"{before or 'new'} → {state}"
