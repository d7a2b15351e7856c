"""Tests of the named errors: which rule answers, and by which rule an answer is recognised."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.documents import contract, document, hostile_values, job_of
from understudy.contract.catalogue import ENGINE_ERRORS, Catalogue
from understudy.contract.validation import Violation
from understudy.contract.views import Rendered


def catalogue(text: str, transports: tuple[str, ...] = ("body", "http")) -> Catalogue:
    """Compile the errors of a contract."""
    return contract(job_of(errors=document(text).data, errorTransports=list(transports))).job_type.errors


def violation(keyword: str) -> dict[str, Any]:
    return {"violation": Violation("body", "size", "/size", keyword, None, 5, "is wrong")}


ERRORS = """
invalid:
  - operations: [make]
    when: $violation.keyword == "enum"
    http: 400
    message: "{$violation.field}?"
    body: $error.message
  - {operations: [make], http: 422, headers: {X-Field: $violation.field, X-No: $job.id}, body: {why: $error.name}}
unknownPath:
  - {http: 404}
serverError:
  - {http: 500, transport: http, message: down, body: {code: {$match: 500}, text: $error.message}}
"""


def test_the_first_rule_whose_operation_and_condition_fit_is_found():
    """Rules are tried in order, each by its operations and its condition."""
    errors = catalogue(ERRORS)
    found = [
        errors.find("invalid", "make", violation("enum")),
        errors.find("invalid", "make", violation("type")),
        errors.find("invalid", "look", violation("type")),
        errors.find("unknownPath", None, {}),
        errors.find("unheard", None, {}),
    ]
    assert [rule and rule.http for rule in found] == [400, 422, None, 404, None]


def test_what_has_no_rule_falls_back():
    """An error of the engine without a rule is answered by the rule of what stands in for it."""
    errors = catalogue(ERRORS)
    for name in ("malformed", "tooLarge", "unsupportedMediaType", "unknownModel"):
        rule = errors.find(name, "make", violation("type"))
        assert rule is not None
        assert rule.name == "invalid"
    rule = errors.find("methodNotAllowed", "make", {})
    assert rule is not None
    assert rule.name == "unknownPath"
    assert errors.find("credits", "make", {}) is None


def test_fallbacks_end_in_errors_of_the_engine():
    """Every stand-in is itself an error of the engine, and none leads in a circle."""
    for name in ENGINE_ERRORS:
        seen = [name]
        while (following := ENGINE_ERRORS[seen[-1]]) is not None:
            assert following not in seen
            seen.append(following)


def test_a_rule_is_rendered_by_its_transport():
    """In transport `body` the status is 200, in `http` the rule's own, and a rule can have its own transport."""
    errors = catalogue(ERRORS)
    enum, other = errors.rules["invalid"]
    assert enum.render(violation("enum"), "body") == Rendered(200, [], "size?")
    assert other.render(violation("type"), "http") == Rendered(422, [("X-Field", "size")], {"why": "invalid"})
    assert errors.rules["serverError"][0].render({}, "body") == Rendered(500, [], {"code": 500, "text": "down"})
    assert errors.rules["unknownPath"][0].render({}, "http") == Rendered(404, [], None)


def recognised(errors: Catalogue, body: Any, status: int = 200, operation: str = "make") -> str | None:
    """Return the name of the rule that an answer was made by."""
    rule = errors.recognise(operation, status, body).rule
    return rule.name if rule else None


def test_the_rule_with_the_most_literals_that_fit_is_recognised():
    """Literals weigh more than the text, the operation and the care together."""
    errors = catalogue("""
        one:
          - operations: [make]
            http: 500
            message: text
            committed: unknown
            body: {code: {$match: 5}, msg: $error.message}
        two: [{http: 500, body: {code: {$match: 5}, msg: {$match: text}}}]
        three: [{http: 500, body: {code: {$match: 5}, inner: {$json: {deep: {$match: 1}}}, msg: {$match: text}}}]
    """)
    assert recognised(errors, {"code": 5, "msg": "text"}) == "two"
    assert recognised(errors, {"code": 5, "msg": "text", "inner": '{"deep":1}'}) == "three"
    assert recognised(errors, {"code": 5, "msg": "other"}) == "one"
    assert recognised(errors, {"code": 6}) is None


def test_then_the_rule_whose_text_fits_is_recognised():
    """Among equal literals the text decides, with anything in the place of its expressions, over the operation."""
    errors = catalogue("""
        any: [{operations: [make], http: 500, committed: unknown, body: &body {code: {$match: 5}, msg: $error.message}}]
        field: [{http: 500, message: "{$violation.field} is wrong", body: *body}]
        exact: [{http: 500, message: too late, body: *body}]
    """)
    answers = {"size is wrong": "field", "too late": "exact", "is wrong": "any", "too late!": "any"}
    assert {text: recognised(errors, {"code": 5, "msg": text}) for text in answers} == answers


