"""Tests of holding a document to itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acme import MADE, MAKE, Acme, exchange, told


@pytest.fixture
def acme(tmp_path: Path) -> Acme:
    """A provider in an empty folder."""
    return Acme(tmp_path)


def shown(acme: Acme) -> str:
    """Return the problems, one on a line."""
    return "\n".join(acme.problems())


# --- schemas --------------------------------------------------------------------------------------------------------


def test_what_is_required_must_exist(acme: Acme):
    """A required name that no property has is a problem, in parts of a schema as well; patterns may bring it."""
    acme.cat["required"] = ["model", "inptu"]
    acme.cat["properties"]["input"]["anyOf"] = [{"required": ["sise"]}, {"required": ["size"]}]
    acme.cat["properties"]["input"] |= {"patternProperties": {"^x": {}}, "required": ["prompt", "xray"]}
    job = acme.openapi["components"]["schemas"]["Job"]
    job["allOf"] = [{"$ref": "#/components/schemas/More", "properties": {"own": {}}}]
    job["allOf"].append(True)
    job["required"] += ["more", "then", "own"]
    job["then"] = {"properties": {"then": {}}}
    acme.openapi["components"]["schemas"]["More"] = {"properties": {"more": {"type": "array", "items": True}}}
    texts = shown(acme)
    assert 'there is no property "inptu"; did you mean "input"?' in texts
    assert 'there is no property "sise"; did you mean "size"?' in texts
    assert texts.count("there is no property") == 2


def test_examples_and_defaults_fit_their_schema(acme: Acme):
    """What a document gives as an example or a default is what its own schema takes."""
    media = acme.openapi["paths"]["/jobs"]["post"]["requestBody"]["content"]["application/json"]
    media["examples"]["wrong"] = {"value": {"model": "cat"}}
    media["examples"]["elsewhere"] = {"externalValue": "https://acme.test/example.json"}
    acme.openapi["components"]["examples"] = {"shared": {"value": {"model": "cow"}}}
    media["examples"]["shared"] = {"$ref": "#/components/examples/shared"}
    acme.openapi["components"]["examples"]["circle"] = {"$ref": "#/components/examples/circle"}
    media["examples"]["circle"] = {"$ref": "#/components/examples/circle"}
    size = acme.cat["properties"]["input"]["properties"]["size"]
    size["default"], size["examples"] = "huge", ["tiny", "small"]
    acme.openapi["paths"]["/jobs/{id}"]["parameters"][0]["example"] = 7
    job = acme.openapi["components"]["schemas"]["Job"]
    job["example"] = {"id": "a"}
    job["properties"]["schema"] = {"type": "object"}
    assert shown(acme).count("its own schema does not take this") == 6


def test_a_schema_that_is_none_is_told(acme: Acme):
    """A schema that cannot be used is a problem where it stands."""
    acme.openapi["components"]["schemas"]["Unused"] = {"pattern": "("}
    acme.openapi["paths"]["/jobs/{id}"]["parameters"][0] |= {"schema": {"pattern": "["}, "example": "x"}
    assert shown(acme).count("this is no JSON Schema that can be used") == 2


def test_a_model_must_be_one_that_its_schema_takes(acme: Acme):
    """Each model of a discriminator leads to a schema that exists, is listed, and takes it."""
    schema = acme.openapi["paths"]["/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema["discriminator"]["mapping"] = {"cat": "Cat", "dgo": "Dog", "hen": "Hne", "job": "Job", "any": "Any"}
    acme.openapi["components"]["schemas"] |= {"Hen": {}, "Any": {"properties": {"model": {"type": "integer"}}}}
    texts = shown(acme)
    assert 'its schema does not take "dgo" as its "model"; did you mean "dog"?' in texts
    assert 'its schema does not take "any" as its "model"; there is none' in texts
    assert 'there is no schema "Hne"; did you mean "Hen"?' in texts
    assert '"Job" is not one of the schemas beside the discriminator' in texts
    schema["discriminator"] = {"propertyName": "modle", "mapping": {"cat": "Cat"}}
    assert 'no schema here has a property "modle"; did you mean "model"?' in shown(acme)


def test_an_extension_of_somebody_else_is_let_be(acme: Acme):
    """What stands below a foreign extension means nothing to us."""
    acme.openapi["x-tool"] = {"schema": {"type": "no such"}, "x-evidenc": 1}
    acme.job["replies"]["balance"]["body"] = {
        "operations": [{"a": "$now"}],
        "operation": {"b": 1},
        "c": {"operations": []},
    }
    assert acme.problems() == []


def test_an_extension_that_is_nearly_ours_is_told(acme: Acme):
    """A misspelt extension is a problem; an extension of somebody else's is not."""
    acme.openapi["x-logo"] = "acme.png"
    acme.openapi["info"]["x-evidense"] = {"mark": "guessed", "source": "none"}
    acme.job["failures"]["xevidence"] = {"message": "A job fails so."}
    assert acme.problems() == ['unknown key "x-evidense"; did you mean "x-evidence"?']


