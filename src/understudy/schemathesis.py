"""Hooks for Schemathesis: they tell it what a contract says, and an OpenAPI document cannot.

    SCHEMATHESIS_HOOKS=understudy.schemathesis st run contracts/acme/openapi.yaml --url http://127.0.0.1:4010/acme

Operations of other hosts are asked for at those. An error inside HTTP 200 gets the status that it stands for. Streams
that do not end are left out. Some things are no failure: a refusal that the contract answers with a 5xx, bad input at a
create that validates late, good data that is refused because there is no such thing, or no money for it, a status that
tells of a job, and a method that another path takes.
"""

from __future__ import annotations

import functools
import json
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData, Failure, ServerError
from schemathesis.openapi.checks import RejectedPositiveData, UnsupportedMethodResponse
from schemathesis.transport.requests import REQUESTS_TRANSPORT

from understudy.contract.build import load_contract
from understudy.contract.catalogue import ErrorRule
from understudy.contract.model import Contract
from understudy.probes import views_of
from understudy.reach import host_of

Case = schemathesis.Case[Any]

# What a valid request may meet all the same: a schema knows neither what there is, nor what can be paid.
_BESIDE_THE_DATA = {"notFound", "credits"}


@schemathesis.hook
def before_load_schema(context: schemathesis.HookContext, raw_schema: dict[str, Any]) -> None:
    """Leave out the operations that stream: their answers do not end."""
    streams = {kind["events"]["operation"] for kind in raw_schema["x-jobs"].values() if "events" in kind}
    for item in raw_schema["paths"].values():
        for name, node in tuple(item.items()):
            if isinstance(node, dict) and node.get("operationId") in streams:
                del item[name]


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: Case) -> bool:
    """Leave out what a form cannot carry: nothing is sent of an empty list or object."""
    body = case.body if case.media_type == "multipart/form-data" else None
    return not (isinstance(body, dict) and any(value in ([], {}) for value in body.values()))


@schemathesis.hook
def filter_failure(
    context: schemathesis.HookContext, failure: Failure, case: Case, response: schemathesis.Response
) -> bool:
    """Say whether a failure is one, by the contract."""
    rule = _error(case, response)
    if isinstance(failure, UnsupportedMethodResponse):
        return not _leads_elsewhere(case, response)
    if isinstance(failure, ServerError | RejectedPositiveData):
        if rule is None:
            return not _tells_of_a_job(case, response)
        return rule.name == "serverError" if isinstance(failure, ServerError) else rule.name not in _BESIDE_THE_DATA
    return not (isinstance(failure, AcceptedNegativeData) and _validates_late(case))


def _sent(case: Case, **more: Any) -> schemathesis.Response:
    """Send a request to the host that it is for; an error inside HTTP 200 gets its status."""
    main, server = _contract(case).servers[0], _contract(case).operations[_operation(case)].server
    if host_of(server) != host_of(main):  # a server that stands in for all of them has the others by their names
        root = urlsplit(more.get("base_url") or case.operation.schema.get_base_url())
        more["base_url"] = f"{root.scheme}://{root.netloc}/{host_of(server)}{urlsplit(server).path}"
    response = _send(case, **more)
    rule = _error(case, response) if response.status_code == 200 else None
    if rule is not None:
        response.status_code = rule.http
    return response


# `after_call` sees what Schemathesis asks, but not the probes of its checks; both go this way.
_send = REQUESTS_TRANSPORT.send
REQUESTS_TRANSPORT.send = _sent  # type: ignore[method-assign]


def _error(case: Case, response: schemathesis.Response) -> ErrorRule | None:
    """Return the error that an answer is, by the contract; None for a success, and for what no rule fits."""
    operation = _operation(case)
    job_type = _contract(case).job_type_of(operation)
    body = None
    with suppress(ValueError):
        body = json.loads(response.content)
    scope = {"statusCode": response.status_code, "response": {"body": body}}
    if job_type.success is not None and job_type.success.holds(scope):
        return None
    status = 200 if "body" in job_type.errors.transports else response.status_code
    return job_type.errors.recognise(operation, status, body).rule


def _leads_elsewhere(case: Case, response: schemathesis.Response) -> bool:
    """Say whether another path, with a parameter that spans segments, takes what this one does not."""
    path = urlsplit(str(response.request.url)).path
    root = urlsplit(case.operation.schema.get_base_url()).path.rstrip("/")
    routed = _contract(case).router.find(str(response.request.method), path.removeprefix(root))
    return routed is not None and routed.operation is not None


def _tells_of_a_job(case: Case, response: schemathesis.Response) -> bool:
    """Say whether a status is that of a job's result, or of a job that cannot be cancelled any more."""
    views = views_of(_contract(case).job_type_of(_operation(case)))
    return any(name == _operation(case) and response.status_code in view.statuses for name, view in views)


def _validates_late(case: Case) -> bool:
    creates = _contract(case).job_type_of(_operation(case)).creates
    return any(create.late for create in creates if _operation(case) in create.operations)


def _operation(case: Case) -> str:
    return str(case.operation.definition.raw["operationId"])


def _contract(case: Case) -> Contract:
    return _contract_at(case.operation.schema.location)


@functools.cache
def _contract_at(location: str) -> Contract:
    """Return the contract of a document, given as a file URL."""
    return load_contract(Path(url2pathname(urlsplit(location).path)).parent)
