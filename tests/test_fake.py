"""Tests of the fake that a test holds in its hand."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.small import small
from understudy.clock import EPOCH_SECONDS, VirtualClock
from understudy.errors import ContractInvalid, UsageError
from understudy.fake import API_KEY, Fake
from understudy.lifecycle import TERMINAL, State, Step
from understudy.store import account_name
from understudy.wire import Reply, Request

KIE = {"model": "nano-banana-pro", "input": {"prompt": "a"}}


def create(fake: Fake, **options: Any) -> dict[str, Any]:
    """Make a task at Kie and return the answer."""
    answer: dict[str, Any] = fake.client(**options).post("/api/v1/jobs/createTask", json=KIE).json()
    return answer


# What it is made of


def test_a_fake_is_asked_for_by_name() -> None:
    """An unknown provider, scenario or transport is an error that names the nearest."""
    for options, message in (
        ({"provider": "kei"}, 'there is no provider "kei"; did you mean "kie"'),
        ({"provider": "kie", "scenario": "slwo"}, 'there is no scenario "slwo"; did you mean "slow"'),
        ({"provider": "kie", "errors": "htp"}, 'kie has no errors by "htp"; did you mean "http"'),
    ):
        with pytest.raises(UsageError, match=message):
            Fake(**options)  # type: ignore[arg-type]


def test_a_contract_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """A provider whose files are wrong raises with every problem."""
    with pytest.raises(ContractInvalid, match=r'unknown key "nonsense"'):
        Fake("small", paths=[small(tmp_path, nonsense=1)])


def test_a_fake_plays_the_hosts_of_its_contract() -> None:
    """Its base URL is the provider's main server; its hosts are those of all servers, results and uploads."""
    fake = Fake("kie")
    assert fake.base_url == "https://api.kie.ai"
    assert fake.hosts == (
        "api.kie.ai",
        "kieai.redpandaai.co",
        "tempfile.aiquickdraw.com",
        "tempfile.redpandaai.co",
    )
    assert Fake("oxen").hosts == ("hub.oxen.ai",)


def test_a_fake_without_links_plays_its_server(tmp_path: Path) -> None:
    """A contract that has no links of its own has the host of its server alone."""
    assert Fake("small", paths=[small(tmp_path, assets=None, outputs=None)]).hosts == ("api.small.test",)


def test_a_folder_may_be_named_by_a_text(tmp_path: Path) -> None:
    """It need not be a Path."""
    assert Fake("small", paths=[str(small(tmp_path))]).contract.name == "small"


@pytest.mark.parametrize(
    ("security", "headers", "query"),
    [
        (None, {}, ""),
        ({"type": "apiKey", "in": "header", "name": "X-Key"}, {"X-Key": "k"}, ""),
        ({"type": "http", "scheme": "bearer"}, {"Authorization": "Bearer k"}, ""),
        ({"type": "apiKey", "in": "query", "name": "key"}, {}, "key=k"),
    ],
)
def test_a_client_sends_its_key(tmp_path: Path, security: Any, headers: dict[str, str], query: str) -> None:
    """The clients of a fake send the key where the contract wants it, and options of their own stay."""
    replies = {"account": {"body": "$account.balance"}}
    fake = Fake("small", paths=[small(tmp_path, security=security, replies=replies)], balance=3)
    assert fake.key_headers("k") == headers
    client = fake.client(api_key="k", headers={"X-More": "m"}, params={"more": "n"})
    reply = client.get("/account")
    assert (reply.status_code, reply.json()) == (200, 3)
    assert reply.request.headers["X-More"] == "m"
    assert reply.request.url.query.decode() == f"{query}&more=n".lstrip("&")
    assert client.timeout.read is None
    assert fake.ledger.balance == 3
    assert fake.journal.exchanges[0].account == account_name("k" if security else "")


def test_a_fake_may_share_a_clock() -> None:
    """Two fakes on one clock have one time."""
    clock = VirtualClock()
    first, second = Fake("kie", clock=clock), Fake("oxen", clock=clock)
    create(first)
    assert second.clock.now() == EPOCH_SECONDS + 0.5


def test_a_request_as_data_is_answered() -> None:
    """The transport and the server are shells around one function."""
    fake = Fake("kie")
    reply = fake.handle(Request("GET", "/api/v1/chat/credit", headers=[("authorization", "Bearer k")]))
    assert isinstance(reply, Reply)
    assert json.loads(reply.body)["data"] == 10_000


# What happens next


def test_the_next_jobs_go_as_asked() -> None:
    """Each call is for one job, in order; then everything is as usual."""
    fake = Fake("kie")
    fake.next_job(failure="content-policy")
    fake.next_job(state=State.RUNNING)
    fake.next_job(timeline=[Step(State.QUEUED, seconds=1), Step(State.EXPIRED)])
    fake.next_job(error="maintenance")
    assert [create(fake)["code"] for _ in range(5)] == [200, 200, 200, 455, 200]
    fake.clock.advance(100)
    jobs = list(fake.jobs.values())
    assert [job.state for job in jobs] == [State.FAILED, State.RUNNING, State.EXPIRED, State.SUCCEEDED]
    assert jobs[0].error is not None
    assert (jobs[0].error.name, jobs[0].refunded) == ("content-policy", True)


