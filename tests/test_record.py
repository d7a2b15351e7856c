"""Tests of `understudy record`: what is seen of our own live fakes comes back as recordings that `check` accepts."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import understudy
from tests.live import until
from tests.taped import har_of, told_of
from understudy.check import CheckReport, check_provider
from understudy.cli import main
from understudy.clock import VirtualClock
from understudy.contract.loader import load
from understudy.errors import UsageError
from understudy.folders import find_provider
from understudy.plan import Plan
from understudy.record.relay import Relay, relayed
from understudy.record.run import record
from understudy.record.tape import Seen, Tape, read_har
from understudy.server import LiveServer

KEY = {"authorization": "Bearer sk-1f0a7c55e9d24b"}
HTTP = httpx.Client()  # making one takes longer than what it is for


@pytest.fixture(scope="session", autouse=True)
def its_connections_end() -> Iterator[None]:
    """Close the one client after the last test: a socket that is left open is told of at the end of a run."""
    with HTTP:
        yield


Traffic = Callable[[str, LiveServer, str], None]


def kie(url: str, server: LiveServer, callback_url: str) -> None:
    """A job that succeeds, one that fails, one that calls back, and requests that fail."""

    def polled(**more: Any) -> None:
        task = {"model": "nano-banana-pro", "input": {"prompt": "a lighthouse, by me@mail.test"}, **more}
        made = HTTP.post(f"{url}/api/v1/jobs/createTask", json=task, headers=KEY).json()["data"]
        for _ in range(7):
            query = {"taskId": made["taskId"]}
            HTTP.get(f"{url}/api/v1/jobs/recordInfo", params=query, headers=KEY)
            server.advance(3)
            until(HTTP, server.url, lambda: not server.busy())

    polled()
    server.provider("kie").plan_next(Plan(failure="content-policy"))
    polled()
    polled(callBackUrl=callback_url)
    HTTP.get(f"{url}/api/v1/chat/credit", headers=KEY)
    HTTP.get(f"{url}/api/v1/chat/credit")
    HTTP.get(f"{url}/api/v1/jobs/recordInfo?taskId=nobody", headers=KEY)
    HTTP.post(f"{url}/api/v1/jobs/createTask", json={"model": "nano-banana-pro", "input": {}}, headers=KEY)


def oxen(url: str, server: LiveServer, callback_url: str) -> None:
    """Two jobs, one of which fails, whose ends a stream tells."""
    with HTTP.stream("GET", f"{url}/api/events", headers=KEY) as stream:
        for failure in (None, "content-policy"):
            server.provider("oxen").plan_next(Plan(failure=failure))
            ask = {"model": "google-nano-banana-pro", "prompt": "a lighthouse"}
            made = HTTP.post(f"{url}/api/ai/queue", json=ask, headers=KEY).json()["generations"][0]
            server.advance(60)
            HTTP.get(f"{url}/api/ai/queue/{made['generation_id']}", headers=KEY)
        lines = stream.iter_lines()
        assert sum(line.startswith("data") for line in (next(lines) for _ in range(6))) == 2


TRAFFIC: dict[str, tuple[Traffic, int]] = {"kie": (kie, 6), "oxen": (oxen, 2)}


@pytest.fixture
def emptied(tmp_path: Path) -> Callable[[str], Path]:
    """A provider's two folders, without its recordings."""

    def copied(name: str) -> Path:
        folders = find_provider(name)
        shutil.copytree(folders.fake, tmp_path / "fakes" / name)
        contract = shutil.copytree(folders.contract, tmp_path / "contracts" / name)
        shutil.rmtree(contract / "recordings")
        return contract

    return copied


def checked(contract: Path) -> CheckReport:
    return check_provider(find_provider(str(contract)))


def recorded(contract: Path, name: str, traffic: Traffic) -> Tape:
    """Record a live fake into the folder of a contract; return what was seen."""
    clock, tapes = VirtualClock(), []
    with understudy.serve(name, clock=clock) as server:

        def said(relay: Relay) -> None:
            traffic(relay.url, server, relay.callback_url)
            tapes.append(relay.tape)

        upstream = server.url_of(name)
        assert record(str(contract), contract / "recordings", upstreams=[upstream], until=said, clock=clock) == 0
    return [*tapes[0]]


@pytest.mark.parametrize("name", TRAFFIC)
def test_what_was_recorded_is_accepted(name: str, emptied: Any, capsys: Any):
    """A contract without recordings gets them back from a live fake, and `check` reproduces each of them."""
    contract = emptied(name)
    traffic, count = TRAFFIC[name]
    recorded(contract, name, traffic)
    report = checked(contract)

    assert report.problems == []
    assert report.reproduced == len(report.recordings) == count
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == count
    assert err == ""


