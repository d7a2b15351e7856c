"""Hold what a fake answers against what was recorded, with the contract's own template to say what each value is.

Ids, times, durations, links, balances, progress, signatures and bytes are compared by kind; all else must be equal. The
kind of a value is that of the expression which stands for it in the template, never a matter of its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal as OneOf
from typing import NamedTuple

from understudy.contract.codecs import dump_json, parse_json
from understudy.contract.conditions import same
from understudy.contract.expressions import Expression
from understudy.contract.loader import pointer_parts
from understudy.contract.reading import Path
from understudy.contract.templates import Each, Either, JsonText, Leaf, List, Literal, Match, Object, Template, Text
from understudy.kinds import Kind, alike, kind_of
from understudy.lifecycle import Json

At = tuple[str | int, ...]

#: What is different: `word` is that of a state, `literal` what the contract has word by word, `value` the rest.
What = OneOf[
    Kind, "word", "literal", "number", "type", "member", "items", "value", "status", "schema", "state", "unreadable"
]

#: A shorter id is not looked for inside other texts.
SHORTEST_ID_IN_TEXT = 6


class Difference(NamedTuple):
    """Where the fake does something else than was recorded, and what.

    Attributes:
        at: Where in the recording.
        text: What, as a sentence.
        what: What kind of thing is different.
        recorded: What was recorded there.
    """

    at: At
    text: str
    what: What = "value"
    recorded: Json = None


class Ids:
    """The ids of a recording, and those of the jobs that the fake has made in their place."""

    def __init__(self) -> None:
        self.real: dict[str, str] = {}

    def in_place(self, value: Json) -> Json:
        """Return a value with the real ids in it instead of the recorded ones."""
        if isinstance(value, Mapping):
            return {key: self.in_place(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.in_place(item) for item in value]
        if not isinstance(value, str) or not value:
            return value
        if value in self.real:
            return self.real[value]
        for recorded in sorted(self.real, key=len, reverse=True):
            if len(recorded) >= SHORTEST_ID_IN_TEXT:
                value = value.replace(recorded, self.real[recorded])
        return value

    def exact(self, value: Json) -> Json:
        """Return the real id in place of a recorded one, which may be empty; anything else stays as it is."""
        return self.real.get(value, value) if isinstance(value, str) else value


class Comparison:
    """Compares one recording with what the fake does.

    Args:
        elided: JSON pointers into the recording: what its document left out or got wrong.
        ids: Learns which job stands for which recorded id.

    Attributes:
        differences: Where the fake does something else, and what.
        added: Where the fake says more than was recorded.
    """

    def __init__(self, elided: Iterable[str], ids: Ids) -> None:
        self.differences: list[Difference] = []
        self.added: list[At] = []
        self._elided = {tuple(pointer_parts(pointer)) for pointer in elided}
        self._ids = ids
        self._parts: Mapping[Path, Template] = {}
        self._new = False

    def differ(self, at: At, text: str, what: What = "value", recorded: Json = None) -> None:
        """Note a difference, unless its place is elided."""
        if not self.elides(at):
            self.differences.append(Difference(at, text, what, recorded))

    def elides(self, at: At) -> bool:
        """Say whether a place, or one above it, is elided."""
        names = tuple(map(str, at))
        return any(names[: len(pointer)] == pointer for pointer in self._elided)

    def _elides_within(self, at: At) -> bool:
        names = tuple(map(str, at))
        return any(len(pointer) > len(names) and pointer[: len(names)] == names for pointer in self._elided)

    def filled(self, recorded: Json, actual: Json, at: At) -> Json:
        """Return what was recorded, with what the fake has where it is elided."""
        if self.elides(at) or (isinstance(recorded, str) and self._elides_within(at)):
            return actual
        if isinstance(recorded, Mapping) and isinstance(actual, Mapping):
            return {key: self.filled(item, actual.get(key, item), (*at, key)) for key, item in recorded.items()}
        if isinstance(recorded, list) and isinstance(actual, list):
            pairs = enumerate(zip(recorded, actual, strict=False))
            return [self.filled(*pair, (*at, index)) for index, pair in pairs] + recorded[len(actual) :]
        return recorded

    def known(self, recorded: Json, at: At) -> Json:
        """Return what was recorded without what is elided."""
        if isinstance(recorded, Mapping):
            pairs = ((key, item) for key, item in recorded.items() if not self.elides((*at, key)))
            return {key: self.known(item, (*at, key)) for key, item in pairs}
        if isinstance(recorded, list):
            items = ((index, item) for index, item in enumerate(recorded) if not self.elides((*at, index)))
            return [self.known(item, (*at, index)) for index, item in items]
        if isinstance(recorded, str) and self._elides_within(at):
            return dump_json(self.known(parse_json(recorded), at))
        return recorded

    def compare(
        self,
        template: Template | None,
        recorded: Json,
        actual: Json,
        at: At,
        *,
        parts: Mapping[Path, Template],
        new: bool = False,
    ) -> None:
        """Compare a body.

        Args:
            template: What the fake rendered it from, where that is known.
            recorded: What was recorded.
            actual: What the fake has.
            at: Where it stands in the recording.
            parts: Templates of what expressions in the template stand for, such as the result of a job.
            new: Whether it tells of jobs that were made just now.
        """
        self._parts, self._new = parts, new
        self._value(template, recorded, actual, at)

    def _value(self, template: Template | None, recorded: Json, actual: Json, at: At) -> None:
        template = self._meant(template, actual)
        if isinstance(template, Leaf) and (kind := kind_of(template.expression)) is not None:
            self._by_kind(kind, template.expression, recorded, actual, at)
        elif isinstance(template, Text) and isinstance(recorded, str) and isinstance(actual, str):
            self._text(template, recorded, actual, at)
        elif isinstance(recorded, str) and isinstance(actual, str) and self._is_json(template, recorded, actual, at):
            inner = template.inner if isinstance(template, JsonText) else None
            self._value(inner, parse_json(recorded), parse_json(actual), at)
        elif isinstance(recorded, Mapping) and isinstance(actual, Mapping):
            self._members(template, recorded, actual, at)
        elif isinstance(recorded, list) and isinstance(actual, list):
            self._items(template, recorded, actual, at)
        elif not same(self._ids.in_place(recorded), actual):
            self._unlike(template, recorded, actual, at)

    def _unlike(self, template: Template | None, recorded: Json, actual: Json, at: At) -> None:
        text = f"recorded is {shown(recorded)}, the fake has {shown(actual)}"
        self.differ(at, text, _what(template, recorded, actual), recorded)

    def _meant(self, template: Template | None, actual: Json) -> Template | None:
        """Return what is rendered in fact: of several forms its own, and the template behind an expression."""
        if isinstance(template, Either):
            return self._meant(template.form_of(actual), actual)
        if not isinstance(template, Leaf):
            return template
        part = self._parts.get(template.path)
        if any(codec.name == "json" for codec in template.expression.codecs):
            return JsonText(part or Literal(None))
        return part or template

    def _is_json(self, template: Template | None, recorded: str, actual: str, at: At) -> bool:
        if not isinstance(template, JsonText) and not self._elides_within(at):
            return False
        try:
            parse_json(recorded), parse_json(actual)
        except ValueError:
            return False
        return True

    def _members(
        self, template: Template | None, recorded: Mapping[str, Json], actual: Mapping[str, Json], at: At
    ) -> None:
        inner = dict(template.members) if isinstance(template, Object) else {}
        for key, value in recorded.items():
            if key in actual:
                self._value(inner.get(key), value, actual[key], (*at, key))
            else:
                self.differ((*at, key), f'the fake has no "{key}" here', "member")
        self.added += [(*at, key) for key in actual if key not in recorded]

    def _items(self, template: Template | None, recorded: list[Json], actual: list[Json], at: At) -> None:
        # a list of all models is as long as the contract is
        catalogue = isinstance(template, Each) and template.variable == "model"
        if len(recorded) > len(actual) or (len(recorded) < len(actual) and not catalogue):
            self.differ(at, f"recorded are {len(recorded)} items, the fake has {len(actual)}", "items")
        for index, (value, item) in enumerate(zip(recorded, actual, strict=False)):
            inner = template.do if isinstance(template, Each) else None
            if isinstance(template, List):
                inner = template.items[index]
            self._value(inner, value, item, (*at, index))

    def _text(self, template: Text, recorded: str, actual: str, at: At) -> None:
        """Compare a text that values were put into: those values by their kinds, the rest as it is."""
        before, now = template.match(recorded), template.match(actual)
        if before is None or now is None:
            before = now = {}
            if self._ids.in_place(recorded) != actual:
                self._unlike(template, recorded, actual, at)
        for part in template.parts:
            if isinstance(part, Expression) and part.text in before:
                self._value(Leaf(part, False), before[part.text], now[part.text], at)

    def _by_kind(self, kind: Kind, expression: Expression, recorded: Json, actual: Json, at: At) -> None:
        if kind == "id":
            self._id(recorded, actual, at)
            return
        if not alike(kind, expression, recorded, actual):
            text = f"a {kind}: recorded is {shown(recorded)}, the fake has {shown(actual)}"
            self.differ(at, text, kind, recorded)

    def _id(self, recorded: Json, actual: Json, at: At) -> None:
        if not isinstance(recorded, str) or not isinstance(actual, str):
            text = f"an id: recorded is {shown(recorded)}, the fake has {shown(actual)}"
            self.differ(at, text, "id", recorded)
            return
        known = self._ids.real
        if self._new:
            known[recorded] = actual
        elif known.get(recorded, actual) != actual:
            self.differ(at, f"{shown(recorded)} is recorded, the fake tells of another job", "id")
        elif recorded not in known and actual in known.values():
            self.differ(at, f"{shown(recorded)} is recorded as the id of no job before this", "id")
        known.setdefault(recorded, actual)


def _what(template: Template | None, recorded: Json, actual: Json) -> What:
    """Return what kind of thing is different between two values that are compared as they are."""
    if json_type(recorded) != json_type(actual):
        return "type"
    if isinstance(template, Match) or (isinstance(template, Literal) and not isinstance(actual, str)):
        return "literal"
    if isinstance(template, Leaf) and template.path[-1] == "status":
        return "word"
    return "text" if isinstance(actual, str) else "number" if json_type(actual) == "number" else "value"


def json_type(value: Json) -> str:
    """Return the JSON type of a value; whole numbers are numbers."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    kinds = {str: "string", int: "number", float: "number", list: "array"}
    return next((name for kind, name in kinds.items() if isinstance(value, kind)), "object")


def shown(value: Json) -> str:
    """Return a value as a message shows it."""
    text = dump_json(value)
    return text if len(text) <= 120 else f"{text[:119]}…"
