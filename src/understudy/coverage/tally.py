"""Counts what happens: looks on while stand-ins play, and says afterwards what of their contracts was touched."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterator
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

    def _note(self, counts: Counter[Touch], plays: Plays, errors: Collection[str], entry: Entry) -> None:
        found = [*touched(entry, errors), *_expired(entry, plays)]
        with self._lock:
            counts.update(found)

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


def touched(entry: Entry, errors: Collection[str]) -> Iterator[Touch]:
    """Return what an entry of a journal touches, each as a kind and a name.

    Args:
        entry: The entry.
        errors: The named errors that the contract has rules for; for another one its fallback is touched.
    """
    match entry:
        case Exchange():
            if entry.operation is not None and entry.status is not None:
                yield "operations", f"{entry.operation} {entry.status}"
            if entry.operation is not None and entry.scenario is not None:
                yield "scenarios", entry.scenario
            error = entry.error
            while error is not None and error not in errors:
                error = ENGINE_ERRORS.get(error)
            if error is not None:
                yield "errors", error
        case Transition():
            if entry.before is not entry.state:  # or it has only got another word
                yield kind_of(entry.state), entry.state.value
                yield "transitions", walk(entry.before, entry.state)
            if entry.failure is not None:
                yield "failures", entry.failure
        case Attempt():
            ways = {"delivered": entry.delivered, "refused": not entry.delivered and entry.status is not None}
            ways |= {"retried": entry.attempt > 1, "signed": entry.signed and entry.status is not None}
            yield from (("callbacks", way) for way, holds in ways.items() if holds)
        case _:
            yield "faults", entry.fault


def _expired(entry: Entry, plays: Plays) -> Iterator[Touch]:
    """Return what is touched when somebody asks for a job that has expired since: nobody has moved it there."""
    for job_id in entry.jobs if isinstance(entry, Exchange) else ():
        play = plays.get(job_id)
        job = None if play is None else play.kept(entry.at)
        if play is not None and job is not None and job.state is not play.job.state:
            yield kind_of(job.state), job.state.value
            yield "transitions", walk(play.job.state, job.state)


def kind_of(state: State) -> str:
    """Return what a state counts as: an outcome where nothing follows it."""
    return "outcomes" if state in TERMINAL else "states"


def walk(before: State | None, state: State) -> str:
    """Return the name of a transition; one from None is that of a new job."""
    return f"{before or 'new'} → {state}"
