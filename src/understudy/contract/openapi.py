"""Read the OpenAPI part of a contract: operations, parameters, bodies, security."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from understudy.contract.creates import Create
from understudy.contract.expressions import Expression
from understudy.contract.loader import Document, follow, without_evidence
from understudy.contract.model import ModelInfo
from understudy.contract.operations import Operation, Router, Security, path_names, server_url
from understudy.contract.validation import FORM, MULTIPART, TEXT, BodyCheck, FormField, Outline, Parameter, SchemaCheck
from understudy.errors import suggestion
from understudy.lifecycle import Json

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")

# OpenAPI writes the registered schemes in lower case, and requests carry them so; others stand as they are.
_SCHEMES = {"basic": "Basic", "bearer": "Bearer", "digest": "Digest"}

_NUMERIC = {"integer", "number", "boolean"}


class OpenApi:
    """The OpenAPI part of one document.

    Args:
        document: The file; problems are noted in it.
    """

    def __init__(self, document: Document) -> None:
        self._document = document
        self._data: dict[str, Any] = document.data
        self._components: Json = self._data.get("components", {})
        before = len(document.problems)
        self._check_references(self._data, ())
        self._sound = len(document.problems) == before  # or compiling a schema would only say the same again
        self.operations: dict[str, Operation] = {}
        for path, item in self._data.get("paths", {}).items():
            self._read_path(path, self.resolve(item))
        self.router = Router(self.operations.values())

    def resolve(self, node: Json) -> Json:
        """Follow `$ref` within the document; what leads nowhere, and a schema of one word, is an empty object."""
        for _ in range(20):
            if not isinstance(node, Mapping):
                break
            if not isinstance(node.get("$ref"), str):
                return node
            node = self._target(node["$ref"])
        return {}

    def _target(self, reference: str) -> Json:
        try:
            return follow(self._data, reference)
        except LookupError:
            return None

    def _check_references(self, node: Json, at: tuple[str | int, ...]) -> None:
        if isinstance(node, list):
            for index, item in enumerate(node):
                self._check_references(item, (*at, index))
        elif isinstance(node, Mapping) and at != ("x-jobs",):
            reference = node.get("$ref")
            if isinstance(reference, str) and reference.startswith("#") and self._target(reference) is None:
                parent, _, name = reference.rpartition("/")
                options = self._target(parent)
                hint = suggestion(name, options) if isinstance(options, Mapping) else ""
                self._document.problem((*at, "$ref"), f'"{reference}" leads nowhere; {hint}')
            for key, item in node.items():
                self._check_references(item, (*at, key))

    def _read_path(self, path: str, item: Json) -> None:
        for method in METHODS:
            if method not in item:
                continue
            at = ("paths", path, method)
            node = item[method]
            name = node.get("operationId")
            if name is None:
                self._document.problem(at, f'"{method} {path}" lacks "operationId"')
                continue
            if name in self.operations:
                self._document.problem((*at, "operationId"), f'the operationId "{name}" stands twice')
            servers = node.get("servers") or item.get("servers") or self._data.get("servers") or [{"url": "/"}]
            own = [self.resolve(entry) for entry in (*item.get("parameters", ()), *node.get("parameters", ()))]
            parameters = list({(entry.get("in"), entry.get("name")): entry for entry in own}.values())
            self._check_path_parameters(path, parameters, at)
            operation = Operation(
                id=name,
                method=method.upper(),
                server=self._server(servers[0], at),
                path=path,
                security=self._security(node, at),
                parameters=tuple(self._parameter(entry, at) for entry in parameters if entry.get("in") != "cookie"),
                body=self._body(self.resolve(node.get("requestBody")), (*at, "requestBody")),
                examples=self._examples(self.resolve(node.get("requestBody"))),
                responses=self._responses(node.get("responses", {}), (*at, "responses")),
                spanning=frozenset(entry["name"] for entry in parameters if entry.get("x-segments") == "many"),
            )
            self.operations[name] = operation

    def _server(self, node: Json, at: tuple[str, ...]) -> str:
        url = server_url(node)
        try:
            urlsplit(url)
        except ValueError as error:
            self._document.problem(at, f'the server "{url}" is no URL: {error}')
            return ""
        return url

    def _schema(self, schema: Json, at: tuple[str, ...]) -> SchemaCheck:
        try:
            return SchemaCheck(schema if self._sound else {}, self._components)
        except ValueError as error:
            self._document.problem(at, f"not a JSON Schema: {str(error).partition(chr(10))[0]}")
            return SchemaCheck({}, {})

    def _check_path_parameters(self, path: str, parameters: list[Json], at: tuple[str, ...]) -> None:
        declared = {entry.get("name") for entry in parameters if entry.get("in") == "path"}
        for name in path_names(path):
            if name not in declared:
                self._document.problem(at, f'the path parameter "{name}" is not declared; {suggestion(name, declared)}')

    def _security(self, operation: Json, at: tuple[str, ...]) -> tuple[Security, ...]:
        schemes = self._components.get("securitySchemes", {})
        found: list[Security] = []
        requirements, place = operation.get("security"), (*at, "security")
        if requirements is None:
            requirements, place = self._data.get("security", []), ("security",)
        for index, requirement in enumerate(requirements):
            if not requirement:
                return ()  # an empty requirement: no key is needed
            name = next(iter(requirement))
            if name not in schemes:
                self._document.problem(
                    (*place, index, name), f'there is no security scheme "{name}"; {suggestion(name, schemes)}'
                )
                continue
            scheme = self.resolve(schemes[name])
            if scheme.get("type") == "apiKey":
                found.append(Security(scheme.get("in", "header"), scheme.get("name", ""), ""))
            else:
                word = scheme.get("scheme", "bearer") if scheme.get("type") == "http" else "bearer"
                lifetime = scheme.get("x-key-pair", {}).get("lifetimeSeconds")
                found.append(Security("header", "Authorization", _SCHEMES.get(word.lower(), word), lifetime))
        return tuple(found)

    def _parameter(self, node: Json, at: tuple[str, ...]) -> Parameter:
        schema = node.get("schema")
        resolved = self.resolve(schema)
        kinds = resolved.get("type", ())
        return Parameter(
            name=node.get("name", ""),
            place=node.get("in", "query"),
            required=bool(node.get("required")),
            check=None if schema is None else self._schema(schema, at),
            constant=self._only(schema) if node.get("required") else None,
            numeric=not _NUMERIC.isdisjoint([kinds] if isinstance(kinds, str) else kinds),
        )

    def _body(self, node: Json, at: tuple[str, ...]) -> BodyCheck | None:
        if not node:
            return None
        content = node.get("content", {})
        schema = next((media.get("schema") for media in content.values() if "schema" in media), None)
        mapping = self._mapping(schema)
        forms = not {FORM, MULTIPART}.isdisjoint(content)
        return BodyCheck(
            media_types=tuple(content),
            required=bool(node.get("required")),
            check=None if schema is None or mapping else self._schema(schema, at),
            discriminator=self.resolve(schema)["discriminator"]["propertyName"] if mapping else None,
            models={model: self._schema({"$ref": target}, at) for model, target in mapping.items()},
            fields=self._fields(schema, mapping) if forms else {},
            outlines={model: self._outline({"$ref": target}) for model, target in mapping.items()}
            or {None: self._outline(schema)},
        )

    def _outline(self, schema: Json) -> Outline:
        members = frozenset(name for part in self._parts([schema]) for name in part.get("properties", {}))
        always = self._parts([schema], ("allOf",))
        required = frozenset(name for part in always for name in part.get("required", ()))
        fixed = self._only(schema)
        return Outline(members | required, required, fixed if isinstance(fixed, Mapping) else {})

    def _only(self, schema: Json, within: tuple[Json, ...] = ()) -> Json:
        """Return the value that a schema takes, where there is but one; of an object the members that it must have."""
        parts = self._parts([schema], ("allOf",))
        for part in parts:
            values = [part["const"]] if "const" in part else part.get("enum", ())
            if len(values) == 1:
                return values[0]
        if any(part is outer for part in parts for outer in within):  # or it has itself as a member
            return None
        properties = {name: node for part in parts for name, node in part.get("properties", {}).items()}
        required = dict.fromkeys(name for part in parts for name in part.get("required", ()))
        found = {name: self._only(properties.get(name), (*within, *parts)) for name in required}
        return {name: value for name, value in found.items() if value is not None} or None

    def _fields(self, schema: Json, mapping: Mapping[str, str]) -> dict[str, FormField]:
        """Return what the fields of a form are, by the properties of its schema and of the parts of that."""
        found: dict[str, FormField] = {}
        for part in self._parts([schema, *({"$ref": target} for target in mapping.values())]):
            for name, node in part.get("properties", {}).items():
                items = [inner["items"] for inner in self._parts([node]) if "items" in inner]
                known = found.get(name, TEXT)
                found[name] = FormField(known.kinds | self._kinds([node]), known.items | self._kinds(items))
        return found

    def _parts(
        self, schemas: Iterable[Json], keys: tuple[str, ...] = ("allOf", "anyOf", "oneOf")
    ) -> list[dict[str, Any]]:
        """Return schemas with those that they are made of, each once."""
        found: list[dict[str, Any]] = []
        waiting = [self.resolve(schema) for schema in schemas]
        while waiting:
            node = waiting.pop()
            if all(node is not known for known in found):
                found.append(node)
                waiting += (self.resolve(part) for key in keys for part in node.get(key, ()))
        return found

    def _kinds(self, schemas: Iterable[Json]) -> frozenset[str]:
        """Return the JSON types that values of some schemas may have."""
        kinds = [part.get("type", []) for part in self._parts(schemas)]
        return frozenset(kind for each in kinds for kind in ([each] if isinstance(each, str) else each))

    def _examples(self, node: Json) -> dict[str, Json]:
        return {
            name: self.resolve(example).get("value")
            for media in (node or {}).get("content", {}).values()
            for name, example in media.get("examples", {}).items()
        }

    def _mapping(self, schema: Json) -> Mapping[str, str]:
        mapping: dict[str, str] = self.resolve(schema).get("discriminator", {}).get("mapping", {})
        return {
            model: target if "#" in target else f"#/components/schemas/{target}" for model, target in mapping.items()
        }

    def models(self, create: Create) -> dict[str, ModelInfo]:
        """Return the models that the body of a create is told apart by, with the schema of a whole body each."""
        return {
            model: self._model(model, self.resolve({"$ref": target}), create)
            for model, target in self._mapping(self._body_schema(create)).items()
        }

    def model(self, name: str, create: Create) -> ModelInfo:
        """Return the model that a create is for alone, with the schema of its body."""
        return self._model(name, self.resolve(self._body_schema(create)), create)

    def _body_schema(self, create: Create) -> Json:
        """Return the schema of the body of a create's first operation; an empty one where it has none."""
        nodes = (
            self.resolve(item).get(method, {}) for item in self._data.get("paths", {}).values() for method in METHODS
        )
        node: Json = next((node for node in nodes if node.get("operationId") == create.operations[0]), {})
        content = self.resolve(node.get("requestBody") or {}).get("content", {})
        return next((media["schema"] for media in content.values() if "schema" in media), {})

    def _model(self, model: str, whole: Json, create: Create) -> ModelInfo:
        node = whole
        for item in create.input:
            for name in (item.pointer or ()) if isinstance(item, Expression) else ():
                node = self.resolve(node.get("properties", {}).get(name, {}))
        shown = without_evidence(whole)
        return ModelInfo(model, shown, whole.get("title"), whole.get("description"), self._defaults(node))

    def _defaults(self, schema: Json, within: tuple[Json, ...] = ()) -> dict[str, Json]:
        """Return the defaults of an object's properties, those of `allOf` parts included."""
        found: dict[str, Json] = {}
        for part in map(self.resolve, schema.get("allOf", ())):
            if all(part is not outer for outer in (schema, *within)):  # or it is a part of itself
                found.update(self._defaults(part, (schema, *within)))
        for name, node in schema.get("properties", {}).items():
            resolved = self.resolve(node)
            if "default" in resolved:
                found[name] = resolved["default"]
        return found

    def _responses(self, responses: Json, at: tuple[str, ...]) -> dict[str, SchemaCheck]:
        checks = {}
        for status, response in responses.items():
            for media_type, media in self.resolve(response).get("content", {}).items():
                if "json" in media_type and "schema" in media:
                    checks[status] = self._schema(media["schema"], (*at, status))
        return checks
