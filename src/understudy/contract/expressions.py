"""Expressions, such as `$job.createdAt|epochMs`: a root, a path, at most one JSON pointer, and codecs.

They are compiled once, when a contract is loaded, and evaluated over a scope: a mapping from the names of roots to what
they stand for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from understudy.contract.codecs import Codec, CodecError, find_codec
from understudy.contract.loader import pointer_parts
from understudy.errors import suggestion
from understudy.lifecycle import Job, JobError, Json, Output

Scope = Mapping[str, Any]


class ExpressionError(Exception):
    """An expression or condition cannot be read; the text says why and what was expected."""


def camel(name: str) -> str:
    """Return a Python name as the format writes it: `created_at` as `createdAt`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


_MESSAGE = frozenset({"body", "header", "query", "path"})
_NAMES_OF_A_JOB = frozenset(camel(field.name) for field in fields(Job))

#: The roots, and the names that may follow each; None where any name may.
ROOTS: dict[str, frozenset[str] | None] = {
    "request": _MESSAGE,
    "response": frozenset({"body", "header"}),
    "statusCode": frozenset(),
    "url": frozenset(),
    "method": frozenset(),
    "job": _NAMES_OF_A_JOB,
    "jobs": frozenset({"count"}),
    "output": frozenset(camel(field.name) for field in fields(Output)),
    "log": frozenset(),
    "models": frozenset({"count"}),
    "model": frozenset({"id", "schema", "title", "description"}),
    "account": frozenset({"balance"}),
    "error": frozenset({"name", "message"}),
    "violation": frozenset({"field", "pointer", "keyword", "limit", "value", "message"}),
    "delivery": frozenset({"id", "attempt", "timestamp", "body"}),
    "signature": frozenset(),
    "secret": None,
    "event": frozenset({"name"}),
    "file": frozenset({"name", "path", "url", "size", "mediaType", "uploadedAt"}),
    "asset": frozenset({"url"}),
    "server": frozenset({"url"}),
    "now": frozenset(),
}

_SECOND = {
    ("job", "error"): frozenset(camel(field.name) for field in fields(JobError)),
    ("job", "outputs"): None,
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


def _step(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(name)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        if name == "count":
            return len(value)
        return value[int(name)] if name.isdigit() and int(name) < len(value) else None
    return getattr(value, _snake(name), None)


@dataclass(frozen=True, slots=True)
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

    def raw(self, scope: Scope) -> Any:
        """Return the value before any codec, or None when there is none."""
        value = scope.get(self.root)
        for name in self.path:
            if value is None:
                return None
            value = _step(value, name)
        for name in self.pointer or ():
            if value is None:
                return None
            value = _step(value, name) if isinstance(value, Mapping | list) else None
        return value

    def value(self, scope: Scope) -> Json:
        """Return the value as it goes onto the wire, or None when there is none.

        Raises:
            CodecError: A codec cannot take the value.
        """
        value = self.raw(scope)
        for codec in self.codecs:
            if codec.name == "default":
                value = codec.argument if value is None else value
            elif value is not None:
                value = codec.render(value)
        return value

    def text_value(self, scope: Scope) -> str:
        """Return the value as text inside a string; nothing where there is no value."""
        value = self.value(scope)
        return "" if value is None else str(value)

    @property
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
    valid = ROOTS[root]
    if not path or valid is None:
        return
    if path[0] not in valid:
        raise ExpressionError(f'"${root}" has no "{path[0]}"; {suggestion(path[0], valid)}')
    second = _SECOND.get((root, path[0]), frozenset[str]() if root == "job" and path[0] != "input" else None)
    if len(path) > 1 and second is not None and path[1] not in second:
        raise ExpressionError(f'"${root}.{path[0]}" has no "{path[1]}"; {suggestion(path[1], second)}')


Place = tuple["Expression | Json", ...]


def parse_place(texts: Json) -> Place:
    """Compile a place: one expression or literal, or a list of which the first that exists counts."""
    items = texts if isinstance(texts, list) else [texts]
    return tuple(parse_expression(item) if isinstance(item, str) and item.startswith("$") else item for item in items)


def first_value(place: Place, scope: Scope) -> Json:
    """Return the first value that exists at a place, or None."""
    for item in place:
        value = item.value(scope) if isinstance(item, Expression) else item
        if value is not None:
            return value
    return None
