"""Tests of what both clients carry: the key, files, streams, and what comes of the HTTP client."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests import clients
from tests.clients import CASES, Case, Driver, Node, each_provider, pair, scripted
from tests.small import PATHS, small
from understudy import (
    Client,
    Fake,
    OutcomeUnknown,
    Output,
    ProviderError,
    Refused,
    State,
    SystemClock,
    UnreadableReply,
    UsageError,
)
from understudy.fake import API_KEY

kind = clients.kind
Answer = Callable[[httpx.Request], httpx.Response]


# Files


def files_at(hosts: dict[str, Node], seen: list[httpx.Request]) -> Answer:
    """Answer each URL with the response that has these arguments; there is none by FTP."""

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.url.scheme == "ftp":
            raise httpx.UnsupportedProtocol("no FTP")
        return httpx.Response(**hosts[str(request.url)])

    return answer


def test_a_file_is_followed_to_where_it_is(kind: Any) -> None:
    """A link that leads on is followed, by whole and by relative addresses, and nothing but the file is returned."""
    seen: list[httpx.Request] = []
    hosts = {
        "https://a.test/1": {"status_code": 302, "headers": {"location": "https://b.test/x/2"}},
        "https://b.test/x/2": {"status_code": 307, "headers": {"location": "3"}},
        "https://b.test/x/3": {
            "status_code": 200,
            "content": gzip.compress(b"png"),
            "headers": {"content-encoding": "gzip"},
        },
    }
    client = scripted(kind, files_at(hosts, seen))
    assert client.download(Output(url="https://a.test/1")) == b"png"
    assert not any("authorization" in request.headers for request in seen)


@pytest.mark.parametrize(
    ("first", "text"),
    [
        ({"status_code": 404}, "the result file could not be fetched from https://a.test/1\n  got: HTTP 404"),
        ({"status_code": 302}, "the result file could not be fetched from https://a.test/1\n  got: HTTP 302"),
        ({"status_code": 302, "headers": {"location": "https://a.test/1"}}, "it was moved 10 times and again"),
        ({"status_code": 302, "headers": {"location": "ftp://a.test/1"}}, "UnsupportedProtocol"),
        ({"status_code": 302, "headers": {"location": "http://[a"}}, "Invalid IPv6 URL"),
        ({"status_code": 302, "headers": {"location": "http://a:b/"}}, "Invalid port"),
    ],
    ids=["missing", "nowhere", "round in circles", "no web page", "no URL", "no port"],
)
def test_a_file_that_cannot_be_fetched_is_told(kind: Any, first: Node, text: str) -> None:
    """A file that cannot be fetched raises UnreadableReply, whatever the reason is."""
    hosts: dict[str, Node] = {"https://a.test/1": first}
    with pytest.raises(UnreadableReply) as caught:
        scripted(kind, files_at(hosts, [])).download(Output(url="https://a.test/1"))
    assert text in str(caught.value)


def test_the_error_of_a_file_shows_its_link_and_no_secret(kind: Any) -> None:
    """Whoever reads it sees where the file should have been; keys are put into queries, and a link may be anything."""
    client = scripted(kind, lambda request: httpx.Response(404))
    for link, shown in (
        ("https://me:pass@a.test/of/b.png?signature=s", "from https://a.test/of/b.png\n"),
        ("https://a.test/of/" + "b" * 500, "from https://a.test/of/" + "b" * 182 + "\n"),
    ):
        with pytest.raises(UnreadableReply) as caught:
            client.download(Output(url=link))
        assert shown in str(caught.value)


def test_a_file_that_is_too_large_is_not_read(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is larger than the bound is not read to its end."""
    monkeypatch.setattr("understudy.exchange.MAX_DOWNLOAD_BYTES", 1000)
    hosts = {"https://a.test/1": {"status_code": 200, "content": b"x" * 1001}}
    with pytest.raises(UnreadableReply, match="it is longer than 1,000 bytes"):
        scripted(kind, files_at(hosts, [])).download(Output(url="https://a.test/1"))


def test_content_and_nothing_need_no_request(kind: Any) -> None:
    """An output that has its content is not fetched, and one that has neither content nor link is a mistake."""
    client = scripted(kind, files_at({}, []))
    assert client.download(Output(content=b"png")) == b"png"
    with pytest.raises(UsageError, match="this result has neither a link nor content"):
        client.download(Output())


