"""Tests of playing the scenarios, and of the body that they are played with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.acme import MADE, Acme, exchange
from understudy.clock import CEILING_SECONDS


@pytest.fixture
def acme(tmp_path: Path) -> Acme:
    """A provider in an empty folder."""
    return Acme(tmp_path)


# --- scenarios ------------------------------------------------------------------------------------------------------


def test_a_story_that_is_not_told_to_its_end_is_a_problem(acme: Acme):
    """Each scenario is played: what it names must happen, and nothing may take for ever but what is meant to."""
    acme.scenarios = {
        "never-fails": {
            "description": "x",
            "timeline": [{"state": "queued"}],
            "failure": "rude",
        },
        # this one fails as it should, though the create is one of a cat, and the first
        "picky": {"description": "x", "when": '$job.model == "dog"', "nth": 2, "failure": "rude"},
        "too-long": {
            "description": "x",
            "timeline": [{"state": "queued", "seconds": CEILING_SECONDS + 1}, {"state": "succeeded"}],
        },
        "no-rule": {"description": "x", "error": "odd"},
        "rich": {"description": "x", "balance": 1},
        "hidden": {"description": "x", "visibleAfterSeconds": 20},
    }
    acme.job["errors"]["odd"][0]["operations"] = ["look"]
    del acme.job["status"]["notYetVisible"]
    found = {(Path(problem.file).name, problem.text.partition(":")[0]) for problem in acme.check().problems}
    assert found == {
        ("never-fails.yaml", 'the job never fails with "rude"'),
        ("too-long.yaml", "the story never ends"),
        ("no-rule.yaml", 'no rule of the error "odd" is for the create'),
    }


def test_a_create_that_is_answered_otherwise_is_told(acme: Acme):
    """A usual story whose create is refused is a problem of the behaviour file."""
    acme.behaviour["balance"] = 0
    acme.scenarios = {"error": {"description": "x", "error": "odd"}}
    assert acme.problems() == [
        'the create is answered with "credits", not with a job',
        'the create is answered with "credits", not with the error "odd"',
    ]


def test_a_read_that_fails_at_the_end_is_told(acme: Acme):
    """After its story a job can be read."""
    acme.job["retention"] = {"jobSeconds": 1}
    acme.scenarios = {"hidden": {"description": "x", "visibleAfterSeconds": 60}}
    assert acme.problems() == ['a read of the job is answered with "notFound"']


def test_stories_without_a_status_are_played(acme: Acme):
    """Where a job cannot be read, what waits for reads stays as it is."""
    del acme.job["status"]
    acme.job["errors"]["notFound"][0]["message"] = "x"
    acme.job["callback"]["view"]["body"]["result"] = "$job.result"
    texts = acme.problems()
    assert "the job stays running for ever" in texts
    assert 'the job never fails with "rude": it stays running for ever' in texts


def test_a_story_that_cannot_be_rendered_is_told(acme: Acme):
    """A template that cannot take its value is a problem of each story that meets it."""
    acme.job["create"][0]["reply"]["body"]["by"] = "$now|base64"
    assert 'the create is answered with "a defect of the contract", not with a job' in acme.problems()


def test_a_result_that_cannot_be_made_is_told(acme: Acme):
    """It is made when its time comes, and not for a request: so the story itself ends there."""
    acme.job["outputs"] = "$job.id|base64"
    assert acme.problems().count("the fake cannot make what it says here: bytes is expected") >= 1


def test_a_blocking_create_is_played(acme: Acme):
    """A create that blocks is answered when the story is over, or the story is one that never ends."""
    acme.job["create"].reverse()
    acme.openapi["paths"]["/blocking"]["post"]["requestBody"]["content"]["application/json"]["schema"] = {
        "oneOf": [{"$ref": "#/components/schemas/Cat"}],
        "discriminator": {"propertyName": "model", "mapping": {"cat": "#/components/schemas/Cat"}},
    }
    acme.job["create"][0]["input"] = "$request.body#/input"
    del acme.scenarios["odd"]
    assert [problem.partition(":")[0] for problem in acme.problems()] == ["the story never ends"]


# --- a body to ask with ---------------------------------------------------------------------------------------------


def without_examples(acme: Acme, **schema: Any) -> None:
    media = acme.openapi["paths"]["/jobs"]["post"]["requestBody"]["content"]["application/json"]
    del media["examples"]
    acme.cat["properties"]["input"] = {"type": "object", "required": ["it"], "properties": {"it": schema}}
    acme.openapi["components"]["schemas"]["Dog"]["properties"]["input"] = False
    acme.behaviour["pictures"] = {}


@pytest.mark.parametrize(
    "schema",
    [
        {"const": 7},
        {"enum": ["a"]},
        {"type": "string", "minLength": 9},
        {"type": "string", "format": "uuid", "pattern": "^0{8}-"},
        {"type": ["integer", "null"], "minimum": 3},
        {"type": "number"},
        {"type": "boolean"},
        {"type": "null"},
        {"type": "array", "items": {"type": "string"}, "minItems": 2},
        {"anyOf": [{"type": "integer", "default": 5}, {"type": "string"}]},
        {"oneOf": [{"type": "string", "examples": ["x"]}]},
        {"allOf": [{"type": "object", "required": ["a"], "properties": {"a": {"example": 1}}}]},
        {"type": "object", "required": ["free"]},
        {"properties": {"a": {}}, "required": ["a"]},
        True,
    ],
)
def test_a_body_is_made_from_its_schema(acme: Acme, schema: Any):
    """Where no example is given, the scenarios are played with a body that the schemas describe."""
    without_examples(acme)
    acme.cat["properties"]["input"]["properties"]["it"] = schema
    assert not any("no scenario was played" in text for text in acme.notes())


def test_without_a_body_no_scenario_is_played(acme: Acme):
    """Where no body is known and none can be made, that is told; a recorded one does."""
    without_examples(acme, type="string", pattern="^only this$")
    assert "no body that make takes is known" in "\n".join(acme.notes())
    acme.record(exchange({"operation": "make", "body": {"model": "cat", "input": {"it": "only this"}}}, MADE))
    assert not any("no body that make takes is known" in text for text in acme.notes())