@pytest.mark.parametrize("name", TRAFFIC)
def test_a_har_does_as_well(name: str, emptied: Any, tmp_path: Path):
    """The same traffic as a HAR comes back as recordings that are reproduced; a HAR has no callbacks."""
    clock = VirtualClock()
    with understudy.serve(name, clock=clock) as server, relayed([server.url_of(name)], clock=clock) as relay:
        TRAFFIC[name][0](relay.url, server, "http://127.0.0.1:9/nobody")
        upstream, tape = server.url_of(name), relay.tape
    contract, file = emptied(name), tmp_path / "seen.har"
    file.write_text(json.dumps(har_of(tape)), encoding="utf-8")
    assert record(str(contract), contract / "recordings", upstreams=[upstream], har=file, until=lambda _: None) == 0
    report = checked(contract)

    assert report.problems == []
    assert report.reproduced == len(report.recordings) == TRAFFIC[name][1]


# --- what is new ----------------------------------------------------------------------------------------------------


def seen_at(at: float, answer: Any, *, body: Any = None, status: int = 200, wait: str = "") -> Seen:
    url = "https://api.kie.ai/api/v1/jobs/" + ("recordInfo?taskId=abcdef123456" if body is None else "createTask")
    sent, said = json.dumps(body).encode() if body else b"", json.dumps(answer).encode()
    answered = {"content-type": "application/json", **({"x-wait": wait} if wait else {})}
    return Seen(1.8e9 + at, "POST" if body else "GET", url, {}, sent, status, answered, said, len(said))


def state(word: str, **more: Any) -> dict[str, Any]:
    task = {"model": "nano-banana-pro", "input": {"prompt": "a lighthouse"}}
    data = {"taskId": "abcdef123456", "model": "nano-banana-pro", "state": word, "param": json.dumps(task)}
    return {"code": 200, "msg": "success", "data": {**data, "resultJson": "", **more}}


MADE = seen_at(
    0,
    {"code": 200, "msg": "success", "data": {"taskId": "abcdef123456"}},
    body={"model": "nano-banana-pro", "input": {"prompt": "a lighthouse"}},
)


def test_new_facts_are_listed_and_offered_as_a_patch(emptied: Any, tmp_path: Path, capsys: Any):
    """A word, a failure, a header and an error that are new are listed; the patch adds what it can, by `git apply`."""
    contract = emptied("kie")
    before = (contract / "openapi.yaml").read_bytes()
    tape: Tape = [
        MADE,
        seen_at(3, state("paused"), wait="7"),
        seen_at(6, state("fail", failCode="517", failMsg="The moon is full")),
        seen_at(9, {"code": 599, "msg": "Out of order"}, body={"model": "nano-banana-pro", "input": {"prompt": "b"}}),
    ]
    told_of(contract, tape, tmp_path, patch=tmp_path / "new.patch")
    err = capsys.readouterr().err

    for fact in (
        'new: a word for a state: "paused", which may mean running',
        'new: a failure: {"code":"517","message":"The moon is full"}',
        "new: a header of an answer: x-wait",
        "new: an answer of createTask with status 200: ",
    ):
        assert fact in err
    assert (contract / "openapi.yaml").read_bytes() == before
    patch = (tmp_path / "new.patch").read_text(encoding="utf-8")
    name = next(line[6:] for line in patch.splitlines() if line.startswith("--- a/"))
    shutil.copy(contract / "openapi.yaml", tmp_path / "whole.yaml")
    text = patch.replace(name, "whole.yaml")
    subprocess.run(["git", "apply", "-"], input=text.encode(), cwd=tmp_path, check=True)
    shutil.copy(tmp_path / "whole.yaml", contract / "openapi.yaml")
    jobs = load(contract / "openapi.yaml").data["x-jobs"]["task"]
    evidence = {"mark": "observed", "source": "capture of api.kie.ai", "date": "2027-01-15"}
    assert jobs["states"]["running"] == ["generating", {"word": "paused", "x-evidence": evidence}]
    assert jobs["failures"]["the-moon-is-full"]["x-evidence"] == evidence
    told_of(contract, tape, tmp_path)
    again = capsys.readouterr().err
    assert 'the job is never "paused"' in again  # which the fake has to be told, too
    assert "a word" not in again
    assert "a failure" not in again


