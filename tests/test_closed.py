"""Tests of the closed schemas: every key that the format does not know is named with the nearest that it does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.documents import JOBS, document, json_values, shown, text_of
from understudy.contract.closed import check_closed
from understudy.contract.loader import follow

NAMES = ("openapi", "overlay", "x-jobs", "recording", "behaviour", "scenario")

OPENAPI = """
openapi: 3.1.0
info: {title: A, version: "1"}
paths: {}
"""


def checked(text: str, schema: str, at: tuple[str, ...] = ()) -> tuple[bool, list[str]]:
    """Return whether a document is usable, and its problems."""
    found = document(text)
    usable = check_closed(found, schema, at)
    return usable, sorted(shown(found.problems))


@pytest.mark.parametrize(("text", "schema"), [(OPENAPI, "openapi"), (JOBS, "x-jobs"), ("{}", "behaviour")])
def test_a_document_of_the_format_has_no_problems(text: str, schema: str):
    """A document that is closed under its schema is usable."""
    assert checked(text, schema) == (True, [])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("cancle: {}", 'unknown key "cancle"; did you mean "cancel"?'),
        ("retention: {jobSecond: 5}", 'unknown key "jobSecond"; did you mean "jobSeconds"?'),
        ("retention: {zzz: 5}", 'unknown key "zzz"; there is: dataSeconds, jobSeconds, then, x-evidence'),
        ("prices: {rules: [{amount: 1, wen: x}]}", 'unknown key "wen"; did you mean "when"?'),
        ("errors: {invalid: [{http: 400, retyr: later}]}", 'unknown key "retyr"; did you mean "retry"?'),
        (
            "status: {operation: a, id: b, reply: {bodyByState: {runing: 1}}}",
            'unknown key "runing"; did you mean "running"?',
        ),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest(line: str, problem: str):
    """At any depth an unknown key is a problem on its line, and the rest of the document can still be compiled."""
    assert checked(f"{JOBS}  {line}", "x-jobs") == (True, [f"5: {problem}"])


def test_every_unknown_key_is_named():
    """All keys that nobody knows are named, and a key that is missing is not, where a misspelt one may be it."""
    assert checked("descripton: x\nwhn: y\nfailur: z\n", "scenario") == (
        False,
        [
            '1: unknown key "descripton"; did you mean "description"?',
            '2: unknown key "whn"; did you mean "when"?',
            '3: unknown key "failur"; did you mean "failure"?',
        ],
    )


@pytest.mark.parametrize(
    ("text", "schema", "problem"),
    [
        ("when: x", "scenario", '1: the file lacks "description"'),
        ("5", "scenario", "1: the file must be object, not 5"),
        ("", "openapi", "1: the file must be object, not null"),
        ("description: [x]", "scenario", '1: "description" must be string, not ["x"]'),
        (f"description: [{'x' * 50}]", "scenario", f'1: "description" must be string, not ["{"x" * 37}…'),
        ("description: a\nnth: 0", "scenario", '2: "nth": 0 is less than the minimum of 1'),
        ("description: a\nnth: -" + "9" * 250, "scenario", '2: "nth": minimum'),
        (
            JOBS + "  errorTransports: [htp]",
            "x-jobs",
            '5: an item of "errorTransports" cannot be "htp"; did you mean "http"?',
        ),
        (
            """
            source: {document: a, section: b, date: 2025-12-01, mark: documented}
            exchanges:
              - callback: {body: {}}
                event: {event: a, data: b}
            """,
            "recording",
            '4: "event" cannot stand beside the other keys here',
        ),
    ],
)
def test_what_the_format_does_not_allow_is_said(text: str, schema: str, problem: str):
    """A missing key, a wrong type, word or number is named with its place, and ends the compilation."""
    assert checked(text, schema) == (False, [problem])


def test_a_part_of_a_document_is_checked_in_its_place():
    """A part is checked alone, and its problems are noted with their lines in the whole file."""
    text = f"{text_of(OPENAPI)}x-jobs:\n  job:\n    sates: 1\n    id: a\n    create: [{{}}]\n"
    assert checked(text, "x-jobs", ("x-jobs",)) == (
        False,
        [
            '6: unknown key "sates"; did you mean "states"?',
            '8: an item of "create" lacks "operations"',
            '8: an item of "create" lacks "reply"',
        ],
    )


@given(st.sampled_from(NAMES), json_values)
def test_any_json_is_usable_or_has_problems(name: str, value: Any):
    """Whatever stands in a file, it is held against the schema, and what is not usable has a problem."""
    made = document(json.dumps(value).replace("\x7f", "\\u007f").encode(), name="main.json")
    assert check_closed(made, name) or made.problems


@pytest.mark.parametrize(
    "place", ["", "/info", "/tags/0", "/servers/0", "/servers/0/variables/b", "/components", "/paths/~1a/get"]
)
def test_no_key_can_be_added_anywhere(place: str):
    """A key that no format knows is found wherever an object of the format stands."""
    found = document(f"""{text_of(OPENAPI).replace("{}", "{/a: {get: {}}}")}
tags: [{{name: a}}]
servers: [{{url: a, variables: {{b: {{default: c}}}}}}]
components: {{schemas: {{}}}}
""")
    follow(found.data, place)["zzz"] = 1
    assert check_closed(found, "openapi") is True
    assert [problem.text.partition(";")[0] for problem in found.problems] == ['unknown key "zzz"']
