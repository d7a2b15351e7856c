"""Tests of what `understudy export` writes in the formats of the OpenAPI Initiative."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.acme import Acme
from tests.tools import EXPORTED, lint, loaded_of
from understudy.export.arazzo import as_arazzo
from understudy.export.openapi import as_openapi
from understudy.library import load_provider

#: What a contract says and OpenAPI does not allow: two hosts have a path that differs by the parameter's name alone.
KNOWN = ("#/paths/~1{any_app}: The path already exists", "#/paths/~1{all}: The path already exists")


def written(name: str, into: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write the two documents of a provider as the command would, and return them."""
    loaded = loaded_of(name, into)
    documents = as_openapi(*loaded), as_arazzo(*loaded)
    for document, kind in zip(documents, ("openapi", "arazzo"), strict=True):
        (into / f"{name}.{kind}.json").write_text(json.dumps(document), encoding="utf-8")
    return documents


@pytest.fixture
def acme(tmp_path: Path) -> Acme:
    """Return a provider that uses every part of the format."""
    return Acme(tmp_path / "acme")


def test_the_linter_takes_every_document(tmp_path: Path) -> None:
    """Redocly finds nothing in the two documents of any provider, examples included, and finds what is wrong in one."""
    for name in EXPORTED:
        document, workflows = written(name, tmp_path)
    document["paths"]["/jobs"]["post"]["responses"]["200"]["content"]["application/json"]["examples"]["plain"] = {
        "value": {"jobs": 7}
    }
    (tmp_path / "wrong.openapi.json").write_text(json.dumps(document), encoding="utf-8")
    del workflows["workflows"][0]["steps"][0]["operationId"]
    (tmp_path / "wrong.arazzo.json").write_text(json.dumps(workflows), encoding="utf-8")
    told = [text for text in lint(tmp_path) if not any(known in text for known in KNOWN)]

    assert {text.split(" ")[0].rsplit("/")[-1] for text in told} == {"wrong.openapi.json", "wrong.arazzo.json"}


@pytest.mark.parametrize("name", EXPORTED)
def test_the_validator_takes_every_openapi(name: str, tmp_path: Path) -> None:
    """What is exported is OpenAPI 3.1 by its own schema, and nothing of this format is left in it."""
    document = as_openapi(*loaded_of(name, tmp_path))

    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    assert not any(f'"{key}"' in json.dumps(document) for key in ("x-jobs", "x-evidence", "x-segments"))


def examples(node: Any) -> dict[str, Any]:
    """Return the examples of a body or of an answer by name."""
    found = node["content"]["application/json"].get("examples", {})
    return {name: example["value"] for name, example in found.items()}


def test_examples_are_what_the_stand_in_says(acme: Acme) -> None:
    """Each state of a job, each error and each callback has one; what the document has already stays."""
    look = acme.openapi["paths"]["/jobs/{id}"]["get"]["responses"]["200"]["content"]["application/json"]
    look["example"] = {"id": "a", "state": "done"}
    acme.openapi["paths"]["/balance"]["get"]["responses"] = {"204": {"description": "None"}}
    document = as_openapi(*load_provider(acme.write()))
    make, read = document["paths"]["/jobs"]["post"], document["paths"]["/jobs/{id}"]["get"]
    callback = make["callbacks"]["ended"]["{$request.body#/hook}"]["post"]["requestBody"]

    assert list(examples(make["requestBody"])) == ["plain"]
    assert set(examples(make["responses"]["4XX"])) == {"unauthorized", "invalid", "malformed", "credits", "odd"}
    assert set(examples(make["responses"]["5XX"])) == {"serverError"}
    assert {name: body["state"] for name, body in examples(read["responses"]["200"]).items()} == {
        "documented": "done",
        "queued": "waiting",
        "running": "working",
        "succeeded": "done",
        "failed-rude": "broken",
        "cancelled": "stopped",
    }
    assert set(examples(read["responses"]["default"])) == {"notFound", "unauthorized"}
    assert {name: body["state"] for name, body in examples(callback).items()} == {
        "succeeded": "done",
        "failed-rude": "broken",
    }
    assert examples(document["paths"]["/blocking"]["post"]["requestBody"]) == {"played": {"model": "text"}}
    assert examples(document["paths"]["/balance"]["get"]["responses"]["200"]) == {"plain": {"money": 100}}
    assert acme.openapi["paths"]["/jobs/{id}"]["get"]["responses"]["200"]["content"]["application/json"] == look


