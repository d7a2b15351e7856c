"""Tests of expressions: what they are, what they lead to, and how codecs follow."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.documents import hostile_values, json_values, texts
from understudy.contract.codecs import CODECS, CodecError
from understudy.contract.expressions import (
    ROOTS,
    ExpressionError,
    Names,
    camel,
    first_value,
    parse_expression,
    parse_place,
)
from understudy.contract.loader import pointer_to
from understudy.lifecycle import Job, JobError, Output


def value(text: str, **scope: Any) -> Any:
    return parse_expression(text).value(scope)


def request(body: Any = None, **more: Any) -> Any:
    return SimpleNamespace(body=body, query={}, header={}, path={}, **more)


def paths(names: Names | None) -> st.SearchStrategy[list[str]]:
    """Draw names that may follow each other."""
    if names is None:
        return st.lists(st.from_regex(r"[A-Za-z0-9_-]+", fullmatch=True), max_size=2)
    options = [st.tuples(st.just([name]), paths(inner)) for name, inner in names.items()]
    return st.just([]) | st.one_of(options).map(lambda parts: [*parts[0], *parts[1]])


WITH_ARGUMENT = {"after", "default", "head", "preference"}
codec_texts = st.sampled_from(
    [*sorted(CODECS - WITH_ARGUMENT), 'default("(}|")', "default(0)", "head(1)", 'preference("wait")', 'after("a")']
)
expressions = st.builds(
    lambda root_path, pointer, codecs: "$" + ".".join(root_path) + pointer + "".join(f"|{codec}" for codec in codecs),
    st.sampled_from(sorted(ROOTS)).flatmap(lambda root: paths(ROOTS[root]).map(lambda path: [root, *path])),
    st.just("") | st.lists(st.sampled_from(["a", "0", "²", "a~1b", "count", ""]), max_size=2).map(
        lambda parts: "#" + "".join(f"/{part}" for part in parts)
    ),
    st.lists(codec_texts, max_size=2),
)  # fmt: skip


@given(expressions, st.dictionaries(st.sampled_from(sorted(ROOTS)), hostile_values))
def test_a_valid_expression_has_a_value_over_any_scope(text: str, scope: dict[str, Any]):
    """What the table of names allows compiles, and over any scope it has a value or raises CodecError."""
    expression = parse_expression(text)
    assert expression.text == text
    for function in (expression.value, expression.text_value, expression.taken):
        with contextlib.suppress(CodecError):
            function(scope)
    for found in scope.values():
        with contextlib.suppress(CodecError):
            expression.decoded(found)


@given(st.text() | st.text('$.#/|(){}"\\jobinputcredA0é ', max_size=30).map(lambda text: "$" + text))
def test_any_text_is_an_expression_or_an_expression_error(text: str):
    """Whatever stands in a file, it compiles or raises ExpressionError."""
    with contextlib.suppress(ExpressionError):
        parse_expression(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("$", '"$" is no expression: expected $root.name#/pointer|codec'),
        ("$job.id ", '"$job.id " is no expression: expected $root.name#/pointer|codec'),
        ("$job#a", '"$job#a" is no expression: expected $root.name#/pointer|codec'),
        ("$jop.id", 'there is no root "$jop"; did you mean "job"?'),
        ("$job.statsu", '"$job" has no "statsu"; did you mean "status"?'),
        ("$job.error.mesage", '"$job.error" has no "mesage"; did you mean "message"?'),
        ("$job.id.upper", '"$job.id" has no "upper"; there is none'),
        ("$job.outputs.first", '"$job.outputs" has no "first"; there is: 0, count'),
        ("$job.outputs.0.uri", '"$job.outputs.0" has no "uri"; did you mean "url"?'),
        ("$job.outputs.00", '"$job.outputs" has no "00"; did you mean "0"?'),
        ("$request.json", '"$request" has no "json"; there is: body, header, path, query'),
        ("$job.id|isso", 'there is no codec "isso"; did you mean "iso"?'),
        ("$job.id|head(x)", 'the argument of "head" must be JSON, not x'),
    ],
)
def test_a_wrong_expression_says_what_is_meant(text: str, problem: str):
    """A wrong root, name or codec is named with the nearest that exists."""
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text)
    assert str(caught.value) == problem


@given(json_values, st.data())
def test_a_pointer_leads_to_each_part_of_a_body(body: Any, data: st.DataObject):
    """Every part of a JSON body whose pointer an expression can hold is its value."""
    parts: list[str] = []
    found = body
    while found and isinstance(found, dict | list):
        key = data.draw(st.sampled_from(sorted(found) if isinstance(found, dict) else range(len(found))))
        parts.append(str(key))
        found = found[key]
    try:
        expression = parse_expression("$request.body#" + pointer_to(parts))
    except ExpressionError:
        return  # a blank or sign that would end the expression
    if "count" not in parts:
        assert expression.raw({"request": request(body)}) is found


def test_names_are_members_keys_indexes_and_counts():
    """A name is a member of a record, a key of an object, an index or the count of a list."""
    job = Job(
        id="j", input={"a": {"b": 1}}, created_at=5, error=JobError(code=3), outputs=(Output(url="u", media_type="m"),)
    )
    scope = {"job": job, "jobs": [job, job], "secret": {"key": "s"}, "request": request([1, 2])}
    expected = {
        "$job.createdAt": 5,
        "$job.input.a.b": 1,
        "$job.input#/a/b": 1,
        "$job.error.code": 3,
        "$job.outputs.0.mediaType": "m",
        "$job.outputs.1.url": None,
        "$job.outputs.count": 1,
        "$jobs.count": 2,
        "$secret.key": "s",
        "$request.body#/1": 2,
        "$request.body#/-1": None,
        "$request.body#/01": None,
        "$request.body#/²": None,
        "$request.body#/1/x": None,
        "$job.id#/0": None,
        "$job.model": None,
        "$job.progress|percent": None,
        "$account.balance": None,
    }
    assert {text: parse_expression(text).value(scope) for text in expected} == expected


def test_text_has_no_members():
    """A value that is no record, object or list ends the path: nothing of Python shows through."""
    scope = {"request": request("text"), "secret": {"key": "s"}}
    assert value("$request.body.upper", **scope) is None
    assert value("$secret.key.upper", **scope) is None


def test_headers_are_found_in_any_case():
    """A header is named in the case of the document and found in lower case, as requests carry it."""
    scope = {"request": SimpleNamespace(header={"x-key": "k"}), "response": {"header": {"x-id": "i"}}}
    assert value("$request.header.X-Key", **scope) == "k"
    assert value("$response.header.X-ID", **scope) == "i"


def test_null_passes_every_codec_but_default():
    """A missing value stays null, until a default takes its place."""
    for name in sorted(CODECS - WITH_ARGUMENT):
        assert value(f"$job.model|{name}") is None
    assert value('$job.model|iso|default("")') == ""
    assert value("$job.model|default(3)|string") == "3"
    assert parse_expression("$job.model").text_value({}) == ""


def test_inside_text_a_value_stands_as_json():
    """A boolean or an object inside text is written as JSON, not as Python."""
    scope = {"violation": {"value": {"a": True}}, "job": Job(id="j", refunded=True)}
    assert parse_expression("$violation.value").text_value(scope) == '{"a":true}'
    assert parse_expression("$job.refunded").text_value(scope) == "true"


@pytest.mark.parametrize(
    ("text", "readable"),
    [("$job.id", True), ("$job.endedAt|iso|omit", True), ("$job.input#/a", False), ("$job.id|sha256hex", False)],
)
def test_what_can_be_read_back(text: str, readable: bool):
    """An expression is read back unless it points into a value or has a write-only codec."""
    assert parse_expression(text).readable is readable


def test_codecs_are_undone_from_right_to_left():
    """Reading undoes the last codec first; null and what a default stands for are null, a write-only codec nothing."""
    expression = parse_expression('$job.endedAt|epochMs|string|default("")')
    assert expression.decoded("2500") == 2.5
    assert expression.decoded("") is None
    assert parse_expression("$job.id|sha256hex|omit").decoded("abc") is None


@given(texts.filter(bool), st.integers())
def test_a_place_is_the_first_value_that_exists(text: str, number: int):
    """Of a list of expressions and literals, the first that has a value counts; a literal always has."""
    place = parse_place(["$request.query.a", "$request.body#/a", number])
    asked = request({"a": text})
    assert first_value(place, {"request": asked}) == text
    asked.body = {}
    assert first_value(place, {"request": asked}) == number
    assert first_value((), {}) is None
    assert first_value(parse_place("$request.body#/a"), {"request": asked}) is None


def test_a_default_stands_for_what_was_not_sent():
    """It is what is meant where there is nothing, and no codec beside it has a hand in it."""
    taken = parse_expression('$request.header.prefer|preference("wait")|default(60)').taken
    assert taken({"request": {"header": {"prefer": "wait=5"}}}) == 5
    assert taken({"request": {"header": {"prefer": "respond-async"}}}) == 60
    assert taken({"request": {"header": {}}}) == 60


def test_what_a_request_carries_is_decoded():
    """At a place in a request, codecs are undone, since the value came over the wire; a job's value is rendered."""
    asked = request({"data": "aGk=", "count": "4", "path": "a/b/c"})
    expected = {
        "$request.body#/data|base64": b"hi",
        "$request.body#/count|string|default(1)": 4,
        "$request.body#/number|string|default(1)": 1,
        "$request.body#/path|head(2)": "a/b",
        "$job.createdAt|iso": "1970-01-01T00:00:00.000Z",
    }
    scope = {"request": asked, "job": Job(id="j", created_at=0)}
    assert {text: first_value(parse_place(text), scope) for text in expected} == expected
    with pytest.raises(CodecError):
        first_value(parse_place("$request.body#/path|base64"), scope)


def test_names_are_written_in_camel_case():
    """A Python name is written as the format writes names."""
    assert [camel(name) for name in ("id", "created_at", "a_b_c")] == ["id", "createdAt", "aBC"]
