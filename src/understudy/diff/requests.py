"""Compare the OpenAPI part of two contracts: operations, parameters, and schemas by who sends what they are about.

What a consumer sends must not get narrower; what a consumer receives must not get wider. A callback is received, though
it is a request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from understudy.contract.codecs import dump_json
from understudy.contract.loader import pointer_parts
from understudy.contract.model import Contract
from understudy.contract.openapi import METHODS
from understudy.contract.operations import Operation
from understudy.diff.changes import Grade, said
from understudy.lifecycle import Json
from understudy.probes import resolved

Side = Literal["sent", "received"]
At = tuple[str | int, ...]


class Told(NamedTuple):
    """A change of the OpenAPI part: `at` is where the new version says so, or the old one where it is `gone`."""

    rule: str
    grade: Grade
    at: At
    text: str
    gone: bool = False


#: What a change of a schema does: rule → (its grade where a consumer sends the value, where it receives the value).
GRADES: Mapping[str, tuple[Grade, Grade]] = {
    "type-narrower": ("breaking", "safe"),
    "type-wider": ("safe", "breaking"),
    "type-changed": ("breaking", "breaking"),
    "value-gone": ("breaking", "safe"),
    "value-added": ("safe", "risky"),
    "values-listed": ("breaking", "safe"),
    "values-open": ("safe", "risky"),
    "limit-tighter": ("breaking", "safe"),
    "limit-looser": ("safe", "risky"),
    "pattern-changed": ("risky", "risky"),
    "member-gone": ("risky", "breaking"),
    "member-added": ("safe", "safe"),
    "required-member-added": ("breaking", "safe"),
    "member-required": ("breaking", "safe"),
    "member-optional": ("safe", "breaking"),
    "others-refused": ("breaking", "safe"),
    "others-allowed": ("safe", "risky"),
    "default-changed": ("risky", "safe"),
    "form-added": ("safe", "risky"),
    "form-gone": ("breaking", "safe"),
}

# Keywords that limit a value, and whether more of it allows more.
_LIMITS = {
    "maximum": True,
    "exclusiveMaximum": True,
    "maxLength": True,
    "maxItems": True,
    "maxProperties": True,
    "minimum": False,
    "exclusiveMinimum": False,
    "minLength": False,
    "minItems": False,
    "minProperties": False,
}


# What it means that a schema has one more part, or one less.
_FORMS = {
    "allOf": (("limit-tighter", "has to be, too,"), ("limit-looser", "need not be")),
    "oneOf": (("form-added", "can also be"), ("form-gone", "cannot be")),
    "anyOf": (("form-added", "can also be"), ("form-gone", "cannot be")),
}


class Schemas:
    """Compares schemas of two documents.

    Args:
        old: The data of the old document.
        new: The data of the new one.
    """

    def __init__(self, old: Json, new: Json) -> None:
        self._old, self._new = old, new
        self._under_way: set[tuple[int, int]] = set()

    def compare(self, old: Json, new: Json, side: Side, at: At, name: str) -> Iterator[Told]:
        """Yield what has changed in a schema.

        Args:
            old: The old schema.
            new: The new one.
            side: Whether a consumer sends such a value or receives it.
            at: Where the new one stands.
            name: What the value is called.
        """
        if isinstance(new, Mapping) and isinstance(new.get("$ref"), str) and new["$ref"].startswith("#/"):
            at = tuple(pointer_parts(new["$ref"]))
        before, after = resolved(self._old, old), resolved(self._new, new)
        pair = (id(before), id(after))
        if not isinstance(before, Mapping) or not isinstance(after, Mapping) or pair in self._under_way:
            return
        self._under_way.add(pair)
        for rule, where, text in (*_values(before, after), *_limits(before, after), *_members(before, after)):
            yield _told(rule, side, (*at, *where), f"{name}{text}")
        yield from self._inside(before, after, side, at, name)
        self._under_way.discard(pair)

    def _inside(self, old: Mapping[str, Any], new: Mapping[str, Any], side: Side, at: At, name: str) -> Iterator[Told]:
        for member, schema in new.get("properties", {}).items():
            if member in old.get("properties", {}):
                inner = f"{name}.{member}" if name else member
                yield from self.compare(old["properties"][member], schema, side, (*at, "properties", member), inner)
        if "items" in old and "items" in new:
            yield from self.compare(old["items"], new["items"], side, (*at, "items"), f"{name}[]")
        for key, (come, gone) in _FORMS.items():
            before = {self._form(entry, index): entry for index, entry in enumerate(old.get(key, ()))}
            after = {self._form(entry, index): entry for index, entry in enumerate(new.get(key, ()))}
            for index, (form, schema) in enumerate(after.items()):
                if form in before:
                    yield from self.compare(before[form], schema, side, (*at, key, index), name)
                else:
                    yield _told(come[0], side, (*at, key, index), f"{name} {come[1]} {form}")
            for form in before.keys() - after.keys():
                yield _told(gone[0], side, at, f"{name} {gone[1]} {form} any more")

    @staticmethod
    def _form(entry: Json, index: int) -> str:
        """Return by what one of several forms is known: its name, or its place."""
        reference = entry.get("$ref") if isinstance(entry, Mapping) else None
        return str(reference).rpartition("/")[2] if reference else f"form {index + 1}"


Found = tuple[str, At, str]


def _told(rule: str, side: Side, at: At, text: str) -> Told:
    return Told(rule, GRADES[rule][side == "received"], at, text)


def _types(schema: Mapping[str, Any]) -> frozenset[str]:
    kinds = schema.get("type", ())
    found = frozenset([kinds] if isinstance(kinds, str) else kinds)
    return found | {"integer"} if "number" in found else found


def _values(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Found]:
    before, after = _types(old), _types(new)
    if before != after:
        narrower, wider = bool(before) and (not after or after > before), bool(after) and (not before or before > after)
        rule = "type-wider" if narrower else "type-narrower" if wider else "type-changed"
        yield rule, ("type",) if "type" in new else (), f" is {_named(after)}, and was {_named(before)}"
    listed, lists = _listed(old), _listed(new)
    if listed is not None and lists is not None:
        for value in listed:
            if value not in lists:
                yield "value-gone", ("enum",), f" cannot be {value} any more"
        for value in lists:
            if value not in listed:
                yield "value-added", ("enum",), f" can be {value}"
    elif lists is not None:
        yield "values-listed", ("enum",), f" has to be one of {', '.join(lists)}"
    elif listed is not None:
        yield "values-open", (), " can be anything, and had to be one of a list"
    for key in ("pattern", "format"):
        if old.get(key) != new.get(key):
            yield "pattern-changed", (), f" has the {key} {said(new.get(key))}, and had {said(old.get(key))}"
    if "default" in old and old["default"] != new.get("default"):
        yield (
            "default-changed",
            (),
            f" is {said(new.get('default'))} unless it is given, and was {said(old['default'])}",
        )


def _named(types: Iterable[str]) -> str:
    return " or ".join(sorted(types)) or "anything"


def _listed(schema: Mapping[str, Any]) -> list[str] | None:
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    return None if values is None else [dump_json(value) for value in values]


def _limits(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Found]:
    for key, more in _LIMITS.items():
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        looser = after is None or (before is not None and (after > before) is more)
        rule = "limit-looser" if looser else "limit-tighter"
        yield rule, () if after is None else (key,), f" has the {key} {said(after)}, and had {said(before)}"


def _members(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Found]:
    before, after = old.get("properties", {}), new.get("properties", {})
    was, is_ = set(old.get("required", ())), set(new.get("required", ()))
    for name in before.keys() - after.keys():
        yield "member-gone", (), f" has no {name} any more"
    for name in after.keys() - before.keys():
        rule = "required-member-added" if name in is_ else "member-added"
        yield rule, ("properties", name), f" has {'to have ' if name in is_ else ''}{name}"
    for name in sorted(was ^ is_):
        if (name in before) == (name in after):  # or it has been told as a member that came or went
            rule, text = ("member-required", "is there") if name in is_ else ("member-optional", "may be missing")
            yield rule, (), f".{name} {text}"
    closed, closes = old.get("additionalProperties", True) is False, new.get("additionalProperties", True) is False
    if closed != closes:
        yield ("others-refused", (), " takes no other members") if closes else ("others-allowed", (), " takes others")


# --- operations -----------------------------------------------------------------------------------------------------


def operations_differently(old: Contract, new: Contract) -> Iterator[Told]:
    """Yield what has changed in the operations of a contract."""
    for name, before in old.operations.items():
        if name not in new.operations:
            at = _place(old, name)
            yield Told(
                "operation-gone", "breaking", at, f"the operation {name} is gone: {before.method} {before.route}", True
            )
    for name, after in new.operations.items():
        at = _place(new, name)
        if name not in old.operations:
            yield Told("operation-added", "safe", at, f"there is {name}: {after.method} {after.route}")
        else:
            yield from _operation(old, new, old.operations[name], after, at)


def _operation(old: Contract, new: Contract, before: Operation, after: Operation, at: At) -> Iterator[Told]:
    if (before.method, before.route) != (after.method, after.route):
        text = f"{after.id} is {after.method} {after.route}, and was {before.method} {before.route}"
        yield Told("operation-moved", "breaking", at, text)
    elif before.server != after.server:
        yield Told("server-changed", "breaking", at, f"{after.id} is at {after.server}, and was at {before.server}")
    if (set(before.security) - set(after.security) and after.security) or (after.security and not before.security):
        yield Told("key-changed", "breaking", at, f"{after.id} does not take a key as before")
    elif set(after.security) != set(before.security):
        yield Told("key-added", "safe", at, f"{after.id} takes a key in one more way, or needs none")
    schemas = Schemas(old.document.data, new.document.data)
    one, other = _node(old, before.id), _node(new, after.id)
    yield from _parameters(schemas, old, new, one, other, at, after.id)
    yield from _bodies(schemas, old, new, one, other, at, after.id)


def _place(contract: Contract, operation: str) -> At:
    data = contract.document.data
    items = ((path, resolved(data, item)) for path, item in data["paths"].items())
    return next(
        ("paths", path, method)
        for path, item in items
        for method in METHODS
        if item.get(method, {}).get("operationId") == operation
    )


def _node(contract: Contract, operation: str) -> dict[str, Any]:
    """Return an operation as it stands in the document, with the parameters of its path."""
    data = contract.document.data
    _, path, method = _place(contract, operation)
    item = resolved(data, data["paths"][path])
    return {**item[method], "parameters": [*item.get("parameters", ()), *item[method].get("parameters", ())]}


def _parameters(
    schemas: Schemas, old: Contract, new: Contract, one: Json, other: Json, at: At, name: str
) -> Iterator[Told]:
    before = {(entry["in"], entry["name"]): entry for entry in _resolved(old, one["parameters"])}
    after = {(entry["in"], entry["name"]): entry for entry in _resolved(new, other["parameters"])}
    for key, entry in after.items():
        what = f"the {key[0]} parameter {key[1]} of {name}"
        was_required = key in before and bool(before[key].get("required"))
        if entry.get("required") and not was_required:
            yield Told("parameter-required", "breaking", at, f"{what} has to be sent")
        elif key not in before:
            yield Told("parameter-added", "safe", at, f"{what} is new")
        elif was_required and not entry.get("required"):
            yield Told("parameter-optional", "safe", at, f"{what} may be left out")
        if key in before:
            yield from schemas.compare(before[key].get("schema", {}), entry.get("schema", {}), "sent", at, what)
    for place, missing in before.keys() - after.keys():
        yield Told("parameter-gone", "risky", at, f"the {place} parameter {missing} of {name} is gone: it does nothing")


def _resolved(contract: Contract, nodes: Iterable[Json]) -> list[Json]:
    return [resolved(contract.document.data, node) for node in nodes]


def _bodies(
    schemas: Schemas, old: Contract, new: Contract, one: Json, other: Json, at: At, name: str
) -> Iterator[Told]:
    before, after = _resolved(old, [one.get("requestBody", {})])[0], _resolved(new, [other.get("requestBody", {})])[0]
    if after.get("required") and not before.get("required"):
        yield Told("body-required", "breaking", (*at, "requestBody"), f"{name} needs a body")
    yield from _contents(schemas, before, after, "sent", (*at, "requestBody"), f"the body of {name}")
    answers, answer = one.get("responses", {}), other.get("responses", {})
    for status in answer.keys() & answers.keys():
        pair = _resolved(old, [answers[status]])[0], _resolved(new, [answer[status]])[0]
        yield from _contents(schemas, *pair, "received", (*at, "responses", status), f"the answer {status} of {name}")
    for status in sorted(answers.keys() - answer.keys()):
        grade: Grade = "breaking" if status.startswith("2") else "safe"
        yield Told("answer-gone", grade, (*at, "responses"), f"{name} does not answer {status} any more")
    for status in sorted(answer.keys() - answers.keys()):
        yield Told("answer-added", "risky", (*at, "responses", status), f"{name} can answer {status}")
    sent_back, sends_back = _callbacks(old, one), _callbacks(new, other)
    for event in sends_back.keys() & sent_back.keys():  # what a provider calls a request is what a consumer receives
        place = (*at, "callbacks", event)
        yield from _contents(schemas, sent_back[event], sends_back[event], "received", place, f"the callback {event}")


def _callbacks(contract: Contract, operation: Json) -> dict[str, Json]:
    """Return the bodies that are sent back for an operation, by the name of the callback."""
    data, found = contract.document.data, {}
    for name, callback in operation.get("callbacks", {}).items():
        for item in resolved(data, callback).values():
            for method in METHODS:
                if method in item:
                    found[name] = resolved(data, item[method].get("requestBody", {}))
    return found


def _contents(schemas: Schemas, old: Json, new: Json, side: Side, at: At, name: str) -> Iterator[Told]:
    before, after = old.get("content", {}), new.get("content", {})
    for media_type in before.keys() - after.keys():
        yield Told("media-type-gone", "breaking", at, f"{name} cannot be {media_type} any more")
    for media_type in after.keys() - before.keys():
        grade: Grade = "safe" if side == "sent" or not before else "risky"
        yield Told("media-type-added", grade, at, f"{name} can be {media_type}")
    for media_type in after.keys() & before.keys():
        pair = before[media_type].get("schema", {}), after[media_type].get("schema", {})
        yield from schemas.compare(*pair, side, (*at, "content", media_type, "schema"), name)
