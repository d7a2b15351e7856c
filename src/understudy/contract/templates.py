"""Templates: one description of a JSON value that the fake renders and the client reads backwards.

A compiled template is a tree of the nodes below. Each can `render` itself over a scope, and `read` a value into a
reading.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

from understudy.contract.codecs import CodecError, dump_json, parse_json
from understudy.contract.conditions import same
from understudy.contract.expressions import Expression, Scope
from understudy.contract.loader import index_of
from understudy.contract.reading import Path, ReadError, Reading, check_types
from understudy.lifecycle import Json

#: The keys that make an object a template node of its own.
SPECIAL = frozenset({"$match", "$json", "$spread", "$each", "$either"})


class Template(Protocol):
    """A compiled template."""

    def render(self, scope: Scope) -> Json:
        """Return the JSON value over a scope."""

    def read(self, value: Json, into: Reading, at: Path) -> None:
        """Read a value backwards.

        Args:
            value: The value.
            into: Gets what was found.
            at: Where the value stands, for the error.

        Raises:
            ReadError: The value does not fit.
        """


class Literal(NamedTuple):
    """A value that is always the same; it is not compared on reading."""

    value: Json

    def render(self, scope: Scope) -> Json:
        return self.value

    def read(self, value: Json, into: Reading, at: Path) -> None:
        pass


class Match(NamedTuple):
    """A literal that tells this template from others: on reading it must be equal."""

    value: Json

    def render(self, scope: Scope) -> Json:
        return self.value

    def read(self, value: Json, into: Reading, at: Path) -> None:
        if not same(value, self.value):
            raise ReadError(at, dump_json(self.value))


@dataclass(frozen=True)
class Leaf:
    """One expression."""

    expression: Expression
    omit: bool

    @cached_property
    def render(self) -> Callable[[Scope], Json]:
        return self.expression.value

    def read(self, value: Json, into: Reading, at: Path) -> None:
        if not self.expression.readable:
            return
        try:
            decoded = self.expression.decoded(value)
        except CodecError as error:
            raise ReadError(at, str(error)) from None
        if decoded is not None:
            into[self.path] = decoded

    @cached_property
    def path(self) -> Path:
        """Where a reading keeps it."""
        indexes = ((name, index_of(name)) for name in self.expression.path)
        return (self.expression.root, *(name if index is None else index for name, index in indexes))


class Text(NamedTuple):
    """A string with expressions in it; it cannot be read back."""

    parts: tuple[str | Expression, ...]

    def render(self, scope: Scope) -> str:
        return "".join([part if isinstance(part, str) else part.text_value(scope) for part in self.parts])

    def read(self, value: Json, into: Reading, at: Path) -> None:
        pass

    def match(self, text: str) -> dict[str, str] | None:
        """Return what stands at each expression's place (by its text) when `text` fits, else None."""
        pattern = "".join(re.escape(part) if isinstance(part, str) else "(.+?)" for part in self.parts)
        found = re.fullmatch(pattern, text, re.DOTALL)
        names = [part.text for part in self.parts if isinstance(part, Expression)]
        return dict(zip(names, found.groups(), strict=True)) if found else None


@dataclass(frozen=True)
class Object:
    """An object; `spread` is an expression whose members stand beside the others."""

    members: tuple[tuple[str, Template], ...]
    spread: Leaf | None

    @cached_property
    def _constant(self) -> dict[str, Json]:
        """The object with what is always the same, and with None for all else, in order."""
        return {key: node.value if isinstance(node, Literal | Match) else None for key, node in self.members}

    @cached_property
    def _varying(self) -> tuple[tuple[str, Callable[[Scope], Json], bool], ...]:
        """The other members: their names, how they are rendered, and whether they may be left out."""
        nodes = [(key, _shown_form(node)) for key, node in self.members if not isinstance(node, Literal | Match)]
        return tuple((key, node.render, isinstance(node, Leaf) and node.omit) for key, node in nodes)

    def render(self, scope: Scope) -> dict[str, Json]:
        value = self._constant.copy()
        for key, render, may_be_left_out in self._varying:
            rendered = render(scope)
            if rendered is not None:
                value[key] = rendered
            elif may_be_left_out:
                del value[key]
        if self.spread is not None:
            rest = self.spread.render(scope)
            if isinstance(rest, dict):
                for key, item in rest.items():
                    value.setdefault(key, item)
        return value

    def read(self, value: Json, into: Reading, at: Path) -> None:
        if not isinstance(value, Mapping):
            raise ReadError(at, "an object")
        for key, node in self.members:
            if key in value:
                node.read(value[key], into, (*at, key))
            elif literals(node):
                raise ReadError((*at, key), "a member")
        if self.spread is not None:
            named = {key for key, _ in self.members}
            self.spread.read({key: item for key, item in value.items() if key not in named}, into, at)


