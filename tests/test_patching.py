"""Tests of `Fake.mock`: every httpx client of this process is answered by a fake, however it was made."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import httpcore
import httpx
import pytest
import respx
from hypothesis import given
from hypothesis import strategies as st
from respx.mocks import HTTPCoreMocker

from understudy.clock import EPOCH_SECONDS
from understudy.errors import UsageError
from understudy.fake import API_KEY, Fake
from understudy.reach import tls
from understudy.receiver import Receiver

CREDIT = "https://api.kie.ai/api/v1/chat/credit"
ELSEWHERE = "https://elsewhere.test/x"
CREATE = {"model": "nano-banana-pro", "input": {"prompt": "a"}}
GENERATION = {"model": "nano-banana", "prompt": "a"}

#: What is patched, as it is while nobody patches it.
POOLS = (httpcore.ConnectionPool.handle_request, httpcore.AsyncConnectionPool.handle_async_request)


def is_patched() -> bool:
    return (httpcore.ConnectionPool.handle_request, httpcore.AsyncConnectionPool.handle_async_request) != POOLS


@pytest.fixture(autouse=True)
def all_is_as_it_was() -> Iterator[None]:
    """No test leaves anything patched."""
    yield
    assert HTTPCoreMocker.routers == []
    assert not is_patched()


def options_of(fake: Fake) -> dict[str, Any]:
    """Return what a client is made with that knows nothing of the fake but an address and a key."""
    return {"base_url": fake.base_url, "headers": fake.key_headers(API_KEY), "timeout": None, "verify": tls()}


def ask_sync(fake: Fake, method: str, url: str, **options: Any) -> httpx.Response:
    with httpx.Client(**options_of(fake)) as client:
        return client.request(method, url, **options)


def ask_async(fake: Fake, method: str, url: str, **options: Any) -> httpx.Response:
    async def main() -> httpx.Response:
        async with httpx.AsyncClient(**options_of(fake)) as client:
            return await client.request(method, url, **options)

    return anyio.run(main)


Ask = Callable[..., httpx.Response]


@pytest.fixture(params=[ask_sync, ask_async])
def ask(request) -> Ask:
    """Return a way to make a request: each test is run with a sync and with an async client."""
    return request.param  # type: ignore[no-any-return]


# As through the transport

STATUS = ("GET", "/api/v1/jobs/recordInfo?taskId={job}", dict[str, Any]())

#: What somebody may ask of Kie; `{job}` is the job that was made last.
REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/api/v1/jobs/createTask", {"json": CREATE}),
    ("POST", "/api/v1/jobs/createTask", {"json": {"model": "nothing", "input": {}}}),
    ("POST", "/api/v1/jobs/createTask", {"content": b"{", "headers": {"content-type": "application/json"}}),
    STATUS,
    ("GET", "/api/v1/jobs/recordInfo", {"headers": {"authorization": "Bearer other"}, "params": {"taskId": "ü/ %"}}),
    ("GET", "/api/v1/chat/credit", {}),
    ("HEAD", "/api/v1/chat/credit", {}),
    ("GET", "/nowhere", {}),
    ("GET", "https://tempfile.aiquickdraw.com/{job}", {}),
    ("GET", f"{ELSEWHERE}?y=z", {}),
]
FAULTS = ["answer-lost", "reset-in-body", "body-truncated", "dribble", "html-error-page", "empty-body", "delay"]


def story(fake: Fake, client: httpx.Client | httpx.AsyncClient, steps: list[Any]) -> list[Any]:
    """Do the steps one after another, and return what came of each."""

    async def ask(method: str, url: str, **options: Any) -> Any:
        try:
            reply: httpx.Response | Awaitable[httpx.Response] = client.request(method, url, **options)
            reply = reply if isinstance(reply, httpx.Response) else await reply
        except httpx.HTTPError as error:
            return type(error), str(error)
        return reply.status_code, reply.headers.multi_items(), reply.content

    async def main() -> list[Any]:
        heard = []
        for step in steps:
            if isinstance(step, str):
                fake.fault(step, on="status")
            else:
                method, url, options = step
                heard.append(await ask(method, url.format(job=next(reversed(fake.jobs), "none")), **options))
        return heard

    return anyio.run(main)


@given(
    kind=st.sampled_from([httpx.Client, httpx.AsyncClient]),
    steps=st.lists(st.sampled_from(REQUESTS) | st.sampled_from(FAULTS) | st.just(STATUS), max_size=8),
)
def test_it_is_as_through_the_transport(kind: type[httpx.Client | httpx.AsyncClient], steps: list[Any]) -> None:
    """Whatever is asked: answers, errors, journal and time are those of a client that was given the transport."""
    one, other = Fake("kie"), Fake("kie")
    through_the_transport = story(one, kind(transport=one.transport(), **options_of(one)), steps)
    with other.mock():
        assert story(other, kind(**options_of(other)), steps) == through_the_transport
    assert list(other.journal) == list(one.journal)
    assert other.clock.now() == one.clock.now()


# However a client was made


class Wrapped(httpx.HTTPTransport):
    """A transport of somebody's own, which sets a header and leaves the rest to that of httpx."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["authorization"] = "Bearer wrapped"
        return super().handle_request(request)


