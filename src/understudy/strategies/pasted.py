"""How Hypothesis prints what is drawn here: as code that can be pasted."""

from __future__ import annotations

import dataclasses
from enum import Enum
from typing import Any

from hypothesis.vendor.pretty import RepresentationPrinter, for_type_by_name, pretty

from understudy.lifecycle import Job, JobError, Output, State, Step


def code_of(value: Any) -> str:
    """Return a value as it is written in code."""
    return pretty(value)


def _print_state(value: Enum, printer: RepresentationPrinter, cycle: bool) -> None:
    printer.text(f"{type(value).__name__}.{value.name}")


def _print_fields(value: Any, printer: RepresentationPrinter, cycle: bool) -> None:
    """Print the fields of a dataclass that are not as they are by default."""
    given = [field for field in dataclasses.fields(value) if getattr(value, field.name) != field.default]
    with printer.group(4, f"{type(value).__name__}(", ")"):
        for index, field in enumerate(given):
            if index:
                printer.text(",")
                printer.breakable()
            else:
                printer.breakable("")
            printer.text(f"{field.name}=")
            printer.pretty(getattr(value, field.name))


for _kind in (Job, JobError, Output, Step):
    for_type_by_name(_kind.__module__, _kind.__name__, _print_fields)
for_type_by_name(State.__module__, State.__name__, _print_state)
