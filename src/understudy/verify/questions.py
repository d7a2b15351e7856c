"""What is asked for free: requests that a provider refuses, and reads that cost nothing.

No request is asked with which a job could be made: the twin is asked first (`Twin.would_refuse`), and it keeps to the
contract.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from understudy.contract.expressions import Expression, Place
from understudy.contract.model import Contract
from understudy.contract.operations import Operation, key_headers, key_parameters
from understudy.contract.validation import JSON
from understudy.contract.views import View
from understudy.errors import UsageError
from understudy.exchange import Draft
from understudy.fake import API_KEY
from understudy.lifecycle import Json
from understudy.mint import new_id
from understudy.probes import operation_node, request_to, resolved, sample, sample_body, sample_parameters
from understudy.reach import host_of
from understudy.verify.twin import Twin
from understudy.wire import Request

#: A key that nobody has.
WRONG_KEY = "invalid-understudy-key"

#: A model that nobody has.
WRONG_MODEL = "understudy/no-such-model"

#: A mark of a page that nobody has given.
WRONG_PAGE = "understudy-no-such-page"

_METHODS = ("PATCH", "PUT", "DELETE", "POST", "GET")


class Question(NamedTuple):
    """A request that is asked.

    Attributes:
        check: What it is a part of.
        operation: The operationId; empty where it leads to none.
        request: The request, with the stand-in key.
    """

    check: str
    operation: str
    request: Request


def questions(contract: Contract, twin: Twin, asks: Callable[[Operation], bool]) -> Iterator[Question]:
    """Yield what is asked for free, check by check.

    Args:
        contract: What the provider promises.
        twin: Says what would be refused.
        asks: Says whether an operation is asked at all.
    """
    writer = _Questions(contract, [operation for operation in contract.operations.values() if asks(operation)])
    for check, (made, wanted) in writer.all(twin).items():
        seen: list[tuple[object, ...]] = []
        for operation, request in made:
            same = (request.method, request.path, request.query, request.headers, request.body)
            if same not in seen and wanted(request):
                seen.append(same)
                yield Question(check, operation, request)


_Made = Iterator[tuple[str, Request]]


class _Questions:
    """Writes the questions about one contract."""

    def __init__(self, contract: Contract, operations: list[Operation]) -> None:
        self._contract = contract
        self._operations = operations
        self._parts = {
            operation: part for kind in contract.job_types.values() for operation, part in kind.operation_ids().items()
        }
        self._given = {operation.id: taken_by(contract, operation) for operation in operations}

    def all(self, twin: Twin) -> Mapping[str, tuple[_Made, Callable[[Request], bool]]]:
        """Return the checks by name: the requests, and which of them are asked."""
        refused, answered = twin.would_refuse, twin.would_answer
        return {
            "no-key": (self._no_key(), refused),
            "wrong-key": (self._wrong_key(), refused),
            "unknown-id": (self._unknown_id(), refused),
            "malformed-body": (self._malformed(), refused),
            "wrong-media-type": (self._other_type(), refused),
            "wrong-model": (self._wrong_model(), refused),
            "invalid-parameter": (self._invalid(), refused),
            "unknown-path": (self._unknown_path(), refused),
            "method-not-allowed": (self._other_method(), refused),
            "balance": (self._reads("replies"), answered),
            "models": (self._reads("models"), answered),
            "list": (self._reads("list"), answered),
            "keys": (self._reads("jwks"), answered),
            "files": (self._reads("files"), answered),
        }

    def _to(self, operation: Operation, given: Mapping[str, Json]) -> Request:
        return request_to(operation, given)

    def _no_key(self) -> _Made:
        for operation in self._operations:
            if operation.security:
                request = self._to(operation, self._given[operation.id])
                headers = {name.lower() for name in key_headers(operation.security, API_KEY)}
                kept = [(name, value) for name, value in request.headers if name not in headers]
                query = request.query
                for name, value in key_parameters(operation.security, API_KEY).items():
                    query = query.replace(f"{name}={value}", "")
                yield operation.id, _unpaid(replace(request, headers=kept, query=query))

    def _wrong_key(self) -> _Made:
        for operation in self._operations:
            if operation.security:
                request = self._to(operation, self._given[operation.id])
                headers = [(name, value.replace(API_KEY, WRONG_KEY)) for name, value in request.headers]
                query = request.query.replace(API_KEY, WRONG_KEY)
                yield operation.id, _unpaid(replace(request, headers=headers, query=query))

    def _unknown_id(self) -> _Made:
        for operation in self._operations:
            if self._parts.get(operation.id) in ("status", "result", "cancel", "delete", "events"):
                yield operation.id, self._to(operation, self._given[operation.id])
        for kind in self._contract.job_types.values():
            for entry in kind.model_operations:
                if entry.model is not None and entry.operation in self._given:
                    given = put(self._given[entry.operation], entry.model, WRONG_MODEL)
                    yield entry.operation, self._to(self._contract.operations[entry.operation], given)

    def _malformed(self) -> _Made:
        for operation in self._operations:
            if operation.body is not None and operation.body.written_as == JSON:
                yield operation.id, replace(self._to(operation, self._given[operation.id]), body=b'{"')

    def _other_type(self) -> _Made:
        for operation in self._operations:
            if operation.body is not None:
                given = self._given[operation.id]
                headers = {**given.get("headers", {}), "content-type": "text/plain"}
                yield operation.id, replace(self._to(operation, {**given, "headers": headers}), body=b"text")

    def _wrong_model(self) -> _Made:
        for kind in self._contract.job_types.values():
            for group in kind.creates:
                for name in group.operations:
                    operation = self._contract.operations[name]
                    if name in self._given and any(isinstance(item, Expression) for item in group.model):
                        yield name, self._to(operation, put(self._given[name], group.model, WRONG_MODEL))

    def _invalid(self) -> _Made:
        for operation in self._operations:
            given = self._given[operation.id]
            for part in ("query", "headers"):
                for name in given.get(part, {}):
                    if name in {entry.name for entry in operation.parameters if entry.constant is None}:
                        less = {key: value for key, value in given[part].items() if key != name}
                        yield operation.id, self._to(operation, {**given, part: less})
            if operation.body is not None and "body" in given:
                for body in wrong_bodies(self._contract, operation, given["body"]):
                    yield operation.id, self._to(operation, {**given, "body": body})
        for kind in self._contract.job_types.values():
            listing = kind.listing
            if listing is not None and listing.paging is not None and listing.operation in self._given:
                given = put(self._given[listing.operation], (listing.paging.at,), WRONG_PAGE)
                yield listing.operation, self._to(self._contract.operations[listing.operation], given)

    def _unknown_path(self) -> _Made:
        for server in dict.fromkeys(operation.server for operation in self._operations):
            for path in ("/understudy/no/such/path", "/understudy"):
                yield "", bare(self._contract, "GET", server, path)

    def _other_method(self) -> _Made:
        by_path: dict[str, list[Operation]] = {}
        for operation in self._operations:
            by_path.setdefault(operation.path, []).append(operation)
        for own in by_path.values():
            path = own[0].path_with(self._given[own[0].id].get("path", {}))
            used = {operation.method for operation in own}
            method = next((name for name in _METHODS if name not in used), None)
            if method is not None:
                yield "", bare(self._contract, method, own[0].server, path)

    def _reads(self, part: str) -> _Made:
        for operation in self._operations:
            if self._parts.get(operation.id) == part:
                yield operation.id, self._to(operation, self._given[operation.id])


def taken_by(contract: Contract, operation: Operation) -> dict[str, Json]:
    """Return what an operation takes, with an id that nobody has where it is about a job."""
    given = sample_parameters(contract, operation)
    body = sample_body(contract, operation)
    if body is not None:
        given["body"] = copy.deepcopy(body)
    kind = contract.job_type_of(operation.id)
    for part in kind.about_a_job.values():
        if part.operation == operation.id:
            given = put(given, part.id, new_id(kind, random.Random(f"nobody has this id of {operation.id}"), None))
    for entry in kind.model_operations:
        if entry.operation == operation.id and entry.model is not None and kind.models:
            given = put(given, entry.model, next(iter(kind.models)))
    return given


def bare(contract: Contract, method: str, server: str, path: str) -> Request:
    """Return a request with the key and nothing else, to a path below a server."""
    headers = [(name.lower(), value) for name, value in key_headers(contract.securities, API_KEY).items()]
    base = server.partition("://")[2].partition("/")[2].rstrip("/")
    return Request(method, f"/{base}{path}" if base else path, "", headers, b"", host=host_of(server))


def _unpaid(request: Request) -> Request:
    """Return a request without what a job could be made of, in case that the key is not looked at."""
    return replace(request, body=b"{}") if request.body else request


def put(given: Mapping[str, Json], place: Place, value: Json) -> dict[str, Json]:
    """Return what an operation takes with a value at a place of it."""
    draft = Draft()
    draft.body = copy.deepcopy(given.get("body"))
    try:
        draft.put(place, value, "no place")
    except (UsageError, AttributeError, TypeError):
        return dict(given)
    more: dict[str, Json] = {
        **given,
        "path": {**given.get("path", {}), **draft.path},
        "query": {**given.get("query", {}), **draft.query},
        "headers": {**given.get("headers", {}), **dict(draft.headers)},
    }
    return more if draft.body is None else {**more, "body": draft.body}


def shows_more(given: Mapping[str, Json], view: View) -> Iterator[dict[str, Json]]:
    """Yield what an operation takes with the values that a condition of its reply compares places of a request with."""
    for condition in dict.fromkeys(when for variants in view.variants.values() for when, _ in variants if when):
        more = dict(given)
        for expression, value in condition.equations():
            more = put(more, (expression,), value)
        if more != given:
            yield more


def wrong_bodies(contract: Contract, operation: Operation, body: Json) -> Iterator[Json]:
    """Yield bodies with one thing wrong each: of each kind of rule and each member, the first that breaks it.

    Args:
        contract: Whose schemas are looked at.
        operation: What takes the body.
        body: A body with nothing wrong.
    """
    check, data = operation.body, contract.document.data
    told: set[tuple[str, str]] = set()
    for wrong in (*_without_members(body), *_broken_by(data, _schema_of(contract, operation, body), body)):
        found = next(iter(check.violations(wrong)), None) if check is not None else None
        if found is not None and (found.keyword, found.field) not in told:
            told.add((found.keyword, found.field))
            yield wrong


def _schema_of(contract: Contract, operation: Operation, body: Json) -> Json:
    """Return the schema of a body of an operation; that of its model, where models tell them apart."""
    data = contract.document.data
    content = resolved(data, operation_node(contract, operation.id).get("requestBody", {})).get("content", {})
    schema: Json = next((media["schema"] for media in content.values() if "schema" in media), {})
    told = resolved(data, schema).get("discriminator")
    target = None if told is None else told.get("mapping", {}).get(body[told["propertyName"]])
    if target is None:
        return schema
    return {"$ref": target if "#" in target else f"#/components/schemas/{target}"}


def _without_members(body: Json) -> Iterator[Json]:
    """Yield a body without each of its members, and those of the objects in it."""
    if isinstance(body, dict):
        for key, value in body.items():
            yield {name: item for name, item in body.items() if name != key}
            for inner in _without_members(value):
                yield {**body, key: inner}


def _broken_by(data: Json, schema: Json, body: Json, depth: int = 0) -> Iterator[Json]:
    """Yield a body with each of the members that its schema knows made wrong."""
    node = resolved(data, schema)
    if not isinstance(node, dict) or not isinstance(body, dict) or depth > 5:
        return
    for part in (*node.get("allOf", ()), node):
        for name, inner in resolved(data, part).get("properties", {}).items():
            for wrong in _wrong_values(data, inner):
                yield {**body, name: wrong}
            for deeper in _broken_by(data, inner, body.get(name, {}), depth + 1):
                yield {**body, name: deeper}


def _wrong_values(data: Json, schema: Json) -> Iterator[Json]:
    """Yield values that a schema does not take, one for each kind of rule."""
    node = resolved(data, schema)
    if "enum" in node or "const" in node:
        yield "understudy-none-of-these"
    if "maximum" in node:
        yield node["maximum"] + 1
    if "minimum" in node:
        yield node["minimum"] - 1
    if "maxLength" in node:
        yield "x" * (node["maxLength"] + 1)
    if node.get("minLength"):
        yield "x" * (node["minLength"] - 1)
    if "maxItems" in node:
        yield [sample(data, node.get("items", {}))] * (node["maxItems"] + 1)
    if node.get("minItems"):
        yield []
    if "pattern" in node or "format" in node:
        yield "\u0000 understudy: no such form"
    if "type" in node:
        yield {"understudy": "another type"} if node["type"] != "object" else "another type"