def test_what_is_about_no_job_is_new_as_well(emptied: Any, tmp_path: Path, capsys: Any):
    """A path that no operation has is new, a result file is kept by what it is, and others' hosts are left out."""
    contract = emptied("kie")
    link = "https://tempfile.aiquickdraw.com/p/1.png"
    done = seen_at(3, state("success", resultJson=json.dumps({"resultUrls": [f"{link}?sig=0a1b2c3d4e"]})))
    file = Seen(1.8e9 + 4, "GET", f"{link}?sig=0a1b2c3d4e", {}, b"", 200, {"content-type": "image/png"}, b"\x89PNG", 4)
    stranger = Seen(1.8e9 + 5, "GET", "https://api.kie.ai/api/v9/x", {}, b"", 404, {}, b"", 0)
    other = Seen(1.8e9 + 6, "GET", "https://other.test/api/v1/chat/credit", {}, b"", 200, {}, b"{}", 2)
    told_of(contract, [MADE, done, file, stranger, other], tmp_path)
    assert "new: no operation has this path: GET /api/v9/x" in capsys.readouterr().err
    (path,) = (contract / "recordings").iterdir()
    assert load(path).data["files"] == [{"at": 4, "status": 200, "mediaType": "image/png", "size": 4}]
    assert "0a1b" not in path.read_text(encoding="utf-8")
    told_of(contract, [MADE, done], tmp_path)
    assert {path.name for path in (contract / "recordings").iterdir()} == {"job-0001.yaml", "job-0001-2.yaml"}


def test_an_event_that_nobody_knows_is_new(tmp_path: Path, emptied: Any, capsys: Any):
    """An event by another name, and a callback that cannot be read, are new."""
    contract = emptied("oxen")
    stream = {"content-type": "text/event-stream"}
    frame = b'event: moved\ndata: {"a": 1}\n\n: still here\n\n'
    tape: Tape = [Seen(1.8e9, "GET", "https://hub.oxen.ai/api/events", {}, b"", 200, stream, frame, len(frame))]
    told_of(contract, tape, tmp_path)
    assert "new: an event: moved" in capsys.readouterr().err
    contract = emptied("kie")
    (tmp_path / "callback.json").write_text("half", encoding="utf-8")
    told_of(contract, [MADE], tmp_path, callbacks=[tmp_path / "callback.json"])
    assert "new: a callback that cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "added"),
    [("\n        - generating\n", True), (" [generating,\n        working]\n", False)],
)
def test_words_may_be_written_in_other_ways(emptied: Any, tmp_path: Path, words: str, added: bool):
    """A word is added to a list that is a word a line; a list that is broken anyhow is left to be changed by hand."""
    contract = emptied("kie")
    text = (contract / "openapi.yaml").read_text(encoding="utf-8")
    assert " [generating]\n" in text
    (contract / "openapi.yaml").write_text(text.replace(" [generating]\n", words), encoding="utf-8")
    tape: Tape = [MADE, seen_at(3, state("paused")), seen_at(6, state("generating"))]
    told_of(contract, tape, tmp_path, patch=tmp_path / "new.patch")
    assert (tmp_path / "new.patch").exists() == added
    if added:
        assert '\n+        - {"word": "paused", ' in (tmp_path / "new.patch").read_text(encoding="utf-8")


def test_what_is_not_right_is_recorded_as_it_is(emptied: Any, tmp_path: Path):
    """A body that is not what it says, and an address for callbacks that is none, do not stop it."""
    contract = emptied("kie")
    half = seen_at(1, {"code": 500, "msg": "no"}, body={"model": "a", "input": {}, "callBackUrl": "http://[half"})
    broken = seen_at(2, {"code": 400, "msg": "no"}, body={"a": 1})
    broken.body = b"{half"
    told_of(contract, [half, broken], tmp_path)
    (path,) = (contract / "recordings").iterdir()
    bodies = [exchange["request"]["body"] for exchange in load(path).data["exchanges"]]
    assert bodies[0]["callBackUrl"] == "https://example.com/callback"
    assert bodies[1] == "{half"


def test_a_key_that_was_refused_is_not_there(emptied: Any, tmp_path: Path):
    """Where a key was refused none is sent when it is played, which is told; nobody's secret is written."""
    contract = emptied("kie")
    refused = seen_at(1, {"code": 401, "msg": "Unauthorized"})
    refused.headers = {"authorization": "Bearer a-wrong-key-1"}
    told_of(contract, [refused], tmp_path)
    (path,) = (contract / "recordings").iterdir()
    data = load(path).data
    assert data["exchanges"][0]["request"]["headers"] == {"Authorization": None}
    assert data["elided"][0]["at"] == "/exchanges/0/request/headers/Authorization"
    assert "a-wrong-key-1" not in path.read_text(encoding="utf-8")
    assert checked(contract).problems == []


