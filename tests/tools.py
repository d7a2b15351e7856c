"""The tools of other people that read what is exported: those of npm are put into `.tools` by `make tools`."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from tests.acme import Acme
from understudy.behaviour import Behaviour
from understudy.contract.model import Contract
from understudy.folders import find_provider, provider_names
from understudy.library import load_provider

APIS = Path(__file__).parent / "apis"

#: Whose contracts are exported in tests: those that are shipped, small ones with odd manners, and one with every part.
EXPORTED = [*provider_names(), *sorted(path.name for path in APIS.glob("contracts/*")), "acme"]


def loaded_of(name: str, folder: Path) -> tuple[Contract, Behaviour]:
    """Return a provider; the one with every part is written to a folder."""
    return load_provider(Acme(folder / "acme").write() if name == "acme" else find_provider(name, [APIS]))


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


def lint(folder: Path) -> list[str]:
    """Return what Redocly's linter has against the documents in a folder: their specifications, examples by schema."""
    command = module("@redocly/cli") / "bin" / "cli.js"
    config = folder / "redocly.yaml"
    config.write_text(json.dumps({"extends": ["spec"], "rules": _RULES}), encoding="utf-8")
    files = map(str, sorted(folder.glob("*.json")))
    arguments = ["lint", "--format", "json", "--config", str(config), "--max-problems", "1000", *files]
    done = subprocess.run(["node", str(command), *arguments], capture_output=True, text=True, env=_QUIET)
    text, found = done.stdout.strip(), []
    while text:  # there is an object for each file
        told, end = json.JSONDecoder().raw_decode(text)
        text = text[end:].strip()
        found += [(problem["location"][0], problem) for problem in told["problems"] if problem["severity"] == "error"]
    assert done.returncode == bool(found), done.stderr
    return [f"{place['source']['ref']} {place.get('pointer')}: {problem['message']}" for place, problem in found]


#: Redocly asks after its own updates, and counts its users, unless told not to.
_QUIET = {**os.environ, "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "REDOCLY_TELEMETRY": "off"}

#: Beside the specification: examples are held to their schemas.
_RULES = {"no-invalid-media-type-examples": {"severity": "error", "allowAdditionalProperties": True}}


@functools.cache
def _har_schema() -> jsonschema_rs.Validator:
    schemas = [json.loads(path.read_text()) for path in sorted((module("har-schema") / "lib").glob("*.json"))]
    resources = [(schema["$id"], schema) for schema in schemas]
    registry = jsonschema_rs.Registry(resources, draft=jsonschema_rs.Draft6)
    return jsonschema_rs.Draft6Validator({"$ref": "har.json#"}, registry=registry, validate_formats=True)


def wrong_in_har(har: Any) -> list[str]:
    """Return what the schema of HAR 1.2, as npm has it, has against an archive."""
    return [f"{error.instance_path}: {error.message}" for error in _har_schema().iter_errors(har)]
