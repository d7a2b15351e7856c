"""Tests of the journal."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.small import small
from understudy.fake import Fake
from understudy.journal import MAX_BODY_BYTES, Attempt, Entry, Exchange, Journal, Transition, kept, short
from understudy.lifecycle import Job, State
from understudy.wire import Request

entries = st.one_of(
    st.builds(Transition, st.floats(0, 10), st.text(), st.sampled_from(State), st.text()),
    st.builds(Attempt, st.floats(0, 10), st.text(), st.text(), st.integers(1), st.none(), st.booleans()),
    st.builds(
        Exchange, st.floats(0, 10), st.text(), st.text(), st.text(), st.text(), st.just(200), st.none(),
        st.just(()), st.binary(), st.binary(),
    ),
)  # fmt: skip


@given(st.lists(entries), st.integers(1, 10))
def test_the_journal_is_bounded_and_in_order(written: list[Entry], most: int) -> None:
    """It holds the last entries in the order in which they were written, and sorts them by kind in that order."""
    journal = Journal(most)
    for entry in written:
        journal.add(entry)
    assert list(journal) == written[-most:]
    assert len(journal) == min(len(written), most)
    sorted_by_kind = [*journal.exchanges, *journal.transitions, *journal.attempts]
    assert sorted_by_kind == sorted(journal, key=lambda entry: [Exchange, Transition, Attempt].index(type(entry)))
    journal.clear()
    assert list(journal) == []


def test_it_can_be_read_while_it_is_written() -> None:
    """Whoever reads it sees what it held when the reading began."""
    journal = Journal()
    entry = Transition(0, "a", State.QUEUED, "queued")
    journal.add(entry)
    for seen in journal:
        journal.add(seen)
    assert list(journal) == [entry, entry]


def test_a_long_body_is_cut() -> None:
    """Of a body only its beginning is kept."""
    assert kept(b"a" * (MAX_BODY_BYTES + 1)) == b"a" * MAX_BODY_BYTES


keys = st.text(st.characters(codec="latin-1", categories=("L", "N")), min_size=8).map("planted-".__add__)


@given(st.sampled_from(["kie", "shortapi", "oxen", "small"]), keys, st.sampled_from(["POST", "GET"]))
def test_no_key_is_ever_written(folder: Path, provider: str, key: str, method: str) -> None:
    """A key that was sent in a header or in the query stands in no entry of the journal, whatever the answer was."""
    fake = Fake(provider, paths=[folder])
    for operation in fake.contract.operations.values():
        for headers, query in (
            ([("authorization", f"Bearer {key}")], ""),
            ([("authorization", key), ("x-api-key", key)], ""),
            ([], f"key={quote(key)}&a=b"),
        ):
            fake.handle(Request(method, operation.route, query, headers))
            fake.handle(Request(operation.method, operation.route, query, headers, b"{}"))
    assert len(fake.journal.exchanges) == 6 * len(fake.contract.operations)
    assert not any(key in repr(entry) or quote(key) in repr(entry) for entry in fake.journal)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return a folder with a small provider whose key is sent in the query."""
    return small(tmp_path_factory.mktemp("small"), security={"type": "apiKey", "in": "query", "name": "key"})


def test_the_journal_keeps_what_a_query_asks_for() -> None:
    """What the operation declares of a query is kept, without user and query of a URL in it; the rest may be secret."""
    fake = Fake("fal")
    path = "/fal-ai/flux/schnell?fal_webhook=http%3A%2F%2Fme%3Apass%40localhost%2Fa%3Ftoken%3D1&odd=secret"
    fake.client().post(path, json={"prompt": "a lighthouse"})
    fake.client().get("/nowhere?logs=1")

    assert [entry.query for entry in fake.journal.exchanges] == ["fal_webhook=http%3A%2F%2Flocalhost%2Fa", ""]


def test_it_says_how_a_job_came_to_a_state(tmp_path: Path) -> None:
    """A transition names the state before it, none for a new job, and the failure that a job ended with."""
    fake = Fake("small", paths=[small(tmp_path, failures={"broken": {"code": 7, "message": "it broke"}})])
    fake.next_job(failure="broken")
    fake.client().post("/jobs", json={"prompt": "a"})
    fake.clock.sleep(10)
    assert [(entry.before, entry.state, entry.failure) for entry in fake.journal.transitions] == [
        (None, State.QUEUED, None),
        (State.QUEUED, State.RUNNING, None),
        (State.RUNNING, State.FAILED, "broken"),
    ]


def test_it_says_which_story_a_request_met(tmp_path: Path) -> None:
    """An exchange names the scenario that was played to it: that of its header, of its account, or of all."""
    scenarios = {name: {"description": "As usual."} for name in ("all", "own", "one")}
    fake = Fake("small", scenario="all", paths=[small(tmp_path, scenarios=scenarios)])
    http = fake.client()
    http.get("/account")
    fake.provider.accounts.of_key("").story = fake.provider.behaviour.scenario("own")
    http.get("/account")
    http.get("/account", headers={"understudy-scenario": "one"})
    http.get("/nowhere")
    assert [entry.scenario for entry in fake.journal.exchanges] == ["all", "own", "one", None]


def test_each_listener_is_told() -> None:
    """Whoever listens is told of each entry when it is written."""
    journal, first, second = Journal(), list[Entry](), list[Entry]()
    journal.listeners += [first.append, second.append]
    journal.add(entry := Transition(0, "a", State.QUEUED, "queued"))
    assert first == second == [entry]


@pytest.mark.parametrize(
    ("job_id", "shown"),
    [
        ("abc", "abc"),
        ("cd072cd8be6f9f62", "cd072cd8…"),
        ("projects/mine/operations/17", "17"),
        ("projects/mine/operations/cd072cd8be6f9f62", "cd072cd8…"),
    ],
)
def test_an_id_is_shown_by_what_tells_it_from_others(job_id: str, shown: str) -> None:
    """A long one by its beginning, and one that is a path by its end: all of a provider's may begin alike."""
    assert short(job_id) == shown


def test_a_state_without_a_word_is_shown_alone() -> None:
    """Where the provider has a word it stands beside the state."""
    assert Job(id="a", state=State.RUNNING).worded == "running"
    assert Job(id="a", state=State.RUNNING, status=2).worded == "running (2)"