def test_a_har_may_have_forms_taken_apart(tmp_path: Path):
    """Fields of a form are put together; what is no base64, and what is too large, is refused."""
    data = har_of([seen_at(1, {"a": 1}, body={"b": 2})])
    entry = data["log"]["entries"][0]
    entry["request"]["postData"] = {"params": [{"name": "a", "value": "b c"}, {"name": "d"}]}
    entry["response"]["content"] = {"mimeType": "text/plain", "text": "said"}
    file = tmp_path / "seen.har"
    file.write_text(json.dumps(data), encoding="utf-8")
    (seen,) = read_har(file)
    assert isinstance(seen, Seen)
    assert (seen.body, seen.answer) == (b"a=b+c&d=", b"said")
    entry["response"]["content"] = {"encoding": "base64", "text": "a"}
    file.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(UsageError, match=r"is no HAR 1\.2"):
        read_har(file)


def test_a_har_is_bounded(tmp_path: Path, monkeypatch: Any):
    """A HAR that is too large is not read."""
    monkeypatch.setattr("understudy.record.tape.MAX_HAR_BYTES", 1)
    (tmp_path / "seen.har").write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match="is larger than 1 bytes"):
        read_har(tmp_path / "seen.har")


def test_a_patch_that_cannot_be_written_is_told_of(emptied: Any, tmp_path: Path):
    """Where the patch has nowhere to go, that is said."""
    with pytest.raises(UsageError, match="cannot be written"):
        told_of(emptied("kie"), [MADE, seen_at(3, state("paused"))], tmp_path, patch=tmp_path)


def test_what_was_refused_and_lost_is_told(tmp_path: Path, capsys: Any, monkeypatch: Any):
    """Hosts that were asked for in vain, and exchanges that were too many, are told at the end."""
    monkeypatch.setattr("understudy.record.relay.MAX_KEPT", 0)

    def said(relay: Relay) -> None:
        with httpx.Client(proxy=relay.environment["HTTP_PROXY"], trust_env=False) as http:
            http.get("http://other.test/")
        HTTP.get(f"{relay.url}/api/v1/chat/credit", headers=KEY)

    with understudy.serve("kie") as server:
        record("kie", tmp_path, upstreams=[server.url_of("kie")], until=said)
    err = capsys.readouterr().err
    assert "refused 1 times: other.test; say --upstream https://other.test" in err
    assert "1 exchanges were too many to be kept" in err


def test_nothing_of_the_provider_is_told(emptied: Any, tmp_path: Path, capsys: Any):
    """Where nothing of the provider was seen, that is said, and nothing is written."""
    contract = emptied("kie")
    told_of(contract, [], tmp_path, patch=tmp_path / "new.patch")
    assert capsys.readouterr().err == "nothing of kie was seen\n"
    assert not (tmp_path / "new.patch").exists()


def test_what_takes_too_long_is_new(emptied: Any, tmp_path: Path, capsys: Any):
    """A job that takes longer than the contract says, and one that is hidden for longer, are new facts."""
    contract = emptied("kie")
    text = (contract / "openapi.yaml").read_text(encoding="utf-8")
    (contract / "openapi.yaml").write_text(
        text.replace("      notYetVisible:", "      giveUpSeconds: 600\n      notYetVisible:", 1), encoding="utf-8"
    )
    hidden = seen_at(40, {"code": 422, "msg": "recordInfo is null", "data": None})
    told_of(contract, [MADE, hidden, seen_at(700, state("generating"))], tmp_path)
    err = capsys.readouterr().err
    assert "new: a job that is not found 40.0 s after its create" in err
    assert "new: a job that took longer than the 600 s after which to give up" in err


# --- the relay ------------------------------------------------------------------------------------------------------


def test_nothing_else_is_reached():
    """Neither another host, nor one by a proxied request, nor what comes from elsewhere is forwarded."""
    with understudy.serve("kie") as server, relayed([server.url_of("kie")]) as relay:
        assert httpx.get(relay.url, headers={"host": "evil.test"}).status_code == 403
        proxy = relay.environment["HTTP_PROXY"]
        with httpx.Client(proxy=proxy, trust_env=False) as http:
            assert http.get("http://other.test/").status_code == 403
        assert dict(relay.refused) == {"other.test": 1}
        assert httpx.post(relay.url, content=b"x" * (16 * 1024 * 1024 + 1)).status_code == 413
        assert relay.tape == []