def test_every_client_is_answered() -> None:
    """Functions, clients made before it or in it, and clients with a transport or a proxy of their own are answered."""
    fake = Fake("kie")
    early = httpx.Client(verify=tls())
    with fake.mock():
        assert [httpx.get(CREDIT).status_code, httpx.request("GET", CREDIT).status_code] == [200, 200]
        clients = [
            early,
            httpx.Client(),
            httpx.Client(transport=Wrapped(retries=3)),
            httpx.Client(mounts={"https://": httpx.HTTPTransport(verify=tls())}),
            httpx.Client(proxy="http://127.0.0.1:9"),
        ]
        for client in clients:
            with client:
                assert client.get(CREDIT).status_code == 200
    assert len(fake.journal.exchanges) == 2 + len(clients)
    assert len({exchange.account for exchange in fake.journal.exchanges}) == 2  # that of the wrapped one, and nobody


def test_a_client_that_reaches_no_network_keeps_what_it_has() -> None:
    """A client with a transport that connects to nothing, such as one that calls an application, is left alone."""
    own = httpx.MockTransport(lambda request: httpx.Response(204))
    with Fake("kie").mock(), httpx.Client(transport=own) as client:
        assert [client.get(url).status_code for url in (CREDIT, ELSEWHERE)] == [204, 204]


def test_files_are_answered_too(ask: Ask) -> None:
    """The hosts of result files are the fake's as well."""
    fake = Fake("kie")
    with fake.mock():
        job = ask(fake, "POST", "/api/v1/jobs/createTask", json=CREATE).json()["data"]["taskId"]
        fake.wait_for(job)
        record = ask(fake, "GET", "/api/v1/jobs/recordInfo", params={"taskId": job}).json()["data"]
        [url] = json.loads(record["resultJson"])["resultUrls"]
        assert ask(fake, "GET", url).headers["content-type"] == "image/png"


# Time, and bodies that come bit by bit


def test_a_blocking_create_moves_time(ask: Ask) -> None:
    """The reply of a blocking create comes when the job has ended, in no time of the machine."""
    fake = Fake("oxen")
    with fake.mock():
        assert len(ask(fake, "POST", "/api/ai/images/edit", json=GENERATION).json()["images"]) == 1
    assert fake.clock.now() == EPOCH_SECONDS + 0.3 + 12


def test_a_client_gives_up_as_ever(ask: Ask) -> None:
    """The read timeout of a client counts in virtual time."""
    fake = Fake("oxen")
    with fake.mock(), pytest.raises(httpx.ReadTimeout, match="no answer within 5 seconds"):
        ask(fake, "POST", "/api/ai/images/edit", json=GENERATION, timeout=5)
    assert fake.clock.now() == EPOCH_SECONDS + 0.3 + 5


def test_frames_come_one_by_one() -> None:
    """Each frame of a stream reaches a sync client when it is sent, and the stream is closed when the client leaves."""
    fake = Fake("oxen")
    for _ in range(2):
        fake.client().post("/api/ai/queue", json=GENERATION)
    with fake.mock(), httpx.Client(**options_of(fake)) as client:
        with client.stream("GET", "/api/events") as reply:
            pieces = reply.iter_raw()
            heard = [(next(pieces)[:6], round(fake.clock.now() - EPOCH_SECONDS, 3)) for _ in range(2)]
        assert heard == [(b"event:", 12.3), (b"event:", 12.6)]
        [account] = fake.provider.accounts.values()
        assert account.streams == []


def test_frames_come_one_by_one_to_async_code() -> None:
    """Each frame of a stream reaches an async client when it is sent, while its other requests go on."""
    fake = Fake("oxen")
    heard = []

    async def main() -> None:
        async with httpx.AsyncClient(**options_of(fake)) as client, client.stream("GET", "/api/events") as reply:
            await client.post("/api/ai/queue", json=GENERATION)
            async for piece in reply.aiter_raw():
                heard.append((piece[:6], round(fake.clock.now() - EPOCH_SECONDS, 3)))
                break

    with fake.mock():
        anyio.run(main)
    assert heard == [(b"event:", 12.6)]
    [account] = fake.provider.accounts.values()
    assert account.streams == []


# Other hosts


def test_another_host_is_refused(ask: Ask) -> None:
    """What nobody plays is told that nothing leaves the process, and stands in the journal."""
    fake = Fake("kie")
    with fake.mock():
        reply = ask(fake, "GET", f"{ELSEWHERE}?key=secret")
    assert (reply.status_code, reply.json()["title"]) == (421, "unexpected host")
    [exchange] = fake.journal.exchanges
    assert (exchange.path, exchange.error) == (ELSEWHERE, "unexpected host")


