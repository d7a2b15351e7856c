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
    for key in ("nth", "times"):
        value = more.get(key, 1)
        if not (value is None and key == "times") and (type(value) is not int or value < 1):
            for_all = ", or None for all," if key == "times" else ","
            raise UsageError(f'"{key}" has to be a whole number from 1{for_all} and not {value!r}')
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
        elif not _fits(key, value, fields[key].default):
            yield key, f'"{key}" of "{name}" has to be {_expected(key, fields[key].default)}, and not {value!r}'
    if "pointer" in fields and "pointer" not in parameters:
        yield "fault", f'"{name}" needs a "pointer"'


#: What a number can be, by the last word of its name.
RANGES: Mapping[str, tuple[float, float]] = {
    "seconds": (0, 366 * 86400),
    "share": (0, 1),
    "bytes": (1, 2**30),
    "status": (200, 599),
}
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def _expected(key: str, default: Json) -> str:
    if key == "pointer":
        return 'a JSON pointer, which begins with "/"'
    if isinstance(default, bool | str):
        return _KINDS[type(default)]
    least, most = RANGES[key.rpartition("_")[2]]
    return f"{_KINDS[type(default)]} from {least:,} to {most:,}"


def _fits(key: str, value: Json, default: Json) -> bool:
    """Say whether a value is one for a parameter; what is below 0 by default may be that, for none."""
    if isinstance(default, bool | str) or isinstance(value, bool | str):
        return type(value) is type(default) and (key != "pointer" or value.startswith("/"))
    if not isinstance(value, int | float if isinstance(default, float) else int):
        return False
    least, most = RANGES[key.rpartition("_")[2]]
    return least <= value <= most or value == default


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

    def may_strike(self, rules: Sequence[FaultRule], part: str) -> bool:
        """Say whether any fault waits to strike a part: of a story, or beside those."""
        return part in [rule.on for rule in (*rules, *self._armed)]

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
        struck = [rule for rule in rules if _meets(rule, part, met, scope)]
        if self._armed:
            struck += [rule for rule in self._armed if _meets(rule, part, self._met, scope)]
            for rule in [rule for rule in self._armed if rule.is_over(self._met.get(rule, 0))]:
                self._armed.remove(rule)
                del self._met[rule]
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
            outcome.tap([fault.tap for fault in faults])
        elif isinstance(outcome, Reply):
            return self._through(others, _about(outcome, first.answer(outcome, self._clock.now())))
        return outcome


def _about(reply: Reply, outcome: Outcome) -> Outcome:
    """Return what a fault has made of a reply, with what it is about."""
    if not isinstance(outcome, Stream) and outcome.operation is None:
        outcome.operation, outcome.jobs = reply.operation, reply.jobs
    return outcome


Met = dict[FaultRule, int]


def _meets(rule: FaultRule, part: str, met: Met, scope: Scope) -> bool:
    """Count a request that a rule is about, and say whether it is struck."""
    if rule.on != part or (rule.when is not None and not rule.when.holds(scope)):
        return False
    count = met[rule] = met.get(rule, 0) + 1
    return rule.strikes(count)
