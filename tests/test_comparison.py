"""Tests of what counts as the same in a recording and an answer."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.acme import MADE, MAKE, SOURCE, Acme, exchange, looked, read_as, told
from tests.test_recordings import RECORDINGS
from understudy.clock import VirtualClock
from understudy.comparison import Comparison, Ids
from understudy.contract.expressions import parse_expression
from understudy.contract.loader import Document, load, pointer_parts
from understudy.contract.templates import Leaf, Literal, Match
from understudy.folders import find_provider
from understudy.library import load_provider
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


def test_numbers_that_vary_are_compared_by_their_kind(acme: Acme):
    """No two runs agree on what an account has and how far a job is: any number does, and nothing else."""
    acme.behaviour["timeline"][2]["progress"] = 0.5
    acme.job["status"]["reply"]["body"]["far"] = "$job.progress|percent"
    balance = exchange({"operation": "balance"}, {"status": 200, "body": {"money": 7.5}})
    assert told(acme, balance, exchange(MAKE, MADE), looked("working", far=42)) == []
    balance["response"]["body"]["money"] = None
    (problem,) = told(acme, balance)
    assert problem.startswith("a number: recorded is null, the fake has 100")


def test_a_default_is_as_good_as_the_number_that_it_stands_for(acme: Acme):
    """What is shown in the place of no number yet is recorded as it is; any number that comes later fits as well."""
    body = acme.job["status"]["reply"]["body"]
    body.update(far="$job.progress|percent|default(0)", took="$job.durationSeconds|seconds|default(0)")
    reads = looked("waiting", far=0, took=0), looked("working", far=42, took=0), looked("done", far=100, took=12)
    assert told(acme, exchange(MAKE, MADE), *reads) == []
    (problem,) = told(acme, exchange(MAKE, MADE), looked("waiting", took=-1))
    assert problem.startswith("a duration: recorded is -1, the fake has 0")


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


def test_an_id_that_begins_like_another_is_not_taken_for_it():
    """Ids inside a text are told apart, even where one is the beginning of the other; short ones are not looked for."""
    ids = Ids()
    ids.real.update({"id-0001": "A", "id-00012": "B", "id": "C", "": "D"})
    assert ids.in_place(["id-0001 and id-00012", "id", "an id", "", 1]) == ["A and B", "C", "an id", "", 1]
    assert (ids.exact(""), ids.exact("id"), ids.exact("other"), ids.exact(7)) == ("D", "C", "other", 7)


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


def test_a_number_is_not_its_text(acme: Acme):
    """A time, as any other value, has the JSON type that the contract gives it."""
    acme.job["replies"]["balance"]["body"] = {"at": "$now|epoch"}
    (problem,) = told(acme, exchange({"operation": "balance"}, {"status": 200, "body": {"at": "1700000000"}}))
    assert problem.startswith('a time: recorded is "1700000000", the fake has 17')


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
    assert problem == "openapi.yaml requires members that are missing here: /state (/exchanges/1/callback/body)"


def test_what_is_missing_in_an_answer_is_told_in_one_line(acme: Acme):
    """All that the document requires of an answer and that was not recorded is one problem; what is elided is none."""
    data = {"type": "object", "required": ["at", "by"]}
    properties = {"state": {}, "data": data, "why": {}}
    schema = {"type": "object", "required": ["state", "data", "why"], "properties": properties}
    responses = acme.openapi["paths"]["/jobs/{id}"]["get"]["responses"]
    responses["200"]["content"] = {"application/json": {"schema": schema}}
    acme.job["status"]["reply"]["body"] = {"state": "$job.status", "why": "", "data": {"at": 1, "by": 2}}
    acme.record(exchange(MAKE, MADE), read_as({"state": "done", "data": {}}))
    (problem,) = (text for text in acme.problems() if text.startswith("openapi.yaml"))
    missing = "/why, /data/at, /data/by"
    assert problem == f"openapi.yaml requires members that are missing here: {missing} (/exchanges/1/response/body)"
    elided = [{"at": "/exchanges/1/response/body/data", "why": "the page has an ellipsis"}]
    acme.record(exchange(MAKE, MADE), read_as({"state": "done", "data": None, "why": ""}), elided=elided)
    assert not [text for text in acme.problems() if "exchanges" in text]


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
    problems = told(acme, asked(a="by nine", b="from 2024-02-03T00:00:00Z", c="it is much"))
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


def test_what_the_fake_adds_is_a_note(acme: Acme):
    """Members that were not recorded are no problem, and told."""
    acme.record(exchange(MAKE, MADE), looked("waiting"))
    report = acme.check()
    assert not report.problems
    assert "the fake says more than was recorded: /exchanges/1/response/body: input, made" in [
        note.text for note in report.notes
    ]


def leaf(text: str) -> Leaf:
    return Leaf(parse_expression(text), omit=False)


@pytest.mark.parametrize(
    ("template", "recorded", "actual", "what"),
    [
        (leaf("$job.status"), "ready", "done", "word"),
        (leaf("$job.createdAt|epochMs"), 1767225600, 1767225600000, "time"),
        (leaf("$job.input#/day|isoSeconds"), "today", "2026-01-01T00:00:00Z", "time"),
        (leaf("$job.id"), 7, "seven", "id"),
        (leaf("$output.url"), "https://a.test/1", "https://b.test/1", "link"),
        (leaf("$job.cost"), 3, 4.5, "number"),
        (leaf("$job.error.message"), "no", "never", "text"),
        (leaf("$job.error.message"), None, "never", "type"),
        (leaf("$job.refunded"), True, False, "value"),
        (Match("broken"), "gone", "broken", "literal"),
        (Literal(200), 0, 200, "literal"),
        (Literal("fine"), "well", "fine", "text"),
        (None, [1], [1, 2], "items"),
        (None, {"a": 1}, {}, "member"),
        (None, {}, [], "type"),
    ],
)
def test_a_difference_says_what_kind_of_thing_is_different(template, recorded, actual, what):
    """Each difference has a word for what is different: a time, a word of a state, a type, a member and so on."""
    comparison = Comparison((), Ids())
    comparison.compare(template, recorded, actual, ("body",), parts={})
    assert [difference.what for difference in comparison.differences] == [what]
