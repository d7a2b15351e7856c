"""Tests of what a client must be able to read, and of what the schemas must take."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acme import Acme


@pytest.fixture
def acme(tmp_path: Path) -> Acme:
    """A provider in an empty folder."""
    return Acme(tmp_path)


def shown(acme: Acme) -> str:
    """Return the problems, one on a line."""
    return "\n".join(acme.problems())


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
    assert "a client cannot get the state of a job that is succeeded from this" in texts
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
    """A word that two states share tells neither in an event, a callback or a status."""
    acme.job["states"]["succeeded"] = ["working"]
    found = acme.check().problems
    lines = {problem.line for problem in found if "the state of a job that is succeeded" in problem.text}
    assert len(lines) == 3


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


def untold(acme: Acme) -> list[str]:
    """Return the notes on what a client is not told."""
    return [note for note in acme.notes() if " does not tell a client " in note]


def test_what_a_view_does_not_tell_is_a_note(acme: Acme):
    """What a client cannot learn from the status is told once, and what it then lacks from a create without an id."""
    rest = "progress, logs, position, cost, {}startedAt, updatedAt, endedAt, callbackUrl"
    assert untold(acme) == [
        f"create.1.reply does not tell a client id, status, model, input, {rest.format('createdAt, ')}",
        f"status.reply does not tell a client model, {rest.format('')}",
    ]
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
    acme.job["status"]["reply"]["body"] |= {name: f"$job.{name}" for name in every}
    assert "status.reply does not tell" not in "\n".join(acme.notes())


def test_only_what_can_be_is_missed(acme: Acme):
    """A note does not miss what no job of the contract has; a code is missed where one failure has one."""
    for key in ("prices", "outputs"):
        del acme.job[key]
    for group in acme.job["create"]:
        group.pop("callbackUrl", None)
        group.pop("model", None)
    del acme.openapi["paths"]["/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"]["discriminator"]
    del acme.job["models"]
    acme.job["failures"]["rude"]["code"] = 7
    _, status = untold(acme)
    assert status == (
        "status.reply does not tell a client error.code, progress, logs, position, startedAt, updatedAt, endedAt"
    )


def test_without_a_status_the_callback_tells_the_rest(acme: Acme):
    """Where nobody can ask for a job the callback has to tell, and where there is no callback each reply by itself."""
    del acme.job["status"]
    assert [note.split()[0] for note in untold(acme)] == ["create.1.reply", "callback.view"]
    del acme.job["callback"]
    assert [note.split()[0] for note in untold(acme)] == ["create.0.reply", "create.1.reply"]


def test_an_error_under_200_has_a_mark(acme: Acme):
    """An error that comes as a success does, without a marked literal, is a note that names the rule and its line."""
    body = {"error": {"code": "$error.name", "text": "$error.message"}}
    acme.job["errors"]["quota"] = [{"operations": ["look"], "http": 429, "transport": "body", "body": body}]
    acme.job["errors"]["full"] = [{"http": 402, "transport": "http", "body": body}, {"http": 201}]
    marked = {"error": {"code": {"$match": "wait"}, "text": ""}}
    acme.job["errors"]["wait"] = [{"http": 429, "transport": "body", "body": marked}]
    texts = {note.text: note for note in acme.check().notes if "no marked literal" in note.text}
    assert list(texts) == [
        f'a client cannot tell the error "{name}" from a success, or from other errors: it comes as HTTP {status} with'
        " no marked literal in its body; mark one with {$match: …}"
        for name, status in (("quota", 200), ("full", 201))
    ]
    quota = next(iter(texts.values()))
    lines = acme.folders.contract.joinpath("openapi.yaml").read_text(encoding="utf-8").splitlines()
    assert lines[quota.line - 2].strip() == '"quota": ['
    acme.job["errorTransports"] = ["body", "http"]
    assert 'tell the error "notFound" from a success' in "\n".join(acme.notes())


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
    assert "the body of the callback of a job that is failed is not what the document's schema says at /state" in texts
    assert 'the body of the error "notFound" that look answers with HTTP 404 is not' in texts


def test_a_callback_is_held_to_the_schemas_as_it_is_sent(acme: Acme):
    """Of a delivery there is what there is when it is sent: an id, an attempt, a time, and the name of the event."""
    acme.job["callback"]["trigger"] = {"succeeded": "ended", "failed": "broke"}
    sent = {"time": "$delivery.timestamp", "nth": "$delivery.attempt", "by": "$delivery.id", "event": "$event.name"}
    acme.job["callback"]["view"] = {"body": {**acme.job["status"]["reply"]["body"], **sent}}
    told = acme.openapi["components"]["schemas"]["Job"]["properties"]
    told |= {"time": {"type": "integer"}, "nth": {"const": 1}, "by": {"type": "string"}}
    told["event"] = {"enum": ["ended", "broke"]}
    assert shown(acme) == ""


def test_what_has_no_value_is_told_with_what_to_do(acme: Acme):
    """Where a schema does not take what has no value, the problem says how it is left out, or gets one."""
    acme.openapi["components"]["schemas"]["Job"]["properties"]["far"] = {"type": "number"}
    acme.job["status"]["reply"]["body"]["far"] = "$job.progress"
    assert 'at /far: null is not of type "number"; what may have none, as `$job.progress`' in shown(acme)
    acme.job["status"]["reply"]["body"]["far"] = "$job.progress|omit"
    assert shown(acme) == ""


def test_now_is_no_whole_number(acme: Acme):
    """What shows the time as it is shows a fraction, and `|epoch` makes a whole number of it."""
    acme.openapi["components"]["schemas"]["Job"]["properties"]["at"] = {"type": "integer"}
    acme.job["status"]["reply"]["body"]["at"] = "$now"
    assert "is not what the document's schema says at /at: 1767225600.25 is not of type" in shown(acme)
    acme.job["status"]["reply"]["body"]["at"] = "$now|epoch"
    assert "/at" not in shown(acme)
