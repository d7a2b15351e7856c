"""Hold a file against the closed schema of its format, and name each key that is wrong with the nearest valid one."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from importlib import resources
from typing import Any

from understudy.contract.codecs import dump_json
from understudy.contract.loader import Document
from understudy.contract.validation import compile_schema
from understudy.errors import nearest, suggestion
from understudy.lifecycle import Json, State


@functools.cache
def _schema(name: str) -> tuple[Json, Any]:
    text = resources.files("understudy.contract").joinpath(f"schemas/{name}.json").read_text(encoding="utf-8")
    schema = json.loads(text)
    return schema, compile_schema(schema)


def hold_to_format(document: Document) -> None:
    """Note every problem of a contract with its format.

    Raises:
        ContractInvalid: It cannot be compiled for them.
    """
    usable = check_closed(document, "openapi")
    if usable and "x-jobs" not in document.data:
        text = 'the document lacks "x-jobs", which ties operations to jobs; an overlay.yaml may have it, too'
        document.problem((), text)
    if not usable or "x-jobs" not in document.data or not check_closed(document, "x-jobs", ("x-jobs",)):
        document.raise_if_invalid()


def check_closed(document: Document, schema_name: str, at: tuple[str, ...] = ()) -> bool:
    """Note every problem of (a part of) a document with the schema of its format.

    Args:
        document: The file.
        schema_name: `openapi`, `x-jobs`, `recording`, `behaviour` or `scenario`.
        at: Where in the file the part begins.

    Returns:
        Whether the rest can be compiled: nothing is wrong but keys that nobody knows.
    """
    schema, validator = _schema(schema_name)
    value = document.data
    for key in at:
        value = value[key]
    errors = list(validator.iter_errors(value))
    misspelt = {tuple(error.instance_path) for error in errors if error.kind.name == "additionalProperties"}
    usable = True
    for error in errors:
        place = (*at, *error.instance_path)
        if error.kind.name == "additionalProperties":
            allowed = _allowed(schema, error.schema_path)
            missing = [key for key in allowed if key not in error.instance]  # more likely what was meant
            for key in error.kind.as_dict()["unexpected"]:
                options = missing if nearest(key, missing) is not None else allowed
                document.problem((*place, key), f'unknown key "{key}"; {suggestion(key, options)}')
            continue
        usable = False
        # the misspelt key is most likely the missing one: one problem, not two
        if not (error.kind.name == "required" and tuple(error.instance_path) in misspelt):
            document.problem(place, _text(error, place, _meant(value, error)))
    return usable


def _allowed(schema: Json, path: Iterable[str | int]) -> list[str]:
    """Return the keys that the schema object above the end of a schema path knows."""
    node = schema
    for part in list(path)[:-1]:
        node = node[part]
    return list(node.get("properties", ()))


def _text(error: Any, place: tuple[str | int, ...], meant: str | None) -> str:
    details = error.kind.as_dict()
    key = next((part for part in reversed(place) if isinstance(part, str)), None)
    name = "the file" if key is None else f'"{key}"' if key == place[-1] else f'an item of "{key}"'
    match error.kind.name:
        case "required":
            return f'{name} lacks "{details["property"]}"'
        case "type":
            expected = " or ".join(details["types"])
            return f"{name} must be {expected}, not {_shown(error.instance)}"
        case "enum" if meant is not None:
            return f"{name} cannot be {_shown(error.instance)}, which is a word of {meant}: write {meant}"
        case "enum":
            options = [str(option) for option in details["options"]]
            return f"{name} cannot be {_shown(error.instance)}; {suggestion(str(error.instance), options)}"
        case "falseSchema":
            return f"{name} cannot stand beside the other keys here"
        case _:
            return f"{name}: {error.message if len(error.message) < 200 else error.kind.name}"


def _meant(value: Json, error: Any) -> str | None:
    """Return the state that is meant where a word of the provider's stands in its place."""
    if error.kind.name != "enum" or State.QUEUED not in error.kind.as_dict()["options"]:
        return None
    job = value[error.instance_path[0]]
    states = job.get("states") if isinstance(job, dict) else None
    for state, words in states.items() if isinstance(states, dict) else ():
        for word in words if isinstance(words, list) else ():
            if error.instance == (word.get("word") if isinstance(word, dict) else word):
                return str(state)
    return None


def _shown(value: Json) -> str:
    text = dump_json(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
