"""Tests of how documents of OpenAPI 3.0 are read."""

from __future__ import annotations

import copy
import json
from pathlib import Path

from understudy.contract.build import load_document

OLD = {
    "type": "object",
    "properties": {
        "nullable": {"type": "string", "nullable": True, "example": {"type": "a", "nullable": True}},
        "default": {"allOf": [{"type": "number", "maximum": 5, "exclusiveMaximum": True}]},
        "off": {"minimum": 1, "exclusiveMinimum": False},
        "odd": {"nullable": True, "exclusiveMinimum": True},
    },
}
MEANT = {
    "type": "object",
    "properties": {
        "nullable": {"type": ["string", "null"], "nullable": True, "example": {"type": "a", "nullable": True}},
        "default": {"allOf": [{"type": "number", "exclusiveMaximum": 5}]},
        "off": {"minimum": 1},
        "odd": {"nullable": True},
    },
}


def read(folder: Path, version: str) -> object:
    """Return the schema of a document as it is read."""
    data = {"openapi": version, "components": {"schemas": {"A": OLD}}, "x-b": copy.deepcopy(OLD)}
    (folder / "openapi.json").write_text(json.dumps(data), encoding="utf-8")
    found = load_document(folder).data
    assert found["x-b"] == OLD
    return found["components"]["schemas"]["A"]


def test_schemas_of_openapi_3_0_are_read_as_what_they_mean(tmp_path: Path):
    """`nullable` and bounds that are exclusive by a word are those of JSON Schema; examples stay as they are."""
    assert read(tmp_path, "3.0.3") == MEANT


def test_a_later_document_is_read_as_it_stands(tmp_path: Path):
    """What 3.0 means by a word, 3.1 does not."""
    assert read(tmp_path, "3.1.0") == OLD