def _shown_form(node: Template) -> Template:
    """Return what is rendered of a node that has several forms."""
    return _shown_form(node.options[0]) if isinstance(node, Either) else node


def literals(node: Template) -> int:
    """Return how many `$match` literals tell a template from others; what has any may not be missing."""
    if isinstance(node, Match):
        return 1
    if isinstance(node, Object):
        return sum(literals(inner) for _, inner in node.members)
    if isinstance(node, List):
        return sum(map(literals, node.items))
    if isinstance(node, Either):
        return min(map(literals, node.options))
    return literals(node.inner) if isinstance(node, JsonText) else 0


class List(NamedTuple):
    """A list of fixed length."""

    items: tuple[Template, ...]

    def render(self, scope: Scope) -> list[Json]:
        return [item.render(scope) for item in self.items]

    def read(self, value: Json, into: Reading, at: Path) -> None:
        if not isinstance(value, list):
            raise ReadError(at, "a list")
        for index, node in enumerate(self.items):
            if index < len(value):
                node.read(value[index], into, (*at, index))
            elif literals(node):
                raise ReadError((*at, index), "an item")


class Each(NamedTuple):
    """One item for each element of a list."""

    source: Leaf
    variable: str
    do: Template

    def render(self, scope: Scope) -> list[Json]:
        inner, items = dict(scope), []
        elements = self.source.expression.raw(scope)
        for element in elements if isinstance(elements, list | tuple) else ():
            inner[self.variable] = element
            items.append(self.do.render(inner))
        return items

    def read(self, value: Json, into: Reading, at: Path) -> None:
        if not isinstance(value, list):
            raise ReadError(at, "a list")
        for index, item in enumerate(value):
            inner: Reading = {}
            self.do.read(item, inner, (*at, index))
            for path, found in inner.items():
                # what belongs to the element is kept under its index, the rest as it is
                own = (*self.source.path, index, *path[1:]) if path[0] == self.variable else path
                into[own] = found


class JsonText(NamedTuple):
    """JSON inside a string."""

    inner: Template

    def render(self, scope: Scope) -> str:
        return dump_json(self.inner.render(scope))

    def read(self, value: Json, into: Reading, at: Path) -> None:
        try:
            decoded = parse_json(value if isinstance(value, str) else "")
        except ValueError:
            raise ReadError(at, "JSON inside text") from None
        self.inner.read(decoded, into, at)


@dataclass(frozen=True, slots=True)
class Either:
    """Several forms of one value: the first is rendered, whichever fits is read."""

    options: tuple[Template, ...]

    def form_of(self, value: Json) -> Template:
        """Return the form that a value was rendered in."""
        return self.options[0]

    def render(self, scope: Scope) -> Json:
        return self.options[0].render(scope)

    def read(self, value: Json, into: Reading, at: Path) -> None:
        failure = ReadError(at, "something else")
        for option in self.options:
            found: Reading = {}
            try:
                option.read(value, found, at)
                check_types(found, at)
            except ReadError as error:
                failure = error
            else:
                into.update(found)
                return
        raise failure


def leaves(template: Template) -> Iterable[Leaf]:
    """Return every expression of a template that can be read backwards."""
    if isinstance(template, Leaf):
        if template.expression.readable:
            yield template
    elif isinstance(template, Object):
        for _, inner in template.members:
            yield from leaves(inner)
        if template.spread is not None:
            yield from leaves(template.spread)
    elif isinstance(template, Each):
        yield from leaves(template.do)
    elif isinstance(template, JsonText):
        yield from leaves(template.inner)
    elif isinstance(template, List | Either):
        for inner in template.items if isinstance(template, List) else template.options:
            yield from leaves(inner)


def fit(template: Template, text: Json) -> int:
    """Say how well a text fits the template of one: 2 where its own words do, 1 where any text would, else 0."""
    if isinstance(template, Text):
        own_words = any(isinstance(part, str) for part in template.parts)
        return (1 + own_words) * (isinstance(text, str) and template.match(text) is not None)
    if isinstance(template, Leaf):
        return int(isinstance(text, str))
    return 2 * (text is not None and text == template.render({}))


def merge(base: Json, over: Json) -> Json:
    """Lay one template over another: objects merge, all else replaces."""
    both = isinstance(base, Mapping) and isinstance(over, Mapping)
    if not both or SPECIAL & over.keys() or (SPECIAL - {"$spread"}) & base.keys():
        return over
    return {**base, **{key: merge(base[key], value) if key in base else value for key, value in over.items()}}
