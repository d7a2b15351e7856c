"""Compile what stands in a file: expressions, conditions, templates, wire words, views; and note what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any

from understudy.contract.codecs import dump_json
from understudy.contract.conditions import Condition, parse_condition
from understudy.contract.expressions import (
    ROOTS,
    Expression,
    ExpressionError,
    Place,
    parse_expression,
    parse_place,
    parts_of,
)
from understudy.contract.items import Item
from understudy.contract.loader import Document, without_evidence
from understudy.contract.reading import Path
from understudy.contract.templates import (
    SPECIAL,
    Each,
    Either,
    JsonText,
    Leaf,
    List,
    Literal,
    Match,
    Object,
    Template,
    Text,
    merge,
)
from understudy.contract.views import View, Word, Words
from understudy.errors import suggestion
from understudy.lifecycle import Json, State

At = tuple[str | int, ...]

Report = Callable[[Path, str], None]

Items = Callable[[Any, Path], Template]

# What a view may name that shows nothing but the job: its roots, and the nodes of templates.
_STEADY = {"job", "output", "log"} | {key.removeprefix("$") for key in SPECIAL}
# and this, which changes with time
_PACE = "$job.pollAfterSeconds"
_ROOT = re.compile(r"\$([A-Za-z]+)")
_EMBEDDED = re.compile(r"\{(\$[^{}]*)\}")


def compile_template(node: Json, at: Path, report: Report, items: Items | None = None) -> Template:
    """Compile a template.

    Args:
        node: The template as it stands in the file.
        at: Where it stands.
        report: Called with a place and a text for each thing that is wrong.
        items: Compiles the view of the items of a list of jobs; None where there is no such list.

    Returns:
        The template; parts that are wrong are literals in it.
    """
    if isinstance(node, str):
        return _compile_text(node, at, report)
    if isinstance(node, list):
        return List(tuple(compile_template(item, (*at, index), report, items) for index, item in enumerate(node)))
    if not isinstance(node, dict):
        return Literal(node)
    node = {key: item for key, item in node.items() if key != "x-evidence"}  # a mark, which nobody shows
    for key in node:
        if key.startswith("$") and key not in SPECIAL:
            report((*at, key), f'there is no template node "{key}"; {suggestion(key, SPECIAL)}')
            return Literal(None)
    special = next((key for key in node if key in SPECIAL - {"$spread"}), None)
    if special is not None:
        return _compile_special(special, node, at, report, items)
    spread = None
    if "$spread" in node:
        inner = _compile_text(str(node["$spread"]), (*at, "$spread"), report)
        if isinstance(inner, Leaf):
            spread = inner
        else:
            report((*at, "$spread"), '"$spread" takes one expression')
    own = ((key, item) for key, item in node.items() if key != "$spread")
    members = tuple((key, compile_template(item, (*at, key), report, items)) for key, item in own)
    if spread is None and all(isinstance(inner, Literal) for _, inner in members):
        return Literal({key: inner.value for key, inner in members if isinstance(inner, Literal)})
    return Object(members, spread)


def _compile_special(special: str, node: dict[str, Json], at: Path, report: Report, items: Items | None) -> Template:
    allowed = {"$each", "do", "view"} if special == "$each" else {special}
    for key in node.keys() - allowed:
        report((*at, key), f'"{key}" cannot stand beside "{special}"')
    content, place = node[special], (*at, special)
    if special == "$each":
        return _compile_each(node, at, report, items)
    if special == "$match":
        return Match(without_evidence(content))
    if special == "$json":
        return JsonText(compile_template(content, place, report, items))
    if not isinstance(content, list) or not content:
        report(place, '"$either" takes a list of templates')
        return Literal(None)
    return Either(tuple(compile_template(item, (*place, index), report, items) for index, item in enumerate(content)))


def _compile_each(node: dict[str, Json], at: Path, report: Report, items: Items | None) -> Template:
    source = _compile_text(str(node["$each"]), (*at, "$each"), report, whole=True)
    name = source.expression.path[-1] if isinstance(source, Leaf) and source.expression.path else str(node["$each"])[1:]
    variable, item = name.removesuffix("s"), node.get("do")
    if not isinstance(source, Leaf) or variable not in ROOTS or not name.endswith("s") or not {"do", "view"} & {*node}:
        text = '"$each" takes a list such as $jobs, $job.outputs, $job.logs or $models, and "do" a template'
        report((*at, "$each"), text)
        return Literal(None)
    if "view" in node:
        if "do" in node:
            report((*at, "do"), '"do" cannot stand beside "view": an item is the one or the other')
        if items is None or variable != "job":
            report((*at, "view"), '"view" is for the items of $jobs in a reply: nothing else has states; write "do"')
            return Literal(None)
        return Each(source, variable, items(node["view"], (*at, "view")))
    for key in ("bodyByState", "bodyWhen"):
        if isinstance(item, dict) and key in item:
            text = f'"{key}" means nothing in "do", which is the item itself; write "view" in place of "do"'
            report((*at, "do", key), text)
    return Each(source, variable, compile_template(item, (*at, "do"), report, items))


def _compile_text(text: str, at: Path, report: Report, *, whole: bool = False) -> Template:
    if text.startswith("$$"):
        return Literal(text[1:])
    try:
        if text.startswith("$"):
            expression = parse_expression(text) if whole else _parse_value(text)
            return Leaf(expression, any(codec.name == "omit" for codec in expression.codecs))
        return compile_text(text)
    except ExpressionError as error:
        report(at, str(error))
        return Literal(None)


def compile_text(text: str) -> Text | Literal:
    """Compile a string with `{$…}` in it.

    Raises:
        ExpressionError: One of the expressions is none.
    """
    pieces = _EMBEDDED.split(text)
    if len(pieces) == 1:
        return Literal(text)
    return Text(tuple(_parse_value(piece) if index % 2 else piece for index, piece in enumerate(pieces) if piece))


def _parse_value(text: str) -> Expression:
    """Compile an expression that stands for a JSON value: a record or a list of records is none."""
    expression = parse_expression(text)
    parts = parts_of(expression)
    if parts:
        shown = ", ".join(parts[:5]) + (", …" if len(parts) > 5 else "")
        raise ExpressionError(f'"{text}" is no JSON value; write one of its parts: {shown}')
    return expression


class Compiler:
    """Compiles expressions, conditions and templates, and notes in the document what is wrong with them."""

    def __init__(self, document: Document) -> None:
        self._document = document

    def problem(self, at: At, text: str) -> None:
        """Note a problem."""
        self._document.problem(at, text)

    def place(self, node: Json, at: At) -> Place:
        """Compile a place: an expression, a literal, or a list of which the first that exists counts."""
        try:
            return parse_place(node)
        except ExpressionError as error:
            self.problem(at, str(error))
            return ()

    def place_in(self, node: dict[str, Any], key: str, at: At) -> Place:
        """Compile the place under a key of what stands at `at`; none where there is no such key."""
        return self.place(node[key], (*at, key)) if key in node else ()

    def expression(self, node: Json, at: At) -> Expression:
        """Compile one expression."""
        try:
            return parse_expression(str(node))
        except ExpressionError as error:
            self.problem(at, str(error))
            return Expression(str(node), "now", (), None, ())

    def condition(self, node: Json, at: At) -> Condition | None:
        """Compile a condition; None where there is none."""
        if node is None:
            return None
        try:
            return parse_condition(str(node))
        except ExpressionError as error:
            self.problem(at, str(error))
            return None

    def template(self, node: Json, at: At, words: Words | None = None) -> Template:
        """Compile a template; with the words of a view in that view, whose lists of jobs may have views in turn."""

        def item(node: dict[str, Any], at: At) -> Template:
            assert words is not None
            return Item.of(self.view(node, at, words, None))

        return compile_template(node, at, self.problem, None if words is None else item)

    def text(self, node: Json, at: At) -> Text:
        """Compile a string with expressions in it."""
        try:
            text = compile_text(str(node))
        except ExpressionError as error:
            self.problem(at, str(error))
            return Text(())
        return text if isinstance(text, Text) else Text((text.value,))

    def headers(self, node: Json, at: At) -> tuple[tuple[str, Template], ...]:
        """Compile the templates of headers."""
        own = {name: value for name, value in (node or {}).items() if name != "x-evidence"}
        return tuple((name, self.template(value, (*at, name))) for name, value in own.items())

    def share(self, node: dict[str, Any]) -> float:
        """Return the share of the cost of a job that a `refund` gives back; nothing where there is none."""
        given = node.get("refund", "none")
        return float({"full": 1, "none": 0}.get(given, given))

    def words(self, node: dict[str, Any], at: At) -> Words:
        """Compile the wire words of the states."""
        by_state: dict[State, tuple[Word, ...]] = {}
        for state in State:
            entries = []
            for index, entry in enumerate(node.get(state, ())):
                if isinstance(entry, dict):
                    when = self.condition(entry.get("when"), (*at, state, index, "when"))
                    entries.append(Word(entry.get("word"), when, "word" in entry))
                else:
                    entries.append(Word(entry))
            if entries:
                by_state[state] = tuple(entries)
        return Words(by_state, node.get("unknown", "active"))

    def view(
        self,
        node: dict[str, Any],
        at: At,
        words: Words,
        success: Condition | None,
        *,
        of_job: bool = True,
        failed_http: frozenset[int] = frozenset(),
    ) -> View:
        """Compile a view.

        Args:
            node: As it stands in the file.
            at: Where it stands.
            words: The wire words, unless the view has its own.
            success: What makes an answer a success, unless the view has its own criterion.
            of_job: Whether it can differ by the state of a job.
            failed_http: What else its HTTP status can be for a job that has failed.
        """
        http = node.get("http", 200)
        statuses = http if isinstance(http, dict) else {"default": http}
        if "states" in node:
            words = self.words(node["states"], (*at, "states"))
        own = self.condition(node.get("successCriteria"), (*at, "successCriteria"))
        media_type = node.get("mediaType")
        base = node.get("body")
        by_state = {state: body for state, body in node.get("bodyByState", {}).items() if state in set(State)}
        by_condition = node.get("bodyWhen", ())
        self.template(base, (*at, "body"), words)
        for state, body in by_state.items():
            self.template(body, (*at, "bodyByState", state), words)
        conditions = [
            (self.condition(entry["when"], (*at, "bodyWhen", index, "when")), entry["body"])
            for index, entry in enumerate(by_condition)
        ]
        for index, (_, body) in enumerate(conditions):
            self.template(body, (*at, "bodyWhen", index, "body"), words)
        states: list[State | None] = [None, *State] if of_job else [None]
        variants = {}
        for state in states:
            plain = merge(base, by_state[state]) if state in by_state else base
            special = [(when, _silent(merge(plain, body), words)) for when, body in conditions]
            variants[state] = (*special, (None, _silent(plain, words)))
        return View(
            name=".".join(str(part) for part in at[2:]),
            http={None: statuses.get("default", 200)}
            | {State(key): value for key, value in statuses.items() if key in set(State)},
            failed_http=failed_http,
            headers=self.headers(node.get("headers"), (*at, "headers")),
            media_type=None if media_type is None else self.template(media_type, (*at, "mediaType")),
            variants=variants,
            words=words,
            own_words="states" in node,
            success=own or success,
            steady=set(_ROOT.findall(text := dump_json(node))) <= _STEADY and _PACE not in text,
        )


def _silent(node: Json, words: Words) -> Template:
    """Compile what has been compiled in its parts, and its problems noted, before."""
    return Compiler(Document(FilePath())).template(node, (), words)
