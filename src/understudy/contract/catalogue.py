"""The named errors of a contract: chosen and rendered by the fake, recognised by the client."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from understudy.contract import templates
from understudy.contract.conditions import Condition
from understudy.contract.expressions import Scope
from understudy.contract.reading import ReadError, Reading, check_types
from understudy.contract.templates import Template, fit, literals
from understudy.contract.views import Rendered, rendered_headers
from understudy.lifecycle import Json

Transport = Literal["body", "http"]

#: What the engine itself can answer, and what stands in where a contract has no rule for it.
ENGINE_ERRORS: dict[str, str | None] = {
    "unauthorized": None,
    "unsupportedMediaType": "malformed",
    "tooLarge": "malformed",
    "malformed": "invalid",
    "unknownModel": "invalid",
    "invalid": None,
    "notFound": None,
    "methodNotAllowed": "unknownPath",
    "unknownPath": None,
    "idTaken": "invalid",
    "credits": None,
    "rateLimited": None,
    "expired": "notFound",
    "serverError": None,
}


class ErrorRule(NamedTuple):
    """One way a named error is answered.

    Attributes:
        name: The named error.
        operations: Where it applies; None for everywhere.
        when: Further condition, over `$violation` and `$request`.
        http: The status when errors come with their own status.
        headers: Names and templates.
        body: The template of the body.
        message: The text that stands for `$error.message`.
        committed: Whether a create that got this answer may have made a job.
        retry: Whether the same request can succeed later.
        transport: How this one always comes, whatever the default is; None for the default.
    """

    name: str
    operations: frozenset[str] | None
    when: Condition | None
    http: int
    headers: tuple[tuple[str, Template], ...]
    body: Template
    message: Template
    committed: Literal["no", "unknown", "yes"]
    retry: Literal["never", "later"]
    transport: Transport | None

    def render(self, scope: Mapping[str, Any], transport: Transport) -> Rendered:
        """Render the answer; in transport `body` the HTTP status is 200."""
        inner = {**scope, "error": {"name": self.name, "message": self.message.render(scope)}}
        headers = rendered_headers(self.headers, inner)
        by = self.transport or transport
        return Rendered(200 if by == "body" else self.http, headers, self.body.render(inner))


class Recognised(NamedTuple):
    """An error answer, read: `rule` is None when no rule of the contract fits."""

    rule: ErrorRule | None
    message: str | None
    reading: Reading


class Catalogue(NamedTuple):
    """Every named error of a contract.

    Attributes:
        rules: Name → its rules in order.
        transports: How errors may come; the first is the default.
    """

    rules: Mapping[str, tuple[ErrorRule, ...]]
    transports: tuple[Transport, ...]

    def find(self, name: str, operation: str | None, scope: Scope) -> ErrorRule | None:
        """Return the rule for a named error, following the engine's fallbacks, or None."""
        looked: str | None = name
        while looked is not None:
            for rule in self.rules.get(looked, ()):
                fits = rule.operations is None or operation in rule.operations
                if fits and (rule.when is None or rule.when.holds(scope)):
                    return rule
            looked = ENGINE_ERRORS.get(looked)
        return None

    def recognise(self, operation: str, status: int, body: Json) -> Recognised:
        """Find the rule that an answer was made by: the one with the most literals that fit.

        Args:
            operation: The operationId.
            status: The HTTP status.
            body: The decoded body.
        """
        best, best_score, best_reading = None, _WORST, Reading()
        for rule in (rule for rules in self.rules.values() for rule in rules):
            transports = (rule.transport,) if rule.transport else self.transports
            by_status = "http" in transports and status == rule.http
            if not by_status and not ("body" in transports and status == 200):
                continue
            if rule.operations is not None and operation not in rule.operations:
                continue
            reading: Reading = {}
            try:
                rule.body.read(body, reading, ())
                check_types(reading)
            except ReadError:
                continue
            matched = literals(rule.body)
            if not matched and not by_status:
                continue
            said = fit(rule.message, reading.get(("error", "message")))
            operations = -math.inf if rule.operations is None else -len(rule.operations)
            score = (matched, said, operations, by_status, _CARE[rule.committed])
            if score > best_score:
                best, best_score, best_reading = rule, score, reading
        message = best_reading.get(("error", "message"))
        if message is None and best is not None and isinstance(best.message, templates.Literal):
            message = best.message.value  # the body tells it by a literal of its own
        return Recognised(best, message, best_reading)


_CARE = {"no": 0, "yes": 1, "unknown": 2}

# What tells rules that fit apart, from the weightiest to the least: literals, text, operations, status, care.
_WORST = (-1, 0, -math.inf, False, 0)
