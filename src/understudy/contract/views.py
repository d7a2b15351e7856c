"""Views: what a job looks like on the wire in each of its states, rendered by the fake and read by the client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

from understudy.contract.codecs import as_text, parse_json, plain_number
from understudy.contract.conditions import Condition, same
from understudy.contract.expressions import Expression, Scope, camel, parse_expression
from understudy.contract.reading import Path, ReadError, Reading, check_types
from understudy.contract.templates import Leaf, Template, Text, leaves
from understudy.lifecycle import Job, JobError, Json, Output, State


class Word(NamedTuple):
    """One wire word of a state; without a word the condition alone tells."""

    word: Json
    when: Condition | None = None
    spoken: bool = True  # whether there is a word at all: None can be one


class Words(NamedTuple):
    """The wire words of the normal states.

    Attributes:
        by_state: State → its words, the one that is shown first.
        unknown: How a client takes a word that is not listed.
    """

    by_state: Mapping[State, tuple[Word, ...]]
    unknown: Literal["active", "failed"] = "active"

    def shown(self, state: State) -> Json:
        """Return the word that is shown for a state."""
        words = self.by_state.get(state)
        return words[0].word if words else None

    def state_named(self, word: Json) -> State | None:
        """Return the first state that has this word, or None."""
        for state, words in self.by_state.items():
            if any(entry.spoken and same(entry.word, word) for entry in words):
                return state
        return None

    def state_read(self, word: Json, scope: Scope) -> State | None:
        """Return the state that a word stands for in a reply, or None for an unknown word."""
        for state, words in self.by_state.items():
            for entry in words:
                if (not entry.spoken or same(entry.word, word)) and (entry.when is None or entry.when.holds(scope)):
                    return state
        return None

    @property
    def spoken(self) -> list[str]:
        """All words, as text."""
        return [as_text(entry.word) for words in self.by_state.values() for entry in words if entry.spoken]

    @property
    def told_without_word(self) -> bool:
        """Whether something other than a word tells a state, or the word is null."""
        return any(entry.word is None for words in self.by_state.values() for entry in words)


# The status that a failure has of its own, and the headers.
_FAILED_HTTP = parse_expression("$job.error.http")
_FAILED_HEADERS = parse_expression("$job.error.headers")


class Rendered(NamedTuple):
    """A view, rendered: `body` is None where there is none, and may be bytes; `media_type` is of bytes and of lines."""

    status: int
    headers: list[tuple[str, str]]
    body: Json
    media_type: str = "application/json"


class Read(NamedTuple):
    """A view, read: `state` is None when its word is not listed."""

    state: State | None
    reading: Reading


def rendered_headers(headers: Iterable[tuple[str, Template]], scope: Scope) -> list[tuple[str, str]]:
    """Return headers with their values as text; one without a value is left out."""
    values = ((name, template.render(scope)) for name, template in headers)
    return [(name, as_text(value)) for name, value in values if value is not None]


Variants = tuple[tuple[Condition | None, Template], ...]


@dataclass(frozen=True)
class View:
    """One shape of a job on the wire.

    Attributes:
        name: Where it stands, such as `status.reply`.
        http: State → HTTP status; under None the default.
        failed_http: What else the HTTP status can be for a job that has failed: that of its failure.
        headers: Names and templates.
        media_type: What a body of bytes is, or a list as JSON Lines; JSON where it is None.
        variants: State → the bodies there, the first whose condition holds; under None the plain body.
        words: The wire words here.
        own_words: Whether they are its own, and not those of the job.
        success: What makes an answer a success beside its HTTP status, or None.
        steady: Whether it shows nothing but the job, and so stays the same as long as the job does.
    """

    name: str
    http: Mapping[State | None, int]
    failed_http: frozenset[int]
    headers: tuple[tuple[str, Template], ...]
    media_type: Template | None
    variants: Mapping[State | None, Variants]
    words: Words
    own_words: bool
    success: Condition | None
    steady: bool

    def render(self, scope: Mapping[str, Any], state: State | None) -> Rendered:
        """Render the view of a job.

        Args:
            scope: With `job`, or `jobs`, and what else the templates name.
            state: The normal state of the job; None for a view that is of no job in particular.
        """
        own = self.words.shown(state) if self.own_words and state is not None else None
        if own is not None:
            scope = {**scope, "job": replace(scope["job"], status=own)}
        body = _chosen(self.variants[state], scope).render(scope)
        headers = rendered_headers(self.headers, scope) if self.headers else []
        status = self.status(state, scope)
        if self.failed_http:
            headers += (_FAILED_HEADERS.value(scope) or {}).items()
        if self.media_type is None:
            return Rendered(status, headers, body)
        return Rendered(status, headers, body, str(self.media_type.render(scope)))

    def status(self, state: State | None, scope: Scope) -> int:
        """Return the HTTP status of the view of a job in a state."""
        own = _FAILED_HTTP.value(scope) if self.failed_http else None
        return self.http.get(state, self.http[None]) if own is None else int(own)

    @property
    def statuses(self) -> frozenset[int]:
        """The HTTP statuses that it may have."""
        return self.failed_http | frozenset(self.http.values())

    def may_have(self, status: int, state: State) -> bool:
        """Say whether the view of a job in a state may have that HTTP status."""
        usual = self.http.get(state, self.http[None])
        return status == usual or (state is State.FAILED and status in self.failed_http)

    def read(self, body: Json, scope: Mapping[str, Any], order: Iterable[State] = tuple(State)) -> Read:
        """Read a view backwards: its body, and what its headers say beside that.

        Args:
            body: The decoded body.
            scope: With `response`, `request` and `statusCode`, for conditions.
            order: Which states to try first where no word tells.

        Raises:
            ReadError: The body is nothing that this view could have rendered.
        """
        state, reading = self._read_body(body, scope, order)
        headers = (scope.get("response") or {}).get("header") if self.headers else None
        return Read(state, {**self._read_headers(headers), **reading} if headers else reading)

    def _read_headers(self, headers: Mapping[str, str]) -> Reading:
        """Return what headers say of the job; what they should say and do not is nothing."""
        found: Reading = {}
        for name, template in self.headers:
            text = headers.get(name.lower(), "")
            for value in (text, _number_in(text)):  # a header is text, and what it stands for may be a number
                try:
                    reading = read_text(template, value)
                    check_types(reading)
                except ReadError:
                    continue
                found.update((path, told) for path, told in reading.items() if path[0] == "job")
                break
        return found

    def _read_body(self, body: Json, scope: Mapping[str, Any], order: Iterable[State]) -> Read:
        failure: ReadError | None = None
        for state in order:
            status = scope.get("statusCode")
            if state not in self.variants:  # a view of no job in particular
                break
            if status is not None and not self.may_have(status, state):
                continue
            try:
                reading = self._read_variant(state, body, scope)
            except ReadError as error:
                failure = failure or error
                continue
            word = reading.get(("job", "status"))
            if word is None and not self.words.told_without_word:
                return Read(state, reading)
            told = self.words.state_read(word, scope)
            # of an unknown word, what the plain body says is all there is to know
            return Read(told, reading if told is state else self._read_variant(told, body, scope))
        if failure is not None:
            raise failure
        return Read(None, self._read_variant(None, body, scope))

    def _read_variant(self, state: State | None, body: Json, scope: Scope) -> Reading:
        variants = self.variants[state]
        if len(variants) > 1:  # its conditions may ask what is known of the job
            scope = {**scope, "job": {**(scope.get("job") or {}), "state": state}}
        reading: Reading = {}
        _chosen(variants, scope).read(body, reading, ())
        check_types(reading)
        return reading

    def carries_content(self, state: State | None, scope: Scope) -> bool:
        """Say whether the body that would be rendered has the bytes of result files in it."""
        if not self._with_content:
            return False
        body = _chosen(self.variants[state], scope)
        return any(body is other for other in self._with_content)

    @cached_property
    def _with_content(self) -> list[Template]:
        """The bodies that have the bytes of result files in them."""
        bodies = [body for variants in self.variants.values() for _, body in variants]
        return [body for body in bodies if any(leaf.path[-1] == "content" for leaf in leaves(body))]

    def fields(self, state: State | None) -> frozenset[str]:
        """Return the expressions that a client can read back from this view in a state, such as `job.error.code`."""
        found: set[str] = set()
        for _, template in self.variants[state]:
            found.update(".".join(map(str, leaf.path)) for leaf in leaves(template))
        for _, template in self.headers:
            found.update(f"{one.root}.{'.'.join(one.path)}" for one in expressions(template) if one.readable)
        return frozenset(found)


def expressions(template: Template) -> list[Expression]:
    """Return the expressions of a text, or of one that is nothing else."""
    parts = template.parts if isinstance(template, Text) else [getattr(template, "expression", None)]
    return [part for part in parts if isinstance(part, Expression)]


def read_text(template: Template, value: Json) -> Reading:
    """Return what a text says, such as that of a header, whether it is one expression or has text around several.

    Raises:
        ReadError: A codec cannot undo it.
    """
    reading: Reading = {}
    pairs: list[tuple[Template, Json]] = [(template, value)]
    if isinstance(template, Text):
        found = (template.match(value) if isinstance(value, str) else None) or {}
        pairs = [(Leaf(leaf, omit=False), found.get(leaf.text)) for leaf in expressions(template)]
    for node, inner in pairs:
        node.read(inner, reading, ())
    return reading


def _number_in(text: str) -> Json:
    """Return the number that a text is, or None."""
    with suppress(ValueError):
        value = parse_json(text)
        return value if isinstance(value, int | float) else None
    return None


def _chosen(variants: Variants, scope: Scope) -> Template:
    first, template = variants[0]
    if first is None:
        return template
    return next(template for condition, template in variants if condition is None or condition.holds(scope))


# --- from a reading to a job ----------------------------------------------------------------------------------------

_MEMBERS = {camel(field.name): field.name for field in fields(Job)}
_OUTPUT_MEMBERS = {camel(field.name): field.name for field in fields(Output)}


def facts_of(reading: Reading, outputs: Template | None, prefix: Path = ("job",)) -> dict[str, Any]:
    """Return what a reading says of one job, by the names of the members of Job.

    Args:
        reading: What a view carried.
        outputs: The contract's template of a result, by which a result turns into files.
        prefix: Whose facts: `("job",)`, or `("jobs", 2)` in a reply about several.
    """
    facts: dict[str, Any] = {}
    error: dict[str, Any] = {}
    files = _files(reading, prefix)
    for path, value in reading.items():
        if path[: len(prefix)] != prefix:
            continue
        match path[len(prefix) :]:
            case ("error", str(name)):
                error[name] = value
            case ("logs", int()):
                facts["logs"] = (*facts.get("logs", ()), value)
            case (str(name),) if name in _MEMBERS:
                facts[_MEMBERS[name]] = plain_number(value) if isinstance(value, float) else value
    if error:
        facts["error"] = JobError(**error)
    if outputs is not None and facts.get("result") is not None:
        files = files or _files_in(facts["result"], outputs)
    if files:
        facts["outputs"] = tuple(replace(Output(**files[index]), index=index) for index in sorted(files))
    return facts


def _files_in(result: Json, outputs: Template) -> dict[int, dict[str, Any]]:
    reading: Reading = {}
    try:
        outputs.read(result, reading, ())
        check_types(reading)
    except ReadError:  # a result without files, such as text, is a result all the same
        return {}
    return _files(reading, ("job",))


def _files(reading: Reading, prefix: Path) -> dict[int, dict[str, Any]]:
    files: dict[int, dict[str, Any]] = {}
    for path, value in reading.items():
        match path[len(prefix) :]:
            case ("outputs", int(index), str(name)) if path[: len(prefix)] == prefix:
                files.setdefault(index, {})[_OUTPUT_MEMBERS[name]] = value
    return files


def prefixes(reading: Reading) -> Sequence[Path]:
    """Return the prefix of each job that a reading tells of, in order."""
    several = sorted({path[1] for path in reading if path[0] == "jobs" and isinstance(path[1], int)})
    return [("jobs", index) for index in several] or [("job",)]
