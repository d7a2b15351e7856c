"""What verify finds: a difference, graded, and where the contract says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from understudy.comparison import What
from understudy.outputs import Level

Grade = Literal["breaking", "drift", "variable"]

#: From bad to good: what breaks clients, what is not as the contract has it, what may be otherwise at any time.
GRADES: tuple[Grade, ...] = ("breaking", "drift", "variable")

LEVELS: Mapping[Grade, Level] = {"breaking": "error", "drift": "warning", "variable": "note"}

#: How bad it is that a thing is different.
BY_WHAT: Mapping[What, Grade] = {
    "status": "breaking",
    "unreadable": "breaking",
    "state": "breaking",
    "word": "breaking",
    "literal": "breaking",
    "type": "breaking",
    "schema": "breaking",
    "id": "breaking",
    "time": "breaking",
    "member": "drift",
    "link": "drift",
    "duration": "drift",
    "value": "drift",
    "items": "variable",
    "number": "variable",
    "text": "variable",
}


class Found(NamedTuple):
    """One difference between the contract and what a provider does.

    Attributes:
        rule: What kind of difference it is, in kebab case.
        grade: `breaking`: clients by the contract fail; `drift`: it is otherwise; `variable`: it may be, at any time.
        text: What is different, as a sentence.
        operation: The operation that it was met in; empty for none in particular.
    """

    rule: str
    grade: Grade
    text: str
    operation: str = ""
