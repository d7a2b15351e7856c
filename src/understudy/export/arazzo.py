"""The lifecycle as workflows of Arazzo 1.0: what a client does, one workflow for each operation that makes jobs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from understudy.behaviour import Behaviour
from understudy.contract.codecs import dump_json
from understudy.contract.conditions import Condition
from understudy.contract.creates import Create
from understudy.contract.loader import pointer_to
from understudy.contract.model import Contract, JobType, Status
from understudy.contract.reading import Path
from understudy.contract.templates import Each, Either, Leaf, List, Object, Template
from understudy.contract.validation import JSON
from understudy.contract.views import View, Word
from understudy.export.scenes import given_to
from understudy.lifecycle import TERMINAL, Json, State
from understudy.probes import naming

Node = dict[str, Any]

# How often and for how long to ask where the contract does not say, in seconds.
_PACE_SECONDS = 5.0
_PATIENCE_SECONDS = 600.0

# What is left of a condition that Arazzo cannot say: regular expressions, codecs, and what only the stand-in knows.
_UNSAYABLE = re.compile(r"~|(?<!\|)\|(?!\|)|\$(?!statusCode\b|response\b|request\b|url\b|method\b)")
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')

_ID = "$steps.create.outputs.id"


def as_arazzo(contract: Contract, behaviour: Behaviour) -> dict[str, Json]:
    """Return the workflows of a contract: make a job, ask for it until it ends, get its result; and cancel one.

    What a step is judged by is what the contract says of success and of states. The operations are those of the
    document that is exported beside it, `NAME.openapi.json`.
    """
    workflows: list[Node] = []
    for job_type in contract.job_types.values():
        for group in job_type.creates:
            for operation in group.operations:
                workflows += _Workflows(contract, job_type, group, operation).all()
    info = contract.document.data.get("info", {})
    return {
        "arazzo": "1.0.1",
        "info": {"title": f"{info.get('title', contract.name)}: workflows", "version": str(info.get("version", "1"))},
        "sourceDescriptions": [
            {"name": _named(contract.name), "url": f"./{contract.name}.openapi.json", "type": "openapi"}
        ],
        "workflows": workflows,
    }


class _Workflows:
    """The workflows that begin with one operation."""

    def __init__(self, contract: Contract, job_type: JobType, group: Create, operation: str) -> None:
        self._contract = contract
        self._job_type = job_type
        self._group = group
        self._operation = operation
        self._blocks = group.sync is not None and group.sync.when is None

    def all(self) -> Iterator[Node]:
        create, inputs = self._create()
        status, cancel = self._job_type.status, self._job_type.cancel
        knows_id = "id" in create.get("outputs", {})
        steps = [create]
        if knows_id and status is not None:
            steps += self._until(status, State.SUCCEEDED)
            if self._job_type.result is not None:
                result = self._job_type.result
                steps.append(self._about("result", result.operation, naming(result.id, _ID), result.reply))
        yield self._workflow(self._operation, f"Make a job by {self._operation}, and get its result", steps, inputs)
        if knows_id and cancel is not None:
            step = self._about("cancel", cancel.operation, naming(cancel.id, _ID), cancel.reply, State.CANCELLED)
            told = status is not None and State.CANCELLED in status.reply.words.by_state
            ending = self._until(status, State.CANCELLED) if status is not None and told else []
            name, text = f"{self._operation}-cancel", f"Make a job by {self._operation}, and stop it"
            yield self._workflow(name, text, [create, step, *ending], inputs)

    def _workflow(self, name: str, summary: str, steps: list[Node], inputs: Node) -> Node:
        told = {key: f"$steps.{step['stepId']}.outputs.{key}" for step in steps for key in step.get("outputs", ())}
        return {
            "workflowId": _named(name),
            "summary": summary,
            "inputs": inputs,
            "steps": steps,
            **({"outputs": told} if told else {}),
        }

    def _create(self) -> tuple[Node, Node]:
        """Return the step that makes a job, and the inputs that it takes, each with an example."""
        given = given_to(self._contract, self._group, self._operation)
        inputs = {name: value for part in ("path", "query", "headers") for name, value in given.get(part, {}).items()}
        asked: Node = {
            part: {name: f"$inputs.{name}" for name in given[part]}
            for part in ("path", "query", "headers")
            if part in given
        }
        if "body" in given:
            inputs["body"] = given["body"]
            asked["body"] = "$inputs.body"
        state = State.SUCCEEDED if self._blocks else State.QUEUED
        step = self._about("run" if self._blocks else "create", self._operation, asked, self._group.reply, state)
        properties = {name: {"examples": [value]} for name, value in inputs.items()}
        return step, {"type": "object", "required": [*inputs], "properties": properties}

    def _about(
        self, name: str, operation: str, given: Mapping[str, Json], view: View, state: State = State.SUCCEEDED
    ) -> Node:
        """Return a step that asks an operation, and is judged by how that answers about a job in a state.

        A create tells the id. One that blocks has another name, since a linter takes steps of one name for the same.
        """
        places = {"path": "path", "query": "query", "header": "headers"}
        parameters = [
            {"name": key, "in": place, "value": value}
            for place, part in places.items()
            for key, value in given.get(part, {}).items()
        ]
        check = self._contract.operations[operation].body
        media_type = JSON if check is None else check.written_as
        body = {"requestBody": {"contentType": media_type, "payload": given["body"]}} if "body" in given else {}
        told = {
            key: f"$response.body#{pointer}"
            for key, pointer in (("id", _pointer(view, state, _is_id)), ("result", _pointer(view, state, _is_result)))
            if pointer is not None and (key == "id") == (name == "create")
        }
        return {
            "stepId": name,
            "operationId": operation,
            **({"parameters": parameters} if parameters else {}),
            **body,
            "successCriteria": [{"condition": text} for text in _success(view, state)],
            **({"outputs": told} if told else {}),
        }

    def _until(self, status: Status, state: State) -> list[Node]:
        """Return the step that asks for a job until it is in a state; none where Arazzo cannot tell that it is."""
        view = status.reply
        there = [one for one in State if view.words.by_state.get(one)]
        said = {one: text for one in there if (text := _is_in(view, one)) is not None}
        if len(said) < len(there) or state not in said:
            return []
        step = self._about("poll", status.operation, naming(status.id, _ID), view, state)
        if {"condition": said[state]} not in step["successCriteria"]:  # the status alone may tell
            step["successCriteria"].append({"condition": said[state]})
        pace = status.every_seconds(0.0) or _PACE_SECONDS
        limit = math.ceil((status.give_up_seconds or _PATIENCE_SECONDS) / pace)
        works = _any(text for one, text in said.items() if one not in TERMINAL)
        ends = _any(text for one, text in said.items() if one in TERMINAL and one is not state)
        retry = {"name": "working", "type": "retry", "retryAfter": pace, "retryLimit": limit}
        actions = ((works, retry), (ends, {"name": "ended", "type": "end"}))
        step["onFailure"] = [{**action, "criteria": [{"condition": text}]} for text, action in actions if text]
        return [step]


def _named(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", text)


# --- what a reply says ------------------------------------------------------------------------------------------------


def _success(view: View, state: State) -> Iterator[str]:
    yield f"$statusCode == {view.http.get(state, view.http[None])}"
    said = None if view.success is None else _said(view.success)
    if said is not None:
        yield said


def _is_in(view: View, state: State) -> str | None:
    """Return what holds of a reply about a job in a state; None where that cannot be said."""
    pointer = _pointer(view, state, lambda path: path == ("job", "status"))
    told = [_word_holds(word, pointer) for word in view.words.by_state[state]]
    return None if None in told else _any(text for text in told if text is not None)


def _word_holds(word: Word, pointer: str | None) -> str | None:
    when = None if word.when is None else _said(word.when)
    if (word.spoken and pointer is None) or (word.when is not None and when is None):
        return None
    shown = f"$response.body#{pointer} == {_literal(word.word)}" if word.spoken else None
    return " && ".join(filter(None, (shown, f"({when})" if when and shown else when)))


def _literal(value: Json) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else dump_json(value)


def _said(condition: Condition) -> str | None:
    """Return a condition in the words of Arazzo, or None where it has none for it."""
    if _UNSAYABLE.search(_TEXT.sub("", condition.text)):
        return None
    return _TEXT.sub(lambda match: _literal(json.loads(match[0])), condition.text)


def _any(texts: Iterable[str]) -> str:
    return " || ".join(texts)


# --- where a template has something ---------------------------------------------------------------------------------


def _is_id(path: Path) -> bool:
    return path == ("job", "id")


def _is_result(path: Path) -> bool:
    return path[:2] in (("job", "result"), ("job", "outputs")) or path[0] == "output"


def _pointer(view: View, state: State, wanted: Any) -> str | None:
    """Return the JSON pointer to what a view shows of a job in a state, or None where no pointer leads there."""
    for _, template in view.variants.get(state, view.variants[None]):
        found = next((at for at, path in _leaves(template, ()) if wanted(path)), None)
        if found is not None:
            return pointer_to(found)
    return None


def _leaves(template: Template, at: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Path]]:
    """Yield where each expression of a template stands, and what it is of; JSON inside text has no pointer."""
    if isinstance(template, Leaf):
        yield at, template.path
    elif isinstance(template, Object):
        for key, inner in template.members:
            yield from _leaves(inner, (*at, key))
    elif isinstance(template, Each):
        yield from _leaves(template.do, (*at, "0"))
    elif isinstance(template, Either):
        yield from _leaves(template.options[0], at)
    elif isinstance(template, List):
        for index, inner in enumerate(template.items):
            yield from _leaves(inner, (*at, str(index)))
