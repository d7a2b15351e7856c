"""Tests of `understudy check`: what makes a contract usable, and how it is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.acme import MADE, MAKE, Acme, exchange, looked
from understudy.check import check_provider, run
from understudy.clock import CEILING_SECONDS
from understudy.library import Folders, bundled_root, find_provider, provider_names


@pytest.fixture
def acme(tmp_path: Path) -> Acme:
    """A provider in an empty folder."""
    return Acme(tmp_path)


def shown(acme: Acme) -> str:
    """Return the problems, one on a line."""
    return "\n".join(acme.problems())


# --- what is fine ---------------------------------------------------------------------------------------------------


def test_what_is_bundled_is_fine():
    """Every bundled provider proves usable, and all its recordings are reproduced."""
    for folder in sorted((bundled_root() / "contracts").glob("*")):
        report = check_provider(Folders(folder, bundled_root() / "fakes" / folder.name))
        assert not report.problems, "\n".join(map(str, report.problems))
        assert report.reproduced == len(report.recordings) > 0
        assert report.operations
        assert report.models
        assert report.scenarios


def test_a_provider_that_uses_everything_is_fine(acme: Acme):
    """A contract with every part of the format proves usable, and is counted."""
    acme.record(exchange(MAKE, MADE), looked("waiting"), looked("done"))
    report = acme.check()
    assert not report.problems
    assert (report.operations, report.models, report.scenarios) == (10, 2, 6)
    assert (report.documented, report.observed, len(report.guesses)) == (1, 0, 1)
    assert report.reproduced == 1


def test_a_body_without_a_schema_is_let_be(acme: Acme):
    """A media type without a schema takes anything, in a request and in a callback."""
    acme.openapi["paths"]["/blocking"]["post"]["requestBody"]["content"]["text/plain"] = {}
    hook = acme.openapi["paths"]["/jobs"]["post"]["callbacks"]["ended"]["{$request.body#/hook}"]
    hook["post"] = {"requestBody": {"content": {"application/json": {}}}}
    assert acme.problems() == []


def test_the_smallest_contract_is_fine(acme: Acme):
    """A provider without fake files, and with nothing but a create and a status, proves usable."""
    folder = acme.folders.contract
    folder.mkdir(parents=True)
    folder.joinpath("openapi.yaml").write_text(
        """
openapi: 3.1.0
info: {title: Small, version: "1"}
paths:
  /jobs: {post: {operationId: make}, get: {operationId: look}}
  /other: {get: {operationId: other}}
x-jobs:
  job:
    id: "{uuid}"
    states: {queued: [0], succeeded: [1]}
    create: [{operations: [make], reply: {body: {id: $job.id}}}]
    status: {operation: look, id: $request.header.X-Id, reply: {body: {state: $job.status}}}
