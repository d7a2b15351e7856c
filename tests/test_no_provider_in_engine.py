"""A provider is data: no word of any bundled contract stands in the code of the engine."""

from __future__ import annotations

import ast
import functools
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from understudy.contract.build import load_contract
from understudy.contract.catalogue import ENGINE_ERRORS
from understudy.contract.codecs import CODECS
from understudy.contract.expressions import ROOTS, Names
from understudy.contract.model import Contract
from understudy.lifecycle import Job, JobError, Output, State

ROOT = Path(__file__).parents[1]
CONTRACTS = [load_contract(path.parent) for path in sorted(ROOT.glob("contracts/*/openapi.yaml"))]

# Words of HTTP: members of a problem document (RFC 9457).
HTTP = {"type", "detail"}

# Words of JSON Schema that a contract has as fields, too.
JSON_SCHEMA = {"object"}

# Plain words that the engine has for a reason of its own.
APART = {
    "v1": "the version of a signature in Standard Webhooks; a part of the path of some providers",
    "seed": "the option --seed of the command line; a field of some models",
    "com": "the end of an example's host, and of some providers' hosts",
    "info": "a member of OpenAPI and Arazzo; where some providers say what is wrong",
    "summary": "a member of OpenAPI and Arazzo; what some providers say of a model",
    "payload": "a member of Arazzo; where some providers put the result in a callback",
    "mimeType": "a member of HAR; what some providers call the type of a file",
    "expected": "what an error says beside what it got; what some providers call the values of an enum",
    "requests": "a strategy for Hypothesis; a part of the path of some providers",
    "run": "the command that runs a program; the end of some providers' hosts, and an operation",
    "stream": "a stream of events; a part of the path of some providers",
    "get": "a method of HTTP; a link to a job at some providers",
    "fail": "the option --fail-on of the command line; a word for a state at some providers",
    "level": "a member of SARIF; a field of the logs at some providers",
    "results": "a member of SARIF; what some providers call the jobs of a list",
    "version": "the option --version of the command line; what some providers call a model",
    "webhook": "a word of the names in Standard Webhooks; where some providers are told the URL",
    "webhooks": "Standard Webhooks itself; a part of the path of some providers",
}

# --- the words of the contracts -------------------------------------------------------------------------------------


def words_of(contract: Contract) -> Iterator[tuple[str, str]]:
    """Yield each word that only this provider has a right to, and what it is."""
    data = contract.document.data
    yield contract.name, "the provider"
    for url in contract.servers:
        host = urlsplit(url).hostname or ""
        yield from ((part, "a host") for part in (host, *host.split(".")))
    for operation in contract.operations.values():
        yield operation.id, "an operation"
        yield operation.path, "a path"
        yield from ((part.strip("{}"), "a part of a path") for part in operation.path.split("/"))
        yield from ((parameter.name, "a parameter") for parameter in operation.parameters)
    yield from (
        (name, "a field of a schema") for name in properties_in({key: data[key] for key in data if key != "x-jobs"})
    )
    for job_type in contract.job_types.values():
        yield job_type.name, "a kind of job"
        yield from ((model, "a model") for model in job_type.models)
        yield from ((name, "a failure") for name in job_type.failures)
        yield from ((name, "an error") for name in job_type.errors.rules)
        for entries in job_type.words.by_state.values():
            yield from ((entry.word, "a word of a state") for entry in entries if isinstance(entry.word, str))
    yield from ((name, "a field of a template") for name in template_fields(data["x-jobs"]))


def properties_in(node: Any) -> Iterator[str]:
    """Yield the names of all properties in schemas."""
    if isinstance(node, dict):
        if isinstance(node.get("properties"), dict):
            yield from node["properties"]
        for item in node.values():
            yield from properties_in(item)
    elif isinstance(node, list):
        for item in node:
            yield from properties_in(item)


def template_fields(node: Any, *, inside: bool = False) -> Iterator[str]:
    """Yield the names of all members in the templates of `x-jobs`."""
    if isinstance(node, dict):
        for key, item in node.items():
            if inside and not key.startswith("$") and key != "do":
                yield key
            yield from template_fields(item, inside=inside or key in ("body", "data", "outputs"))
            if key == "bodyByState" and not inside:
                for body in item.values():
                    yield from template_fields(body, inside=True)
    elif isinstance(node, list):
        for item in node:
            yield from template_fields(item, inside=inside)


# --- the words of the format ----------------------------------------------------------------------------------------


def format_words() -> set[str]:
    """Return the words of the format itself: keys and values of its schemas, expressions, codecs, states, errors."""
    found = {*CODECS, *State, *ENGINE_ERRORS, *expression_words(ROOTS)}
    # what an expression says in camelCase, the engine says in Python's way
    found |= {field.name for kind in (Job, JobError, Output) for field in fields(kind)}
    for path in ROOT.glob("src/understudy/contract/schemas/*.json"):
        if path.stem not in ("openapi", "overlay"):
            found |= schema_words(json.loads(path.read_text(encoding="utf-8")))
    return found


