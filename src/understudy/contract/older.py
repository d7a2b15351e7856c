"""Turn the schemas of an OpenAPI 3.0 document into those of 3.1, where the two differ."""

from __future__ import annotations

from understudy.contract.loader import Document
from understudy.lifecycle import Json

# What stands under these is a value, and no part of a schema.
_VALUES = frozenset({"example", "examples", "default", "enum", "const"})

_BOUNDS = (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum"))


def modernise(document: Document) -> None:
    """Write `nullable`, and bounds that are exclusive by `true`, as JSON Schema 2020-12 has them.

    Args:
        document: A document, which is changed if its `openapi` is 3.0.x.
    """
    if isinstance(document.data, dict) and str(document.data.get("openapi")).startswith("3.0."):
        _modernise(document, document.data, names=False)


def _modernise(document: Document, node: Json, *, names: bool) -> None:
    if isinstance(node, list):
        for item in node:
            _modernise(document, item, names=False)
    elif isinstance(node, dict):
        if not names:
            _mend(document, node)
        for key, item in node.items():
            if names or not (key in _VALUES or key.startswith("x-")):
                _modernise(document, item, names=key == "properties" and not names)


def _mend(document: Document, schema: dict[str, Json]) -> None:
    if schema.get("nullable") is True and isinstance(schema.get("type"), str):
        schema["type"] = document.enter([schema["type"], "null"], {})
    for exclusive, bound in _BOUNDS:
        if isinstance(schema.get(exclusive), bool) and schema.pop(exclusive) and bound in schema:
            schema[exclusive] = schema.pop(bound)
