"""The tools of other people that read what is exported: those of npm are put into `.tools` by `make tools`."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

MODULES = Path(__file__).parents[1] / ".tools" / "node_modules"

#: Reads texts from standard input as a JSON list, and prints what Mermaid has against each: null where nothing.
_MERMAID = """
import { JSDOM } from 'jsdom';
const dom = new JSDOM('<body></body>');
globalThis.window = dom.window;
globalThis.document = dom.window.document;
const { default: mermaid } = await import('mermaid');
let text = '';
for await (const piece of process.stdin) text += piece;
const answers = [];
for (const diagram of JSON.parse(text)) {
  try { answers.push((await mermaid.parse(diagram)).diagramType === 'stateDiagram' ? null : 'another diagram'); }
  catch (error) { answers.push(String(error)); }
}
console.log(JSON.stringify(answers));
"""


def module(name: str) -> Path:
    """Return the folder of a package of npm; the test is skipped where it is not installed."""
    if shutil.which("node") is None or not (MODULES / name).is_dir():
        pytest.skip(f"{name} of npm is not installed here: make tools")
    return MODULES / name


def wrong_diagrams(diagrams: Iterable[str]) -> list[str]:
    """Return what Mermaid's own parser has against state diagrams."""
    script = module("mermaid").parent.parent / "mermaid.mjs"
    script.write_text(_MERMAID, encoding="utf-8")  # it imports what lies beside it
    done = subprocess.run(
        ["node", str(script)], input=json.dumps([*diagrams]), capture_output=True, text=True, check=True
    )
    return [text for text in json.loads(done.stdout) if text is not None]


def lint(*files: Path) -> list[str]:
    """Return what Redocly's linter has against documents, by the specifications of OpenAPI and Arazzo."""
    command = module("@redocly/cli") / "bin" / "cli.js"
    arguments = ["lint", "--format", "json", "--extends", "spec", *map(str, files)]
    done = subprocess.run(["node", str(command), *arguments], capture_output=True, text=True)
    return [
        f"{problem['location'][0].get('pointer')}: {problem['message']}"
        for problem in json.loads(done.stdout)["problems"]
        if problem["severity"] == "error"
    ]


@functools.cache
def _har_schema() -> jsonschema_rs.Validator:
    schemas = [json.loads(path.read_text()) for path in sorted((module("har-schema") / "lib").glob("*.json"))]
    resources = [(schema["$id"], schema) for schema in schemas]
    registry = jsonschema_rs.Registry(resources, draft=jsonschema_rs.Draft6)
    return jsonschema_rs.Draft6Validator({"$ref": "har.json#"}, registry=registry, validate_formats=True)


def wrong_in_har(har: Any) -> list[str]:
    """Return what the schema of HAR 1.2, as npm has it, has against an archive."""
    return [f"{error.instance_path}: {error.message}" for error in _har_schema().iter_errors(har)]
