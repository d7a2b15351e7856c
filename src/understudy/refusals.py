"""Refusals: a named error, turned into the reply that the contract has for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from understudy.contract.catalogue import Transport
from understudy.contract.codecs import CodecError
from understudy.contract.model import JobType
from understudy.wire import Answered, Reply, defect, problem

# What the engine answers where a contract has no rule: the HTTP status, by named error.
_PLAIN_STATUS = {
    "unauthorized": 401,
    "malformed": 400,
    "unsupportedMediaType": 415,
    "tooLarge": 413,
    "invalid": 422,
    "unknownModel": 422,
    "notFound": 404,
    "unknownPath": 404,
    "methodNotAllowed": 405,
    "idTaken": 409,
    "credits": 402,
    "rateLimited": 429,
    "expired": 403,
}


def refusal(
    answered: Answered, operation: str | None, job_type: JobType, scope: dict[str, Any], transport: Transport
) -> Reply:
    """Return the reply to a request that somebody answers with a named error.

    Args:
        answered: The error.
        operation: The operationId; None for a path that leads nowhere.
        job_type: Whose rules count.
        scope: What templates may name.
        transport: How errors come.
    """
    scope = {**scope, **answered.scope}
    rule = job_type.errors.find(answered.name, operation, scope)
    job = scope.get("job")
    more: dict[str, Any] = {"operation": operation, "error": answered.name, "jobs": (job.id,) if job else ()}
    if rule is None:
        return _without_rule(answered, scope, more)
    try:
        rendered = rule.render(scope, transport)
        return Reply.of_json(rendered.status, [*rendered.headers, *answered.headers], rendered.body, **more)
    except CodecError as error:
        return defect(f"x-jobs.{job_type.name}.errors.{rule.name}", str(error), **more)


def _without_rule(answered: Answered, scope: dict[str, Any], more: dict[str, Any]) -> Reply:
    """Answer an error that the contract has no rule for: a problem document (RFC 9457) that says so."""
    violation = scope.get("violation")
    detail = f'The contract has no rule for the error "{answered.name}", so this is the stand-in\'s own answer.'
    if violation is not None:
        detail = f"{violation.message}. {detail}"
    reply = problem(_PLAIN_STATUS.get(answered.name, 500), answered.name, detail)
    return replace(reply, headers=[*reply.headers, *answered.headers], **more)
