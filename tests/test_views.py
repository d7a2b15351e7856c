"""Tests of views: what a job looks like in each state, and what a client reads from it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.documents import document, hostile_values, template
from understudy.contract.compiler import Compiler
from understudy.contract.conditions import parse_condition
from understudy.contract.reading import ReadError
from understudy.contract.views import Read, View, Word, Words, facts_of, prefixes, rendered_headers
from understudy.lifecycle import Job, JobError, Output, State

Q, R, S, F, C, E = State

WORDS = "{queued: [0, waiting], running: [1], succeeded: [2], failed: [3]}"


def view(text: str, states: str = WORDS) -> View:
    """Compile a view of a kind of job with these words."""
    made = document(text)
    compiler = Compiler(made)
    compiled = compiler.view(made.data, ("x", "y", "reply"), compiler.words(document(states).data, ()), None)
    assert made.problems == []
    return compiled


def state_of(compiled: View, body: Any, **scope: Any) -> State | None:
    return compiled.read(body, scope).state


# --- words ----------------------------------------------------------------------------------------------------------


def test_the_first_word_of_a_state_is_shown():
    """A state without words shows none."""
    words = Words({Q: (Word("a"), Word("b")), S: (Word(0),)})
    assert [words.shown(state) for state in (Q, S, F)] == ["a", 0, None]


def test_a_word_names_the_first_state_that_has_it():
    """A word is compared with its JSON type, and an entry without a word has none."""
    words = Words({Q: (Word(None, None, False),), R: (Word(1),), S: (Word("1"), Word(1))})
    assert [words.state_named(word) for word in (1, "1", True, None, 2)] == [R, S, None, None, None]


def test_a_word_is_read_with_its_condition():
    """One word can mean several states, told apart by conditions in the order of the states."""
    ended = (Word("END", parse_condition("$response.body#/ok")),)
    words = Words({S: ended, F: (Word("END"),), E: (Word(None, parse_condition("$statusCode == 410"), False),)})
    ok, gone = {"response": {"body": {"ok": True}}}, {"statusCode": 410}
    assert [words.state_read("END", scope) for scope in (ok, {}, gone)] == [S, F, F]
    assert [words.state_read(None, scope) for scope in ({}, gone)] == [None, E]
    assert words.told_without_word
    assert not Words({S: ended}).told_without_word


# --- rendering ------------------------------------------------------------------------------------------------------


def test_headers_are_text_and_left_out_without_a_value():
    """A header's value is written as text, as JSON where it is none; a header without a value is not sent."""
    headers = [(name, template(node)) for name, node in (("a", "x"), ("b", "$now"), ("c", "$job.id|omit"), ("d", True))]
    assert rendered_headers(headers, {"now": 5}) == [("a", "x"), ("b", "5"), ("d", "true")]


def test_a_state_has_its_own_status():
    """The HTTP status is that of the state, or the default."""
    compiled = view("{http: {default: 202, succeeded: 200}, body: $job.id}")
    scope = {"job": Job(id="j")}
    assert [compiled.render(scope, state).status for state in (S, R, None)] == [200, 202, 202]
    assert compiled.render(scope, S).body == "j"


# --- reading --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "state"), [(0, Q), ("waiting", Q), (1, R), (2, S), (3, F), ("1", None), (True, None), (4, None)]
)
def test_a_state_is_read_by_its_word(word: Any, state: State | None):
    """A word of a state gives that state, by its JSON type; a word that is not listed gives none."""
    compiled = view("{body: {id: $job.id, status: $job.status}, bodyByState: {succeeded: {url: $job.result}}}")
    found = compiled.read({"id": "j", "status": word, "url": "u"}, {})
    assert found.state is state
    assert found.reading[("job", "id")] == "j"
    assert (found.reading.get(("job", "result")) == "u") is (state is S)


def test_a_state_is_read_by_its_literals():
    """Where no word tells, the state is the first whose `$match` literals fit."""
    compiled = view("""
        body: {code: {$match: 0}, id: $job.id}
        bodyByState: {failed: {code: {$match: 9}, why: $job.error.message}}
    """)
    assert compiled.read({"code": 9, "why": "w"}, {}) == Read(F, {("job", "error", "message"): "w"})
    assert state_of(compiled, {"code": 0}) is Q
    assert compiled.read({"code": 0}, {}, (S, R)).state is S
    with pytest.raises(ReadError, match="0 is expected at /code"):
        compiled.read({"code": 1}, {})


