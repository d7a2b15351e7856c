"""Scenarios: named stories of how a stand-in acts, each in a file of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from understudy.contract.catalogue import Transport
from understudy.contract.closed import check_closed
from understudy.contract.codecs import parse_json
from understudy.contract.compiler import Compiler
from understudy.contract.conditions import Condition
from understudy.contract.expressions import Scope
from understudy.contract.loader import Document, load
from understudy.contract.model import JobType
from understudy.errors import ContractInvalid, UsageError, suggestion
from understudy.lifecycle import Json, State, Step, Timeline
from understudy.plan import Plan, wrong_steps
from understudy.trouble import FaultRule, fault_rule, wrong_rule

RetryAfter = Literal["seconds", "date"]

_AS_USUAL = Plan()

#: Scenarios that are told are remembered, so that their faults count requests; no more than these.
MAX_TOLD = 1000


class Scenario(NamedTuple):
    """A named story.

    Attributes:
        name: As its file is called.
        description: The story in one sentence.
        plan: How jobs go.
        when: Which creates the plan is for; None for all.
        nth: Which create of an account the plan is for, counted from 1; None for all.
        transport: How errors come; None for the contract's default.
        balance: What accounts start with; None for what the behaviour file says.
        retry_after: How a request that comes too soon is told when to come again; None for as the behaviour file says.
        faults: What goes wrong.
    """

    name: str
    description: str
    plan: Plan = _AS_USUAL
    when: Condition | None = None
    nth: int | None = None
    transport: Transport | None = None
    balance: float | None = None
    retry_after: RetryAfter | None = None
    faults: Sequence[FaultRule] = ()

    def selects(self, scope: Scope, nth: int) -> bool:
        """Say whether the plan is for the n-th create of an account."""
        return (self.nth is None or self.nth == nth) and (self.when is None or self.when.holds(scope))


def load_scenario(path: Path, job_type: JobType) -> Scenario:
    """Read a scenario.

    Args:
        path: Its file.
        job_type: The kind of job that it is about.

    Raises:
        ContractInvalid: With every problem of the file.
    """
    return _scenario(path.stem, load(path), job_type)


def told_scenario(text: str, job_type: JobType) -> Scenario:
    """Read a scenario that is told as JSON; it needs no description.

    Args:
        text: What would stand in its file, which is also its name.
        job_type: The kind of job that it is about.

    Raises:
        UsageError: It is no JSON object, or cannot be used; with every problem of it.
    """
    try:
        data = parse_json(text)
        return _scenario(text, Document(Path("scenario"), {"description": "As it was told.", **data}), job_type)
    except (ValueError, TypeError) as error:
        raise UsageError(f"the scenario that was told is no JSON object: {error}") from None
    except ContractInvalid as error:
        raise UsageError(f"the scenario that was told cannot be played:\n{error}") from None


def _scenario(name: str, document: Document, job_type: JobType) -> Scenario:
    if not check_closed(document, "scenario"):
        document.raise_if_invalid()
    reader, data = Reader(document, job_type), document.data
    plan = Plan(
        timeline=reader.timeline(data.get("timeline")),
        failure=reader.name_of("failure", data.get("failure"), job_type.failures),
        error=reader.name_of("error", data.get("error"), job_type.errors.rules),
        visible_after_seconds=data.get("visibleAfterSeconds"),
    )
    transport = data.get("errors")
    if transport is not None and transport not in job_type.errors.transports:
        reader.problem(
            ("errors",),
            f'errors cannot come by "{transport}" here; {suggestion(transport, job_type.errors.transports)}',
        )
    scenario = Scenario(
        name=name,
        description=data["description"],
        plan=plan,
        when=reader.condition(data.get("when"), ("when",)),
        nth=data.get("nth"),
        transport=transport,
        balance=data.get("balance"),
        retry_after=data.get("retryAfter"),
        faults=reader.faults(data.get("faults", ())),
    )
    document.raise_if_invalid()
    return scenario


class Scenarios(Mapping[str, Scenario]):
    """The scenarios of a fake by name, each read when it is asked for.

    Args:
        folder: Where their files are.
        job_type: The kind of job that they are about.

    Attributes:
        told: Reads one that is told; see `told_scenario`.
    """

    def __init__(self, folder: Path, job_type: JobType) -> None:
        self._paths = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
        self._job_type = job_type
        self._read: dict[str, Scenario] = {}
        self.told = lru_cache(MAX_TOLD)(partial(told_scenario, job_type=job_type))

    def __getitem__(self, name: str) -> Scenario:
        if name not in self._read:
            self._read[name] = load_scenario(self._paths[name], self._job_type)
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        return name in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


class Reader(Compiler):
    """Compiles the parts of a behaviour file or scenario."""

    def __init__(self, document: Any, job_type: JobType) -> None:
        super().__init__(document)
        self._job_type = job_type

    def name_of(
        self, key: str, name: str | None, valid: Mapping[str, Any], at: tuple[str | int, ...] = ()
    ) -> str | None:
        """Return a name, and note a problem where it is none."""
        if name is not None and name not in valid:
            self.problem((*at, key), f'there is no {key} "{name}"; {suggestion(name, valid)}')
        return name

    def timeline(self, nodes: Json) -> Timeline | None:
        """Compile a timeline."""
        if nodes is None:
            return None
        steps = []
        for index, node in enumerate(nodes):
            state = State(node["state"]) if "state" in node else self._state_named(node["status"], index)
            if state is None:
                return None
            steps.append(Step(state, node.get("status"), node.get("seconds"), node.get("reads"), node.get("progress")))
        for index, text in wrong_steps(steps):
            self.problem(("timeline", index), text)
        return tuple(steps)

    def _state_named(self, status: Json, index: int) -> State | None:
        words = self._job_type.words
        state = words.state_named(status)
        if state is None:
            text = f'no state has the word "{status}"; {suggestion(str(status), words.spoken)}'
            self.problem(("timeline", index, "status"), text)
        return state

    def faults(self, nodes: Sequence[dict[str, Any]]) -> tuple[FaultRule, ...]:
        """Compile the rules of `faults`."""
        found = [self._fault(node, ("faults", index)) for index, node in enumerate(nodes)]
        return tuple(rule for rule in found if rule is not None)

    def _fault(self, node: dict[str, Any], at: tuple[str | int, ...]) -> FaultRule | None:
        name, on, times = node["fault"], node.get("on"), node.get("times", 1)
        parameters = node.get("with", {})
        wrong = list(wrong_rule(name, on, parameters))
        for key, text in wrong:
            self.problem((*at, *(("with",) if key in parameters else ()), key), text)
        when = self.condition(node.get("when"), (*at, "when"))
        if wrong:
            return None
        nth = node.get("nth", 1)
        rule = fault_rule(name, on, parameters, nth=nth, times=None if times == "all" else times, when=when)
        if rule.on not in self._job_type.parts:
            self.problem(at, f'"{rule.on}" is no part of this contract; {suggestion(rule.on, self._job_type.parts)}')
        for error in rule.fault.errors():
            self.name_of("error", error, self._job_type.errors.rules, (*at, "with"))
        return rule
