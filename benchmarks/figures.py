"""What a measure yields: a figure for each round, their median, and between what half of them are."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")

#: The unit of a ratio.
TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured.

    Attributes:
        name: What it is called, for who reads the figures.
        rounds_share: The share of the rounds that are run.
        sizes_share: The share of the jobs and requests that are made.
        window_seconds: How long a server is loaded at a time.
        warm_seconds: How long one that compiles while it runs is loaded before.
    """

    name: str
    rounds_share: float
    sizes_share: float
    window_seconds: float
    warm_seconds: float

    def rounds(self, whole: int) -> int:
        """Return how many rounds are run in place of so many."""
        return max(round(whole * self.rounds_share), 1)

    def size(self, whole: int, least: int = 1) -> int:
        """Return how many are made in place of so many."""
        return max(round(whole * self.sizes_share), least)


WHOLE = Scale("all of it", 1.0, 1.0, 0.75, 8.0)
QUICK = Scale("a look: fewer rounds, and a fiftieth of the jobs and requests that the rows name", 0.3, 0.02, 0.2, 2.0)
ONCE = Scale("each thing once", 0.0, 0.0, 0.02, 0.0)


@dataclass(frozen=True)
class Series:
    """What a measure has found for one row.

    Attributes:
        rounds: The figure of each round.
        sides: What it was made of, by who it is of: the figures of each round, in `unit`.
        unit: Of the sides.
    """

    rounds: Sequence[float]
    sides: dict[str, Sequence[float]] = field(default_factory=dict)
    unit: str = ""

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.rounds)

    @property
    def middle_half(self) -> tuple[float, float]:
        """Between which two figures half of the rounds are."""
        return middle_half(self.rounds)


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a row could not be measured.

    Attributes:
        reason: What is not there, or what went wrong.
        failed: Whether something went wrong.
    """

    reason: str
    failed: bool = False


Found = dict[str, Series | Missing]


def middle_half(values: Sequence[float]) -> tuple[float, float]:
    """Return the first and the third quartile."""
    if len(values) == 1:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third


def ratios(ours: str, theirs: str, rounds: Sequence[tuple[float, ...]], unit: str) -> Series:
    """Return the ratio of two sides, round by round.

    Args:
        ours: Who is measured.
        theirs: Beside whom.
        rounds: The figures of both in each round.
        unit: Of the figures.
    """
    first, second = [one for one, _ in rounds], [other for _, other in rounds]
    return Series([one / other for one, other in rounds], {ours: first, theirs: second}, unit)


def differences(ours: str, theirs: str, rounds: Sequence[tuple[float, ...]], unit: str) -> Series:
    """Return by how much one side is above the other, round by round; see `ratios`."""
    first, second = [one for one, _ in rounds], [other for _, other in rounds]
    return Series([one - other for one, other in rounds], {ours: first, theirs: second}, unit)


def in_turn(rounds: int, *sides: Callable[[], T]) -> list[tuple[T, ...]]:
    """Run all sides in each round, every other round from the last to the first; return what they return.

    A round before the first is not counted: it is what caches are filled in.
    """
    for side in sides:
        side()
    found = []
    for number in range(rounds):
        order = range(len(sides))
        ran = {index: sides[index]() for index in (order if number % 2 == 0 else reversed(order))}
        found.append(tuple(ran[index] for index in order))
    return found
