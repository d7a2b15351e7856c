"""Tests of `understudy record` with a provider that has what few have, or lacks what most have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.acme import Acme
from tests.taped import told_of
from understudy.contract.loader import load
from understudy.record.tape import Seen, Tape


def acme_tells(tmp_path: Path, acme: Acme, *answers: tuple[int, bytes], callback: Any = None) -> Path:
    """Record a create of a job, answers to reads of it, and a callback; return where the recordings are."""
    url, said = "https://api.acme.test/v1/jobs", json.dumps({"jobs": [{"id": "job-00000001"}]}).encode()
    made = b'{"model": "cat", "input": {"prompt": "a lighthouse"}}'
    headers = {"content-type": "application/json"}
    tape: Tape = [Seen(1.8e9, "POST", url, {}, made, 200, headers, said, len(said))]
    for at, (status, answer) in enumerate(answers, 1):
        read = Seen(
            1.8e9 + at, "GET", f"{url}/job-00000001?key=a-key-0123", {}, b"", status, headers, answer, len(answer)
        )
        tape.append(read)
    (tmp_path / "callback.json").write_text(json.dumps(callback), encoding="utf-8")
    contract = acme.write().contract
    more = {} if callback is None else {"callbacks": [tmp_path / "callback.json"]}
    told_of(contract, tape, tmp_path, patch=tmp_path / "new.patch", **more)
    return contract / "recordings"


def test_a_word_of_a_callback_is_new(tmp_path: Path, capsys: Any):
    """A word that only a callback says is new; a contract that is written as JSON is left to be changed by hand."""
    acme = Acme(tmp_path)
    acme_tells(tmp_path, acme, callback={"id": "job-00000001", "state": "paused"})
    assert 'new: a word for a state: "paused"' in capsys.readouterr().err
    assert not (tmp_path / "new.patch").exists()


def test_a_callback_that_none_has_is_passed_over(tmp_path: Path, capsys: Any):
    """A callback to a provider that has none is about nothing."""
    acme = Acme(tmp_path)
    acme.job.pop("callback")
    (path,) = acme_tells(tmp_path, acme, callback={"id": "job-00000001", "state": "done"}).iterdir()
    assert len(load(path).data["exchanges"]) == 1
    assert "callback" not in capsys.readouterr().err


def test_what_is_no_answer_by_the_contract_is_recorded(tmp_path: Path, capsys: Any):
    """An answer with nothing in it has no body, one with half an object is a text, and a status may be anybody's."""
    (path,) = acme_tells(tmp_path, Acme(tmp_path), (418, b""), (418, b'"{half"')).iterdir()
    answers = [exchange["response"] for exchange in load(path).data["exchanges"]][1:]
    assert answers == [{"status": 418}, {"status": 418, "body": "{half"}]
    assert "new: an answer of look with status 418" in capsys.readouterr().err


def test_a_key_that_was_refused_in_a_query_is_not_there(tmp_path: Path):
    """A key that was sent in the query, and refused, is left out of it."""
    acme = Acme(tmp_path)
    acme.openapi["components"]["securitySchemes"]["key"] = {"type": "apiKey", "in": "query", "name": "key"}
    refused = json.dumps({"error": {"code": "unauthorized", "text": "No key"}}).encode()
    paths = [*acme_tells(tmp_path, acme, (401, refused)).iterdir()]
    assert not [path for path in paths if "a-key-0123" in path.read_text(encoding="utf-8")]
    (read,) = (entry for path in paths for entry in load(path).data["exchanges"] if entry["response"]["status"] == 401)
    assert read["request"] == {"operation": "look", "path": {"id": read["request"]["path"]["id"]}}
