"""What a run may spend and has spent, on disk before anything is sent, so that no interruption makes it pay twice."""

from __future__ import annotations

import base64
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

from understudy.contract.creates import Create
from understudy.contract.expressions import first_value
from understudy.contract.model import JobType
from understudy.errors import UsageError
from understudy.exchange import Answer
from understudy.ledger import cost_of
from understudy.lifecycle import Job, Json
from understudy.verify.findings import Found
from understudy.wire import RequestView


def price_of(kind: JobType, group: Create, request: RequestView) -> Decimal | None:
    """Return what a create costs by the contract, in US dollars, or None where the contract does not tell.

    Args:
        kind: The kind of job.
        group: The group of creates that the request is of.
        request: The request.
    """
    if kind.usd_per_unit is None:
        return None
    scope: dict[str, Any] = {"request": request}
    model, given, count = (first_value(place, scope) for place in (group.model, group.input, group.number))
    scope["job"] = Job(id="", model=model, input=given if isinstance(given, dict) else {})
    amount = cost_of(kind.prices, scope)
    if amount is None:
        return None
    return Decimal(str(amount)) * Decimal(str(kind.usd_per_unit)) * (count if isinstance(count, int) else 1)


class Budget:
    """What may be spent, and the file that says what was.

    Args:
        file: Where it is kept; None where nothing may be spent.
        most: How much may be spent, in US dollars.
        about: What the run is about; a file of another run is refused.

    Raises:
        UsageError: The file is that of another run, or none.
    """

    def __init__(self, file: Path | None, most: Decimal, about: dict[str, str]) -> None:
        self._file = file
        self.most = most
        self._checks: dict[str, dict[str, Any]] = {}
        self._about = about
        if file is not None and file.exists():
            self._checks = self._read(file)

    def _read(self, file: Path) -> dict[str, dict[str, Any]]:
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            about, checks = data["about"], data["checks"]
            Decimal(sum(Decimal(entry["usd"]) for entry in checks.values()))
        except (OSError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError):
            raise UsageError(f"{file} is no progress of verify: name a file of it, or one that is not there") from None
        if about != self._about:
            raise UsageError(f"{file} is of another run, against {' of '.join(map(str, about.values()))}")
        return checks  # type: ignore[no-any-return]

    @property
    def spent(self) -> Decimal:
        """What was spent, or may have been, in US dollars."""
        return sum((Decimal(entry["usd"]) for entry in self._checks.values()), Decimal(0))

    def covers(self, usd: Decimal) -> bool:
        """Say whether so much may still be spent."""
        return self.spent + usd <= self.most

    def known(self, check: str) -> bool:
        """Say whether a create was sent for a check, or may have been."""
        return check in self._checks

    def sending(self, check: str, usd: Decimal) -> None:
        """Note that a create will be sent now."""
        self._note(check, {"usd": str(usd)})

    def answered(self, check: str, answer: Answer) -> None:
        """Note what a create was answered."""
        body = base64.b64encode(answer.body).decode()
        kept = {"status": answer.status, "headers": dict(answer.headers), "body": body, "at": answer.at}
        self._note(check, {**self._checks[check], "answer": kept})

    def answer(self, check: str) -> Answer | None:
        """Return what the create of a check was answered; None where nobody knows."""
        kept = self._checks[check].get("answer")
        return kept and Answer(kept["status"], kept["headers"], base64.b64decode(kept["body"]), kept["at"])

    def ended(self, check: str, found: list[Found]) -> None:
        """Note what was found in a check that has come to its end."""
        self._note(check, {**self._checks[check], "found": [list(one) for one in found]})

    def found(self, check: str) -> list[Found] | None:
        """Return what was found in a check that came to its end before; None where it did not."""
        kept = self._checks.get(check, {}).get("found")
        return None if kept is None else [Found(*one) for one in kept]

    def _note(self, check: str, entry: dict[str, Json]) -> None:
        assert self._file is not None  # or nothing were spent
        self._checks[check] = entry
        beside = self._file.with_name(f"{self._file.name}.new")
        text = json.dumps({"about": self._about, "checks": self._checks}, indent=2)
        with beside.open("w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._file)
