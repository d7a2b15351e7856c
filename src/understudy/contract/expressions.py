"""Expressions, such as `$job.createdAt|epochMs`: a root, a path, at most one JSON pointer, and codecs.

They are compiled once, when a contract is loaded, and evaluated over a scope: a mapping from the names of roots to what
they stand for.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from understudy.contract.codecs import Codec, CodecError, as_text, find_codec
from understudy.contract.loader import index_of, pointer_parts
from understudy.errors import suggestion
from understudy.lifecycle import Job, JobError, Json, Output

Scope = Mapping[str, Any]
Look = Callable[[Scope], Any]


class ExpressionError(Exception):
    """An expression or condition cannot be read; the text says why and what was expected."""


def camel(name: str) -> str:
    """Return a Python name as the format writes it: `created_at` as `createdAt`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


Names = Mapping[str, "Names | None"]


def _names(*names: str) -> Names:
    return {name: {} for name in names}


def _members(kind: Any) -> Names:
    return _names(*(camel(field.name) for field in fields(kind)))


#: The roots, and the names that may follow each: `0` stands for any index, and None for whatever JSON there is.
ROOTS: dict[str, Names | None] = {
    "request": dict.fromkeys(("body", "header", "query", "path")),
    "response": dict.fromkeys(("body", "header")),
    "statusCode": {},
    "url": {},
    "method": {},
    "job": {
        **_members(Job),
        "input": None,
        "parameters": None,
        "error": _members(JobError),
        "outputs": {"count": {}, "0": _members(Output)},
    },
    "jobs": _names("count"),
    "page": _names("next", "previous", "nextUrl", "previousUrl", "hasMore", "firstId", "lastId", "total"),
    "output": _members(Output),
    "log": {},
    "models": _names("count"),
    "model": {**_names("id", "title", "description"), "schema": None},
    "account": _names("balance"),
    "error": _names("name", "message"),
    "violation": {**_names("field", "pointer", "keyword", "message"), "limit": None, "value": None},
    "delivery": _names("id", "attempt", "timestamp", "body", "challenge"),
    "signature": {},
    "secret": None,
    "event": _names("name", "number"),
    "file": _names("name", "path", "url", "size", "mediaType", "uploadedAt"),
    "asset": _names("url"),
    "server": _names("url"),
    "now": {},
}

#: The grammar of one expression.
EXPRESSION = (
    r"\$(?P<root>[A-Za-z]+)(?P<path>(?:\.[A-Za-z0-9_-]+)*)(?P<pointer>#(?:/[^\s|()=!<>&{}]*)?)?"
    r"(?P<codecs>(?:\|[A-Za-z0-9]+(?:\((?:\"(?:[^\"\\]|\\.)*\"|[^()\"])*\))?)*)"
)
_WHOLE = re.compile(EXPRESSION)
_CODEC = re.compile(r"\|([A-Za-z0-9]+)(?:\(((?:\"(?:[^\"\\]|\\.)*\"|[^()\"])*)\))?")


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", name)


# What has no members, and what has none that are attributes.
_PLAIN = frozenset({str, bytes, int, float, bool, type(None)})
_OTHERS = _PLAIN | {dict, list, tuple}


def _step(value: Any, name: str, attribute: str) -> Any:
    if value.__class__ in _PLAIN:
        return None
    if isinstance(value, dict):
        return value.get(name)
    if isinstance(value, (list, tuple)):
        return len(value) if name == "count" else _item(value, name)
    return getattr(value, attribute, None)


def _item(value: Any, name: str) -> Json:
    """Return the item of a list that a part of a JSON pointer names, or None."""
    index = index_of(name) if isinstance(value, (list, tuple)) else None
    return value[index] if index is not None and index < len(value) else None


def _way(root: str, path: tuple[str, ...], pointer: tuple[str, ...]) -> Look:
    """Return what finds a value in a scope; most name one member of a job or a request, and perhaps one below."""
    steps = [(name, _snake(name)) for name in path]

    def follow(scope: Scope) -> Any:
        value = scope.get(root)
        for name, attribute in steps:
            value = _step(value, name, attribute)
        for name in pointer:
            value = value.get(name) if isinstance(value, dict) else _item(value, name)
        return value

    if root not in ("job", "request") or len(steps) != 1 or len(pointer) > 1:
        return follow
    ((name, attribute),) = steps

    def member(scope: Scope) -> Any:
        value = scope.get(root)
        return _step(value, name, attribute) if value.__class__ in _OTHERS else getattr(value, attribute, None)

    if not pointer:
        return member
    (inner,) = pointer

    def below(scope: Scope) -> Any:
        value = scope.get(root)
        value = _step(value, name, attribute) if value.__class__ in _OTHERS else getattr(value, attribute, None)
        return value.get(inner) if isinstance(value, dict) else _item(value, inner)

    return below


def _rendered(look: Look, codecs: tuple[Codec, ...]) -> Look:
    """Return what finds a value in a scope and applies codecs to it."""
    for codec in codecs:
        if codec.name != "omit":
            look = _through(look, codec, codec.render)
    return look


