"""Verdicts: what is to be said of a client in respect of a property, and the scorecard of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from understudy.markers import SCORE
from understudy.testing.properties import PROPERTIES, Property
from understudy.testing.run import Run

if TYPE_CHECKING:
    import pytest

# Lines of a timeline that are shown: the first ones, in which it went wrong, and the last.
_FIRST_LINES = 12
_LAST_LINES = 6


@dataclass(frozen=True)
class Verdict:
    """What is to be said of a client in respect of a property.

    Attributes:
        prop: The property.
        wrong: What is wrong, in the plainest run that showed it; None where nothing is.
        run: That run.
        reason: Why the property means nothing here; None where it does.
    """

    prop: Property
    wrong: str | None = None
    run: Run | None = None
    reason: str | None = None

    def as_record(self, suite: str, provider: str) -> dict[str, str]:
        """Return what the scorecard needs to know, as data."""
        mark = "-" if self.reason is not None else "ok" if self.wrong is None else "FAILS"
        beside = self.reason or ("" if self.wrong is None else f"a user loses {self.prop.loss}")
        return {"suite": f"{suite} at {provider}", "property": _spoken(self.prop), "verdict": mark, "beside": beside}


def text_of(verdict: Verdict) -> str:
    """Return a failed verdict as text: what happened, where, expected and got, what it costs, and the timeline."""
    run = verdict.run
    assert run is not None
    return "\n".join(
        [
            f"{verdict.prop.text} Here it does not.",
            f"  where: {run.situation.text}; asked for {run.request!r}",
            f"  {verdict.wrong}",
            f"  a user loses: {verdict.prop.loss}",
            *_shortened(run.timeline.splitlines()),
            f"      the end  client    {run.outcome()}",
        ]
    )


def _shortened(lines: list[str]) -> list[str]:
    hidden = len(lines) - _FIRST_LINES - _LAST_LINES
    if hidden <= 0:
        return lines
    return [*lines[:_FIRST_LINES], f"           …  {hidden} more", *lines[-_LAST_LINES:]]


def scorecard(reports: Iterable[Any]) -> Iterator[tuple[str, list[str]]]:
    """Return the scorecard of each suite: its title, and a line for each property.

    Args:
        reports: The reports of pytest, of whatever tests.
    """
    by_suite: dict[str, dict[str, Any]] = {}
    for report in reports:
        for record in [value for name, value in getattr(report, "user_properties", ()) if name == SCORE]:
            by_suite.setdefault(record["suite"], {})[record["property"]] = record
    for suite, found in by_suite.items():
        names = [_spoken(prop) for prop in PROPERTIES]
        width = max(map(len, names))
        ordered = [found[name] for name in names if name in found]
        yield suite, [f"{one['verdict']:>5}  {one['property']:<{width}}  {one['beside']}".rstrip() for one in ordered]


def write_scorecards(terminal: pytest.TerminalReporter, reports: Iterable[Any]) -> None:
    """Write the scorecards of all suites at the end of what pytest says."""
    for title, lines in scorecard(reports):
        terminal.section(f"scorecard of {title}")
        terminal.write("".join(f"{line}\n" for line in lines))


def _spoken(prop: Property) -> str:
    return prop.name.replace("_", " ")