def expression_words(names: Names | None) -> set[str]:
    """Return the names of a table of names."""
    return set(names or ()) | {word for inner in (names or {}).values() for word in expression_words(inner)}


def schema_words(node: Any) -> set[str]:
    """Return the keys and the enumerated words of a closed schema."""
    if isinstance(node, list):
        return {word for item in node for word in schema_words(item)}
    if not isinstance(node, dict):
        return set()
    keys = set(node["properties"]) if isinstance(node.get("properties"), dict) else set()
    words = {word for word in node.get("enum", ()) if isinstance(word, str)}
    return keys | words | {word for item in node.values() for word in schema_words(item)}


# --- the literals of the engine -------------------------------------------------------------------------------------


def literals_in(source: str) -> Iterator[tuple[int, str]]:
    """Yield each string constant of a program with its line, parts of f-strings too and docstrings apart."""
    tree = ast.parse(source)
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    documented = [node.body[0] for node in ast.walk(tree) if isinstance(node, kinds) and node.body]
    docstrings = {id(first.value) for first in documented if isinstance(first, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def words_in(literal: str) -> set[str]:
    """Return a literal and the names in it: in prose those alone that no plain word of English looks like."""
    pieces = set(re.findall(r"[A-Za-z0-9_.-]+", literal)) | set(re.findall(r"[A-Za-z0-9_]+", literal))
    if " " in literal.strip():
        pieces = {piece for piece in pieces if re.search(r"[a-z][A-Z]|[_0-9]|[a-z]\.[a-z]|[a-z]-[a-z]", piece)}
    return {literal, literal.strip(" /.:{}$"), *pieces}


def leaks(source: str, provider_words: dict[str, str]) -> list[str]:
    """Return one line for each word of a provider that stands in a program."""
    return [
        f"{line}: {word!r}, {provider_words[word]}, in {literal!r}"
        for line, literal in literals_in(source)
        for word in sorted(words_in(literal) & provider_words.keys())
    ]


PROVIDER_WORDS: dict[str, str] = {}
for _contract in CONTRACTS:
    for _word, _what in words_of(_contract):
        PROVIDER_WORDS.setdefault(_word, f"{_what} of {_contract.name}")
FORMAT_WORDS = format_words()
TELLING = {
    word: what
    for word, what in PROVIDER_WORDS.items()
    if word and word not in FORMAT_WORDS | HTTP | JSON_SCHEMA | APART.keys()
}


def test_no_word_of_a_provider_stands_in_the_engine():
    """No provider's name, path, host, field, model or state word is a string in the code."""
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted(ROOT.glob("src/**/*.py"))
        for line in leaks(path.read_text(encoding="utf-8"), TELLING)
    ]
    assert not found, "\n".join(found)


@functools.cache
def engine_words() -> set[str]:
    """Return every word in the strings of the engine."""
    sources = (path.read_text(encoding="utf-8") for path in ROOT.glob("src/**/*.py"))
    return {word for source in sources for _, literal in literals_in(source) for word in words_in(literal)}


@pytest.mark.parametrize("words", [APART.keys(), HTTP, JSON_SCHEMA], ids=["apart", "http", "json-schema"])
def test_no_word_is_set_apart_in_vain(words: set[str]):
    """Every word that is set apart is one that a contract has and the engine needs."""
    assert words <= (PROVIDER_WORDS.keys() & engine_words()) - FORMAT_WORDS


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.name)
def test_every_contract_has_words_to_look_for(contract: Contract):
    """Each contract has telling words of every sort, or the test above would look for nothing."""
    sorts = {what for word, what in words_of(contract) if word in TELLING}
    assert {"the provider", "a host", "an operation", "a path", "a model", "a field of a template"} <= sorts


@pytest.mark.parametrize(
    "source",
    [
        "x = 'kie'",
        "x = body['taskId']",
        "x = f'/api/v1/jobs/{x}/recordInfo'",
        "if word == 'processing': pass",
        "x = 'the field generation_id is missing'",
        "x = 'https://hub.oxen.ai/api'",
        "x = {'nano-banana-pro': 1}",
        "match x:\n    case 'queuing': pass",
        "def f(x='b64_json'): pass",
    ],
)
def test_a_leak_is_found(source: str):
    """A word of a provider is found alone, in a path, in prose and in a part of an f-string."""
    assert leaks(source, TELLING)


def test_prose_and_docstrings_are_no_leak():
    """Plain English in a message, and a docstring, may use a word that a provider uses as well."""
    source = "def f():\n    'Such as processing, of oxen.'\n    return 'the job is processing, with success'\n"
    assert leaks(source, TELLING) == []