def _undone(look: Look, codecs: tuple[Codec, ...]) -> Look:
    """Return what finds a value in a scope and undoes codecs on it; what only renders is rendered."""
    defaults = [codec for codec in codecs if codec.name == "default"]
    for codec in reversed([codec for codec in codecs if codec not in defaults]):
        look = _through(look, codec, codec.read or codec.render)
    for codec in defaults:
        look = _through(look, codec, codec.render)
    return look


def _through(look: Look, codec: Codec, turn: Callable[[Any], Json]) -> Look:
    """Return what finds a value and turns it by a codec, where there is one; where there is none, its default."""
    otherwise = codec.argument if codec.name == "default" else None

    def turned(scope: Scope) -> Json:
        value = look(scope)
        return otherwise if value is None else turn(value)

    return turned


@dataclass(frozen=True)
class Expression:
    """One expression.

    Attributes:
        text: As it was written.
        root: The name after the `$`.
        path: The names after the root.
        pointer: The parts of the JSON pointer, or None.
        codecs: Applied from left to right when rendering.
    """

    text: str
    root: str
    path: tuple[str, ...]
    pointer: tuple[str, ...] | None
    codecs: tuple[Codec, ...]

    @functools.cached_property
    def raw(self) -> Look:
        """Returns the value over a scope before any codec, or None when there is none."""
        return _way(self.root, self.path, self.pointer or ())

    @functools.cached_property
    def value(self) -> Look:
        """Returns the value over a scope as it goes onto the wire, or None when there is none.

        Raises:
            CodecError: A codec cannot take the value.
        """
        return _rendered(self.raw, self.codecs)

    def text_value(self, scope: Scope) -> str:
        """Return the value as text inside a string; nothing where there is no value."""
        value = self.value(scope)
        return "" if value is None else as_text(value)

    @functools.cached_property
    def taken(self) -> Look:
        """Returns what the value that stands here means, where it came over the wire: its codecs are undone.

        Raises:
            CodecError: A codec cannot undo the value.
            OverflowError: The same.
        """
        return _undone(self.raw, self.codecs)

    @functools.cached_property
    def readable(self) -> bool:
        """Whether a value on the wire leads back to what this stands for."""
        return self.pointer is None and all(codec.read is not None for codec in self.codecs)

    def decoded(self, value: Json) -> Json:
        """Return what a value on the wire stands for: the codecs undone.

        Raises:
            CodecError: A codec cannot undo the value.
        """
        for codec in reversed(self.codecs):
            if value is None:
                return None
            value = codec.read(value) if codec.read is not None else None
        return value


def parse_expression(text: str) -> Expression:
    """Compile one expression.

    Args:
        text: Such as `$job.input#/prompt|default("")`.

    Raises:
        ExpressionError: It is none, or names a root, a member or a codec that does not exist.
    """
    match = _WHOLE.fullmatch(text)
    if match is None:
        raise ExpressionError(f'"{text}" is no expression: expected $root.name#/pointer|codec')
    root = match["root"]
    if root not in ROOTS:
        raise ExpressionError(f'there is no root "${root}"; {suggestion(root, ROOTS)}')
    path = tuple(match["path"].split(".")[1:])
    _check_names(root, path)
    if len(path) == 2 and path[0] == "header":
        path = ("header", path[1].lower())
    try:
        codecs = tuple(find_codec(found[1], found[2]) for found in _CODEC.finditer(match["codecs"]))
    except CodecError as error:
        raise ExpressionError(str(error)) from None
    pointer = None if match["pointer"] is None else tuple(pointer_parts(match["pointer"]))
    return Expression(text, root, path, pointer, codecs)


def _check_names(root: str, path: tuple[str, ...]) -> None:
    valid, parent = ROOTS[root], root
    for name in path:
        if valid is None:
            return
        known = "0" if index_of(name) is not None else name
        if known not in valid:
            raise ExpressionError(f'"${parent}" has no "{name}"; {suggestion(name, valid)}')
        valid, parent = valid[known], f"{parent}.{name}"


def parts_of(expression: Expression) -> list[str]:
    """Return the parts of what an expression stands for, where that has parts and is no JSON value; else none."""
    names: Names | None = ROOTS[expression.root]
    for name in expression.path:
        names = names and names["0" if index_of(name) is not None else name]
    whole = ".".join((expression.root, *expression.path))
    return [f"${whole}.{name}{'.…' if inner else ''}" for name, inner in (names or {}).items()]


Place = tuple["Expression | Json", ...]


def parse_place(texts: Json) -> Place:
    """Compile a place: one expression or literal, or a list of which the first that exists counts."""
    items = texts if isinstance(texts, list) else [texts]
    return tuple(parse_expression(item) if isinstance(item, str) and item.startswith("$") else item for item in items)


def placed(place: Place, part: str) -> list[str]:
    """Return the names of the parameters that a place is in, such as those of the `path` of a request."""
    items = (item for item in place if isinstance(item, Expression) and item.root == "request")
    return [item.path[1] for item in items if item.path[0] == part and len(item.path) > 1]


def first_value(place: Place, scope: Scope) -> Json:
    """Return the first value that exists at a place, or None.

    Raises:
        CodecError: A codec cannot take the value.
    """
    for item in place:
        value = item
        if isinstance(item, Expression):
            value = item.taken(scope) if item.root == "request" else item.value(scope)
        if value is not None:
            return value
    return None