""",
        encoding="utf-8",
    )
    report = check_provider(acme.folders)
    assert not report.problems
    assert 'no rule for every "serverError": a problem document answers the rest' in [
        note.text for note in report.notes
    ]


# --- files ----------------------------------------------------------------------------------------------------------


def test_all_problems_come_at_once(acme: Acme):
    """Problems of every file are told together, whether or not the contract can be used."""
    acme.job["status"]["pol"] = []
    acme.job["status"]["operation"] = "lok"
    acme.behaviour["balnce"] = 1
    acme.openapi["components"]["schemas"]["Job"]["oneOf"] = [{"$ref": "#/components/schemas/Jbo"}]
    media = acme.openapi["paths"]["/jobs"]["post"]["requestBody"]["content"]["application/json"]
    media["examples"]["none"] = {"$ref": "#/components/examples/none"}
    acme.scenarios["poor"]["errors"] = 7
    acme.record(exchange(MAKE, MADE), elidde=[])
    texts = shown(acme)
    for text in (
        '"pol"; did you mean "poll"',
        '"lok"; did you mean "look"',
        '"balnce"',
        "cannot be 7",
        '"elidde"',
        '"Job"?',
    ):
        assert text in texts
    acme.openapi["paths"] = []
    assert '"paths" must be object, not []' in shown(acme)


def test_what_cannot_be_read_is_told(acme: Acme):
    """A missing contract, and files that are no YAML, are problems and no traceback."""
    assert "the file cannot be read" in check_provider(acme.folders).problems[0].text
    acme.record(exchange(MAKE, MADE))
    folders = acme.write()
    for path in (
        folders.contract / "openapi.yaml",
        folders.fake / "behaviour.yaml",
        folders.fake / "scenarios/poor.yaml",
    ):
        path.write_text("{", encoding="utf-8")
    report = check_provider(folders)
    assert [problem.text.partition(":")[0] for problem in report.problems] == ["not YAML"] * 3
    assert report.recordings == {"one": None}


def test_a_file_that_nothing_reads_is_told(acme: Acme):
    """A file by a name that is not read is a problem with the nearest name; hidden files are let be."""
    folders = acme.write()
    for name in ("behavior.yaml", "scenarios/slow.yml", ".hidden"):
        (folders.fake / name).write_text("", encoding="utf-8")
    assert [problem.text for problem in check_provider(folders).problems] == [
        '"behavior.yaml" is not read; did you mean "behaviour.yaml"?',
        '"slow.yml" is not read; did you mean "slow.yaml"?',
    ]


# --- schemas --------------------------------------------------------------------------------------------------------


def cat(acme: Acme) -> Any:
    return acme.openapi["components"]["schemas"]["Cat"]


def test_what_is_required_must_exist(acme: Acme):
    """A required name that no property has is a problem, in parts of a schema as well; patterns may bring it."""
    cat(acme)["required"] = ["model", "inptu"]
    cat(acme)["properties"]["input"]["anyOf"] = [{"required": ["sise"]}, {"required": ["size"]}]
    cat(acme)["properties"]["input"] |= {"patternProperties": {"^x": {}}, "required": ["prompt", "xray"]}
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
    size = cat(acme)["properties"]["input"]["properties"]["size"]
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


# --- what a client can read -----------------------------------------------------------------------------------------


def test_a_client_must_get_id_state_and_result_back(acme: Acme):
    """A view that keeps from a client what it needs to go on is a problem, with the state in which it does."""
    acme.job["create"][0]["reply"]["body"] = {"ok": True}
    body = acme.job["status"]["reply"]["body"]
    body["state"] = "working"
    body["result"] = "$job.model"
    body["why"] = "it failed"
    texts = shown(acme)
    assert "a client cannot get the id of a job that is queued from this" in texts
    assert "a client cannot get the state of a job that is running from this" in texts
    assert "a client cannot get the result of a job that is succeeded from this" in texts
    assert "a client cannot get the error message of a job that is failed from this" in texts


def test_a_callback_and_an_event_must_say_which_job(acme: Acme):
    """What comes by itself tells id and state; a callback that is the only way tells the result, too."""
    acme.job["callback"]["view"] = {"body": {"about": "$job.model"}}
    acme.job["events"]["frames"]["running"][0]["data"] = {"state": "working"}
    acme.job["events"]["frames"]["succeeded"][0]["data"] = {"id": "$job.id"}
    acme.job["events"]["frames"]["failed"] = [{"event": "ended", "data": {"id": "$job.id"}}]
    del acme.job["status"]
    texts = shown(acme)
    assert "a client cannot get the id of a job that is succeeded from this" in texts
    assert "a client cannot get the state of a job that is failed from this" in texts
    assert "a client cannot get the result of a job that is succeeded from this" in texts
    assert "a client cannot get the id of a job that is running from this" in texts


def test_something_must_tell_how_a_job_goes(acme: Acme):
    """A job that nobody can ask about, and that never reports, is a problem."""
    for key in ("status", "callback", "events"):
        del acme.job[key]
    acme.job["create"].pop()
    assert "nothing tells a client how a job goes" in shown(acme)


def test_what_cannot_be_made_or_read_is_told(acme: Acme):
    """A template that cannot take its value, and one that cannot read what it rendered, are problems."""
    acme.job["status"]["reply"]["body"]["made"] = "$job.createdAt|base64"
    acme.job["list"]["reply"]["body"] = "$jobs.count|base64"
    acme.job["callback"]["view"]["body"] = {"$json": {"id": "$job.id"}}
    acme.job["callback"]["view"]["bodyByState"] = {"failed": {"id": {"$match": 1}, "state": "$job.status|epoch"}}
    acme.job["errors"]["invalid"][0]["body"] = "$now|base64"
    texts = shown(acme)
    assert "this cannot be made for a job that is queued: bytes is expected" in texts
    assert "this cannot be made for a job that is failed: a number is expected" in texts


def test_a_view_that_a_client_cannot_read_is_told(acme: Acme):
    """Where what is rendered does not read as what it stands for, the problem says in which state."""
    acme.job["status"]["reply"]["bodyByState"] = {"running": {"model": "$job.model|string"}}  # reads numbers only
    assert "a client cannot read this of a job that is running" in shown(acme)


def test_a_word_must_tell_its_state(acme: Acme):
    """A word that two states share tells neither in an event or a status."""
    acme.job["states"]["running"] = ["waiting"]
    lines = {problem.line for problem in acme.check().problems if "the state of a job that is running" in problem.text}
    assert len(lines) == 2


def test_success_and_error_must_not_be_mistaken(acme: Acme):
    """A reply that a client takes for an error, and an error that it takes for a success, are problems."""
    acme.job["successCriteria"] = "$response.body#/error"
    acme.job["errorTransports"] = ["body", "http"]
    texts = shown(acme)
    assert "a client takes this of a job that is queued for an error" in texts
    assert 'a client takes the error "notFound" of look for a success' in texts


def test_errors_that_look_alike_are_a_note(acme: Acme):
    """An error that a client takes for another one is told; so is one without a rule, and where."""
    acme.job["errors"]["malformed"][0] = {
        **acme.job["errors"]["invalid"][0],
        "body": {"error": {"code": {"$match": 1}, "text": ""}},
    }
    acme.job["errors"]["unknownModel"] = [{"http": 422, "body": {"error": {"code": {"$match": 1}, "text": ""}}}]
    acme.job["errors"]["unauthorized"][0]["operations"] = ["make"]
    acme.job["errors"]["notFound"][0]["when"] = "$request.path.id"
    acme.job["limits"] = {"rate": [{"operations": ["look"], "count": 1, "perSeconds": 1}], "concurrent": {"jobs": 9}}
    del acme.job["errors"]["credits"]
    texts = acme.notes()
    assert 'a client takes the error "unknownModel" of make for "malformed"' in texts
    assert 'no rule for every "credits": a problem document answers the rest' in texts
    assert 'no rule for every "notFound": a problem document answers the rest' in texts
    assert 'no rule for every "rateLimited": a problem document answers the rest' in texts


def test_what_a_view_does_not_tell_is_a_note(acme: Acme):
    """What a client cannot learn from a view is told once for each view."""
    assert "status.reply does not tell a client model, error.code, progress" in "\n".join(acme.notes())
    every = (
        "model",
        "progress",
        "logs",
        "position",
        "cost",
        "createdAt",
        "startedAt",
        "updatedAt",
        "endedAt",
        "callbackUrl",
    )
    acme.job["status"]["reply"]["body"] |= {name: f"$job.{name}" for name in every} | {"code": "$job.error.code"}
    assert "status.reply does not tell" not in "\n".join(acme.notes())


def test_bodies_are_held_to_the_schemas(acme: Acme):
    """What the fake answers, sends back, or says of an error is what the document's schemas say."""
    acme.openapi["components"]["schemas"]["Job"]["properties"]["state"]["enum"].remove("broken")
    acme.openapi["components"]["schemas"]["Error"]["properties"]["error"]["properties"] = {"code": {"type": "integer"}}
    acme.openapi["components"]["schemas"]["Error"]["properties"]["error"]["required"] = ["code"]
    texts = shown(acme)
    assert (
        "the body of a job that is failed that look answers with HTTP 200 is not what the document's schema says"
        in texts
    )
    assert "the body of a job that is failed sent back is not what the document's schema says at /state" in texts
    assert 'the body of the error "notFound" that look answers with HTTP 404 is not' in texts


