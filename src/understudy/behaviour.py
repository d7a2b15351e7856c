"""How a stand-in acts where the contract leaves it open: the behaviour file, and the scenarios beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from understudy.contract.catalogue import Transport
from understudy.contract.closed import check_closed
from understudy.contract.compiler import Compiler
from understudy.contract.conditions import Condition
from understudy.contract.expressions import Place, Scope, first_value
from understudy.contract.loader import Document, load
from understudy.contract.model import Contract, JobType
from understudy.errors import ContractInvalid, Problem, UsageError, suggestion
from understudy.lifecycle import TERMINAL, TRANSITIONS, Job, Json, State, Step, Timeline
from understudy.media import Picture, picture


@dataclass(frozen=True, slots=True)
class Pictures:
    """What result files look like; each place is an expression over `$job`."""

    format: Place
    aspect_ratio: Place
    aspect_ratios: Mapping[str, str]
    resolution: Place
    sides: Mapping[str, int]
    text: Place
    count: Place

    def of(self, job: Job) -> Picture:
        """Return the picture of a job."""
        scope: Scope = {"job": job}
        resolution = str(first_value(self.resolution, scope))
        ratio = str(first_value(self.aspect_ratio, scope) or "1:1")
        return picture(
            aspect_ratio=self.aspect_ratios.get(ratio, ratio),
            side=self.sides.get(resolution, 1024),
            format=str(first_value(self.format, scope) or "png"),
            text=str(first_value(self.text, scope) or ""),
        )

    def count_of(self, job: Job) -> int:
        """Return how many result files a job makes, from 1 to 16."""
        count = first_value(self.count, {"job": job})
        return int(min(max(count, 1), 16)) if isinstance(count, int | float) else 1


@dataclass(frozen=True, slots=True)
class Plan:
    """How one job goes: what a scenario, or a test, has decided.

    Attributes:
        timeline: The steps, or None for the provider's usual ones.
        failure: The name of the contract's failure that it ends with.
        error: The named error that its create answers instead.
        visible_after_seconds: How long status reads do not find it.
        message: The text of the failure, where it is not the contract's.
    """

    timeline: Timeline | None = None
    failure: str | None = None
    error: str | None = None
    visible_after_seconds: float | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named story: a plan, and which creates it is for."""

    name: str
    description: str
    plan: Plan
    when: Condition | None = None
    nth: int | None = None
    transport: Transport | None = None
    balance: float | None = None

    def selects(self, scope: Scope, nth: int) -> bool:
        """Say whether it is for the n-th create of an account."""
        return (self.nth is None or self.nth == nth) and (self.when is None or self.when.holds(scope))


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The behaviour file of a provider.

    Attributes:
        timeline: The usual timeline.
        balance: What accounts start with, in the contract's unit.
        latency_seconds: What each request takes in virtual time.
        refused_keys: Keys that are refused as wrong.
        secrets: The secrets that `$secret.name` stands for.
        visible_after_seconds: How long status reads do not find a new job.
        pictures: What result files look like.
        scenarios: Name → scenario.
    """

    timeline: Timeline
    balance: float
    latency_seconds: float
    refused_keys: re.Pattern[str]
    secrets: Mapping[str, str]
    visible_after_seconds: float
    pictures: Pictures
    scenarios: Mapping[str, Scenario]

    def scenario(self, name: str) -> Scenario:
        """Return a scenario by its name.

        Raises:
            UsageError: There is none of that name.
        """
        if name not in self.scenarios:
            raise UsageError(f'there is no scenario "{name}"; {suggestion(name, self.scenarios)}')
        return self.scenarios[name]


DEFAULT_TIMELINE: Timeline = (
    Step(State.QUEUED, seconds=2),
    Step(State.RUNNING, seconds=8),
    Step(State.SUCCEEDED),
)


def load_behaviour(folder: Path, contract: Contract) -> Behaviour:
    """Read the behaviour file and the scenarios of a provider.

    Args:
        folder: `fakes/<provider>`; where there is none, the stand-in acts as usual.
        contract: The provider's contract.

    Raises:
        ContractInvalid: With every problem of every file.
    """
    problems: list[Problem] = []
    scenarios = {}
    for path in sorted(folder.glob("scenarios/*.yaml")):
        try:
            scenarios[path.stem] = _load_scenario(path, contract.job_type)
        except ContractInvalid as error:
            problems += error.problems
    path = folder / "behaviour.yaml"
    document = Document(path, data={})
    try:
        if path.exists():
            document = load(path)
            if not check_closed(document, "behaviour"):
                document.raise_if_invalid()
        behaviour = _behaviour(_Reader(document, contract.job_type), document.data)
        document.raise_if_invalid()
    except ContractInvalid as error:
        problems += error.problems
    if problems:
        raise ContractInvalid(problems)
    return replace(behaviour, scenarios=scenarios)


def _behaviour(reader: _Reader, data: dict[str, Any]) -> Behaviour:
    return Behaviour(
        timeline=reader.timeline(data.get("timeline")) or DEFAULT_TIMELINE,
        balance=data.get("balance", 1000),
        latency_seconds=data.get("latencySeconds", 0.1),
        refused_keys=reader.pattern(data.get("refusedTokens", "^invalid"), ("refusedTokens",)),
        secrets=data.get("secrets", {}),
        visible_after_seconds=data.get("visibleAfterSeconds", 0),
        pictures=reader.pictures(data.get("pictures", {})),
        scenarios={},
    )


def _load_scenario(path: Path, job_type: JobType) -> Scenario:
    document = load(path)
    if not check_closed(document, "scenario"):
        document.raise_if_invalid()
    reader, data = _Reader(document, job_type), document.data
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
        name=path.stem,
        description=data["description"],
        plan=plan,
        when=reader.condition(data.get("when"), ("when",)),
        nth=data.get("nth"),
        transport=transport,
        balance=data.get("balance"),
    )
    document.raise_if_invalid()
    return scenario


class _Reader(Compiler):
    """Compiles the parts of a behaviour file or scenario."""

    def __init__(self, document: Document, job_type: JobType) -> None:
        super().__init__(document)
        self._job_type = job_type

    def name_of(self, key: str, name: str | None, valid: Mapping[str, Any]) -> str | None:
        if name is not None and name not in valid:
            self.problem((key,), f'there is no {key} "{name}"; {suggestion(name, valid)}')
        return name

    def pattern(self, text: str, at: tuple[str, ...]) -> re.Pattern[str]:
        try:
            return re.compile(text)
        except re.error as error:
            self.problem(at, f'"{text}" is no regular expression: {error}')
            return re.compile("$.")

    def timeline(self, nodes: Json) -> Timeline | None:
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
            spoken = [str(word.word) for of_state in words.by_state.values() for word in of_state if word.spoken]
            text = f'no state has the word "{status}"; {suggestion(str(status), spoken)}'
            self.problem(("timeline", index, "status"), text)
        return state

    def pictures(self, node: dict[str, Any]) -> Pictures:
        def place(key: str) -> Place:
            return self.place(node[key], ("pictures", key)) if key in node else ()

        return Pictures(
            format=place("format"),
            aspect_ratio=place("aspectRatio"),
            resolution=place("resolution"),
            aspect_ratios=node.get("aspectRatios", {}),
            sides=node.get("sides", {}),
            text=place("text"),
            count=place("count"),
        )


def wrong_steps(steps: Sequence[Step]) -> Iterator[tuple[int, str]]:
    """Return what is wrong with a timeline: the index of a step, and a text."""
    last = len(steps) - 1
    for index, step in enumerate(steps):
        before = steps[index - 1].state if index else State.QUEUED
        if step.state not in TRANSITIONS[before]:
            yield index, f"a job cannot go from {before} to {step.state}"
        if step.seconds is not None and step.reads is not None:
            yield index, 'a step lasts for "seconds" or for "reads", not both'
        endless = step.seconds is None and step.reads is None
        if endless and index < last:
            yield index, 'only the last step may lack "seconds" or "reads"'
        if not endless and index == last:
            yield index, 'the last step lasts for ever: it takes neither "seconds" nor "reads"'


def with_outcome(timeline: Timeline, failure: str | None) -> Timeline:
    """Return a timeline that ends as a plan says: in failure, where one is named."""
    last = timeline[-1]
    if failure is None or last.state is State.FAILED:
        return timeline
    ending = Step(State.FAILED)
    return (*timeline[:-1], ending) if last.state in TERMINAL else timeline