def test_a_message_that_is_one_expression_fits_any_text():
    """A rule whose text is whatever the violation says fits every text, and no answer without one."""
    errors = catalogue("""
        silent: [{operations: [make], http: 500, body: {code: {$match: 5}, msg: $error.message}}]
        said: [{http: 500, message: $violation.message, body: {code: {$match: 5}, msg: $error.message}}]
    """)
    assert recognised(errors, {"code": 5, "msg": "whatever"}) == "said"
    assert recognised(errors, {"code": 5}) == "silent"


def test_then_the_rule_for_fewer_operations_is_recognised():
    """Among equal literals and texts a rule for one operation is preferred to one for two, and that to one for all."""
    errors = catalogue("""
        all: [{http: 500, committed: unknown, body: &body {code: {$match: 5}}}]
        two: [{operations: [make, look], http: 500, committed: unknown, body: *body}]
        one: [{operations: [make], http: 500, body: *body}]
    """)
    answers = {"make": "one", "look": "two", "stop": "all"}
    assert {name: recognised(errors, {"code": 5}, operation=name) for name in answers} == answers


def test_then_the_most_careful_rule_is_recognised():
    """Among equals the rule that leaves most in doubt is taken: a client must not repeat what may have cost money."""
    errors = catalogue("""
        no: [{http: 500, committed: no, body: &body {code: {$match: 5}}}]
        yes: [{http: 500, committed: yes, body: *body}]
        unknown: [{http: 500, committed: unknown, body: *body}]
        never: [{http: 500, committed: no, body: *body}]
    """)
    assert recognised(errors, {"code": 5}) == "unknown"
    assert recognised(catalogue("a: [{http: 500, body: 1}]\nb: [{http: 500, body: 2}]"), 3, 500) == "a"


def test_a_rule_is_recognised_by_its_transport():
    """An answer with HTTP 200 is an error only by a literal, and only where errors may come in the body."""
    text = """
        a: [{http: 500, body: {code: {$match: 5}}}]
        b: [{http: 418, body: {}}]
        c: [{http: 418, transport: body, body: {x: {$match: 1}}}]
    """
    both, by_status = catalogue(text), catalogue(text, ("http",))
    assert [recognised(both, {"code": 5}, status) for status in (200, 500, 502)] == ["a", "a", None]
    assert [recognised(by_status, {"code": 5}, status) for status in (200, 500)] == [None, "a"]
    assert [recognised(both, {}, status) for status in (200, 418)] == [None, "b"]
    assert [recognised(by_status, {"x": 1}, status) for status in (200, 418)] == ["c", "b"]


def test_what_was_recognised_carries_text_and_reading():
    """The provider's text and what else the body told come with the rule; a text of its own body is known, too."""
    errors = catalogue("""
        made: [{http: 505, message: success, committed: yes, body: {code: {$match: 505}, id: $job.id}}]
        said: [{http: 500, body: {code: {$match: 5}, msg: $error.message}}]
    """)
    assert errors.recognise("make", 200, {"code": 505, "id": "j"})[1:] == ("success", {("job", "id"): "j"})
    assert errors.recognise("make", 200, {"code": 5, "msg": "no"})[1:] == ("no", {("error", "message"): "no"})
    assert errors.recognise("make", 200, {"code": 5})[1:] == (None, {})
    assert errors.recognise("make", 200, {"code": 5, "msg": 5}) == (None, None, {})


@given(
    st.dictionaries(st.sampled_from(["code", "text", "why"]), hostile_values) | hostile_values, st.integers(100, 599)
)
def test_any_answer_is_recognised_or_not(body: Any, status: int):
    """Whatever a provider answers, recognising it raises nothing."""
    found = ERRORS_COMPILED.recognise("make", status, body)
    assert (found.rule is None) <= (found.message is None)


ERRORS_COMPILED = catalogue(ERRORS)


@pytest.mark.parametrize("name", sorted(ENGINE_ERRORS))
def test_what_was_rendered_is_recognised(name: str):
    """Each error that a contract answers in its own way is recognised from its answer, in either transport."""
    rules = "\n".join(
        f"{error}: [{{http: {code}, message: '{error} {{$now}}', body: [{{$match: {code}}}, $error.message]}}]"
        for code, error in enumerate(ENGINE_ERRORS, start=400)
    )
    errors = catalogue(rules)
    for transport in errors.transports:
        rule = errors.find(name, "make", {})
        assert rule is not None
        answer = rule.render({"now": 5}, transport)
        assert errors.recognise("make", answer.status, answer.body)[:2] == (rule, f"{name} 5")