def test_this_machine_is_reached(ask: Ask) -> None:
    """A server on loopback gets its requests, and a receiver there its callbacks."""
    fake = Fake("kie")
    with fake, fake.mock(), Receiver() as receiver:
        assert ask(fake, "POST", receiver.url, content=b"direct").status_code == 200
        body = {**CREATE, "callBackUrl": receiver.url}
        job = ask(fake, "POST", "/api/v1/jobs/createTask", json=body).json()["data"]["taskId"]
        fake.wait_for(job, delivery=True)
        assert [callback.body == b"direct" for callback in receiver.received] == [True, False]


def test_a_host_that_callbacks_may_go_to_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """A callback to a host that was named gets there."""
    find = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *args, **options: find("127.0.0.1", *args, **options))
    fake = Fake("kie", allow_callbacks=iter(["Hooks.test"]))
    with fake, fake.mock(), Receiver() as receiver:
        body = {**CREATE, "callBackUrl": receiver.url.replace("127.0.0.1", "hooks.test")}
        job = ask_sync(fake, "POST", "/api/v1/jobs/createTask", json=body).json()["data"]["taskId"]
        fake.wait_for(job, delivery=True)
        assert len(receiver.received) == 1


# Beside others


@pytest.mark.parametrize("first_out", [0, 1])
def test_two_fakes_at_once(ask: Ask, first_out: int) -> None:
    """Each answers for its own hosts; what neither plays is refused by the one that came last; either may go first."""
    fakes = kie, _ = Fake("kie"), Fake("oxen")
    mocks = [fake.mock() for fake in fakes]
    for mock in mocks:
        mock.__enter__()
    for fake in fakes:
        ask(fake, "GET", "/nowhere")
    assert ask(kie, "GET", ELSEWHERE).status_code == 421
    with Receiver() as receiver:
        assert ask(kie, "POST", receiver.url).status_code == 200
    assert [len(fake.journal.exchanges) for fake in fakes] == [1, 2]

    mocks[first_out].__exit__(None, None, None)
    gone, left = fakes[first_out], fakes[1 - first_out]
    assert ask(gone, "GET", "/nowhere").status_code == 421
    assert ask(left, "GET", "/nowhere").status_code != 421
    mocks[1 - first_out].__exit__(None, None, None)


def test_a_mock_of_respx_around_it_keeps_working(ask: Ask) -> None:
    """A mock that was there before answers what it has a route for, on the fake's hosts too; the fake the rest."""
    fake = Fake("kie")
    with respx.mock() as router, fake.mock():
        router.get(ELSEWHERE).respond(201)
        router.get(CREDIT).respond(503)
        assert [ask(fake, "GET", url).status_code for url in (ELSEWHERE, CREDIT)] == [201, 503]
        assert ask(fake, "POST", "/api/v1/jobs/createTask", json=CREATE).json()["code"] == 200
        assert ask(fake, "GET", "https://third.test").status_code == 421
        with Receiver() as receiver:
            assert ask(fake, "POST", receiver.url).status_code == 200
    assert [exchange.status for exchange in fake.journal.exchanges] == [200, 421]


def test_a_mock_of_respx_inside_it_keeps_working(ask: Ask) -> None:
    """A mock that comes later answers, or refuses in its own way, what is not of the fake's hosts."""
    fake = Fake("kie")
    with fake.mock():
        with respx.mock() as router:
            router.get(ELSEWHERE).respond(201)
            router.get("http://127.0.0.1:9/").respond(202)
            assert [ask(fake, "GET", url).status_code for url in (ELSEWHERE, "http://127.0.0.1:9/")] == [201, 202]
            assert ask(fake, "GET", CREDIT).json()["code"] == 200
            with pytest.raises(AssertionError, match="not mocked"):
                ask(fake, "GET", "https://third.test")
        assert ask(fake, "GET", ELSEWHERE).status_code == 421
    assert [exchange.status for exchange in fake.journal.exchanges] == [200, 421]


# Its end


def test_it_ends_after_an_exception() -> None:
    """Nothing is patched before it is entered, nor when what happens inside has failed; and it can be entered again."""
    mock = Fake("kie").mock()
    assert not is_patched()
    seen = []
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), mock:
            seen.append(1 / (0 if is_patched() else 1))
        assert not is_patched()
    assert seen == []


def test_it_is_no_decorator() -> None:
    """It cannot be put over a function: over an async one it would end before the function begins."""
    with pytest.raises(TypeError, match="not callable"):
        Fake("kie").mock()(print)  # type: ignore[operator]


def test_without_respx_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing respx is a mistake of the user's, and the message names the extra that brings it."""
    monkeypatch.delitem(sys.modules, "understudy.patching", raising=False)
    monkeypatch.setitem(sys.modules, "respx", None)
    with pytest.raises(UsageError, match=r"needs the package respx.*pip install 'understudy\[test\]'"):
        Fake("kie").mock()