@pytest.mark.parametrize("plan", [{"state": "succeeded"}, {"timeline": [Step("succeeded")]}])  # type: ignore[arg-type]
def test_a_state_may_be_named_by_a_text(plan: dict[str, Any]) -> None:
    """It is the same state, and has a result."""
    fake = Fake("kie")
    fake.next_job(**plan)
    create(fake)
    (job,) = fake.jobs.values()
    assert job.state is State.SUCCEEDED
    assert job.outputs


def test_a_step_may_have_a_word_of_the_provider() -> None:
    """Not only the first of its state."""
    fake = Fake("kie")
    fake.next_job(timeline=[Step(State.QUEUED, "queuing")])
    create(fake)
    (job,) = fake.jobs.values()
    assert (job.state, job.status) == (State.QUEUED, "queuing")


def test_money_is_a_number() -> None:
    """Anything else is refused at once, and not by the first create."""
    with pytest.raises(UsageError, match="\"balance\" has to be a number from 0, and not 'much'"):
        Fake("kie", balance="much")  # type: ignore[arg-type]


def test_a_new_job_may_be_hidden() -> None:
    """A job can be made that status reads do not find for a while."""
    fake = Fake("kie")
    fake.next_job(visible_after_seconds=5)
    job = create(fake)["data"]["taskId"]
    client = fake.client(params={"taskId": job})
    assert client.get("/api/v1/jobs/recordInfo").json()["msg"] == "recordInfo is null"
    fake.clock.advance(5)
    assert client.get("/api/v1/jobs/recordInfo").json()["code"] == 200


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"failure": "content-polic"}, 'kie has no failure "content-polic"; did you mean "content-policy"'),
        ({"error": "maintenanc"}, 'kie has no error "maintenanc"; did you mean "maintenance"'),
        (
            {"timeline": [Step(State.FAILED, seconds=1), Step(State.RUNNING)]},
            "step 2 of the timeline: a job cannot go from failed to running",
        ),
        ({"timeline": []}, "a timeline needs a step"),
        ({"timeline": [Step(State.QUEUED, seconds=1)]}, "step 1 of the timeline: the last step lasts for ever"),
        ({"timeline": ["queued"]}, "a timeline is a list of steps, such as .*, and not \\['queued'\\]"),
        ({"timeline": Step(State.QUEUED)}, "a timeline is a list of steps, such as .*, and not Step"),
        ({"timeline": [Step(State.QUEUED, seconds=float("nan")), Step(State.FAILED)]}, "from 0, and not nan"),
        ({"timeline": [Step(State.QUEUED, seconds=-1), Step(State.FAILED)]}, "step 1 .* a number from 0, and not -1"),
        ({"timeline": [Step(State.QUEUED, reads=0), Step(State.FAILED)]}, '"reads" in step 1 .* from 1, and not 0'),
        ({"timeline": [Step(State.QUEUED, "qeuing")]}, 'step 1 .*no state has the word "qeuing"; did you mean'),
        ({"state": "suceeded"}, 'there is no state "suceeded"; did you mean "succeeded"'),
        ({"state": "waiting"}, 'there is no state "waiting"; that is the provider\'s word for queued'),
        ({"state": State.QUEUED, "timeline": [Step(State.FAILED)]}, "goes to queued at once has no use for a timeline"),
        ({"state": State.SUCCEEDED, "failure": "content-policy"}, 'has no use for the failure "content-policy"'),
        ({"visible_after_seconds": "5"}, "\"visible_after_seconds\" has to be a number from 0, and not '5'"),
        ({"visible_after_seconds": True}, '"visible_after_seconds" has to be a number from 0, and not True'),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_asked_for(plan: dict[str, Any], message: str) -> None:
    """A failure or an error that the contract has not, or steps that no job can take, are the caller's mistake."""
    fake = Fake("kie")
    with pytest.raises(UsageError, match=message):
        fake.next_job(**plan)
    create(fake)
    fake.clock.advance(100)
    assert [job.state for job in fake.jobs.values()] == [State.SUCCEEDED]


def test_a_reset_forgets_all_but_the_time() -> None:
    """After a reset there are no jobs, no plans, the first money, an empty journal, and the first ids come again."""
    fake = Fake("kie")
    first = create(fake)["data"]["taskId"]
    fake.next_job(error="maintenance")
    now = fake.clock.now()
    fake.reset()
    assert (fake.jobs, list(fake.journal), fake.ledger.balance, fake.clock.now()) == ({}, [], 10_000, now)
    assert create(fake)["data"]["taskId"] == first
    fake.clock.advance(100)
    assert [entry.state for entry in fake.journal.transitions][-1] in TERMINAL


# Money


def test_each_key_is_an_account() -> None:
    """Keys have money of their own, and the ledger of a fake is that of its usual client."""
    fake = Fake("kie", balance=100)
    create(fake)
    create(fake, api_key="another")
    create(fake, api_key="another")
    assert (fake.ledger.spent, fake.ledger_of("another").spent) == (18, 36)
    assert fake.ledger is fake.ledger_of(API_KEY)
    assert create(fake, api_key="invalid-key")["code"] == 401


