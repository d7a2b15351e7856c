"""What was touched of contracts, as data that can be merged, kept in a file, and read again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from understudy.errors import UsageError

#: What is counted, in the order in which it is told.
KINDS = (
    "operations",
    "states",
    "transitions",
    "outcomes",
    "errors",
    "failures",
    "callbacks",
    "faults",
    "scenarios",
)

_VERSION = 1


class Item(NamedTuple):
    """One thing that a test can touch.

    Attributes:
        kind: One of `KINDS`.
        name: Such as `running → failed`.
        close: What touches it: code for a test, or a comment on what to do.
        times: How often it was touched.
    """

    kind: str
    name: str
    close: str
    times: int = 0


class Covered(NamedTuple):
    """What was touched of one contract.

    Attributes:
        provider: The provider's name.
        items: All that could be touched, in the order of `KINDS`.
    """

    provider: str
    items: tuple[Item, ...]

    @property
    def gaps(self) -> tuple[Item, ...]:
        """What was not touched."""
        return tuple(item for item in self.items if not item.times)

    @property
    def percent(self) -> int:
        """How much was touched, rounded down: 100 is all of it."""
        return 100 * (len(self.items) - len(self.gaps)) // max(len(self.items), 1)

    def by_kind(self) -> dict[str, list[Item]]:
        """Return the items of each kind that there is any of."""
        found = {kind: [item for item in self.items if item.kind == kind] for kind in KINDS}
        return {kind: items for kind, items in found.items() if items}


Report = Sequence[Covered]


def merged(reports: Iterable[Report]) -> list[Covered]:
    """Return several reports as one: what one of them has touched is touched; by name, each provider once."""
    found: dict[str, dict[tuple[str, str], Item]] = {}
    for covered in (one for report in reports for one in report):
        items = found.setdefault(covered.provider, {})
        for item in covered.items:
            before = items.get((item.kind, item.name))
            items[item.kind, item.name] = item._replace(times=item.times + (before.times if before else 0))
    return [
        Covered(name, tuple(sorted(found[name].values(), key=lambda item: KINDS.index(item.kind))))
        for name in sorted(found)
    ]


def as_data(report: Report) -> dict[str, Any]:
    """Return a report as what JSON can hold."""
    providers = [
        {
            "name": covered.provider,
            "percent": covered.percent,
            "items": [item._asdict() for item in covered.items],
        }
        for covered in report
    ]
    return {"version": _VERSION, "providers": providers}


def as_json(report: Report) -> str:
    """Return a report as JSON, as it stands in a file."""
    return json.dumps(as_data(report), indent=1, ensure_ascii=False) + "\n"


def of_data(data: Any, where: str) -> list[Covered]:
    """Return the report that `as_data` has made data of.

    Args:
        data: The data.
        where: Where it comes from, for the error.

    Raises:
        UsageError: It is not such data.
    """
    try:
        if data["version"] == _VERSION:
            return [_covered(entry) for entry in data["providers"]]
    except (LookupError, TypeError, ValueError):
        pass
    raise UsageError(
        f"{where} cannot be used: it is no coverage of version {_VERSION}.\n"
        f"  `pytest --understudy-coverage` writes such a file."
    )


def _covered(entry: Any) -> Covered:
    items = tuple(Item(**item) for item in entry["items"])
    if all(item.kind in KINDS and isinstance(item.times, int) for item in items):
        return Covered(str(entry["name"]), items)
    raise ValueError


def read(path: Path) -> list[Covered]:
    """Return the report in a file.

    Raises:
        UsageError: There is no such file, or it holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}.\n"
            f"  `pytest --understudy-coverage` writes such a file."
        ) from None
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    return of_data(data, str(path))
