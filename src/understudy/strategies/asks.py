"""Hypothesis strategies of what a client asks for: requests that make a job, and such as the contract refuses."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from understudy.bodies import as_received
from understudy.contract.creates import Create
from understudy.contract.expressions import Expression, Place
from understudy.contract.loader import follow
from understudy.contract.model import Contract
from understudy.contract.operations import Operation
from understudy.contract.validation import BodyCheck, Violation
from understudy.errors import UsageError, suggestion
from understudy.exchange import Draft
from understudy.folders import Paths, find_provider
from understudy.library import load_provider
from understudy.lifecycle import Json
from understudy.strategies.schemas import Pointer, Schemas

Request = dict[str, Any]


@dataclass(frozen=True)
class InvalidRequest:
    """A request that the contract forbids, for one reason.

    Attributes:
        request: What `Client.submit` takes.
        pointer: The JSON pointer, in the body, to what is wrong.
        keyword: The word of JSON Schema that it breaks, such as `enum`; `discriminator` for an unknown model.
        message: The same as a sentence.
    """

    request: Request
    pointer: str
    keyword: str
    message: str


def requests(
    provider: str | Contract, model: str | None = None, *, operation: str | None = None, paths: Paths = ()
) -> SearchStrategy[Request]:
    """Draw requests that the contract allows; each is what `Client.submit` and `Client.run` take by keyword.

    Args:
        provider: The provider's name, a path to its contract, or the contract.
        model: The model; any by default.
        operation: The operationId of the create; the contract's first by default.
        paths: Folders with `contracts/` to look in before the working directory.

    Returns:
        Dicts of `model`, where the contract has models, and `input`. The plainest has a model that needs little, and
        no member that it does not need.

    Raises:
        UsageError: There is no such provider, model or create, or a client can make no request to it.

    Example:
        >>> from hypothesis import find
        >>> from understudy.strategies import requests
        >>> find(requests("kie", "nano-banana-pro"), lambda request: True)
        {'model': 'nano-banana-pro', 'input': {'prompt': 'a'}}
    """
    asking = _Asking(contract_of(provider, paths), operation)
    return asking.models(model).flatmap(asking.valid)


def invalid_requests(
    provider: str | Contract, model: str | None = None, *, operation: str | None = None, paths: Paths = ()
) -> SearchStrategy[InvalidRequest]:
    """Draw requests that the contract forbids, each for one reason.

    The fake refuses them, or where the contract validates late, makes a job that fails.

    Args:
        provider: The provider's name, a path to its contract, or the contract.
        model: The model; any, and such as there are not, by default.
        operation: The operationId of the create; the contract's first by default.
        paths: Folders with `contracts/` to look in before the working directory.

    Returns:
        The requests, with what is wrong.

    Raises:
        UsageError: There is no such provider, model or create, or a client can make no request to it.

    Example:
        >>> from hypothesis import find
        >>> from understudy.strategies import invalid_requests
        >>> found = find(invalid_requests("kie", "nano-banana-pro"), lambda invalid: invalid.keyword == "required")
        >>> found.pointer, found.request
        ('/input/prompt', {'model': 'nano-banana-pro', 'input': {}})
    """
    asking = _Asking(contract_of(provider, paths), operation)
    wrong: SearchStrategy[Request | None] = asking.models(model).flatmap(asking.wrong)
    if model is None:
        strange = asking.models(None).flatmap(asking.valid).flatmap(asking.of_no_model)
        wrong = st.one_of(wrong, wrong, wrong, strange)
    judged: SearchStrategy[Any] = wrong.map(asking.judged)
    return judged.filter(lambda found: found is not None)


def contract_of(provider: str | Contract, paths: Paths = ()) -> Contract:
    """Return a contract by the name of its provider, or as it was given."""
    return provider if isinstance(provider, Contract) else load_provider(find_provider(provider, paths))[0]


class _Asking:
    """The requests to one create of a contract.

    Its `valid` returns the requests for a model that are allowed, and `wrong` those with one thing wrong in the input,
    None among them for what a client cannot send.

    Args:
        contract: The contract.
        operation: The operationId of the create; None for the first.

    Raises:
        UsageError: There is no such create, or a client can make no request to it.
    """

    def __init__(self, contract: Contract, operation: str | None) -> None:
        creates = {name: create for create in contract.job_type.creates for name in create.operations}
        if operation is not None and operation not in creates:
            raise UsageError(f'no create is called "{operation}"; {suggestion(operation, creates)}')
        name = next(iter(creates)) if operation is None else operation
        self._create: Create = creates[name]
        self._name = name
        self._check: BodyCheck | None = contract.operations[name].body
        place = _in_body(self._create.input)
        if place is None:
            raise UsageError(f"{name} has no place for an input in its body")
        self._input: Pointer = place
        self._model = _in_body(self._create.model)
        document = contract.document.data
        self._schemas = Schemas(document)
        self._bodies = _bodies(document, contract.operations[name])
        # Both are asked for at every draw, and made once for each model.
        self.valid = functools.cache(self._make_valid)
        self.wrong = functools.cache(self._make_wrong)

    def models(self, model: str | None) -> SearchStrategy[str | None]:
        """Return the model that was named, or all, those first that need little."""
        if model is not None and model not in self._bodies:
            raise UsageError(f'{self._name} has no model "{model}"; {suggestion(model, filter(None, self._bodies))}')
        return st.sampled_from(sorted(self._bodies, key=self._needs)) if model is None else st.just(model)

    def _needs(self, model: str | None) -> tuple[int, int]:
        """Return how many members the input of a model needs, and how long its name is."""
        return self._schemas.needs(self._bodies[model], self._input), len(model or "")

    def _make_valid(self, model: str | None) -> SearchStrategy[Request]:
        return self._schemas.admitted(self._body(model)).filter(self._arrives).map(self._request)

    def _arrives(self, body: Json) -> bool:
        """Say whether a body is still allowed as it comes in: a form cannot carry an empty list."""
        check = self._check
        return check is None or (came := as_received(check, body)) is body or not list(check.violations(came))

    def _make_wrong(self, model: str | None) -> SearchStrategy[Request | None]:
        spoiled = self._schemas.spoiled(self._body(model), self._input)
        return spoiled.map(lambda found: self._request(found[1]) if self._is_sent(found[1]) else None)

    def of_no_model(self, request: Request) -> SearchStrategy[Request | None]:
        """Return a request, but for a model that there is not, and for none."""
        if "model" not in request:
            return st.none()
        others = st.sampled_from(["unknown", request["model"] + "-unknown"])
        return others.map(lambda name: {**request, "model": name}) | st.just({"input": request["input"]})

    def judged(self, request: Request | None) -> InvalidRequest | None:
        """Return a request with what is wrong with it, where that is one thing."""
        if request is None or self._check is None:
            return None
        draft = Draft()
        draft.put(self._create.input, request["input"], "")
        if "model" in request:
            draft.put(self._create.model, request["model"], "")
        found: list[Violation] = list(self._check.violations(as_received(self._check, draft.body)))
        one = found[0] if len(found) == 1 else None
        return None if one is None else InvalidRequest(request, one.pointer, one.keyword, one.message)

    def _body(self, model: str | None) -> Json:
        """Return the schema of those bodies that a client can send: a model, an input, and nothing beside them."""
        ours: dict[str, Json] = {"type": "object", "properties": {}}
        if model is not None and self._model is not None:
            _pin(ours, self._model, {"const": model})
        elif self._model is not None:
            _pin(ours, self._model, {"type": "string"})
        _pin(ours, self._input, {"type": "object"})
        for name in self._create.claims:
            ours["properties"].setdefault(name, False)
        if self._input:
            ours["additionalProperties"] = False
        return {"allOf": [ours, self._bodies[model]]}

    def _request(self, body: Json) -> Request:
        model = None if self._model is None else _found(body, self._model)
        given = _found(body, self._input)
        if not self._input:
            given = {name: value for name, value in given.items() if name not in self._create.claims}
        return {"input": given} if model is None else {"model": model, "input": given}

    def _is_sent(self, body: Json) -> bool:
        return isinstance(body, dict) and isinstance(_found(body, self._input), dict)


def _pin(schema: dict[str, Json], pointer: Pointer, inner: Json) -> None:
    """Have a schema say what is at a place, which is needed then."""
    for index, name in enumerate(pointer):
        schema["required"] = sorted({*schema.get("required", ()), name})
        inside: Json = {"type": "object", "properties": {}, "additionalProperties": False}
        members: dict[str, Json] = schema["properties"]
        members.setdefault(name, inner if index == len(pointer) - 1 else inside)
        schema = members[name]


def _found(body: Json, pointer: Pointer) -> Json:
    """Return what is at a place of a body; None where nothing is."""
    for name in pointer:
        body = body.get(name) if isinstance(body, dict) else None
    return body


def _in_body(place: Place) -> Pointer | None:
    """Return where in a body a client puts what belongs to a place; None where that is not in the body."""
    target = next((item for item in place if isinstance(item, Expression) and item.root == "request"), None)
    return None if target is None or target.path != ("body",) else tuple(target.pointer or ())


def _bodies(document: Mapping[str, Json], operation: Operation) -> dict[str | None, Json]:
    """Return the schema of a whole body for each model; for None, where it is one for all."""

    def resolved(node: Json) -> Json:
        while "$ref" in node:
            node = follow(document, node["$ref"])
        return node

    node = resolved(resolved(document["paths"][operation.path])[operation.method.lower()].get("requestBody", {}))
    schema: Json = next((media["schema"] for media in node.get("content", {}).values() if "schema" in media), {})
    mapping = resolved(schema).get("discriminator", {}).get("mapping", {})
    return {
        model: {"$ref": target if "#" in target else f"#/components/schemas/{target}"}
        for model, target in mapping.items()
    } or {None: schema}