def test_the_scenario_may_say_how_much_there_is() -> None:
    """A scenario's balance goes before the behaviour file's, and the test's own before both."""
    assert Fake("kie").ledger.balance == 10_000
    assert Fake("kie", scenario="insufficient-credits").ledger.balance == 3
    assert Fake("kie", scenario="insufficient-credits", balance=50).ledger.balance == 50


# Callbacks over a real socket


class Receiver(HTTPServer):
    """Answers callbacks on loopback with the statuses that it is given, then with 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses: list[int] = []
        self.received: list[tuple[str, dict[str, str], bytes]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.received.append((self.path, headers, body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.send_header("location", f"{self.server.url}/elsewhere")
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_POST

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Return a receiver of callbacks in a thread of its own."""
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def called_back(fake: Fake, url: str) -> str:
    """Make a task whose end is reported to a URL, and let it end."""
    reply = fake.client().post("/api/v1/jobs/createTask", json={**KIE, "callBackUrl": url})
    fake.clock.advance(10_000)
    return str(reply.json()["data"]["taskId"])


def test_a_callback_comes_over_a_real_socket(receiver: Receiver) -> None:
    """The receiver gets the body and the signature that the contract promises, once it has ended."""
    with Fake("kie") as fake:
        job = called_back(fake, f"{receiver.url}/hook?token=a")
    [(path, headers, body)] = receiver.received
    assert path == "/hook?token=a"
    assert json.loads(body)["data"]["taskId"] == job
    assert {"content-type", "x-webhook-timestamp", "x-webhook-signature"} <= headers.keys()
    assert [(entry.status, entry.delivered, entry.url) for entry in fake.journal.attempts] == [
        (200, True, f"{receiver.url}/hook")
    ]


def test_a_callback_is_sent_again(receiver: Receiver) -> None:
    """An answer that does not count as delivered is followed by the retries of the contract, over the same socket."""
    receiver.statuses = [500, 404]
    with Fake("kie") as fake:
        called_back(fake, receiver.url)
        fake.close()
        called_back(fake, receiver.url)
    assert [entry.status for entry in fake.journal.attempts] == [500, 404, 200, 200]
    times = [entry.at for entry in fake.journal.attempts]
    assert (times[1] - times[0], times[2] - times[1]) == (60, 300)


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    """A receiver that answers with a redirect has not received, and what it points to is not called."""
    receiver.statuses = [302, 307, 308, 301]
    with Fake("kie") as fake:
        called_back(fake, receiver.url)
    assert {path for path, _, _ in receiver.received} == {"/"}
    assert [entry.status for entry in fake.journal.attempts] == [302, 307, 308, 301]


def test_nobody_but_loopback_is_called() -> None:
    """A callback to another machine is not sent, and the journal says why."""
    with Fake("kie") as fake:
        called_back(fake, "http://example.com/hook")
        called_back(fake, "CALLBACK_URL")
    assert [entry.note for entry in fake.journal.attempts] == [
        "not sent: example.com is not loopback and was not allowed",
        "not sent: not an http or https URL",
    ]


def test_a_host_can_be_allowed(receiver: Receiver) -> None:
    """A host that the test has allowed is called; here there is none of that name."""
    with Fake("kie", allow_callbacks=["Hooks.Invalid.LOCALHOST", "x" * 64 + ".test"]) as fake:
        called_back(fake, "http://" + "x" * 64 + ".test/")
    assert {entry.note for entry in fake.journal.attempts} == {"no answer: UnicodeError"}
    assert len(fake.journal.attempts) == 4


@given(st.text("/?#:@[]%\\\t\r\n\0 é\u2028").map("http://127.0.0.1:1".__add__))
def test_no_callback_url_breaks_the_fake(url: str) -> None:
    """Whatever a client gives as its callback URL, the job goes on and the attempts are noted."""
    with Fake("kie") as fake:
        job = called_back(fake, url)
    assert fake.jobs[job].state is State.SUCCEEDED
    assert all(not entry.delivered and entry.note for entry in fake.journal.attempts)
    assert fake.journal.attempts


def test_a_header_of_a_callback_may_hold_any_text(receiver: Receiver, tmp_path: Path) -> None:
    """A header that repeats what the client said is sent where HTTP allows it, and otherwise noted as not answered."""
    callback = {"view": {"body": "$job.id"}, "headers": {"X-Prompt": "$job.input#/prompt"}}
    with Fake("small", paths=[small(tmp_path, callback=callback)]) as fake:
        for prompt in ("日本", "a\r\nX-Evil: b"):
            fake.client().post("/jobs", json={"prompt": prompt, "callback": receiver.url})
        fake.clock.advance(10)
    assert [entry.note for entry in fake.journal.attempts] == ["", "no answer: LocalProtocolError"]
    assert [headers["x-prompt"].encode("latin-1").decode() for _, headers, _ in receiver.received] == ["日本"]
