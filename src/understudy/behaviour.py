"""How a stand-in acts where the contract leaves it open: the behaviour file, and the scenarios beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from understudy.contract.closed import check_closed
from understudy.contract.codecs import dump_json
from understudy.contract.expressions import Expression, Place, Scope, first_value
from understudy.contract.loader import Document, load
from understudy.contract.model import Contract
from understudy.errors import ContractInvalid, Problem, UsageError, suggestion
from understudy.lifecycle import Job, Json, State, Step, Timeline
from understudy.media import MEDIA_TYPES, Picture, picture, sized
from understudy.scenario import Reader, RetryAfter, Scenario, Scenarios

# A size in pixels, as providers write it.
_SIDES = ("width", "height")
_SIZE = re.compile(r"([0-9]{1,6}) ?[x*\u00d7] ?([0-9]{1,6})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Pictures:
    """What result files look like; each place is an expression over `$job`. The size has one, or one for each side."""

    format: Place
    size: tuple[Place, ...]
    aspect_ratio: Place
    aspect_ratios: Mapping[str, str]
    resolution: Place
    sides: Mapping[str, int]
    text: Place
    count: Place

    def of(self, job: Job) -> Picture:
        """Return the picture of a job."""
        scope: Scope = {"job": job}
        format, text = str(first_value(self.format, scope) or "png"), str(first_value(self.text, scope) or "")
        size = [first_value(place, scope) for place in self.size if place]
        if size and isinstance(size[0], Mapping):
            size = [size[0].get(side) for side in _SIDES]
        sides = _SIZE.fullmatch("x".join(map(str, size)))
        if sides is not None:
            return sized(int(sides[1]), int(sides[2]), format=format, text=text)
        resolution = str(first_value(self.resolution, scope))
        ratio = str(first_value(self.aspect_ratio, scope) or "1:1")
        return picture(
            aspect_ratio=self.aspect_ratios.get(ratio, ratio),
            side=self.sides.get(resolution, 1024),
            format=format,
            text=text,
        )

    def count_of(self, job: Job) -> int:
        """Return how many result files a job makes, from 1 to 16."""
        count = first_value(self.count, {"job": job})
        return int(min(max(count, 1), 16)) if isinstance(count, int | float) else 1


class Behaviour(NamedTuple):
    """The behaviour file of a provider.

    Attributes:
        timeline: The usual timeline.
        balance: What accounts start with, in the contract's unit.
        latency_seconds: What each request takes in virtual time.
        refused_keys: Keys that are refused as wrong.
        secrets: The secrets that `$secret.name` stands for.
        visible_after_seconds: How long status reads do not find a new job.
        retry_after: How a request that comes too soon is told when to come again; None for not at all.
        pictures: What result files look like.
        scenarios: Those of the files, by name.
    """

    timeline: Timeline
    balance: float
    latency_seconds: float
    refused_keys: re.Pattern[str]
    secrets: Mapping[str, str]
    visible_after_seconds: float
    retry_after: RetryAfter | None
    pictures: Pictures
    scenarios: Scenarios

    def scenario(self, name: str) -> Scenario:
        """Return a scenario by its name, or one that is told as a JSON object.

        Raises:
            UsageError: There is none of that name, or what is told is none.
        """
        if name.startswith("{"):
            return self.scenarios.told(name)
        if name not in self.scenarios:
            raise UsageError(f'there is no scenario "{name}"; {suggestion(name, self.scenarios)}')
        return self.scenarios[name]


DEFAULT_TIMELINE: Timeline = (
    Step(State.QUEUED, seconds=2),
    Step(State.RUNNING, seconds=8),
    Step(State.SUCCEEDED),
)


def load_behaviour(folder: Path, contract: Contract, *, proven: bool = False) -> Behaviour:
    """Read the behaviour file and the scenarios of a provider.

    Args:
        folder: `fakes/<provider>`; where there is none, the stand-in acts as usual.
        contract: The provider's contract.
        proven: Whether the scenarios are known to be usable: each is read when it is asked for then.

    Raises:
        ContractInvalid: With every problem of every file.
    """
    problems: list[Problem] = []
    scenarios = Scenarios(folder / "scenarios", contract.job_type)
    for name in () if proven else scenarios:
        try:
            _ = scenarios[name]
        except ContractInvalid as error:
            problems += error.problems
    path = folder / "behaviour.yaml"
    document = Document(path, data={})
    try:
        if path.exists():
            document = load(path)
            if not check_closed(document, "behaviour"):
                document.raise_if_invalid()
        behaviour = _behaviour(_Reader(document, contract.job_type), document.data, scenarios)
        document.raise_if_invalid()
    except ContractInvalid as error:
        problems += error.problems
    if problems:
        raise ContractInvalid(problems)
    return behaviour


def _behaviour(reader: _Reader, data: dict[str, Any], scenarios: Scenarios) -> Behaviour:
    return Behaviour(
        timeline=reader.timeline(data.get("timeline")) or DEFAULT_TIMELINE,
        balance=data.get("balance", 1000),
        latency_seconds=data.get("latencySeconds", 0.1),
        refused_keys=reader.pattern(data.get("refusedTokens", "^invalid"), ("refusedTokens",)),
        secrets=data.get("secrets", {}),
        visible_after_seconds=data.get("visibleAfterSeconds", 0),
        retry_after=data.get("retryAfter"),
        pictures=reader.pictures(data.get("pictures", {})),
        scenarios=scenarios,
    )


class _Reader(Reader):
    """Compiles what only a behaviour file has."""

    def pattern(self, text: str, at: tuple[str, ...]) -> re.Pattern[str]:
        try:
            return re.compile(text)
        except re.error as error:
            self.problem(at, f'"{text}" is no regular expression: {error}')
            return re.compile("$.")

    def pictures(self, node: dict[str, Any]) -> Pictures:
        def place(key: str) -> Place:
            return self.place(node[key], ("pictures", key)) if key in node else ()

        return Pictures(
            format=self._drawable(place("format")),
            size=tuple(self.place(size[side], ("pictures", "size", side)) for side in _SIDES)
            if isinstance(size := node.get("size"), Mapping)
            else (place("size"),),
            aspect_ratio=place("aspectRatio"),
            resolution=place("resolution"),
            aspect_ratios=node.get("aspectRatios", {}),
            sides=node.get("sides", {}),
            text=place("text"),
            count=place("count"),
        )

    def _drawable(self, place: Place) -> Place:
        """Note each format that is written out and cannot be drawn; what jobs will ask for is not known yet."""
        written: list[Json] = []
        for item in place:
            if isinstance(item, Expression):
                written += [codec.argument for codec in item.codecs if codec.name == "default"]
            else:
                written.append(item)
        for format in written:
            if str(format).lower() not in MEDIA_TYPES:
                text = f'"format" cannot be {dump_json(format)}; {suggestion(str(format), MEDIA_TYPES)}'
                self.problem(("pictures", "format"), text)
        return place
