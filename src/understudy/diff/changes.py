"""A change: what is different, and what it does to a consumer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from understudy.contract.codecs import dump_json
from understudy.lifecycle import Json

Grade = Literal["breaking", "risky", "safe"]

#: From bad to good.
GRADES: tuple[Grade, ...] = ("breaking", "risky", "safe")

Kind = Literal["added", "removed", "changed", "raised", "lowered", "moved", "recoded", "reworded"]

Path = tuple[str, ...]


class Change(NamedTuple):
    """One change, graded.

    Attributes:
        rule: What kind of change it is, in kebab case.
        grade: `breaking`: what worked fails; `risky`: it may; `safe`: it does not.
        where: The part of the contract, such as `x-jobs.task.states.running`.
        text: What it does to a consumer, as a sentence.
        file: Where the new version says so, or the old one where it is gone.
        line: Counted from 1.
    """

    rule: str
    grade: Grade
    where: str
    text: str
    file: str
    line: int


class Difference(NamedTuple):
    """One difference, not graded yet.

    Attributes:
        kind: What happened to it.
        path: Where it is.
        name: What is different, as a person would call it.
        old: How it was; None where it was not there.
        new: How it is; None where it is gone.
    """

    kind: Kind
    path: Path
    name: str
    old: Json = None
    new: Json = None


class Shown(dict[str, str]):
    """What a template shows: JSON pointer → expression or literal. It is compared by what moved."""


def differences(old: Json, new: Json, path: Path = ()) -> Iterator[Difference]:
    """Yield what is different between two trees; what was added or removed whole is told once."""
    if isinstance(old, Shown) and isinstance(new, Shown):
        yield from _shown_differently(old, new, path)
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in (*old, *(key for key in new if key not in old)):
            at = (*path, key)
            if key not in new:
                yield Difference("removed", at, key, old[key])
            elif key not in old:
                yield Difference("added", at, key, None, new[key])
            else:
                yield from differences(old[key], new[key], at)
    elif old != new or type(old) is not type(new):
        kind: Kind = "changed"
        if _is_number(old) and _is_number(new) and old != new:
            kind = "raised" if new > old else "lowered"
        yield Difference(kind, path, path[-1], old, new)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown_differently(old: Shown, new: Shown, path: Path) -> Iterator[Difference]:
    gone = {pointer: text for pointer, text in old.items() if new.get(pointer) != text}
    come = {pointer: text for pointer, text in new.items() if old.get(pointer) != text}
    for pointer, text in gone.items():
        at = (*path, pointer)
        other = come.get(pointer)
        elsewhere = [place for place, found in come.items() if found == text and _is_expression(text)]
        if other is not None:
            yield _replaced(at, pointer, text, other)
        elif elsewhere:
            yield Difference("moved", at, pointer, pointer, elsewhere[0])
        else:
            yield Difference("removed", at, pointer, text)
    moved = {text for text in gone.values() if _is_expression(text)}
    for pointer, text in come.items():
        if pointer not in gone and text not in moved:
            yield Difference("added", (*path, pointer), pointer, None, text)


def _replaced(at: Path, pointer: str, old: str, new: str) -> Difference:
    if not _is_expression(old) and not _is_expression(new):
        return Difference("reworded", at, pointer, old, new)
    same = _is_expression(old) and old.partition("|")[0] == new.partition("|")[0]
    return Difference("recoded" if same else "changed", at, pointer, old, new)


def _is_expression(text: str) -> bool:
    return "$" in text and not text.startswith('"$$')


def said(value: Json) -> str:
    """Return a value as a sentence has it."""
    if value is None:
        return "nothing"
    return value if isinstance(value, str) else dump_json(value)
