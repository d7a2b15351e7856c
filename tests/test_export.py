"""Tests of `understudy export`: each format is read by a tool of somebody else's."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.acme import Acme
from tests.tools import EXPORTED, loaded_of, wrong_diagrams, wrong_in_har
from understudy import Fake
from understudy.behaviour import Behaviour
from understudy.cli import _EXPORTS, main
from understudy.contract.model import Contract
from understudy.export import as_har
from understudy.export.mermaid import as_mermaid
from understudy.export.run import WRITERS
from understudy.export.stories import as_stories
from understudy.fake import API_KEY
from understudy.folders import Folders
from understudy.journal import MAX_BODY_BYTES, Attempt, Exchange, Struck, Transition
from understudy.library import load_provider
from understudy.lifecycle import State


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Return the folders of a provider that uses every part of the format."""
    return Acme(tmp_path_factory.mktemp("acme")).write()


@pytest.fixture(params=EXPORTED)
def loaded(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Contract, Behaviour]:
    """Return each provider."""
    return loaded_of(request.param, tmp_path)


# --- the command ----------------------------------------------------------------------------------------------------


def test_the_command_writes_a_file(acme: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What goes to a file is what goes to standard output without one."""
    out = tmp_path / "acme.mmd"

    assert main(["export", str(acme.contract), "--format", "mermaid", "--out", str(out)]) == 0
    assert main(["export", str(acme.contract), "--format", "mermaid"]) == 0
    assert capsys.readouterr().out == out.read_text(encoding="utf-8")


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is not there is the user's mistake, and told in one line."""
    assert main(["export", EXPORTED[0], "--format", "mermaid", "--out", str(tmp_path / "no" / "file")]) == 2
    assert "cannot be written: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize("balance", [100, 0])
def test_little_is_enough(tmp_path: Path, balance: int) -> None:
    """A provider without keys, bodies and status is exported, too, and so is one whose create makes no job."""
    acme = Acme(tmp_path)
    acme.behaviour["balance"] = balance
    acme.scenarios = {}
    del acme.openapi["security"], acme.openapi["paths"]["/jobs"]["post"]["requestBody"], acme.job["status"]
    del acme.openapi["paths"]["/jobs"]["post"]["callbacks"]
    contract, behaviour = load_provider(acme.write())
    written = [write(contract, behaviour) for write in WRITERS.values()]
    har = written[list(WRITERS).index("har")]["log"]["entries"]

    assert [entry["_operation"] for entry in har if "_operation" in entry] == ["make"]
    assert any(entry.get("_callback") for entry in har) is False
    assert written[list(WRITERS).index("arazzo")]["workflows"][0]["inputs"]["required"] == []


def test_the_same_contract_gives_the_same_file(loaded: tuple[Contract, Behaviour]) -> None:
    """What is exported depends on the contract and the behaviour alone, so that a change of it is one of theirs."""
    assert [write(*loaded) for write in WRITERS.values()] == [write(*loaded) for write in WRITERS.values()]


def test_the_formats_are_those_of_the_command() -> None:
    """The command line knows each format, and no other."""
    assert set(WRITERS) == set(_EXPORTS)


# --- mermaid --------------------------------------------------------------------------------------------------------

LIFECYCLE = """stateDiagram-v2
  state "job" as job {
    state "queued: waiting | held" as job_queued
    state "running: working" as job_running
    state "succeeded: done" as job_succeeded
    state "failed: broken" as job_failed
    state "cancelled: stopped" as job_cancelled
    [*] --> job_queued : make, makeNow
    job_queued --> job_running
    job_queued --> job_succeeded : callback
    job_queued --> job_failed : callback
    job_queued --> job_cancelled : stop
    job_running --> job_succeeded : callback
    job_running --> job_failed : callback
    job_running --> job_cancelled
    job_succeeded --> [*]
    job_failed --> [*]
    job_cancelled --> [*]
  }
"""


def test_the_diagram_shows_words_ways_and_callbacks(acme: Folders) -> None:
    """Each state has its wire words, each way to another what asks for it and whether a callback tells of it."""
    assert as_mermaid(load_provider(acme)[0]) == LIFECYCLE


def test_a_diagram_shows_what_becomes_of_jobs_that_have_ended(tmp_path: Path) -> None:
    """They can be removed, they go after a time, or another state follows."""
    removed, gone, old = (Acme(tmp_path / name) for name in ("removed", "gone", "old"))
    for one in (removed, gone, old):
        del one.job["cancel"]
    removed.job["delete"] = {"operation": "stop", "id": "$request.path.id", "from": ["failed"], "reply": {"http": 204}}
    gone.job["retention"] = {"jobSeconds": 5184000}
    old.job["retention"] = {"jobSeconds": 60, "then": "expired"}
    old.job["states"] |= {"expired": ["forgotten"]}
    shown = [as_mermaid(load_provider(one.write())[0]) for one in (removed, gone, old)]

    assert "job_failed --> [*] : stop\n" in shown[0]
    assert "job_failed --> [*] : after 5184000 s\n" in shown[1]
    assert "job_failed --> job_expired : after 60 s\n" in shown[2]
    assert "job_expired --> [*]" not in shown[2]


def test_mermaid_reads_every_diagram(tmp_path: Path) -> None:
    """Mermaid's own parser takes the diagram of every provider, whatever words and conditions it has."""
    odd = Acme(tmp_path)
    odd.job["states"]["queued"] += [7, {"word": 'a "b" #;: {c}\n--> d', "when": "$response.body#/x > 1"}]
    odd.job["states"]["running"] = [{"when": "$statusCode == 202"}]
    loaded = [load_provider(odd.write()), *(loaded_of(name, tmp_path / "other") for name in EXPORTED)]

    assert wrong_diagrams(as_mermaid(contract) for contract, _ in loaded) == []
    assert len(wrong_diagrams(["stateDiagram-v2\n  a -->\n"])) == 1


# --- har ------------------------------------------------------------------------------------------------------------

texts = st.text(max_size=20)
times = st.floats(0, 4e9)
paths = st.from_regex(r"/[!-~]{0,30}", fullmatch=True).map(lambda path: path.replace("?", ""))
bodies = st.binary(max_size=40) | texts.map(str.encode)
entries = st.lists(
    st.builds(
        Exchange,
        at=times,
        account=texts,
        method=st.sampled_from(["GET", "POST"]),
        path=paths,
        operation=st.none() | texts,
        status=st.none() | st.integers(100, 599),
        error=st.none() | texts,
        jobs=st.lists(texts).map(tuple),
        request_body=bodies,
        reply_body=bodies,
        parameters=st.lists(st.tuples(st.sampled_from("ab"), st.text(max_size=5)), max_size=2),
    )
    | st.builds(
        Attempt,
        times,
        texts,
        st.sampled_from(["http://localhost/ä b%c", "hook", "http://[::1]:1/[x]"]),
        st.integers(1, 9),
        st.none() | st.integers(100, 599),
        st.booleans(),
        texts,
    )
    | st.builds(Transition, times, texts, st.sampled_from(State), texts)
    | st.builds(Struck, times, texts, texts, st.none() | texts)
)


@given(entries)
def test_every_journal_is_a_har(journal: list) -> None:
    """Whatever a journal holds, the schema of HAR takes it; requests and callbacks are entries, in order."""
    har = as_har(journal, "http://127.0.0.1:4010/v1/")
    shown = [entry for entry in journal if isinstance(entry, Exchange | Attempt)]

    assert wrong_in_har(har) == []
    assert [entry.get("_callback", False) for entry in har["log"]["entries"]] == [
        isinstance(one, Attempt) for one in shown
    ]


def test_a_har_tells_what_the_journal_keeps() -> None:
    """A body has the type that it looks like, one that was cut says so, and what was not answered has the status 0."""
    fake = Fake("kie")
    path = "/api/v1/jobs/createTask"
    for body in (b'{"a": 1}', b"text", b"\xff", b"x" * MAX_BODY_BYTES, b"\xff" * MAX_BODY_BYTES):
        fake.client().post(path, content=body)
    fake.fault("reset-before-commit")
    with pytest.raises(httpx.ReadError):
        fake.client().post(path, json={})
    *entries, severed = as_har(fake.journal, fake.base_url)["log"]["entries"]
    cut = "the journal has kept no more of it"

    assert [entry["request"]["postData"].get("comment") for entry in entries] == [
        None,
        None,
        "base64",
        cut,
        f"base64; {cut}",
    ]
    assert [entry["request"]["postData"]["mimeType"] for entry in entries[:3]] == [
        "application/json",
        "text/plain",
        "application/octet-stream",
    ]
    assert entries[0]["response"]["statusText"] == "OK"
    assert json.loads(entries[0]["response"]["content"]["text"])["code"] == 400 or entries[0]["_error"]
    assert (severed["response"]["status"], severed["comment"]) == (0, "there was no answer")


def test_every_story_is_in_the_har_of_a_provider(loaded: tuple[Contract, Behaviour]) -> None:
    """The stories of each provider are a valid HAR: each is played, callbacks are marked, and no secret is in it."""
    contract, behaviour = loaded
    har = as_stories(contract, behaviour)
    text, entries = json.dumps(har), har["log"]["entries"]
    creates = [entry for entry in entries if entry.get("_operation") in contract.job_type.creates[0].operations]

    assert wrong_in_har(har) == []
    assert len(creates) == 1 + len(behaviour.scenarios)
    assert any(entry.get("_callback") for entry in entries) == (contract.job_type.callback is not None)
    assert [entry["startedDateTime"] for entry in entries] == sorted(entry["startedDateTime"] for entry in entries)
    assert not any(secret in text for secret in (API_KEY, *behaviour.secrets.values()))


@given(st.text().map(lambda text: f"~{text}~k"), st.data())
def test_no_secret_is_in_a_har(secret: str, data: st.DataObject) -> None:
    """A secret that was put into a body, an address or a note, in JSON or percent-encoded, is not in the file."""
    fake = Fake("kie")
    told = data.draw(st.sampled_from([secret, f"<{secret}>", json.dumps({"a": secret})]))
    http = fake.client()
    http.post("/api/v1/jobs/createTask", json={"model": "nano-banana-pro", "input": {"prompt": told}})
    http.get("/api/v1/jobs/recordInfo", params={"taskId": told})
    http.post("/api/v1/jobs/createTask", content=told.encode("utf-8", "replace"))
    fake.journal.add(Attempt(1.0, "id", "http://localhost/", 1, None, False, told))
    text = json.dumps(as_har(fake.journal, fake.base_url, secrets=[secret]), ensure_ascii=False)

    assert secret not in text
    assert json.dumps(secret)[1:-1] not in text
