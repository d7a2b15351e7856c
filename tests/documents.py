"""Small documents for tests, written inline as YAML, and the values that Hypothesis draws for them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml
from hypothesis import strategies as st

from understudy.contract.build import load_contract
from understudy.contract.compiler import compile_template
from understudy.contract.loader import Document, load
from understudy.contract.model import Contract
from understudy.contract.reading import Reading
from understudy.contract.templates import Template
from understudy.errors import ContractInvalid, Problem

# A provider of everything that a contract can speak of; tests lay what they are about over it.
OPENAPI = """
openapi: 3.1.0
info: {title: Small, version: "1"}
servers: [{url: "https://api.small.test/v1"}]
paths:
  /jobs:
    post:
      operationId: make
      requestBody: {content: {application/json: {schema: {type: object}}}}
    get: {operationId: all}
  /jobs/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get: {operationId: look}
    delete: {operationId: stop}
  /events: {get: {operationId: listen}}
  /models: {get: {operationId: models}}
  /models/{id}:
    get: {operationId: model, parameters: [{name: id, in: path, required: true}]}
  /files: {post: {operationId: upload}}
  /links: {post: {operationId: renew}}
  /balance: {get: {operationId: balance}}
"""

JOBS = """
job:
  id: "{hex:8}"
  states: {queued: [waiting], running: [working], succeeded: [done], failed: [broken]}
  create: [{operations: [make], reply: {body: {id: $job.id}}}]
"""


def text_of(text: str) -> str:
    """Return an indented document without its indentation and its first, empty line."""
    return dedent(text).removeprefix("\n")


def document(text: str | bytes, *, name: str = "main.yaml", **beside: str | bytes) -> Document:
    """Read a document that stands in a file of this name, with `key.yaml` for each further text beside it."""
    with tempfile.TemporaryDirectory() as folder:
        for file, content in {name: text, **{f"{key}.yaml": content for key, content in beside.items()}}.items():
            Path(folder, file).write_bytes(text_of(content).encode() if isinstance(content, str) else content)
        return load(Path(folder, name))


def contract(jobs: str | dict[str, Any] = JOBS, *, openapi: str = OPENAPI) -> Contract:
    """Compile the contract of a provider called `small`, from its `x-jobs` and the rest of its document."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, "small")
        folder.mkdir()
        shown = text_of(jobs) if isinstance(jobs, str) else yaml.safe_dump(jobs, sort_keys=False, allow_unicode=True)
        indented = "".join(f"  {line}\n" for line in shown.splitlines())
        folder.joinpath("openapi.yaml").write_text(f"{text_of(openapi)}x-jobs:\n{indented}", encoding="utf-8")
        return load_contract(folder)


def job_of(**more: Any) -> dict[str, Any]:
    """Return the `x-jobs` of one kind of job, with some keys in place of the usual ones."""
    return {"job": {**yaml.safe_load(JOBS)["job"], **more}}


def shown(problems: tuple[Problem, ...] | list[Problem]) -> list[str]:
    """Return problems as `line: text`, with the file's name in front where it is not the main one."""
    names = [Path(problem.file).name for problem in problems]
    prefixes = ["" if name in ("main.yaml", "openapi.yaml") else f"{name}:" for name in names]
    return [f"{prefix}{problem.line}: {problem.text}" for prefix, problem in zip(prefixes, problems, strict=True)]


def problems(text: str | bytes, *, name: str = "main.yaml", **beside: str | bytes) -> list[str]:
    """Return the problems of a document that cannot be read."""
    with pytest.raises(ContractInvalid) as caught:
        document(text, name=name, **beside)
    return shown(caught.value.problems)


def contract_problems(jobs: str | dict[str, Any] = JOBS, *, openapi: str = OPENAPI) -> list[str]:
    """Return the texts of the problems of a contract, without their lines."""
    with pytest.raises(ContractInvalid) as caught:
        contract(jobs, openapi=openapi)
    return [problem.text for problem in caught.value.problems]


def template(node: Any) -> Template:
    """Compile a template that has nothing wrong with it; text is the YAML of one."""
    noted: list[str] = []
    data = document(node).data if isinstance(node, str) else node
    compiled = compile_template(data, (), lambda at, text: noted.append(text))
    assert not noted, noted
    return compiled


def read(compiled: Template, value: Any) -> Reading:
    """Read a value backwards, by a template."""
    reading: Reading = {}
    compiled.read(value, reading, ())
    return reading


# --- what Hypothesis draws ------------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | texts

json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)


def nested(levels: int) -> list[Any]:
    """Return a list in a list in a list."""
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


#: What no decent program sends, and more: what is not even JSON.
hostile_values = (
    json_values
    | st.text(max_size=20)
    | st.binary(max_size=20)
    | st.floats()
    | st.sampled_from([10**400, -(10**400), 1e308, "\ud800", "9" * 5000, "1e999", "NaN", "²", "[" * 9999, object()])
    | st.integers(90, 130).map(nested)
)