def test_a_state_is_read_by_its_status():
    """Where the HTTP status differs by state, only the states with that status are tried."""
    compiled = view("{http: {default: 202, succeeded: 200, failed: 422}, body: {id: $job.id}}", "{queued: [a]}")
    assert [state_of(compiled, {}, statusCode=status) for status in (202, 200, 422)] == [Q, S, F]
    assert compiled.read({"id": "j"}, {"statusCode": 500}) == Read(None, {("job", "id"): "j"})
    with pytest.raises(ReadError):
        compiled.read([], {"statusCode": 500})


def test_a_view_is_read_by_its_own_words():
    """The words of a view stand in place of the job's."""
    compiled = view("{body: {status: $job.status}, states: {running: [go], succeeded: [ok]}}")
    assert [state_of(compiled, {"status": word}) for word in ("go", "ok", 1)] == [R, S, None]


def test_what_no_word_tells_a_condition_does():
    """An entry without a word is read by its condition alone."""
    compiled = view("""
        body: {id: $job.id, at: $job.endedAt}
        states: {succeeded: [{when: $response.body#/at}], running: [{when: "!$response.body#/at"}]}
    """)
    assert state_of(compiled, {"at": 5}, response={"body": {"at": 5}}) is S
    assert state_of(compiled, {}, response={"body": {}}) is R
    nothing = view('{body: $job.id, states: {succeeded: [{when: "false"}]}}')
    assert state_of(nothing, "j") is None


def test_null_can_be_a_word():
    """A state whose word is null is read where the word is null, and others where it is not."""
    compiled = view("{body: {status: $job.status}}", "{queued: [waiting], running: [null], succeeded: [done]}")
    assert [state_of(compiled, {"status": word}) for word in ("waiting", None, "done", "x")] == [Q, R, S, None]


def test_what_a_view_shows_on_a_condition_is_read_on_it():
    """A condition on the request or the state of the job chooses the template that is read, as it did when rendered."""
    compiled = view("""
        body: {status: $job.status}
        bodyWhen:
          - {when: $job.state == "succeeded" && $job.input#/raw, body: {data: $job.outputs.0.content|base64}}
          - {when: $job.state == "succeeded", body: {data: $job.outputs.0.url}}
    """)
    raw = compiled.read({"status": 2, "data": "aGk="}, {"job": {"input": {"raw": True}}})
    linked = compiled.read({"status": 2, "data": "u"}, {})
    assert raw.reading[("job", "outputs", 0, "content")] == b"hi"
    assert linked.reading[("job", "outputs", 0, "url")] == "u"
    assert ("job", "outputs", 0, "url") not in compiled.read({"status": 1, "data": "u"}, {}).reading


def test_what_is_read_has_the_types_of_a_job():
    """A body whose members are of the wrong type is not what the view rendered."""
    with pytest.raises(ReadError, match=r"a number for \$job.cost"):
        view("{body: {cost: $job.cost}}").read({"cost": "much"}, {})


def test_a_view_says_its_own_words():
    """Where a view has words of its own it shows them in place of the job's; in a state without one, the job's."""
    compiled = view("{body: {status: $job.status}, states: {succeeded: [OK], failed: [{when: $response.body#/error}]}}")
    for state, word, shown in ((S, "done", "OK"), (F, "broken", "broken"), (R, "busy", "busy")):
        assert compiled.render({"job": Job(id="j", state=state, status=word)}, state).body == {"status": shown}
    assert compiled.read({"status": "OK"}, {"statusCode": 200}).state is S


def test_a_view_of_no_job_in_particular_tells_no_state():
    """A reply about several jobs is read as a whole; each job in it has a word of its own."""
    made = document("{body: {$each: $jobs, do: {id: $job.id, status: $job.status}}}")
    compiler = Compiler(made)
    listing = compiler.view(made.data, (), compiler.words(document(WORDS).data, ()), None, of_job=False)
    found = listing.read([{"id": "a", "status": 1}], {"statusCode": 200})
    assert found == Read(None, {("jobs", 0, "id"): "a", ("jobs", 0, "status"): 1})


