"""Tests of playing recordings: what counts as the same, and what is told where it is not."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.acme import MADE, MAKE, SOURCE, Acme, exchange, looked
from tests.test_recordings import RECORDINGS
from understudy.clock import VirtualClock
from understudy.consistency import check_recording
from understudy.contract.closed import check_closed
from understudy.contract.loader import Document, load, pointer_parts
from understudy.library import find_provider, load_provider
from understudy.lifecycle import Json
from understudy.playback import play
from understudy.probes import decoded, request_to
from understudy.provider import Provider
from understudy.wire import Reply

HOOKED = {"operation": "make", "body": {"model": "cat", "input": {"prompt": "a"}, "hook": "https://me.test/hook"}}


@pytest.fixture
def acme(tmp_path: Path) -> Acme:
    """A provider in an empty folder."""
    return Acme(tmp_path)


def leaves(value: Json, at: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """Yield where each value stands that holds no other."""
    if isinstance(value, dict | list) and value:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*at, key))
    else:
        yield at


def put(data: Json, at: tuple[str | int, ...], value: Json) -> Json:
    """Return data with another value at a place."""
    data = copy.deepcopy(data)
    node = data
    for part in at[:-1]:
        node = node[part]
    node[at[-1]] = value
    return data


# --- every recorded member counts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: f"{path.parents[1].name}-{path.stem}")
def test_every_recorded_member_counts(path: Path):
    """Whatever recorded member of an answer is changed, the recording is no longer reproduced, unless it is elided."""
    contract, behaviour = load_provider(find_provider(str(path.parents[1])))
    data = load(path).data
    elided = [pointer_parts(entry["at"]) for entry in data.get("elided", ())]
    for index, one in enumerate(data["exchanges"]):
        for part in ("response", "callback", "event"):
            for at in leaves(one.get(part, {}), ("exchanges", index, part)):
                names = list(map(str, at))
                over = any(names[: len(pointer)] == pointer or pointer[: len(names)] == names for pointer in elided)
                changed: Json = 599 if names[-1] == "status" and part == "response" else {"another": "value"}
                document = Document(path, put(data, at, changed) if one.get(part) else data)
                playback = play(contract, behaviour, document)
                assert over or not one.get(part) or not playback.reproduced, f"{names} does not count"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), st.integers(1, 2**32), st.lists(st.floats(0, 9)))
def test_what_a_fake_says_is_reproduced(acme: Acme, prompt: str, seed: int, pauses: list[float]):
    """A session with a fake, recorded as it was, is reproduced by another fake with other ids."""
    folders = acme.folders if acme.folders.contract.exists() else acme.write()
    contract, behaviour = load_provider(folders)
    clock = VirtualClock()
    provider = Provider(contract, behaviour, clock=clock, seed=seed)
    exchanges = []

    def record(request: dict[str, Any]) -> Json:
        reply = provider.handle(request_to(contract.operations[request["operation"]], request))
        assert isinstance(reply, Reply)
        body = decoded(reply.body)
        exchanges.append({"request": request, "response": {"status": reply.status, "body": body}})
        return body

    job_id = record({"operation": "make", "body": {"model": "cat", "input": {"prompt": prompt}}})["jobs"][0]["id"]
    for pause in pauses:
        clock.advance(pause)
        record({"operation": "look", "path": {"id": job_id}})
    record({"operation": "balance"})
    document = Document(Path("session.yaml"), {"source": SOURCE, "exchanges": exchanges})
    playback = play(contract, behaviour, document)
    assert not document.problems
    assert playback.reproduced
    assert not playback.added


# --- ids ------------------------------------------------------------------------------------------------------------


def told(acme: Acme, *exchanges: Any, name: str = "one", **more: Any) -> list[str]:
    """Return what is wrong with a recording, without its schema problems."""
    acme.record(*exchanges, name=name, **more)
    acme.write()
    document = load(acme.path_of(name))
    assert check_closed(document, "recording")
    contract, behaviour = load_provider(acme.folders)
    check_recording(contract, behaviour, document)
    if not document.problems:
        play(contract, behaviour, document)
    return [problem.text for problem in document.problems if "own schema" not in problem.text]


def read_as(body: Json, **request: Any) -> dict[str, Any]:
    """Return a recorded read of the job `id-0001`."""
    return exchange({"operation": "look", "path": {"id": "id-0001"}, **request}, {"status": 200, "body": body})


@pytest.mark.parametrize("recorded", ["id-0001", "", "281e5b0****f39b9"])
def test_ids_are_mapped_by_their_value(acme: Acme, recorded: str):
    """A recorded id, a masked one and an empty one stand for the job that the fake made, in later requests too."""
    look = acme.openapi["paths"]["/jobs/{id}"].pop("get")
    acme.openapi["paths"]["/job"] = {"get": {**look, "parameters": [{"name": "id", "in": "query"}]}}
    acme.job["status"]["id"] = "$request.query.id"
    acme.job["errors"]["notFound"][0]["message"] = "No job"
    made = {"status": 200, "body": {"jobs": [{"id": recorded}]}}
    read = exchange(
        {"operation": "look", "query": {"id": recorded}}, {"status": 200, "body": {"id": recorded, "state": "done"}}
    )
    assert told(acme, exchange(MAKE, made), read) == []


def test_an_id_that_begins_like_another_is_not_taken_for_it(acme: Acme):
    """Ids in a request are told apart, even where one is the beginning of the other."""
    acme.job["replies"]["balance"] = {"body": {"about": "$request.query.about"}}
    acme.openapi["paths"]["/balance"]["get"]["parameters"] = [{"name": "about", "in": "query"}]
    longer = exchange(MAKE, {"status": 200, "body": {"jobs": [{"id": "id-00012"}]}})
    text = "id-0001 and id-00012"
    asked = exchange({"operation": "balance", "query": {"about": text}}, {"status": 200, "body": {"about": text}})
    saying = {"operation": "make", "body": {"model": "dog", "input": {"say": text}}}
    read = exchange(
        {"operation": "look", "path": {"id": "id-0003"}},
        {"status": 200, "body": {"id": "id-0003", "state": "waiting", "input": {"say": text}}},
    )
    made = exchange(saying, {"status": 200, "body": {"jobs": [{"id": "id-0003"}]}})
    assert told(acme, exchange(MAKE, MADE), longer, made, read) == []
    (problem,) = told(acme, exchange(MAKE, MADE), longer, asked)
    assert problem.startswith("recorded is")  # a query is sent as it was recorded, unless it is an id


def test_an_id_inside_a_text_is_mapped(acme: Acme):
    """An id in the middle of a text, in a request or an answer, stands for the job that the fake made."""
    acme.job["replies"]["balance"] = {"body": {"about": "$request.query.about", "all": "of {$request.query.about}"}}
    acme.openapi["paths"]["/balance"]["get"]["parameters"] = [{"name": "about", "in": "query"}]
    wrong = {"status": 409, "body": {"error": {"code": "odd", "text": "It was id-0001"}}}
    saying = {"operation": "make", "body": {"model": "dog", "input": {"say": ["not id-0001", 1]}}}
    asked = exchange(
        {"operation": "balance", "query": {"about": "id-0001"}},
        {"status": 200, "body": {"about": "id-0001", "all": "of id-0001"}},
    )
    assert told(acme, exchange(MAKE, wrong), asked, exchange(saying, wrong), scenario="odd") == []


@pytest.mark.parametrize(
    ("recorded", "text"),
    [
        ("id-0002", '"id-0002" is recorded, the fake tells of another job'),
        ("id-0009", '"id-0009" is recorded as the id of no job before this'),
    ],
)
def test_an_id_of_another_job_is_no_reproduction(acme: Acme, recorded: Json, text: str):
    """An answer must tell of the very job that was recorded."""
    other = exchange(MAKE, {"status": 200, "body": {"jobs": [{"id": "id-0002"}]}})
    (problem,) = told(acme, exchange(MAKE, MADE), other, read_as({"id": recorded, "state": "waiting"}))
    assert problem.startswith(text)


def test_an_id_is_text(acme: Acme):
    """A recorded id that is no text is no reproduction."""
    (problem,) = told(acme, exchange(MAKE, {"status": 200, "body": {"jobs": [{"id": 7}]}}))
    assert problem.startswith("an id: recorded is 7")


# --- other kinds ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("member", "recorded"),
    [
        ("made", 1700000000),
        ("made", 1700000000.5),
        ("took", 3),
        ("result", '["https://files.acme.test/elsewhere.jpg"]'),
        ("input", {"prompt": "a lighthouse"}),
    ],
)
def test_what_differs_from_run_to_run_is_compared_by_its_kind(acme: Acme, member: str, recorded: Json):
    """Another time, another duration and another link to the same host are the same as recorded."""
    assert told(acme, exchange(MAKE, MADE), looked("done", **{member: recorded})) == []


@pytest.mark.parametrize(
    ("member", "recorded"),
    [
        ("made", 1700000000000),  # milliseconds where the contract says seconds
        ("made", "2026-01-01T00:00:00Z"),
        ("made", None),
        ("made", "1700000000"),
        ("made", ""),
        ("made", True),
        ("took", -1),
        ("took", "long"),
        ("result", '["https://another.test/elsewhere.jpg"]'),
        ("result", '["https://[/elsewhere.jpg"]'),
        ("result", "[1]"),
        ("result", "no JSON"),
        ("result", "[]"),
        ("input", {"prompt": "a lightship"}),
        ("input", {"prompt": "a lighthouse", "size": "small"}),
        ("why", "no reason"),
    ],
)
def test_another_kind_is_no_reproduction(acme: Acme, member: str, recorded: Json):
    """A value that is not of the kind that the contract says, or is not equal where it must be, is told with both."""
    (problem,) = told(acme, exchange(MAKE, MADE), looked("done", **{member: recorded}))
    assert f"/exchanges/1/response/body/{member}" in problem


def test_a_time_that_has_not_come_is_none(acme: Acme):
    """What stands for a time that there is not yet is the same only while there is none."""
    acme.job["status"]["reply"]["body"]["ended"] = '$job.endedAt|iso|default("")'
    assert told(acme, exchange(MAKE, MADE), looked("working", ended="")) == []
    (problem,) = told(acme, exchange(MAKE, MADE), looked("done", ended=""))
    assert problem.startswith('a time: recorded is "", the fake has "2026')


def test_the_rule_that_an_error_was_made_by_is_found(acme: Acme):
    """Of several rules of one error, the one that fits the answer says what its members are."""
    body = {"error": {"code": {"$match": 2}, "text": "$now|epoch"}}
    other = {"error": {"code": {"$match": 1}, "text": "$error.message"}}
    acme.job["errors"]["notFound"] = [
        {"when": "$violation.field", "http": 404, "message": "x", "body": other},
        {"http": 404, "body": body},
    ]
    read = {"operation": "look", "path": {"id": "none"}}
    assert told(acme, exchange(read, {"status": 404, "body": {"error": {"code": 2, "text": 1700000000}}})) == []


def test_headers_of_a_callback_are_compared_by_their_kinds(acme: Acme):
    """The signature and the time of a callback may differ; a header that is fixed may not."""
    headers = {"x-signature": "00ff", "X-Time": 1700000000, "X-Attempt": 1}
    called = {"callback": {"headers": headers, "body": {"id": "id-0001", "state": "done"}}}
    assert told(acme, exchange(HOOKED, MADE), called) == []
    again = {"callback": {"headers": {**headers, "X-Attempt": 2}, "body": {"id": "id-0001", "state": "done"}}}
    (problem,) = told(acme, exchange(HOOKED, MADE), again)
    assert problem.startswith('recorded is "2", the fake has "1"')


def test_a_callback_is_held_to_its_schema(acme: Acme):
    """What was recorded of a callback must be what the document says of it."""
    acme.record(exchange(HOOKED, MADE), {"callback": {"body": {"id": "id-0001"}}})
    (problem,) = acme.problems()
    assert "own schema" in problem
    assert "/exchanges/1/callback/body/state" in problem


def test_headers_of_an_answer_are_compared(acme: Acme):
    """A recorded header must come back, in whatever case it is written."""
    assert told(acme, exchange(MAKE, {**MADE, "headers": {"x-JOBS": 1}})) == []
    (problem,) = told(acme, exchange(MAKE, {**MADE, "headers": {"Retry-After": 3}}))
    assert problem.startswith('recorded is "3", the fake has null')


def test_times_inside_a_text_are_compared_by_their_kind(acme: Acme):
    """A value that stands inside a text is compared as if it stood alone, and the text around it as it is."""
    acme.job["replies"]["balance"] = {
        "body": {"a": "by {$now|epoch}", "b": "at {$now|iso}", "c": "it is {$account.balance}"}
    }

    def asked(**body: str) -> Any:
        return exchange({"operation": "balance"}, {"status": 200, "body": body})

    assert told(acme, asked(a="by 1700000000", b="at 2024-02-03T00:00:00Z", c="it is 100")) == []
    problems = told(acme, asked(a="by nine", b="from 2024-02-03T00:00:00Z", c="it is 99"))
    assert [problem.rpartition("/")[2] for problem in problems] == ["a)", "b)", "c)"]


def test_bytes_are_compared_by_their_kind(acme: Acme):
    """Other bytes are the same as recorded; what are none is not."""
    body = acme.job["create"][1]["reply"]["body"]
    body["files"] = {"$each": "$job.outputs", "do": {"data": "$output.content|base64"}}

    def made(data: Json) -> Any:
        asked = {"operation": "makeNow", "body": {"model": "cat"}}
        return exchange(asked, {"status": 200, "body": {"files": [{"data": data}]}})

    assert told(acme, made("cGljdHVyZQ==")) == []
    for wrong in ("a picture", 7, None):
        (problem,) = told(acme, made(wrong))
        assert problem.startswith("a text: recorded is")


# --- lists, and what is left out ------------------------------------------------------------------------------------


def test_a_list_has_as_many_items_as_recorded(acme: Acme):
    """A list may not be longer or shorter, but for that of the models, which is as long as the contract is."""
    asked = {"operation": "models"}
    assert told(acme, exchange(asked, {"status": 200, "body": ["cat"]})) == []
    (problem,) = told(acme, exchange(asked, {"status": 200, "body": ["cat", "dog", "cow"]}))
    assert problem.startswith("recorded are 3 items, the fake has 2")
    acme.job["replies"]["balance"] = {"body": ["$account.balance", "$now|epoch"]}
    (problem,) = told(acme, exchange({"operation": "balance"}, {"status": 200, "body": [100]}))
    assert problem.startswith("recorded are 1 items, the fake has 2")


def test_what_is_elided_is_not_compared(acme: Acme):
    """An elided member may be anything, and lack altogether, inside JSON in a string too; its neighbours count."""
    read = looked("done", result='["https://..."]', made="...", colour="blue", why="x", input={"prompt": "..."})
    elided = [
        {"at": f"/exchanges/1/response/body/{name}", "why": "the page shortens it"}
        for name in ("result/0", "made", "colour", "input")
    ]
    (problem,) = told(acme, exchange(MAKE, MADE), read, elided=elided)
    assert problem.startswith('the fake has no "why" here')


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


def test_what_the_fake_adds_is_a_note(acme: Acme):
    """Members that were not recorded are no problem, and told."""
    acme.record(exchange(MAKE, MADE), looked("waiting"))
    report = acme.check()
    assert not report.problems
    assert "the fake says more than was recorded: /exchanges/1/response/body: input, made" in [
        note.text for note in report.notes
    ]


# --- time -----------------------------------------------------------------------------------------------------------


def test_time_moves_on_to_the_recorded_state(acme: Acme):
    """Before each status read the job is brought to the recorded word, one after the other, by seconds or by reads."""
    assert told(acme, exchange(MAKE, MADE), *map(looked, ("waiting", "held", "working", "done"))) == []
    rude = exchange(MAKE, MADE), looked("working"), looked("broken", why="A rude prompt")
    assert told(acme, *rude, name="rude", scenario="rude") == []
    acme.scenarios["rude"]["timeline"][1:1] = [{"state": "running", "seconds": 0.1}]
    assert told(acme, *rude, name="rude", scenario="rude") == []


def test_a_job_can_be_asked_for_in_a_body(acme: Acme):
    """The id of a status read may stand in its body."""
    look = acme.openapi["paths"]["/jobs/{id}"].pop("get")
    look["requestBody"] = {"content": {"application/json": {"schema": {"properties": {"job": {"type": "object"}}}}}}
    acme.openapi["paths"]["/look"] = {"post": look}
    acme.job["status"]["id"] = "$request.body#/job/id"
    acme.job["errors"]["notFound"][0]["message"] = "No job"
    read = {"operation": "look", "body": {"job": {"id": "id-0001"}}}
    assert told(acme, exchange(MAKE, MADE), exchange(read, {"status": 200, "body": {"state": "working"}})) == []
    assert not [problem for problem in acme.problems() if "own schema" not in problem]


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
    assert problem.startswith("the document's own schema does not take this: 1 is not of type")
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
    acme.job["cancel"]["reply"]["body"] = {"stopped": "$job.id"}
    acme.job["cancel"]["refused"]["body"] = {"left": "$job.id"}
    stop = {"operation": "stop", "path": {"id": "id-0001"}}
    first = exchange(stop, {"status": 200, "body": {"stopped": "id-0001"}})
    late = exchange(stop, {"status": 200, "body": {"left": "id-0001"}})
    assert told(acme, exchange(MAKE, MADE), first, late) == []


def test_what_cannot_be_rendered_is_told(acme: Acme):
    """A template that cannot take its value is a problem of the recording that meets it."""
    acme.job["replies"]["balance"] = {"body": {"money": "$account.balance|base64"}}
    problems = told(acme, exchange({"operation": "balance"}, {"status": 200, "body": {"money": "x"}}))
    assert "the fake cannot make what it says here: bytes is expected (/exchanges/0)" in problems


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