def test_a_provider_that_does_not_answer_is_told_of():
    """Where nobody answers, the program is told so, and nothing is kept."""
    with relayed(["http://127.0.0.1:9"]) as relay:
        reply = httpx.get(f"{relay.url}/jobs")
        assert (reply.status_code, reply.json()["title"]) == (502, "no answer")
        assert relay.tape == []


def test_a_url_that_is_none_is_refused():
    """What is no URL cannot be forwarded to."""
    with pytest.raises(UsageError, match=r'"api\.kie\.ai" is no URL'), relayed(["api.kie.ai"]):
        pass


def test_a_program_is_recorded_behind_the_real_addresses(tmp_path: Path, emptied: Any):
    """With a command, what it says by TLS to the provider's own address is recorded; its exit status is passed on."""
    contract = emptied("kie")
    program = (
        "import httpx, os, sys, ssl;"
        "tls = ssl.create_default_context(cafile=os.environ['SSL_CERT_FILE']);"
        "http = httpx.Client(proxy=os.environ['HTTPS_PROXY'], verify=tls, trust_env=False);"
        "url = sys.argv[1].replace('http://127.0.0.1', 'https://localhost');"
        "reply = http.get(url + '/api/v1/chat/credit', headers={'authorization': 'Bearer sk-1f0a7c55e9d24b'});"
        "sys.exit(reply.json()['data'] - 10000 + 7)"
    )
    with understudy.serve("kie") as server:
        upstream = server.url_of("kie").replace("127.0.0.1", "localhost")
        command = [sys.executable, "-c", program, server.url_of("kie")]
        out = contract / "recordings"
        assert record(str(contract), out, upstreams=[upstream], command=command, until=lambda _: None) == 7
    assert checked(contract).reproduced == 1


# --- the command ----------------------------------------------------------------------------------------------------


def test_the_command_needs_something_to_record(tmp_path: Path, capsys: Any):
    """Without a provider and a HAR, with a HAR that is none, or nowhere to write to, the question was wrong: 2."""
    wrong, out = tmp_path / "wrong.har", str(tmp_path / "out")
    wrong.write_text("{}", encoding="utf-8")
    missing, file = str(tmp_path / "missing"), tmp_path / "file"
    file.write_text(json.dumps(har_of([MADE])), encoding="utf-8")
    for arguments, text in (
        (["--out", out], "say --upstream URL"),
        (["--out", out, "--har", str(wrong)], "is no HAR 1.2: KeyError"),
        (["--out", out, "--har", missing], "cannot be read"),
        (["--out", out, "--har", str(file), "--callback", missing], "cannot be read"),
        (["--out", str(file), "--har", str(file)], "cannot be written: File exists; choose another --out"),
    ):
        assert main(["record", "kie", *arguments]) == 2
        assert text in capsys.readouterr().err


def test_a_callback_can_be_handed_in(emptied: Any, tmp_path: Path):
    """A callback that came in elsewhere follows what was seen of its job; nobody knows when it was."""
    contract = emptied("kie")
    result = json.dumps({"resultUrls": ["https://tempfile.aiquickdraw.com/p/1.png"]})
    body = {
        **state("success", resultJson=result, failCode=None, failMsg=None),
        "msg": "Playground task completed successfully.",
    }
    (tmp_path / "callback.json").write_text(json.dumps(body), encoding="utf-8")
    told_of(contract, [MADE], tmp_path, callbacks=[tmp_path / "callback.json"])
    (data,) = (load(path).data for path in (contract / "recordings").iterdir())
    assert [set(exchange) for exchange in data["exchanges"]] == [{"at", "request", "response"}, {"callback"}]


def test_ctrl_c_ends_the_relay(tmp_path: Path):
    """From the command line it says where it is, and writes at Ctrl-C what was seen."""
    with understudy.serve("kie") as server:
        command = [sys.executable, "-m", "understudy", "record", "kie", "--upstream", server.url_of("kie")]
        process = subprocess.Popen(
            [*command, "--out", str(tmp_path), "--port", "0"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        url = process.stderr.readline().rpartition(" ")[2].strip()
        assert HTTP.get(f"{url}/api/v1/chat/credit", headers=KEY).json()["data"] == 10000
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert out == f"{tmp_path / 'getCredit-200.yaml'}\n"