# --- names ----------------------------------------------------------------------------------------------------------


def test_names_in_expressions_are_held_to_the_document(acme: Acme):
    """A state, a word, a model, a parameter or a member that an expression speaks of must exist."""
    acme.job["prices"]["rules"][0]["when"] = "$job.model == 'cow' || $job.state != \"faild\" || $job.status == 'bone'"
    acme.job["status"]["id"] = ["$request.path.di", "$request.query.id"]
    acme.job["create"][0]["callbackUrl"] = "$request.body#/hok"
    acme.job["errors"]["notFound"][0]["message"] = "No job {$request.body#/anything}{$request.path.id}"
    acme.job["replies"]["balance"]["body"] = ["$request.body#/none", "$job.request#/modle"]
    acme.behaviour["pictures"]["text"] = "$job.input#/promt"
    acme.scenarios["poor"]["when"] = '$job.input#/sise == "large"'
    texts = acme.problems()
    for text in (
        'there is no model "cow"; there is: cat, dog',
        'there is no state "faild"; did you mean "failed"?',
        'there is no status "bone"; did you mean "done"?',
        'there is no path parameter "di"; did you mean "id"?',
        'there is no query parameter "id"; there is none',
        'nothing has a member "hok"; did you mean "hook"?',
        'nothing has a member "modle"; did you mean "model"?',
        'nothing has a member "promt"; did you mean "prompt"?',
        'nothing has a member "sise"; did you mean "size"?',
    ):
        assert text in texts


# --- secrets --------------------------------------------------------------------------------------------------------


def test_a_secret_must_be_in_the_behaviour_file(acme: Acme):
    """A secret that a contract names and the fake lacks is a problem where it stands, with the nearest name."""
    sign = acme.job["callback"]["sign"]
    sign["key"] = "$secret.hok"
    sign["headers"]["X-User"] = "$secret.user"
    acme.job["callback"]["headers"]["X-Token"] = "{$secret.hook}"
    first, second = sorted(acme.check().problems, key=lambda problem: problem.line)
    file = acme.folders.fake / "behaviour.yaml"
    assert first.text == f'"hok" has to be one of the "secrets" in {file}; did you mean "hook"?'
    assert second.text == f'"user" has to be one of the "secrets" in {file}; there is: hook'
    lines = acme.folders.contract.joinpath("openapi.yaml").read_text(encoding="utf-8").splitlines()
    assert '"key": "$secret.hok"' in lines[first.line - 1]
    assert '"X-User"' in lines[second.line - 1]
    del acme.behaviour["secrets"]
    assert f'"hok" has to be one of the "secrets" in {file}; there is none' in shown(acme)


def test_a_signature_may_be_optional(acme: Acme):
    """What `when` asks for may be missing, and so may all else that is signed with; not beside a secret without use."""
    acme.job["callback"]["sign"] |= {"when": "$secret.hook", "key": "$secret.key"}
    assert '"key" has to be one of the "secrets"' in shown(acme)
    acme.behaviour["secrets"] = {}
    assert acme.problems() == []
    acme.behaviour["secrets"] = {"hoook": "acme-secret"}
    assert 'did you mean "hoook"?' in shown(acme)
    acme.job["callback"]["sign"] = "standard-webhooks"
    acme.behaviour["secrets"] = {}
    assert acme.problems() == []
    acme.behaviour["secrets"] = {"webhok": "acme-secret"}
    assert 'did you mean "webhok"?' in shown(acme)
    acme.job["callback"]["headers"] = {"X-Token": "$secret.token"}
    acme.behaviour["secrets"] = {"token": "acme-token"}
    assert acme.problems() == []


# --- recordings -----------------------------------------------------------------------------------------------------


def test_an_elision_must_lead_somewhere(acme: Acme):
    """An elision of what was not recorded is a problem, with what is nearest."""
    pointers = [
        "/exchanges/1",
        "/exchanges/0/response/body/jobs/0/di",
        "/source/document/x",
        "/exchanges/0/response/status/x",
    ]
    problems = told(acme, exchange(MAKE, MADE), elided=[{"at": pointer, "why": "unknown"} for pointer in pointers])
    assert [text.partition(" leads nowhere: ")[2] for text in problems] == [
        'no "1"; there is: 0',
        'no "di"; did you mean "id"?',
        'no "x"; there is none',
        'no "x"; there is none',
    ]