# The key


@each_provider
def test_the_key_goes_to_the_provider_alone(kind: Any, provider: str, case: Case) -> None:
    """The key is sent to the provider's operations and to no host of files that does not ask for it."""
    fake = Fake(provider)
    carrier, seen = fake.transport(), []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return carrier.handle_request(request)

    client = Driver(kind, provider, httpx.MockTransport(answer), fake.clock)
    client.download(client.run(**case.job).outputs[0])
    *calls, file = seen
    assert {request.headers["authorization"] for request in calls} == {f"Bearer {API_KEY}"}
    assert all(str(request.url).startswith(fake.base_url) for request in calls)
    assert API_KEY not in str(file.headers.raw) + str(file.url)


def test_a_file_that_needs_the_key_gets_it_at_home_only(kind: Any, tmp_path: Any) -> None:
    """A file that needs the key gets it on the contract's hosts, and not where the link leads on to."""
    paths = [small(tmp_path, security={"type": "apiKey", "in": "header", "name": "X-Key"}, assets=KEYED)]
    seen: list[httpx.Request] = []
    hosts = {
        "https://files.small.test/1": {"status_code": 302, "headers": {"location": "https://elsewhere.test/1"}},
        "https://elsewhere.test/1": {"status_code": 200, "content": b"png"},
        "http://files.small.test/1": {"status_code": 200, "content": b"png"},
        "https://files.small.test@elsewhere.test/1": {"status_code": 200, "content": b"png"},
    }
    client = scripted(kind, files_at(hosts, seen), "small", paths=paths)
    for url in hosts:
        client.download(Output(url=url))
    assert [request.headers.get("x-key") for request in seen] == [API_KEY, None, None, None, None]


KEYED = {"url": "https://files.small.test/{$job.id}", "needsKey": True}


def test_an_operation_is_not_followed_elsewhere(kind: Any) -> None:
    """A create that is answered with another address is sent once, to the provider, and is unknown."""
    seen: list[httpx.Request] = []
    hosts = {
        "https://api.kie.ai/api/v1/jobs/createTask": {"status_code": 307, "headers": {"location": "https://b.test/"}}
    }
    with pytest.raises(OutcomeUnknown):
        scripted(kind, files_at(hosts, seen)).submit(**CASES["kie"].job)
    assert len(seen) == 1


