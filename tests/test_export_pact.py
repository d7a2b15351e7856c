"""Tests of the Pact that `understudy export` writes: Pact's own verifier plays it against the stand-in."""

from __future__ import annotations

import gc
import http.server
import json
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pact import Verifier

from tests.acme import Acme
from tests.tools import loaded_of
from understudy.behaviour import Behaviour
from understudy.contract.model import Contract
from understudy.export.pact import as_pact
from understudy.export.scenes import TAKES_SECONDS, Playing, Way
from understudy.folders import provider_names
from understudy.library import load_provider
from understudy.lifecycle import State
from understudy.plan import Plan
from understudy.reach import host_of
from understudy.wire import Request


@pytest.fixture(autouse=True)
def _untracked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the verifier tell nobody that it ran."""
    monkeypatch.setenv("PACT_DO_NOT_TRACK", "true")


class StandIn:
    """A stand-in on a socket, whose provider states are those of the Pact; its time goes on with what is asked."""

    def __init__(self, contract: Contract, behaviour: Behaviour) -> None:
        self._loaded = contract, behaviour
        self.contract = contract
        self.playing = Playing(*self._loaded)

    def state(self, state: str, action: str, parameters: dict[str, Any] | None) -> None:
        """Be as a provider state says."""
        if action != "setup":
            return
        self.playing, told = Playing(*self._loaded), parameters or {}
        if "state" not in told:
            self.playing.provider.plan_next(Plan(error=told.get("error")))
            return
        way = Way(State(told["state"]), told.get("failure"))
        if state == "a job":
            self.playing.make(self.contract.job_type, way, TAKES_SECONDS)
        else:
            self.playing.provider.plan_next(way.plan(TAKES_SECONDS))

    @contextmanager
    def listening(self) -> Iterator[str]:
        """Listen on loopback, and give the URL."""
        outer, host = self, host_of(self.contract.servers[0])

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self) -> None:
                path, _, query = self.path.partition("?")
                headers = [(name.lower(), value) for name, value in self.headers.items()]
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                reply = outer.playing.answer(Request(self.command, path, query, headers, body, host=host))
                assert reply is not None
                self.send_response(reply.status)
                for name, value in [*reply.headers, ("content-length", str(len(reply.body)))]:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = answer

            def log_message(self, *_: Any) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def verified(pact: dict[str, Any], loaded: tuple[Contract, Behaviour], folder: Path) -> None:
    """Have Pact's own verifier play every interaction; fail where one is not answered as it says."""
    file, stand_in = folder / "pact.json", StandIn(*loaded)
    file.write_text(json.dumps(pact), encoding="utf-8")
    messages = any("contents" in one for one in pact["interactions"])

    def message(name: str, metadata: dict[str, Any] | None) -> Any:
        delivery, _ = stand_in.playing.sent[-1]
        told = {name: value for name, value in delivery.headers if name != "content-type"}
        return {"contents": delivery.body, "metadata": told, "content_type": "application/json"}

    def verify() -> None:
        with stand_in.listening() as url:
            verifier = Verifier(loaded[0].name, host="127.0.0.1").add_transport(url=url).add_source(file)
            verifier.state_handler(stand_in.state, teardown=False)
            (verifier.message_handler(message) if messages else verifier).verify()

    wrong = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the verifier leaves sockets of its own to the collector
        try:
            verify()
        except RuntimeError as error:
            wrong = str(error)
        gc.collect()
    assert not wrong, wrong


@pytest.mark.parametrize("name", [*provider_names(), "acme"])
def test_the_verifier_finds_the_stand_in_to_be_as_the_pact_says(name: str, tmp_path: Path) -> None:
    """The verifier of the Pact Foundation reads the file, sets each state up, and takes every answer."""
    loaded = loaded_of(name, tmp_path)

    verified(as_pact(*loaded), loaded, tmp_path)


def test_the_verifier_finds_what_is_another(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """An answer with another status, or another word, is not what the Pact says."""
    loaded = load_provider(Acme(tmp_path / "one").write())
    pact = as_pact(*loaded)
    other = Acme(tmp_path / "other")
    other.job["states"]["running"] = ["busy"]

    with pytest.raises(AssertionError, match="Failed to execute verifier"):
        verified(pact, load_provider(other.write()), tmp_path)
    told = re.sub(r"\x1b\[[0-9;]*m", "", capfd.readouterr().out)
    assert re.findall(r"^\d+\) .* - (.*)$", told, re.MULTILINE) == ["look: running"]


def named(pact: dict[str, Any]) -> dict[str, Any]:
    """Return the interactions by their description."""
    return {one["description"]: one for one in pact["interactions"]}


def test_what_varies_is_matched_by_its_type(tmp_path: Path) -> None:
    """Ids, times, links and signatures are; words, and what the request has, are as they are."""
    found = named(as_pact(*load_provider(Acme(tmp_path).write())))
    look, callback = found["look: succeeded"], found["callback: succeeded"]
    by_type = {"combine": "AND", "matchers": [{"match": "type"}]}

    assert look["request"]["matchingRules"]["path"]["matchers"] == [{"match": "regex", "regex": "^/v1/jobs/[^/]+$"}]
    assert look["response"]["matchingRules"]["body"] == {
        f"$.{name}": by_type for name in ("id", "made", "took", "result")
    }
    assert look["providerStates"] == [{"name": "a job", "params": {"state": "succeeded", "id": "job-cd072cd8"}}]
    assert set(callback["matchingRules"]["metadata"]) == {"X-Signature", "X-Time"}
    assert callback["metadata"]["X-Attempt"] == "1"
    assert found["make: plain"]["response"]["matchingRules"]["body"] == {"$.jobs[0].id": by_type}
    assert found["make: plain"]["providerStates"] == []
    assert found["make: credits"]["providerStates"][0]["params"] == {"error": "credits"}
    assert found["makeNow: failed-rude"]["providerStates"] == [
        {"name": "the next create", "params": {"state": "failed", "failure": "rude"}}
    ]


def test_names_and_lists_of_any_kind_can_be_matched(tmp_path: Path) -> None:
    """A member whose name is no word is quoted, a list that is longer is matched as a whole, a form is base64."""
    acme = Acme(tmp_path)
    body = acme.job["status"]["reply"]["body"]
    body |= {"it's made": "$job.createdAt", "all": {"$either": ["$job.logs", 1]}}
    acme.job["create"][0]["reply"]["headers"] |= {"Location": "{$server.url}/{$job.id}"}
    found = named(as_pact(*load_provider(acme.write())))

    assert "$['it\\'s made']" in found["look: queued"]["response"]["matchingRules"]["body"]
    assert set(found["make: plain"]["response"]["matchingRules"]["header"]) == {"Location"}
    assert found["upload: plain"]["request"]["body"]["encoded"] == "base64"