# --- scenarios ------------------------------------------------------------------------------------------------------


def test_a_story_that_is_not_told_to_its_end_is_a_problem(acme: Acme):
    """Each scenario is played: what it names must happen, and nothing may take for ever but what is meant to."""
    acme.scenarios = {
        "never-fails": {"description": "x", "timeline": [{"state": "queued"}], "failure": "rude"},
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
    cat(acme)["properties"]["input"] = {"type": "object", "required": ["it"], "properties": {"it": schema}}
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
    cat(acme)["properties"]["input"]["properties"]["it"] = schema
    assert not any("no scenario was played" in text for text in acme.notes())


def test_without_a_body_no_scenario_is_played(acme: Acme):
    """Where no body is known and none can be made, that is told; a recorded one does."""
    without_examples(acme, type="string", pattern="^only this$")
    assert "no body that make takes is known" in "\n".join(acme.notes())
    acme.record(exchange({"operation": "make", "body": {"model": "cat", "input": {"it": "only this"}}}, MADE))
    assert not any("no body that make takes is known" in text for text in acme.notes())


# --- telling --------------------------------------------------------------------------------------------------------


def test_the_command_tells_all_providers(capsys: pytest.CaptureFixture[str]):
    """Without a name every provider is checked, and told with its numbers and its guesses."""
    assert run([]) == 0
    told = capsys.readouterr().out
    for name in provider_names():
        assert f"{name}: fine\n" in told
        report = check_provider(find_provider(name))
        assert f"{len(report.guesses)} guessed" in told
        assert all(f"  guess {one.file}:{one.line}: {one.pointer}: {one.source}\n" in told for one in report.guesses)
        assert f"{report.reproduced} of {len(report.recordings)} recordings reproduced" in told


def test_problems_come_first(acme: Acme, capsys: pytest.CaptureFixture[str]):
    """Problems stand at the top, each with file and line, and the exit code is 1."""
    acme.behaviour["balnce"] = acme.behaviour.pop("balance")
    folders = acme.write()
    assert run([str(folders.contract)]) == 1
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first == f'{folders.fake / "behaviour.yaml"}:25: unknown key "balnce"; did you mean "balance"?'
    assert second == "acme: 1 problem"


def test_json_has_everything(acme: Acme, capsys: pytest.CaptureFixture[str]):
    """With `--format json` one object has problems, notes, guesses and recordings of each provider."""
    acme.record(exchange(MAKE, MADE), looked("waiting"))
    acme.record(exchange(MAKE, {"status": 201}), name="wrong")
    acme.record(exchange(MAKE, MADE), name="spoilt", scenario="none")
    folders = acme.write()
    assert run([str(folders.contract)], format="json") == 1
    (told,) = json.loads(capsys.readouterr().out)["providers"]
    assert told["name"] == "acme"
    assert {problem["text"] for problem in told["problems"]} == {
        "recorded is 201, the fake has 200 (/exchanges/0/response/status)",
        'there is no scenario "none"; there is: broken, late, odd, poor, rude, stuck',
    }
    assert all(set(note) == {"file", "line", "text"} for note in told["notes"])
    assert [guess["pointer"] for guess in told["guesses"]] == ["/x-jobs/job/prices/rules/1"]
    assert told["recordings"]["one"] == {
        "reproduced": True,
        "added": ["/exchanges/1/response/body/input", "/exchanges/1/response/body/made"],
    }
    assert not told["recordings"]["wrong"]["reproduced"]
    assert told["recordings"]["spoilt"] == {"reproduced": False, "added": []}


def test_a_wrong_question_is_told(capsys: pytest.CaptureFixture[str]):
    """A provider or a format that there is not is answered with 2 and the nearest name."""
    assert run(["kei"]) == 2
    assert 'there is no provider "kei"; did you mean "kie"?' in capsys.readouterr().err
    assert run([], format="xml") == 2
    assert 'there is no format "xml"' in capsys.readouterr().err