def test_no_error_shows_the_key(kind: Any) -> None:
    """An error whose text the provider took from the request shows the rest of it, and not the key."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(401, json={"code": 401, "msg": f"{request.headers['authorization']} is no key"})

    with pytest.raises(Refused) as caught:
        scripted(kind, answer, api_key="sk-12345").submit(**CASES["kie"].job)
    assert caught.value.provider_message == "Bearer [key] is no key"
    assert "sk-12345" not in f"{caught.value!s} {caught.value!r} {vars(caught.value)}"


@pytest.mark.parametrize("key", ["sk-12345\n", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused(kind: Any, key: str) -> None:
    """A key with a line break or a letter that is not ASCII is refused at once, and not shown."""
    with pytest.raises(UsageError) as caught:
        kind("kie", api_key=key)
    assert key.strip() not in str(caught.value)


# Streams


@pytest.mark.parametrize(
    ("response", "error", "text"),
    [
        (
            {"status_code": 401, "json": {"error": {"type": "unauthenticated", "title": "Unauthenticated"}}},
            ProviderError,
            'in events\n  got: HTTP 401 · unauthorized · "Unauthenticated"',
        ),
        (
            {"status_code": 200, "text": "<html>"},
            UnreadableReply,
            "the stream of events was lost: Expected response header",
        ),
        (httpx.ConnectError("no route"), ProviderError, "the stream of events was lost: no route"),
    ],
    ids=["refused", "no stream", "no connection"],
)
def test_a_stream_that_does_not_open_is_told(kind: Any, response: Any, error: Any, text: str) -> None:
    """A stream that is refused, is none or cannot be reached raises an error of ours that says so."""

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers.get_list("accept") == ["text/event-stream"]
        if isinstance(response, Exception):
            raise response
        return httpx.Response(**response)

    with pytest.raises(error) as caught:
        scripted(kind, answer, "oxen").listen(lambda: None)
    assert text in str(caught.value)


def test_a_stream_that_breaks_is_told_after_what_it_has_told(kind: Any) -> None:
    """A stream that breaks raises ProviderError, after the jobs that it had told of, and passes over other events."""
    frame = b'event: %s\ndata: {"generation_id": "g", "status": "succeeded", "url": "https://a.test/1"}\n\n'

    class Broken(httpx.SyncByteStream, httpx.AsyncByteStream):
        parts = (b": keep-alive\n\n", frame % b"other", frame % b"media_generation_completed")

        def __iter__(self) -> Any:
            yield from self.parts
            raise httpx.ReadError("reset")

        async def __aiter__(self) -> Any:
            for part in self.parts:
                yield part
            raise httpx.ReadError("reset")

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Broken())

    client = scripted(kind, answer, "oxen")
    assert [job.id for job in client.listen(lambda: None)] == ["g"]
    with pytest.raises(ProviderError, match="the stream of events was lost: reset"):
        client.listen(lambda: None, count=2)


def test_what_the_listener_raises_is_not_taken_for_a_lost_stream(kind: Any) -> None:
    """An error of whoever listens passes through as it is, even one of httpx."""
    client, _ = pair(kind, "oxen")

    def act() -> None:
        raise httpx.ConnectError("of another client")

    with pytest.raises(httpx.ConnectError):
        client.listen(act)


def test_a_stream_of_one_job_is_asked_for_that_job(kind: Any, tmp_path: Any) -> None:
    """Where a provider streams by job, the stream of that job is opened, told of it, and ends with it."""
    frames = {"succeeded": [{"event": "end", "data": {"id": "$job.id", "state": "$job.status"}}]}
    paths = {
        **PATHS,
        "/jobs/{id}/events": {
            "parameters": PATHS["/jobs/{id}"]["parameters"],
            "get": {"operationId": "listenToOne"},
        },
    }
    events = {
        "operation": "listenToOne",
        "scope": "job",
        "id": "$request.path.id",
        "frames": frames,
        "end": ["succeeded"],
    }
    client, fake = pair(kind, "small", paths=[small(tmp_path, paths=paths, events=events)])
    other, mine = client.submit({"prompt": "one"}), client.submit({"prompt": "two"})
    assert [job.id for job in client.listen(lambda: None, job=mine, count=2)] == [mine.id]
    assert fake.jobs[other.id].terminal
    with pytest.raises(UsageError, match="small streams the events of one job: say which"):
        client.listen(lambda: None)


# Parameters


def test_a_parameter_that_nothing_has_is_a_mistake(kind: Any) -> None:
    """A name that no operation has is told at once, with the nearest one that there is."""
    for name, nearest in (("taskid", "taskId"), ("modell", "model")):
        with pytest.raises(UsageError, match=f'no operation of kie has a parameter "{name}".*did you mean "{nearest}"'):
            kind("kie", api_key="k", parameters={name: "x"})


# The HTTP client


def test_a_client_closes_what_is_its_own(kind: Any) -> None:
    """A client closes the HTTP client that it made, and leaves alone the one that it was given."""
    silence = httpx.MockTransport(lambda request: httpx.Response(200))
    given = httpx.Client(transport=silence) if kind is Client else httpx.AsyncClient(transport=silence)

    async def use() -> list[bool]:
        closed = []
        for http in (None, given):
            client = kind("kie", api_key="k", http=http)
            if kind is Client:
                with client:
                    pass
            else:
                async with client:
                    pass
            closed.append(client._http.is_closed)
        return closed

    assert asyncio.run(use()) == [True, False]


def test_a_client_keeps_the_time_of_the_machine_by_default(kind: Any) -> None:
    """Without a clock a client waits by the machine's."""
    assert isinstance(kind("kie", api_key="k")._clock, SystemClock)


def test_a_contract_serves_in_place_of_a_name(kind: Any) -> None:
    """A client takes a compiled contract as well as a provider's name."""
    fake = Fake("kie")
    client = Driver(kind, fake.contract, fake.transport(), fake.clock)
    assert client.run(**CASES["kie"].job).state is State.SUCCEEDED
