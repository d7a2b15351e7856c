"""What `check` asks a fake, and where the contract says how that is answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from understudy.bodies import encode_body
from understudy.contract.catalogue import ENGINE_ERRORS, ErrorRule
from understudy.contract.codecs import dump_json, parse_json
from understudy.contract.expressions import Expression, Place, Scope
from understudy.contract.loader import follow, pointer_parts
from understudy.contract.model import Contract, JobType
from understudy.contract.openapi import METHODS
from understudy.contract.operations import Operation, key_headers, key_parameters
from understudy.contract.reading import Path, ReadError
from understudy.contract.templates import Template
from understudy.contract.validation import JSON, SchemaCheck, Violation
from understudy.contract.views import Variants, View
from understudy.fake import API_KEY
from understudy.files import UploadedFile
from understudy.lifecycle import Job, Json, State
from understudy.reach import host_of
from understudy.wire import Request, RequestView

#: How long a job that goes by reads is left alone between two of them, so that no rate limit binds.
PACE_SECONDS = 1.0

#: What a view may tell a client of a job, by the names that the format gives it.
TOLD = (
    *("id", "status", "model", "input", "result", "error.code", "error.message", "progress", "logs", "position"),
    *("cost", "createdAt", "startedAt", "updatedAt", "endedAt", "callbackUrl"),
)

#: When a sample job was made, in unix seconds; no whole number, as hardly any time is.
MADE = 1767225600.25

_SAMPLE_TEXTS = {
    "uri": "https://example.com/sample.png",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "date-time": "2026-01-01T00:00:00Z",
}


def request_to(operation: Operation, given: Mapping[str, Json]) -> Request:
    """Return a request.

    Args:
        operation: Where to.
        given: `path`, `query`, `headers` and `body`, as in a recording. A header that is null is not sent, such as the
            key, which is sent unless told otherwise.
    """
    headers: dict[str, Json] = {name.lower(): value for name, value in key_headers(operation.security, API_KEY).items()}
    headers.update((name.lower(), value) for name, value in operation.fixed("header", {}).items())
    query: dict[str, Json] = {**operation.fixed("query", {}), **key_parameters(operation.security, API_KEY)}
    body = b""
    if "body" in given:
        media_type = JSON if operation.body is None else operation.body.written_as
        headers["content-type"], body = encode_body(media_type, given["body"])
    headers.update((name.lower(), value) for name, value in given.get("headers", {}).items())
    query.update(given.get("query", {}))
    path = operation.base_path + operation.path_with(given.get("path", {}))
    pairs = [(name, _plain(item)) for name, value in query.items() for item in _listed(value)]
    sent = [(name, _plain(value)) for name, value in headers.items() if value is not None]
    return Request(operation.method, path, urlencode(pairs), sent, body, host=host_of(operation.server))


def naming(place: Place, value: Json) -> dict[str, Json]:
    """Return what a request has that holds a value at a place."""
    target = next((item for item in place if isinstance(item, Expression) and item.root == "request"), None)
    if target is None:
        return {}
    if len(target.path) == 2:
        part = {"header": "headers"}.get(target.path[0], target.path[0])
        return {part: {target.path[1]: value}}
    for name in reversed(target.pointer or ()):
        value = {name: value}
    return {"body": value}


def _plain(value: Json) -> str:
    return value if isinstance(value, str) else dump_json(value)


def _listed(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [value]


def decoded(body: bytes) -> Json:
    """Return a body as JSON, as text where it is none, or None where it is empty."""
    try:
        return parse_json(body) if body else None
    except ValueError:
        return body.decode("utf-8", "replace")


def schema_of(contract: Contract, operation: str, status: int) -> SchemaCheck | None:
    """Return the schema of the replies with a status, or None where the document has none."""
    declared = operation_node(contract, operation).get("responses", {})
    name = next((name for name in (str(status), f"{status // 100}XX", "default") if name in declared), "")
    found: SchemaCheck | None = contract.operations[operation].responses.get(name)
    return found


def views_of(job_type: JobType) -> Iterator[tuple[str, View]]:
    """Yield each operation that answers a view, with that view; what stops or removes a job has two."""
    yield from ((operation, group.reply) for group in job_type.creates for operation in group.operations)
    if job_type.status is not None:
        yield job_type.status.operation, job_type.status.reply
    if job_type.result is not None:
        yield job_type.result.operation, job_type.result.reply
    for ending in (job_type.cancel, job_type.delete):
        if ending is not None:
            yield ending.operation, ending.reply
            yield ending.operation, ending.refused
    if job_type.listing is not None:
        yield job_type.listing.operation, job_type.listing.reply
    if job_type.assets is not None and job_type.assets.renew is not None:
        yield job_type.assets.renew.operation, job_type.assets.renew.reply
    yield from ((entry.operation, entry.reply) for entry in job_type.model_operations)
    yield from job_type.replies.items()
    yield from ((operation, upload.reply) for upload in job_type.uploads for operation in upload.operations)


def sample_scope(contract: Contract, job_type: JobType, request: RequestView, job: Job | None) -> dict[str, Any]:
    """Return what templates may name, about a sample job, or about none.

    Args:
        contract: Whose server it is.
        job_type: The kind of job.
        request: A create of one.
        job: The job.
    """
    paging = None if job_type.listing is None else job_type.listing.paging
    mark = 2 if paging is not None and paging.style in ("offset", "number") else "next"
    url, models = "https://example.com/0.png", list(job_type.models.values())
    triggers = {} if job_type.callback is None else job_type.callback.trigger
    return {
        "job": job,
        "jobs": [] if job is None else [job],
        "page": {
            **{"next": mark, "previous": mark, "nextUrl": url, "previousUrl": url},
            **{"hasMore": True, "firstId": "first", "lastId": "last", "total": 3},
        },
        "request": request,
        "server": {"url": contract.servers[0]},
        "account": {"balance": 1},
        "delivery": {"id": "delivery-1", "attempt": 1, "timestamp": int(MADE)},
        "event": {"name": None if job is None else triggers.get(job.state), "number": 1},
        "asset": {"url": url},
        "file": UploadedFile("0.png", "folder/0.png", url, 7, "image/png", MADE, b"picture"),
        "violation": Violation("body", "name", "/name", "type", "string", 1, "1 is no string"),
        "models": models,
        "model": models[0] if models else None,
        "now": MADE,
    }


def told_by(field: str) -> str:
    """Return what a view tells by a field of the job, as `TOLD` has it."""
    root, _, name = field.partition(".")
    return "result" if root == "output" or name.startswith("outputs.") else {"spent": "cost"}.get(name, name)


def can_have(job_type: JobType, name: str) -> bool:
    """Say whether a job can have what a view may tell."""
    return {
        "model": bool(job_type.models) or any(group.model for group in job_type.creates),
        "result": job_type.outputs is not None,
        "error.code": any(failure.code is not None for failure in job_type.failures.values()),
        "error.message": bool(job_type.words.by_state.get(State.FAILED)),
        "cost": bool(job_type.prices),
        "callbackUrl": any(group.callback_url for group in job_type.creates),
    }.get(name, True)


def chosen(variants: Variants, scope: Scope) -> Template:
    """Return the body that a view has over a scope."""
    return next(template for condition, template in variants if condition is None or condition.holds(scope))


def results_of(job_type: JobType) -> dict[Path, Template]:
    """Return the template that stands behind `$job.result`."""
    return {} if job_type.outputs is None else {("job", "result"): job_type.outputs}


def rules_of(job_type: JobType, error: str, operation: str) -> Iterator[ErrorRule]:
    """Yield the rules that can answer a named error of the engine or the contract in an operation, in order."""
    looked: str | None = error
    while looked is not None:
        for rule in job_type.errors.rules.get(looked, ()):
            if rule.operations is None or operation in rule.operations:
                yield rule
                if rule.when is None:
                    return  # it hides those that follow
        looked = ENGINE_ERRORS.get(looked)


def fits(template: Template, value: Json) -> bool:
    """Say whether a value is one that a template describes."""
    try:
        template.read(value, {}, ())
    except ReadError:
        return False
    return True


def parse_frame(frame: bytes) -> tuple[str, Json]:
    """Return the name and the data of a server-sent event."""
    lines = [line.partition(": ") for line in frame.decode().splitlines()]
    event = next((value for name, _, value in lines if name == "event"), "message")
    return event, decoded("\n".join(value for name, _, value in lines if name == "data").encode())


def as_at(value: Json, pointer: str) -> tuple[str | int, ...]:
    """Return a JSON pointer into a value as keys and indexes."""
    at: list[str | int] = []
    for part in pointer_parts(pointer):
        at.append(int(part) if isinstance(value, list) and part.isdigit() else part)
        if isinstance(value, list):
            value = value[int(part)] if part.isdigit() and int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, Mapping) else None
    return tuple(at)


def resolved(document: Json, node: Json) -> Json:
    """Follow `$ref` within a document; what leads nowhere, or in a circle, is an empty object."""
    for _ in range(20):
        if not isinstance(node, Mapping) or not isinstance(node.get("$ref"), str):
            return node
        try:
            node = follow(document, node["$ref"])
        except LookupError:
            break
    return {}


def properties_of(data: Json, schema: Json, depth: int = 0) -> dict[str, Json]:
    """Return the properties that a schema knows, those of its parts included."""
    found: dict[str, Json] = {}
    node = resolved(data, schema)
    if not isinstance(node, Mapping) or depth > 10:
        return found
    parts = [item for key in ("allOf", "anyOf", "oneOf") for item in node.get(key, ())]
    parts += [node[key] for key in ("then", "else") if key in node]
    if schema is not node:  # what stands beside a reference
        parts.append({key: item for key, item in schema.items() if key != "$ref"})
    for part in parts:
        found.update(properties_of(data, part, depth + 1))
    found.update(node.get("properties", {}))
    return found


def operation_node(contract: Contract, operation: str) -> Json:
    """Return an operation as it stands in the document."""
    data = contract.document.data
    items = [resolved(data, item) for item in data.get("paths", {}).values()]
    nodes = [item[method] for item in items for method in METHODS if method in item]
    return next(node for node in nodes if node.get("operationId") == operation)


def callback_schema(contract: Contract, operation: str) -> SchemaCheck | None:
    """Return the schema of what is sent back for an operation, or None where the document has none."""
    data = contract.document.data
    callbacks = operation_node(contract, operation).get("callbacks", {}).values()
    items = [item for callback in callbacks for item in resolved(data, callback).values()]
    bodies = [
        resolved(data, item[method].get("requestBody", {})) for item in items for method in METHODS if method in item
    ]
    schemas = [media["schema"] for body in bodies for media in body.get("content", {}).values() if "schema" in media]
    return SchemaCheck(schemas[0], data.get("components", {})) if schemas else None


def sample_body(contract: Contract, operation: Operation, recorded: Iterable[Json] = ()) -> Json:
    """Return the first of `sample_bodies`, or None where there is none."""
    return next(sample_bodies(contract, operation, recorded), None)


def sample_bodies(contract: Contract, operation: Operation, recorded: Iterable[Json] = ()) -> Iterator[Json]:
    """Yield the bodies that are known which an operation takes.

    Args:
        contract: Whose examples and schemas are looked at.
        operation: What takes the body.
        recorded: Bodies that were recorded, which are tried first.
    """
    if operation.body is None:
        return
    data = contract.document.data
    node = resolved(data, operation_node(contract, operation.id).get("requestBody", {}))
    schemas = [media["schema"] for media in node.get("content", {}).values() if "schema" in media]
    targets = [target for schema in schemas for target in _targets(resolved(data, schema))]
    made = (sample(data, schema) for schema in (*targets, *schemas))
    candidates = (*recorded, *operation.examples.values(), *made)
    yield from (body for body in candidates if not list(operation.body.violations(body)))


def sample_parameters(contract: Contract, operation: Operation) -> dict[str, Json]:
    """Return the parameters that an operation cannot do without, as in a recording: `path`, `query`, `headers`."""
    data = contract.document.data
    item = resolved(data, data["paths"][operation.path])
    nodes = [*item.get("parameters", ()), *operation_node(contract, operation.id).get("parameters", ())]
    found: dict[str, Json] = {"path": {}, "query": {}, "headers": {}}
    for node in (resolved(data, entry) for entry in nodes):
        if node.get("required") and node.get("in") != "cookie":
            part = {"header": "headers"}.get(node["in"], node["in"])
            found[part][node["name"]] = node["example"] if "example" in node else sample(data, node.get("schema", {}))
    return found


def _targets(schema: Json) -> list[Json]:
    mapping = schema.get("discriminator", {}).get("mapping", {})
    return [{"$ref": target if "#" in target else f"#/components/schemas/{target}"} for target in mapping.values()]


def sample(data: Json, schema: Json, depth: int = 0) -> Json:
    """Return a value that a schema takes, as far as its plainest keywords tell."""
    node = resolved(data, schema)
    if not isinstance(node, Mapping) or depth > 20:
        return None
    for key in ("const", "default", "example"):
        if key in node:
            return node[key]
    for key in ("enum", "examples"):
        if node.get(key):
            return node[key][0]
    for key in ("oneOf", "anyOf"):
        if key in node:
            return sample(data, node[key][0], depth + 1)
    kind = node.get("type", "object" if "properties" in node or "allOf" in node else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        value: dict[str, Json] = {}
        for part in node.get("allOf", ()):
            made = sample(data, part, depth + 1)
            if not isinstance(made, Mapping | None):
                return made  # the whole is no object after all
            value.update(made or {})
        properties = node.get("properties", {})
        value.update((name, sample(data, properties.get(name, {}), depth + 1)) for name in node.get("required", ()))
        return value
    if kind == "array":
        return [sample(data, node.get("items", {}), depth + 1)] * node.get("minItems", 0)
    if kind in ("integer", "number"):
        return node.get("minimum", 1)
    if kind == "string":
        return _SAMPLE_TEXTS.get(node.get("format", ""), "text".ljust(node.get("minLength", 0), "."))
    return True if kind == "boolean" else None
