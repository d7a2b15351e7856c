"""Trouble: which faults strike which requests, and what comes of a request that is struck."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from understudy.clock import Clock
from understudy.contract.conditions import Condition
from understudy.contract.expressions import Scope
from understudy.errors import UsageError, suggestion
from understudy.faults import fault_class
from understudy.faults.fault import Fault, Part
from understudy.journal import Journal, Struck
from understudy.lifecycle import Json
from understudy.wire import Outcome, Reply, Stream, Wait


@dataclass(frozen=True, eq=False, slots=True)
class FaultRule:
    """When a fault strikes.

    Attributes:
        name: The fault's name.
        fault: The fault, with its parameters.
        on: The part of `x-jobs` that it strikes.
        nth: From which request on, counted from 1: those about a job by job, the others by account.
        times: How many of them; None for all.
        when: Which of them count; None for all.
    """

    name: str
    fault: Fault
    on: Part
    nth: int = 1
    times: int | None = 1
    when: Condition | None = None

    def is_over(self, count: int) -> bool:
        """Say whether no request after the one of that number is struck."""
        return self.times is not None and count >= self.nth + self.times - 1

    def strikes(self, count: int) -> bool:
        """Say whether the request of that number is struck."""
        return count >= self.nth and (self.times is None or count < self.nth + self.times)


def fault_rule(name: str, on: str | None, parameters: Mapping[str, Json], **more: Any) -> FaultRule:
    """Make a rule.

    Args:
        name: The fault's name.
        on: What it strikes; None for what it usually does.
        parameters: The fault's own.
        **more: `nth`, `times`, `when`.

    Raises:
        UsageError: There is no such fault, it does not strike there, or it has no such parameter.
    """
    for _, text in wrong_rule(name, on, parameters):
        raise UsageError(text)
    kind = fault_class(name)
    part = next(part for part in kind.on if on in (part, None))
    return FaultRule(name, kind(**parameters), part, **more)


def wrong_rule(name: str, on: str | None, parameters: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    """Return what is wrong with a rule: the key that is, and a text."""
    try:
        kind = fault_class(name)
    except ValueError as error:
        yield "fault", str(error)
        return
    if on is not None and on not in kind.on:
        known = on in get_args(Part)
        yield "on", f'"{name}" cannot strike "{on}"; {suggestion("" if known else on, kind.on)}'
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key, value in parameters.items():
        if key not in fields:
            yield key, f'"{name}" has no "{key}"; {suggestion(key, fields)}'
        elif not _fits(value, fields[key].default):
            yield key, f'"{key}" of "{name}" has to be {_KINDS[type(fields[key].default)]}, and not {value!r}'


_KINDS = {bool: "true or false", int: "a whole number from 0", float: "a number from 0", str: "text"}


def _fits(value: Json, default: Json) -> bool:
    """Say whether a value is of the type of a parameter; only what is below 0 by default may be below 0."""
    if isinstance(default, bool | str) or isinstance(value, bool | str):
        return type(value) is type(default)
    return isinstance(value, int | float if isinstance(default, float) else int) and (value >= 0 or default < 0)


class Trouble:
    """The faults of one provider's stand-in.

    Args:
        clock: By which they act.
        journal: Where they are noted.
    """

    def __init__(self, clock: Clock, journal: Journal) -> None:
        self._clock = clock
        self._journal = journal
        self._armed: list[FaultRule] = []
        self._met: Met = {}

    def arm(self, rule: FaultRule) -> None:
        """Have a fault strike, whatever the scenario; requests are counted from now, whosesoever they are."""
        self._armed.append(rule)

    @property
    def armed(self) -> bool:
        """Whether any fault waits to strike beside those of stories."""
        return bool(self._armed)

    def clear(self) -> None:
        """Forget the faults that were armed."""
        self._armed.clear()
        self._met.clear()

    def striking(
        self, rules: Sequence[FaultRule], part: str, met: Met, scope: Scope, job_id: str | None = None
    ) -> list[Fault]:
        """Count a request, and return the faults that strike it.

        Args:
            rules: Those of the story that is played.
            part: The part of `x-jobs` that the request belongs to.
            met: How many requests each rule has met, of the same job or account.
            scope: For the conditions.
            job_id: The job that it is about.
        """
        struck = [
            rule
            for some, counts in ((rules, met), (self._armed, self._met))
            for rule in some
            if rule.on == part and (rule.when is None or rule.when.holds(scope)) and rule.strikes(_count(counts, rule))
        ]
        self._armed = [rule for rule in self._armed if not rule.is_over(self._met.get(rule, 0))]
        for rule in struck:
            self._journal.add(Struck(self._clock.now(), rule.name, part, job_id))
        return [rule.fault for rule in struck]

    def around(self, faults: Sequence[Fault], handle: Callable[[], Outcome]) -> Outcome:
        """Answer a request that faults strike.

        Args:
            faults: The faults.
            handle: Answers it as it should be.

        Raises:
            Answered: A fault answers with a named error.
        """
        now = self._clock.now()
        instead = next((answer for fault in faults if (answer := fault.instead(now)) is not None), None)
        return self._through(faults, handle()) if instead is None else instead

    def _through(self, faults: Sequence[Fault], outcome: Outcome) -> Outcome:
        if not faults:
            return outcome
        first, *others = faults
        if isinstance(outcome, Wait):
            resume = outcome.resume
            return Wait(outcome.until, lambda: self._through(faults, resume()))
        if isinstance(outcome, Stream):
            outcome.tap = first.tap
            return outcome
        if isinstance(outcome, Reply):
            return self._through(others, first.answer(outcome, self._clock.now()))
        return outcome


Met = dict[FaultRule, int]


def _count(met: Met, rule: FaultRule) -> int:
    met[rule] = met.get(rule, 0) + 1
    return met[rule]