def workflows_of(acme: Acme) -> dict[str, Any]:
    """Return the workflows of a provider by their id."""
    return {one["workflowId"]: one for one in as_arazzo(*load_provider(acme.write()))["workflows"]}


def test_a_workflow_asks_as_the_contract_says(acme: Acme) -> None:
    """It makes a job, asks for it at the documented pace while the words say that it works, and ends where they do."""
    acme.job["status"] |= {
        "poll": [{"untilSeconds": 60, "everySeconds": 3}, {"everySeconds": 10}],
        "giveUpSeconds": 100,
    }
    acme.job["successCriteria"] = '$response.body#/kind != "it\'s wrong"'
    found = workflows_of(acme)
    create, poll = found["make"]["steps"]

    assert list(found) == ["make", "make-cancel", "makeNow"]
    assert create["requestBody"] == {"contentType": "application/json", "payload": "$inputs.body"}
    assert create["outputs"] == {"id": "$response.body#/jobs/0/id"}
    assert poll["parameters"] == [{"name": "id", "in": "path", "value": "$steps.create.outputs.id"}]
    assert [criterion["condition"] for criterion in poll["successCriteria"]] == [
        "$statusCode == 200",
        "$response.body#/kind != 'it''s wrong'",
        "$response.body#/state == 'done'",
    ]
    works = (
        "$response.body#/state == 'waiting' || $response.body#/state == 'held' || $response.body#/state == 'working'"
    )
    ends = "$response.body#/state == 'broken' || $response.body#/state == 'stopped'"
    assert poll["onFailure"] == [
        {"name": "working", "type": "retry", "retryAfter": 3, "retryLimit": 34, "criteria": [{"condition": works}]},
        {"name": "ended", "type": "end", "criteria": [{"condition": ends}]},
    ]
    assert found["make"]["outputs"] == {"id": "$steps.create.outputs.id", "result": "$steps.poll.outputs.result"}
    assert [step["stepId"] for step in found["make-cancel"]["steps"]] == ["create", "cancel", "poll"]
    assert found["makeNow"]["outputs"] == {"result": "$steps.run.outputs.result"}


def test_a_workflow_leaves_out_what_arazzo_cannot_say(acme: Acme) -> None:
    """Without a pointer to the id there is nothing to ask for; a state that Arazzo cannot tell is not waited for."""
    acme.job["states"]["failed"] = [{"word": "broken", "when": '$response.body#/why ~ "^x"'}]
    unsaid = [step["stepId"] for step in workflows_of(acme)["make"]["steps"]]
    acme.job["create"][0]["reply"] = {"body": {"jobs": {"$json": {"id": "$job.id"}}}}
    found = workflows_of(acme)

    assert unsaid == ["create"]
    assert list(found) == ["make", "makeNow"]
    assert "outputs" not in found["make"]


def test_conditions_and_results_of_their_own_are_steps(acme: Acme) -> None:
    """A word with a condition is both of them, a state without a word the condition, and a result a step of its own."""
    acme.job["states"] |= {
        "succeeded": [{"word": "done", "when": "!$response.body#/why"}],
        "running": [{"when": '$response.body#/state == "busy"'}, None],
    }
    acme.job["create"][0]["reply"] = {"body": {"jobs": [{"id": {"$either": ["$job.id", 7]}}]}}
    acme.job["result"] = {"operation": "balance", "id": "$request.query.id", "reply": {"body": "$job.result"}}
    del acme.job["replies"], acme.job["cancel"]
    acme.behaviour["timeline"] = [{"status": "waiting", "seconds": 1}, {"state": "succeeded"}]
    acme.scenarios = {}
    create, poll, result = workflows_of(acme)["make"]["steps"]
    works = poll["onFailure"][0]["criteria"][0]["condition"]

    assert create["outputs"] == {"id": "$response.body#/jobs/0/id"}
    assert poll["successCriteria"][-1]["condition"] == "$response.body#/state == 'done' && (!$response.body#/why)"
    assert works.endswith("|| $response.body#/state == 'busy' || $response.body#/state == null")
    assert (result["parameters"][0]["in"], result["outputs"]) == ("query", {"result": "$response.body#"})
