"""Hold the document of a contract to itself: what a name, a schema or an example says, another part must bear out.

The closed schema of the format knows its own keys. Here are the names that are free to choose, and yet wrong where they
lead to nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from understudy.behaviour import Behaviour
from understudy.contract.codecs import parse_json
from understudy.contract.loader import Document, pointer_parts
from understudy.contract.model import Contract
from understudy.contract.validation import SchemaCheck
from understudy.errors import Problem, suggestion
from understudy.lifecycle import Json
from understudy.mentions import VALUES, check_names
from understudy.mint import wrong_pieces
from understudy.probes import properties_of, resolved

At = tuple[str | int, ...]

#: The extensions of OpenAPI that the format has.
EXTENSIONS = ("x-evidence", "x-jobs", "x-key-pair", "x-segments")

# Where a schema has others: under a key, in a list, under free names; and which of those judge the same value.
_SINGLE = ("items", "additionalProperties", "propertyNames", "contains", "not", "if", "then", "else", "contentSchema")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_NAMED = ("properties", "patternProperties", "dependentSchemas", "$defs")
_SAME_VALUE = frozenset({"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"})

_MARKS = ("documented", "observed", "guessed")


def check_schemas(document: Document) -> None:
    """Note each schema, default, example and model that contradicts the rest of its document."""
    _Schemas(document).check()


def check_contract(contract: Contract) -> None:
    """Note each name in `x-jobs` that the document does not bear out."""
    for job_type in contract.job_types.values():
        check_names(contract, job_type, contract.document, ("x-jobs", job_type.name))
        for piece in wrong_pieces(job_type.id):
            text = f"{piece} is no kind of id: there is {{hex:20}}, {{digits:15}}, {{base32:26}}, {{uuid}}"
            contract.document.problem(("x-jobs", job_type.name, "id"), text)


def check_extensions(document: Document) -> None:
    """Note each extension that is most likely a misspelt one of the format's own."""
    for at, node in _nodes(document.data, ()):
        for key, item in node.items():
            ours = key.startswith("x-") or (isinstance(item, Mapping) and item.get("mark") in _MARKS)
            if ours and key not in EXTENSIONS and difflib.get_close_matches(key, EXTENSIONS, cutoff=0.8):
                document.problem((*at, key), f'unknown key "{key}"; {suggestion(key, EXTENSIONS)}')


def evidence(document: Document) -> dict[str, list[tuple[Problem, str]]]:
    """Return, by mark, each `x-evidence` once: where it stands with its source, and the pointer to what it is on."""
    found: dict[str, dict[tuple[str, int], tuple[Problem, str]]] = {name: {} for name in _MARKS}
    for at, node in _nodes(document.data, ()):
        mark = node.get("x-evidence")
        if isinstance(mark, Mapping) and mark.get("mark") in found:
            where = document.where((*at, "x-evidence"))
            pointer = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in at)
            found[mark["mark"]].setdefault(where, (Problem(*where, str(mark.get("source"))), pointer))
    return {name: list(marks.values()) for name, marks in found.items()}


def _nodes(node: Json, at: At) -> Iterator[tuple[At, Mapping[str, Json]]]:
    """Yield every object that may have keys of the format."""
    if isinstance(node, Mapping):
        yield at, node
        for key, item in node.items():
            if key not in VALUES and (key == "x-jobs" or not key.startswith("x-")):
                yield from _nodes(item, (*at, key))
    elif isinstance(node, list):
        for index, item in enumerate(node):
            yield from _nodes(item, (*at, index))


# --- schemas --------------------------------------------------------------------------------------------------------


