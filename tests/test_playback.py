"""Tests of playing recordings: how time goes on, what is sent, and what comes by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.acme import MADE, MAKE, Acme, exchange, looked, read_as, told


@pytest.fixture
def acme(tmp_path: Path) -> Acme:
    """A provider in an empty folder."""
    return Acme(tmp_path)


# --- time -----------------------------------------------------------------------------------------------------------


def test_time_moves_on_to_the_recorded_state(acme: Acme):
    """Before each status read the job is brought to the recorded word, one after the other, by seconds or by reads."""
    assert told(acme, exchange(MAKE, MADE), *map(looked, ("waiting", "held", "working", "done"))) == []
    rude = exchange(MAKE, MADE), looked("working"), looked("broken", why="A rude prompt")
    assert told(acme, *rude, name="rude", scenario="rude") == []
    acme.scenarios["rude"]["timeline"][1:1] = [{"state": "running", "seconds": 0.1}]
    assert told(acme, *rude, name="rude", scenario="rude") == []


def test_a_recording_may_have_times_and_files(acme: Acme):
    """When an exchange was, and what came of the fetching of result files, may be recorded, and is not compared."""
    timed = {**exchange(MAKE, MADE), "at": 0}, {**looked("done"), "at": 12.5}
    assert told(acme, *timed, files=[{"at": 13, "status": 200, "mediaType": "image/png", "size": 7}]) == []
    acme.record({"at": 3})
    assert len(acme.problems()) == 1


def test_a_job_can_be_asked_for_in_a_body(acme: Acme):
    """The id of a status read may stand in its body."""
    look = acme.openapi["paths"]["/jobs/{id}"].pop("get")
    look["requestBody"] = {"content": {"application/json": {"schema": {"properties": {"job": {"type": "object"}}}}}}
    acme.openapi["paths"]["/look"] = {"post": look}
    acme.job["status"]["id"] = "$request.body#/job/id"
    acme.job["errors"]["notFound"][0]["message"] = "No job"
    read = {"operation": "look", "body": {"job": {"id": "id-0001"}}}
    assert told(acme, exchange(MAKE, MADE), exchange(read, {"status": 200, "body": {"state": "working"}})) == []
    assert not [problem for problem in acme.problems() if not problem.startswith("openapi.yaml")]


def test_the_last_read_of_a_step_is_compared_with_that_step(acme: Acme):
    """A read that moves the job on is answered, and so compared, as before it."""
    acme.job["status"]["reply"]["bodyByState"] = {"running": {"since": "$job.startedAt|epoch"}}
    read = looked("working", since=1700000000)
    assert told(acme, exchange(MAKE, MADE), read, read, looked("broken"), scenario="rude") == []


def test_a_job_that_goes_by_reads_is_read_slowly(acme: Acme):
    """The reads that bring a job on keep to the rate limit; where they fail all the same, that is told."""
    acme.job["limits"] = {"rate": [{"operations": ["look"], "count": 1, "perSeconds": 1}]}
    acme.job["errors"]["rateLimited"] = [{"http": 429, "message": "Slow", "body": {"error": {"code": 1, "text": ""}}}]
    acme.scenarios["rude"]["timeline"][0]["reads"] = 5
    rude = exchange(MAKE, MADE), looked("broken", why="A rude prompt")
    assert told(acme, *rude, scenario="rude") == []
    assert acme.problems() == []
    acme.job["limits"]["rate"][0]["perSeconds"] = 7
    (problem,) = told(acme, *rude, scenario="rude")
    assert problem.startswith('a read of the job is answered with "rateLimited"')
    assert 'a read of the job is answered with "rateLimited"' in acme.problems()  # of the scenario, too


SHOWN = [
    {"queued": {"meta": {"state": "QUEUED"}}, "running": {"meta": {"state": "RUNNING"}}},
    {"queued": {"meta": {"state": "QUEUED", "id": "$job.id"}}, "running": {"meta": {"state": {"$match": "RUNNING"}}}},
    {"running": {"meta": {"state": "RUNNING"}}},
    {"running": {"meta": {"state": "RUNNING", "far": 0.5}}},
]


@pytest.mark.parametrize("shown", SHOWN)
def test_two_states_of_one_word_are_told_by_what_is_beside_it(acme: Acme, shown: dict[str, Any]):
    """Where queued and running share a word, time moves on until the fake shows what was recorded beside it."""
    acme.job["states"].update(queued=["waiting"], running=["waiting"])
    acme.job["status"]["reply"]["body"].update(input={"$spread": "$job.input"}, meta={"state": "QUEUED"})
    acme.job["status"]["reply"]["bodyByState"] = shown
    acme.behaviour["timeline"][:2] = [{"state": "queued", "seconds": 2}]
    given = {"prompt": "a lighthouse"}
    reads = [looked("waiting", input=given, meta={"state": state}) for state in ("QUEUED", "RUNNING", "RUNNING")]
    assert told(acme, exchange(MAKE, MADE), *reads, looked("done")) == []
    (problem,) = told(acme, exchange(MAKE, MADE), looked("waiting", meta={"state": "PAUSED"}))
    assert problem.startswith('recorded is "PAUSED", the fake has "QUEUED"')


def test_two_states_of_one_word_are_told_by_its_conditions(acme: Acme):
    """Where a member tells the states that share a word apart, a client sees which it is, and time moves on to it."""
    acme.job["states"]["queued"] = [{"word": "waiting", "when": "!$response.body#/far"}]
    acme.job["states"]["running"] = [{"word": "waiting", "when": "$response.body#/far"}]
    acme.job["status"]["reply"]["bodyByState"] = {"running": {"far": "$job.progress|percent|default(0)"}}
    acme.behaviour["timeline"][:2] = [{"state": "queued", "seconds": 2}]
    assert told(acme, exchange(MAKE, MADE), looked("waiting"), looked("waiting", far=0), looked("done")) == []
    assert not [text for text in [*acme.problems(), *acme.notes()] if "waiting" in text]


def test_a_state_that_never_comes_is_told(acme: Acme):
    """Where a job is never what was recorded, the problem says what it was instead."""
    (problem,) = told(acme, exchange(MAKE, MADE), looked("broken"))
    assert problem.startswith('the job is never "broken"; it is "waiting", "held", "working", "done"')


def test_a_failure_can_be_asked_for(acme: Acme):
    """`next` says how the job ends."""
    ended = exchange(MAKE, MADE), looked("broken", why="A rude prompt")
    assert told(acme, *ended, next={"failure": "rude"}) == []


def test_a_job_that_is_hidden_is_waited_for(acme: Acme):
    """A recorded error of a read comes while the job is hidden, and a recorded state after that."""
    hidden = {"status": 404, "body": {"error": {"code": "notFound", "text": "No job id-0001"}}}
    read = {"operation": "look", "path": {"id": "id-0001"}}
    assert told(acme, exchange(MAKE, MADE), exchange(read, hidden), looked("working"), scenario="late") == []


def test_what_a_client_could_not_read_is_told(acme: Acme):
    """A recorded status that the contract cannot read backwards is a problem of its own."""
    (problem,) = told(acme, exchange(MAKE, MADE), read_as([]))
    assert problem.startswith("a client could not read what is recorded: an object")
    assert told(acme, exchange(MAKE, MADE), read_as({"id": "id-0001"})) == []


def test_a_blocking_create_is_waited_for(acme: Acme):
    """A create that blocks is answered when the job has ended; one that nothing ends is told."""
    made = exchange(
        {"operation": "makeNow", "body": {"model": "cat"}},
        {"status": 200, "body": {"url": "https://files.acme.test/1.png"}},
    )
    assert told(acme, made) == []
    (problem,) = told(acme, made, scenario="stuck")
    assert "more than the ceiling" in problem


# --- requests -------------------------------------------------------------------------------------------------------


def test_a_request_is_sent_as_recorded(acme: Acme):
    """Headers, parameters and forms go out as recorded; a key is sent unless the recording says otherwise."""
    acme.job["replies"]["balance"] = {
        "body": {"header": "$request.header.X-Hi", "one": "$request.query.one", "two": "$request.query.two"}
    }
    acme.openapi["paths"]["/balance"]["get"]["parameters"] = [{"name": name, "in": "query"} for name in ("one", "two")]
    said = {"operation": "balance", "headers": {"X-Hi": "ho"}, "query": {"one": [1, 2], "two": True}}
    answered = {"status": 200, "body": {"header": "ho", "one": "2", "two": "true"}}
    refused = {"status": 401, "body": {"error": {"code": "unauthorized", "text": "No key"}}}
    nobody = {"operation": "balance", "headers": {"X-Key": None}}
    link = {"operation": "renew", "body": {"url": "https://files.acme.test/1.png"}}
    file = {"operation": "upload", "body": {"name": "a.png", "file": "..."}}
    made = {"link": "https://files.acme.test/uploads/b.png", "at": "2024-01-01T00:00:00Z"}
    exchanges = [
        exchange(said, answered),
        exchange(nobody, refused),
        exchange(link, {"status": 200, "body": {"url": "https://files.acme.test/1.png?x"}}),
        exchange(file, {"status": 200, "body": made}),
    ]
    assert told(acme, *exchanges) == []
    acme.openapi["components"]["securitySchemes"]["key"] = {"type": "apiKey", "in": "query", "name": "key"}
    assert told(acme, exchange({**nobody, "query": {"key": "invalid"}}, refused)) == []


def test_a_body_of_another_media_type_is_sent_as_text(acme: Acme):
    """A body that is neither JSON nor a form is sent as its text, and an answer that is no JSON is text."""
    renew = acme.openapi["paths"]["/links"]["post"]
    renew["requestBody"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    acme.job["assets"]["renew"]["url"] = "https://files.acme.test/1.png"
    link = {"operation": "renew", "body": "https://files.acme.test/1.png"}
    assert told(acme, exchange(link, {"status": 200, "body": {"url": "https://files.acme.test/2"}})) == []
    del renew["requestBody"]
    assert told(acme, exchange(link, {"status": 200})) == []


def test_a_recorded_request_must_fit_the_document(acme: Acme):
    """A request that was accepted is held to the schemas, even where the provider looks at them late."""
    acme.job["create"][0]["validates"] = "late"
    acme.job["failures"]["invalid"] = {"message": "{$violation.message}"}
    wrong = {"operation": "make", "body": {"model": "cat", "input": {"prompt": 1}}}
    acme.record(exchange(wrong, MADE))
    (problem,) = acme.problems()
    assert problem.startswith("openapi.yaml does not take this: 1 is not of type")
    assert "/exchanges/0/request/body/input/prompt" in problem


def test_an_answer_with_another_status_is_told(acme: Acme):
    """A status that differs is told with the name of the error that the fake answers."""
    problems = told(
        acme, exchange(MAKE, {"status": 201}), exchange({"operation": "stop", "path": {"id": "x"}}, {"status": 200})
    )
    assert [problem.partition(" (/")[0] for problem in problems] == [
        "recorded is 201, the fake has 200",
        'recorded is 200, the fake has 404 (the error "notFound")',
    ]


def test_an_error_without_a_rule_is_compared_as_it_is(acme: Acme):
    """The problem document that answers where the contract has no rule can be recorded like any other."""
    del acme.job["errors"]["unauthorized"]
    asked = exchange(
        {"operation": "balance", "headers": {"X-Key": "invalid"}},
        {"status": 401, "body": {"type": "about:blank", "title": "unauthorized", "status": 401}},
    )
    assert told(acme, asked) == []


def test_a_cancel_is_compared_with_the_view_of_its_outcome(acme: Acme):
    """A cancel that works and one that comes too late have a view each."""
    acme.job["cancel"]["reply"]["body"] = {"stopped": "$now|epoch"}
    acme.job["cancel"]["refused"]["body"] = {"left": "$now|epoch"}
    stop = {"operation": "stop", "path": {"id": "id-0001"}}
    first = exchange(stop, {"status": 200, "body": {"stopped": 1700000000}})
    late = exchange(stop, {"status": 200, "body": {"left": 1700000000}})
    assert told(acme, exchange(MAKE, MADE), first, late) == []


def test_what_cannot_be_rendered_is_told(acme: Acme):
    """A template that cannot take its value is a problem of the recording that meets it."""
    acme.job["replies"]["balance"] = {"body": {"money": "$account.balance|base64"}}
    (text, _) = told(acme, exchange({"operation": "balance"}, {"status": 200, "body": {"money": "x"}}))
    assert text.startswith('recorded is 200, the fake has 500 (the error "a defect of the contract")')


def test_a_result_that_cannot_be_made_is_told(acme: Acme):
    """It is made when its time comes: the exchange that lets it come is the one that is told."""
    acme.job["outputs"] = "$job.id|base64"
    look = exchange({"operation": "look", "path": {"id": "id-0001"}}, {"status": 200, "body": {"state": "done"}})
    problems = told(acme, exchange(MAKE, MADE), look)
    assert "the fake cannot make what it says here: bytes is expected (/exchanges/1)" in problems


# --- what comes by itself -------------------------------------------------------------------------------------------


def test_a_callback_that_does_not_come_is_told(acme: Acme):
    """A callback that was recorded must come."""
    (problem,) = told(acme, exchange(MAKE, MADE), {"callback": {"body": {"id": "id-0001", "state": "done"}}})
    assert problem.startswith("the fake sends no callback here")


EVENTS = [
    {"event": {"event": "moved", "data": {"id": "id-0001", "state": "working"}}},
    {"event": {"event": "ended", "data": {"id": "id-0001", "state": "done"}}},
]


def test_events_are_listened_to_from_the_start(acme: Acme):
    """Recorded events come in their order, those between them may be left out, and one without a name is the next."""
    assert told(acme, exchange(MAKE, MADE), *EVENTS) == []
    assert told(acme, exchange(MAKE, MADE), EVENTS[1]) == []
    nameless = {"event": {"data": {"id": "id-0001", "state": "working"}}}
    assert told(acme, exchange(MAKE, MADE), nameless) == []
    (problem,) = told(acme, exchange(MAKE, MADE), *EVENTS, EVENTS[1])
    assert problem.startswith("the fake sends no such event here")


def test_a_recording_can_say_when_it_subscribed(acme: Acme):
    """Where a recording asks for the stream itself, events are those from then on."""
    listen = exchange({"operation": "listen"}, {"status": 200})
    assert told(acme, exchange(MAKE, MADE), listen, *EVENTS) == []
    body = exchange({"operation": "listen"}, {"status": 200, "body": None})
    assert told(acme, exchange(MAKE, MADE), looked("working"), body, EVENTS[1]) == []


def test_the_data_of_an_event_can_be_text(acme: Acme):
    """Data that is no JSON is compared as text."""
    acme.job["events"]["frames"] = {"running": [{"event": "moved", "data": "{$job.id} moves"}]}
    assert told(acme, exchange(MAKE, MADE), {"event": {"event": "moved", "data": "id-0001 moves"}}) == []


def test_the_events_of_one_job_are_listened_to_once_it_is_made(acme: Acme):
    """A stream of one job is opened as soon as there is one."""
    acme.openapi["paths"]["/events/{id}"] = {
        "get": {**acme.openapi["paths"].pop("/events")["get"], "parameters": [{"name": "id", "in": "path"}]}
    }
    acme.job["events"] |= {"scope": "job", "id": "$request.path.id", "end": ["succeeded"]}
    acme.job["errors"]["notFound"][0]["message"] = "No job"
    other = exchange(MAKE, {"status": 200, "body": {"jobs": [{"id": "id-0002"}]}})
    assert told(acme, exchange(MAKE, MADE), other, *EVENTS) == []


def test_events_of_a_provider_without_a_stream_do_not_come(acme: Acme):
    """A recorded event needs a stream."""
    del acme.job["events"]
    (problem,) = told(acme, exchange(MAKE, MADE), EVENTS[0])
    assert problem.startswith("the fake sends no such event here")
