"""Hypothesis strategies of what happens to a job: its steps, how it comes out, and what goes wrong with it."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from understudy.contract.model import Contract
from understudy.errors import UsageError, suggestion
from understudy.folders import Paths
from understudy.lifecycle import TERMINAL, State, Step, Timeline
from understudy.mishaps import combinations, errors_of, parameters, pointers
from understudy.strategies.asks import contract_of
from understudy.strategies.scalars import WORDS
from understudy.trouble import RANGES

#: What goes wrong so that a client that believes its provider believes what is not so.
MISLEADING = frozenset({"member-renamed", "member-value"})

# A state, and the word for it where there are several.
Word = tuple[State, Any]

# How long a step lasts.
_SECONDS = (1, 2, 5, 10, 30, 90)
_READS = (1, 2, 3)


def timelines(provider: str | Contract, *, paths: Paths = ()) -> SearchStrategy[Timeline]:
    """Draw the steps that a job can go through, in the provider's own words where a state has several.

    Args:
        provider: The provider's name, a path to its contract, or the contract.
        paths: Folders with `contracts/` to look in before the working directory.

    Returns:
        Steps for `fake.next_job(timeline=…)`: up to three that last for seconds or for reads, and one that stays: an
        end, or where the job is stuck. The plainest job succeeds at once.

    Raises:
        UsageError: There is no such provider.

    Example:
        >>> from hypothesis import find
        >>> from understudy.strategies import timelines
        >>> steps = find(timelines("kie"), lambda steps: len(steps) == 2)
        >>> [str(step.state) for step in steps]
        ['queued', 'succeeded']
    """
    words = contract_of(provider, paths).job_type.words.by_state
    spoken = [
        (state, word.word if len(words[state]) > 1 else None)
        for state in State
        for word in words.get(state, ())
        if word.spoken
    ]
    ends = [entry for entry in spoken if entry[0] in TERMINAL]
    active = [entry for entry in spoken if entry[0] not in TERMINAL]
    times: list[dict[str, Any]] = [{"seconds": seconds} for seconds in _SECONDS] + [
        {"reads": reads} for reads in _READS
    ]

    def timeline(drawn: tuple[list[tuple[Word, dict[str, Any]]], Word]) -> Timeline:
        before, end = drawn
        entries = sorted([*(entry for entry, _ in before), end], key=[*active, *ends].index)
        steps = [Step(*entry, **lasts) for entry, (_, lasts) in zip(entries[:-1], before, strict=True)]
        return *steps, Step(*entries[-1])

    steps = st.tuples(st.sampled_from(active or ends), st.sampled_from(times))
    return st.tuples(st.lists(steps, max_size=3 if active else 0), st.sampled_from([*ends, *active])).map(timeline)


def outcomes(provider: str | Contract, *, paths: Paths = ()) -> SearchStrategy[dict[str, Any]]:
    """Draw how a job can come out.

    Args:
        provider: The provider's name, a path to its contract, or the contract.
        paths: Folders with `contracts/` to look in before the working directory.

    Returns:
        Arguments of `fake.next_job(**outcome)`: none, for a job that goes as usual; a failure or a named error of its
        create; a state that it is stuck in; for how many seconds it is hidden, where the contract says that it may be.

    Raises:
        UsageError: There is no such provider.

    Example:
        >>> from hypothesis import find
        >>> from understudy.strategies import outcomes
        >>> find(outcomes("kie"), lambda outcome: "failure" in outcome)
        {'failure': 'content-policy'}
    """
    kind = contract_of(provider, paths).job_type
    creates = {operation for create in kind.creates for operation in create.operations}
    found: list[dict[str, Any]] = [{}]
    found += [{"failure": name} for name in kind.failures]
    found += [{"error": name} for name in errors_of(kind, creates)]
    found += [{"state": state} for state in State if state in kind.words.by_state and state not in TERMINAL]
    if kind.status is not None and kind.status.invisible_error is not None:
        found += [{"visible_after_seconds": seconds} for seconds in (1, math.ceil(kind.status.invisible_seconds))]
    return st.sampled_from(found).map(dict)


def faults(provider: str | Contract, on: str | None = None, *, paths: Paths = ()) -> SearchStrategy[dict[str, Any]]:
    """Draw what can go wrong with a provider, as far as its contract has the part that it goes wrong with.

    Args:
        provider: The provider's name, a path to its contract, or the contract.
        on: The part that is struck, such as `status`; any by default.
        paths: Folders with `contracts/` to look in before the working directory.

    Returns:
        Arguments of `fake.fault(**fault)`: `fault` and `on`, and perhaps `nth`, `times`, and parameters.

    Raises:
        UsageError: There is no such provider, or nothing can go wrong with such a part.

    Example:
        >>> from hypothesis import find
        >>> from understudy.strategies import faults
        >>> find(faults("kie", on="status"), lambda fault: fault["fault"] == "delay")
        {'fault': 'delay', 'on': 'status'}
    """
    contract = contract_of(provider, paths)
    strikes = [(name, part) for name, part in combinations(contract) if on in (part, None)]
    if not strikes:
        raise UsageError(f'nothing strikes "{on}"; {suggestion(str(on), {part for _, part in combinations(contract)})}')
    return st.sampled_from(strikes).flatmap(lambda strike: fault_at(contract, *strike))


def fault_plans(
    provider: str | Contract, max_size: int = 3, *, paths: Paths = ()
) -> SearchStrategy[list[dict[str, Any]]]:
    """Draw several things that go wrong; see `faults`.

    Args:
        provider: The provider's name, a path to its contract, or the contract.
        max_size: How many at most.
        paths: Folders with `contracts/` to look in before the working directory.

    Returns:
        Lists of arguments of `fake.fault`.

    Raises:
        UsageError: There is no such provider.

    Example:
        >>> from hypothesis import find
        >>> from understudy.strategies import fault_plans
        >>> find(fault_plans("kie"), lambda plan: True)
        []
    """
    return st.lists(faults(provider, paths=paths), max_size=max_size)


def misleads(contract: Contract, name: str) -> bool:
    """Say whether a client that believes its provider comes to believe what is not so, by a fault."""
    return name in MISLEADING or (name == "unknown-state" and contract.job_type.words.unknown == "failed")


def fault_at(contract: Contract, name: str, part: str) -> SearchStrategy[dict[str, Any]]:
    """Draw the ways in which a fault strikes a part of a contract, and its parameters."""
    kind = contract.job_type
    operations = {operation for operation, own in kind.operation_ids().items() if own == part}
    texts = {"error": st.sampled_from(errors_of(kind, operations))}
    needed = {"pointer": st.sampled_from(pointers(kind, part))} if "pointer" in parameters(name) else {}
    further = {
        key: texts[key] if key in texts else _parameter(key, default)
        for key, default in parameters(name).items()
        if key != "pointer"
    }
    return st.fixed_dictionaries(
        {"fault": st.just(name), "on": st.just(part), **needed},
        optional={"nth": st.integers(1, 3), "times": st.integers(1, 5), **further},
    )


def _parameter(key: str, default: Any) -> SearchStrategy[Any]:
    """Return the values of a parameter, those near its default; a number has at most two digits after the point."""
    if isinstance(default, bool | str):
        return st.booleans() if isinstance(default, bool) else WORDS
    least, most = RANGES[key.rpartition("_")[2]]
    if most <= 1:
        return st.integers(0, 100).map(lambda hundredth: hundredth / 100)
    return st.integers(math.ceil(least), math.floor(min(most, max(10 * default, 100))))