@given(st.dictionaries(st.sampled_from(["id", "status", "cost", "files", "json"]), hostile_values) | hostile_values)
def test_any_body_is_read_or_refused(body: Any):
    """Whatever a provider answers is read or refused with ReadError, and what is read are facts of a job."""
    compiled = view("""
        body: {id: $job.id, status: $job.status, cost: $job.cost|decimal}
        bodyByState:
          running: {code: {$match: 1}}
          succeeded: {files: {$each: $job.outputs, do: $output.url}, json: {$json: $job.result}}
    """)
    try:
        found = compiled.read(body, {"statusCode": 200})
    except ReadError:
        return
    assert Job(**{"id": "", **facts_of(found.reading, template("$job.outputs.0.url"))})


def test_fields_are_what_a_view_carries_in_a_state():
    """The fields of a view are those of all its conditions; bytes of files are found where they are carried."""
    compiled = view("""
        body: {id: $job.id, all: {$each: $jobs, do: $job.model}}
        bodyByState: {failed: {error: {code: $job.error.code, text: "{$job.error.message}"}}}
        bodyWhen: [{when: $now, body: {data: {$each: $job.outputs, do: $output.content|base64}}}]
    """)
    assert compiled.fields(None) == {"job.id", "job.model", "output.content"}
    assert compiled.fields(F) == {"job.id", "job.model", "job.error.code", "output.content"}
    assert compiled.carries_content(S, {"now": 1})
    assert not compiled.carries_content(S, {})


# --- facts ----------------------------------------------------------------------------------------------------------


def test_a_reading_is_turned_into_facts():
    """What was read has the names of the members of a job; whole numbers are whole, error and files are records."""
    facts = facts_of(
        {
            ("job", "id"): "j",
            ("job", "createdAt"): 5.0,
            ("job", "progress"): 0.5,
            ("job", "error", "code"): 3,
            ("job", "logs", 0): "a",
            ("job", "logs", 1): "b",
            ("job", "outputs", 1, "url"): "u1",
            ("job", "outputs", 0, "mediaType"): "image/png",
            ("job", "outputs", "count"): 2,
            ("jobs", 0, "id"): "other",
            ("account", "balance"): 1,
        },
        None,
    )
    assert facts == {
        "id": "j",
        "created_at": 5,
        "progress": 0.5,
        "error": JobError(code=3),
        "logs": ("a", "b"),
        "outputs": (Output(media_type="image/png"), Output(url="u1", index=1)),
    }
    assert isinstance(facts["created_at"], int)


def test_a_result_is_turned_into_files():
    """The files are found in the result by the contract's template, unless the view told them itself."""
    outputs = template("{urls: {$each: $job.outputs, do: $output.url}}")
    result = {"urls": ["a", "b"]}
    assert facts_of({("job", "result"): result}, outputs) == {
        "result": result,
        "outputs": (Output(url="a"), Output(url="b", index=1)),
    }
    told = facts_of({("job", "result"): result, ("job", "outputs", 0, "url"): "c"}, outputs)
    assert told["outputs"] == (Output(url="c"),)
    assert facts_of({("job", "result"): result}, None) == {"result": result}


@pytest.mark.parametrize("result", ["text", {"urls": 5}, {"urls": [5]}, {}, {"urls": []}])
def test_a_result_without_files_is_a_result_all_the_same(result: Any):
    """A result that the template does not fit stays as it is, without files."""
    outputs = template("{urls: {$each: $job.outputs, do: $output.url}}")
    assert facts_of({("job", "result"): result}, outputs) == {"result": result}


def test_several_jobs_are_read_each_by_its_prefix():
    """A reply about several jobs gives one prefix for each, in order; any other gives the one job."""
    compiled = template("{$each: $jobs, do: {id: $job.id, url: {$each: $job.outputs, do: $output.url}}}")
    reading: dict[Any, Any] = {}
    compiled.read([{"id": "a", "url": ["x"]}, {"id": "b", "url": []}, {}], reading, ())
    assert prefixes(reading) == [("jobs", 0), ("jobs", 1)]
    assert [facts_of(reading, None, prefix) for prefix in prefixes(reading)] == [
        {"id": "a", "outputs": (Output(url="x"),)},
        {"id": "b"},
    ]
    assert prefixes({("job", "id"): "a", ("jobs", "count"): 1}) == [("job",)]
    assert prefixes({}) == [("job",)]


def test_what_an_element_is_of_no_list_is_no_file():
    """A path that names no member of a file adds none."""
    assert facts_of({("job", "outputs", 0): "x", ("job", "unheard"): 1}, None) == {}