class _Schemas:
    """The schemas of a document, and the examples beside them."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._data = document.data
        self._components: Json = self._data.get("components", {})
        self._seen: set[int] = set()  # an alias is looked at once

    def check(self) -> None:
        for name, schema in self._components.get("schemas", {}).items():
            self._whole(schema, ("components", "schemas", name))
        for at, node in _nodes({key: item for key, item in self._data.items() if key != "x-jobs"}, ()):
            schema = node.get("schema")
            if at[-1:] == ("properties",) or not isinstance(schema, Mapping):
                continue
            if self._whole(schema, (*at, "schema")):
                self._examples_beside(node, schema, at)

    def _whole(self, schema: Json, at: At) -> bool:
        """Check a schema that stands by itself; say whether it can be used."""
        try:
            next(iter(self._check_of(schema).violations(None)), None)
        except ValueError as error:
            self._document.problem(at, f"this is no JSON Schema that can be used: {str(error).splitlines()[0]}")
            return False
        self._walk(schema, at, frozenset())
        return True

    def _check_of(self, schema: Json) -> SchemaCheck:
        return SchemaCheck(schema, self._components)

    def _walk(self, schema: Json, at: At, known: frozenset[str]) -> None:
        if not isinstance(schema, Mapping) or id(schema) in self._seen:
            return
        self._seen.add(id(schema))
        known = known | properties_of(self._data, schema).keys()
        for index, name in enumerate(schema.get("required", ()) if known else ()):
            if name not in known and "patternProperties" not in schema:
                self._document.problem(
                    (*at, "required", index), f'there is no property "{name}"; {suggestion(name, known)}'
                )
        self._values(schema, at)
        self._mapping(schema, at)
        for key in (*_SINGLE, *_LISTS, *_NAMED):
            inner = schema.get(key)
            passed = known if key in _SAME_VALUE else frozenset[str]()
            if key in _SINGLE:
                self._walk(inner, (*at, key), passed)
            elif inner is not None:
                for part, item in enumerate(inner) if isinstance(inner, list) else inner.items():
                    self._walk(item, (*at, key, part), passed)

    def _values(self, schema: Mapping[str, Any], at: At) -> None:
        """Hold the default and the examples of a schema to it."""
        given: list[tuple[At, Json]] = [
            (("examples", index), value) for index, value in enumerate(schema.get("examples", ()))
        ]
        given += [((key,), schema[key]) for key in ("default", "example") if key in schema]
        for where, value in given:
            self._fits(schema, value, (*at, *where))

    def _fits(self, schema: Json, value: Json, at: At) -> None:
        for violation in self._check_of(schema).violations(value):
            self._document.problem(at, f"its own schema does not take this: {violation.message}")

    def _examples_beside(self, node: Mapping[str, Any], schema: Json, at: At) -> None:
        if "example" in node:
            self._fits(schema, node["example"], (*at, "example"))
        for name, example in node.get("examples", {}).items():
            found = resolved(self._data, example)
            if "value" in found:
                self._fits(schema, found["value"], (*at, "examples", name))

    def _mapping(self, schema: Mapping[str, Any], at: At) -> None:
        """Hold each model of a discriminator to the schema that it leads to."""
        discriminator = schema.get("discriminator", {})
        member, schemas = discriminator.get("propertyName"), self._components.get("schemas", {})
        listed = {entry.get("$ref") for key in ("oneOf", "anyOf") for entry in schema.get(key, ())}
        mapping = {}
        for model, target in discriminator.get("mapping", {}).items():
            place, name = (*at, "discriminator", "mapping", model), target.rpartition("/")[2]
            if name not in schemas:
                self._document.problem(place, f'there is no schema "{name}"; {suggestion(name, schemas)}')
                continue
            if listed and f"#/components/schemas/{name}" not in listed:
                self._document.problem(place, f'"{name}" is not one of the schemas beside the discriminator')
            mapping[model] = properties_of(self._data, schemas[name])
        known = {name for properties in mapping.values() for name in properties}
        if mapping and member not in known:
            place = (*at, "discriminator", "propertyName")
            self._document.problem(place, f'no schema here has a property "{member}"; {suggestion(member, known)}')
            return
        for model, properties in mapping.items():
            if list(self._check_of(properties.get(member, {})).violations(model)):
                taken = resolved(self._data, properties[member])
                options = [taken["const"]] if "const" in taken else taken.get("enum", ())
                text = f'its schema does not take "{model}" as its "{member}"; {suggestion(model, options)}'
                self._document.problem((*at, "discriminator", "mapping", model), text)


# --- recordings -----------------------------------------------------------------------------------------------------


def check_recording(contract: Contract, behaviour: Behaviour, document: Document) -> None:
    """Note each name in a recording that nothing has, and each elision of nothing."""
    data = document.data
    named: list[tuple[At, str, str, Iterable[str]]] = []
    if "scenario" in data:
        named.append((("scenario",), "scenario", data["scenario"], behaviour.scenarios))
    if "next" in data:
        named.append((("next", "failure"), "failure", data["next"]["failure"], contract.job_type.failures))
    for index, exchange in enumerate(data["exchanges"]):
        if "request" in exchange:
            place: At = ("exchanges", index, "request", "operation")
            named.append((place, "operation", exchange["request"]["operation"], contract.operations))
            _check_segments(contract, document, exchange["request"], ("exchanges", index, "request", "path"))
    for at, kind, name, valid in named:
        if name not in valid:
            document.problem(at, f'there is no {kind} "{name}"; {suggestion(name, valid)}')
    for index, entry in enumerate(data.get("elided", ())):
        node = data
        for part in pointer_parts(entry["at"]):
            names, node = _step(node, part)
            if part not in names:
                document.problem(
                    ("elided", index, "at"), f'"{entry["at"]}" leads nowhere: no "{part}"; {suggestion(part, names)}'
                )
                break


def _check_segments(contract: Contract, document: Document, request: Json, at: At) -> None:
    """Note a value with a slash in a parameter of one segment: a client that writes it as it is leads elsewhere."""
    operation = contract.operations.get(request["operation"])
    for name, value in request.get("path", {}).items():
        if operation is not None and "/" in str(value) and name not in operation.spanning:
            text = (
                f'"{value}" has a slash, and {{{name}}} in {operation.path} is one segment: give it `x-segments: many`'
            )
            document.problem((*at, name), text)


def _step(node: Json, part: str) -> tuple[list[str], Json]:
    """Return the names within a node, JSON in a string included, and what stands under one of them."""
    if isinstance(node, str):
        try:
            node = parse_json(node)
        except ValueError:
            return [], None
    if isinstance(node, list):
        node = {str(index): item for index, item in enumerate(node)}
    return (list(node), node.get(part)) if isinstance(node, Mapping) else ([], None)
