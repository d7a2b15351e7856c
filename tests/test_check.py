"""Tests of `understudy check`: what is looked at, and how it is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acme import MADE, MAKE, Acme, exchange, looked
from understudy.check import check_provider, run
from understudy.folders import Folders, bundled_root, find_provider, provider_names


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


def test_a_recording_may_be_a_guess(acme: Acme):
    """A recording that was put together from words is listed with the guesses, where it says so."""
    acme.record(exchange(MAKE, MADE), source={"document": "words alone", "mark": "guessed"})
    (guess,) = (guess for guess in acme.check().guesses if guess.file.endswith("one.yaml"))
    assert (guess.pointer, guess.source, guess.line > 1) == ("/source", "words alone", True)


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
