"""fal's official SDK, as it is published, runs against its stand-in: in this process, and through the proxy."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import fal_client
import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fal_client.client import FalClientHTTPError
from httpx_sse import SSEError
from PIL import Image

from understudy import Fake, Receiver, VirtualClock, serve
from understudy.proxy import proxied
from understudy.receiver import Received
from understudy.virtual_time import virtual_time

FLUX = "fal-ai/flux/schnell"
INPUT = {"prompt": "a lighthouse"}
KEYS = "https://rest.fal.ai/.well-known/jwks.json"


@contextmanager
def playing(scenario: str | None = None) -> Iterator[Fake]:
    """Play a scenario to a test that runs in the time of the stand-in, and in which every httpx client meets it."""
    clock = VirtualClock()
    with Fake("fal", scenario=scenario, clock=clock) as fake, virtual_time(clock), fake.mock():
        yield fake


@pytest.fixture
def fake() -> Iterator[Fake]:
    """A stand-in in whose time the test runs."""
    with playing() as fake:
        yield fake


def sdk(key: str = "id:secret") -> Any:
    """Return the SDK's client; nothing of it is told where the stand-in is."""
    return fal_client.SyncClient(key=key)


def done(name: str, *args: Any, asynchronous: bool = False, **options: Any) -> Any:
    """Call a method of the SDK's client, of either half of it, and return what it returns."""
    if not asynchronous:
        return getattr(sdk(), name)(*args, **options)
    return asyncio.run(getattr(fal_client.AsyncClient(key="id:secret"), name)(*args, **options))


both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


def asked(fake: Fake) -> list[str]:
    """Return what was asked for, method and path."""
    return [f"{exchange.method} {exchange.path}" for exchange in fake.journal.exchanges]


def picture_of(result: Any) -> Any:
    """Fetch the one image of a result, and hold it against what is said of it."""
    (image,) = result["images"]
    assert image["url"].startswith("https://v3.fal.media/files/")
    picture = Image.open(io.BytesIO(httpx.get(image["url"]).content))
    assert (picture.size, Image.MIME[str(picture.format)]) == ((image["width"], image["height"]), image["content_type"])
    return picture


# --- making, waiting, cancelling ------------------------------------------------------------------------------------


def test_a_request_is_queued_and_waited_for(fake: Fake) -> None:
    """The SDK queues a request, is led by the links that it gets, sees each status, and gets the images."""
    handle = sdk().submit(FLUX, INPUT)
    assert handle.status_url == f"https://queue.fal.run/fal-ai/flux/requests/{handle.request_id}/status"
    assert handle.status() == fal_client.Queued(position=0)
    seen = list(handle.iter_events(with_logs=True))
    assert list(dict.fromkeys(map(type, seen))) == [fal_client.Queued, fal_client.InProgress, fal_client.Completed]
    assert seen[-2] == fal_client.InProgress(logs=[])
    assert (seen[-1].logs, seen[-1].error, seen[-1].metrics) == ([], None, {"inference_time": pytest.approx(5)})
    assert picture_of(handle.get()).size == (1024, 768)
    assert handle.status().logs is None


@both
def test_subscribe_tells_of_each_status(fake: Fake, asynchronous: bool) -> None:
    """`subscribe` tells the id once, each status as it is polled, and returns the result."""
    ids: list[str] = []
    told: list[Any] = []
    result = done(
        *("subscribe", FLUX, {**INPUT, "num_images": 2, "image_size": "square"}),
        asynchronous=asynchronous,
        on_enqueue=ids.append,
        on_queue_update=told.append,
    )
    assert ids == list(fake.jobs)
    assert list(dict.fromkeys(type(status) for status in told)) == [
        fal_client.Queued,
        fal_client.InProgress,
        fal_client.Completed,
    ]
    assert [(image["width"], image["height"]) for image in result["images"]] == [(512, 512)] * 2


@both
def test_run_waits_for_the_answer(fake: Fake, asynchronous: bool) -> None:
    """`run` asks the other host, which answers with the result itself."""
    result = done("run", "fal-ai/nano-banana-pro", {**INPUT, "resolution": "2K"}, asynchronous=asynchronous)
    assert picture_of(result).size == (2048, 2048)
    assert asked(fake)[0] == "POST /fal-ai/nano-banana-pro"
    assert [job.operation for job in fake.jobs.values()] == ["run.nano-banana-pro"]


def test_any_app_is_taken(fake: Fake) -> None:
    """An app that the contract does not have makes an image of whatever input it is given."""
    picture_of(sdk().subscribe("acme/toys/robot/v2", {"text": "a robot", "size": [1, 2]}))
    picture_of(sdk().run("acme/toys", {}))
    assert [job.model for job in fake.jobs.values()] == ["acme/toys/robot/v2", "acme/toys"]


@both
def test_a_request_is_asked_for_by_its_id(fake: Fake, asynchronous: bool) -> None:
    """With the app and the id alone the SDK builds the same paths, without what follows the app's name."""
    request_id = sdk().submit(FLUX, INPUT).request_id
    assert done("status", FLUX, request_id, asynchronous=asynchronous) == fal_client.Queued(position=0)
    assert done("result", FLUX, request_id, asynchronous=asynchronous)["images"]


@both
def test_a_request_is_cancelled(fake: Fake, asynchronous: bool) -> None:
    """A cancelled request has ended, and its result is an error; to cancel one that has ended is an error, too."""
    request_id = sdk().submit(FLUX, INPUT).request_id
    done("cancel", FLUX, request_id, asynchronous=asynchronous)
    with pytest.raises(FalClientHTTPError) as caught:
        done("result", FLUX, request_id, asynchronous=asynchronous)
    assert (caught.value.status_code, caught.value.error_type) == (499, "client_cancelled")
    with pytest.raises(FalClientHTTPError, match="ALREADY_COMPLETED") as caught:
        done("cancel", FLUX, request_id, asynchronous=asynchronous)
    assert caught.value.status_code == 400


def test_the_result_of_a_request_in_progress_is_refused(fake: Fake) -> None:
    """Who asks for the result too early is told so."""
    handle = sdk().submit(FLUX, INPUT)
    reply = httpx.get(handle.response_url, headers={"Authorization": "Key id:secret"})
    assert (reply.status_code, reply.json()) == (400, {"detail": "Request is still in progress"})


def test_the_status_can_be_streamed(fake: Fake) -> None:
    """The stream begins with how the request is, has the status at each change, and ends with it."""
    handle = sdk().submit(FLUX, INPUT)
    with httpx.stream("GET", f"{handle.status_url}/stream", headers={"Authorization": "Key id:secret"}) as reply:
        lines = [line.removeprefix("data: ") for line in reply.iter_lines() if line.startswith("data: ")]
    assert [json.loads(line)["status"] for line in lines] == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]


def test_the_models_here_do_not_stream(fake: Fake) -> None:
    """The path of an app's own stream is one more app here, whose answer is no stream."""
    with pytest.raises(SSEError):
        list(sdk().stream(FLUX, INPUT))


# --- what goes wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "status", "error_type", "kind", "retryable"),
    [
        ("content-policy", 422, None, "content_policy_violation", "false"),
        ("generation-timeout", 504, None, "generation_timeout", "true"),
        ("model-error", 500, None, "internal_server_error", "true"),
        ("runner-disconnected", 503, "runner_disconnected", None, None),
    ],
)
@both
def test_a_request_fails(
    fake: Fake, failure: str, status: int, error_type: str, kind: str, retryable: str, asynchronous: bool
) -> None:
    """The status is COMPLETED and says why; the result, and the answer of `run`, have the failure's own status."""
    for name in ("subscribe", "run"):
        fake.next_job(failure=failure)
        with pytest.raises(FalClientHTTPError) as caught:
            done(name, FLUX, INPUT, asynchronous=asynchronous)
        error: Any = caught.value
        assert (error.status_code, error.error_type) == (status, error_type)
        assert error.response_headers.get("x-fal-retryable") == retryable
        assert error.response_headers["x-fal-request-id"] in fake.jobs
        if kind is not None:
            (detail,) = error.message
            assert detail["type"] == kind
    ended = sdk().status(FLUX, next(iter(fake.jobs)))
    assert (ended.error_type, bool(ended.error)) == (error_type or kind, True)


@pytest.mark.parametrize(
    ("name", "given", "status", "kind", "field"),
    [
        ("run", {}, 422, "value_error.missing", "prompt"),
        ("run", {**INPUT, "num_inference_steps": 13}, 422, "less_than_equal", "num_inference_steps"),
        ("run", {**INPUT, "num_images": 0}, 422, "greater_than_equal", "num_images"),
        ("run", {**INPUT, "output_format": "gif"}, 422, "one_of", "output_format"),
        ("run", {**INPUT, "seed": "x"}, 422, "value_error", "seed"),
        ("subscribe", {}, 422, "value_error", None),
    ],
)
def test_an_input_is_refused(fake: Fake, name: str, given: Any, status: int, kind: str, field: str | None) -> None:
    """`run` is refused at once; the queue takes anything, and it is the request that fails."""
    with pytest.raises(FalClientHTTPError) as caught:
        getattr(sdk(), name)(FLUX, given)
    error: Any = caught.value
    (detail,) = error.message
    assert (error.status_code, detail["type"]) == (status, kind)
    assert detail["loc"] == (["body"] if field is None else ["body", field])
    assert len(fake.jobs) == (name == "subscribe")
    assert fake.ledger_of("id:secret").spent == 0


@pytest.mark.parametrize(
    ("key", "text"), [("invalid:key", "No user found for Key ID and Secret"), ("invalid", "Expected '<key_id>:<key_")]
)
def test_a_key_is_refused(fake: Fake, key: str, text: str) -> None:
    """A key that nobody has, and one that is none, are told in words of their own."""
    with pytest.raises(FalClientHTTPError, match=text) as caught:
        sdk(key).submit(FLUX, INPUT)
    assert caught.value.status_code == 401
    bare = httpx.post("https://queue.fal.run/fal-ai/flux/schnell", json=INPUT)
    assert (bare.status_code, bare.json()["detail"][:26]) == (401, "Authentication is required")


def test_what_is_not_there_is_not_found(fake: Fake) -> None:
    """A request that nobody has made, and an app without an owner; the path of a status has no sub-path of the app."""
    for name, error in (("status", "Request not found"), ("cancel", "NOT_FOUND")):
        with pytest.raises(FalClientHTTPError, match=error) as caught:
            getattr(sdk(), name)(FLUX, "nobodys")
        assert caught.value.status_code == 404
    headers = {"Authorization": "Key id:secret"}
    assert httpx.post("https://queue.fal.run/flux", json=INPUT, headers=headers).status_code == 404
    request_id = sdk().submit(FLUX, INPUT).request_id
    whole = httpx.get(f"https://queue.fal.run/{FLUX}/requests/{request_id}/status", headers=headers)
    assert whole.status_code == 405


@dataclass(frozen=True)
class Expected:
    """What fal-client 1.0.3 makes of a fault in `subscribe`.

    Attributes:
        posts: How often it asks for a request.
        jobs: How many there are in the end, each of which is paid for.
        gets: The answers to its first polls.
        error: What it raises; None where it returns the result.
        seconds: What it takes at most, on top of the job's own five.
    """

    posts: int
    jobs: int
    gets: tuple[int, ...] = (202, 202)
    error: tuple[type[Exception], str] | None = None
    seconds: float = 2


#: Scenario → what happens. The SDK repeats what is answered 408, 409 or 429, or by nginx, and what gets no answer; at
#: once, ten times, whatever Retry-After says, and a create as well.
SEEN = {
    "as-usual": Expected(posts=1, jobs=1),
    "rate-limited": Expected(posts=3, jobs=1),
    "polls-too-fast": Expected(posts=1, jobs=1, gets=(202, 429, 429, 202)),
    "answer-lost": Expected(posts=2, jobs=2),
    "unavailable-on-create": Expected(posts=1, jobs=0, gets=(), error=(FalClientHTTPError, "Service Unavailable")),
    "unavailable-on-poll": Expected(posts=1, jobs=1, gets=(503,), error=(FalClientHTTPError, "Service Unavailable")),
    "gateway-error-on-poll": Expected(posts=1, jobs=1, gets=(502, 502, 202)),
    "exhausted-balance": Expected(posts=1, jobs=0, gets=(), error=(FalClientHTTPError, "User is locked")),
    "unknown-status": Expected(posts=1, jobs=1, error=(ValueError, "Unknown status")),
    "cancelled": Expected(posts=1, jobs=1, error=(FalClientHTTPError, "Request was cancelled")),
    "cold-start": Expected(posts=1, jobs=1, seconds=125),
}


@pytest.mark.parametrize("scenario", SEEN)
@both
def test_the_sdk_under_faults(scenario: str, asynchronous: bool) -> None:
    """It does in each scenario what it was seen to do."""
    expected = SEEN[scenario]
    with playing(scenario) as fake:
        began = fake.clock.now()
        if expected.error is None:
            assert done("subscribe", FLUX, INPUT, asynchronous=asynchronous)["images"]
        else:
            with pytest.raises(expected.error[0], match=expected.error[1]):
                done("subscribe", FLUX, INPUT, asynchronous=asynchronous)
        made = fake.journal.exchanges
        assert sum(exchange.method == "POST" for exchange in made) == expected.posts
        assert len(fake.jobs) == expected.jobs
        statuses = [exchange.status for exchange in made if exchange.path.endswith("/status")]
        assert tuple(statuses[: len(expected.gets)]) == expected.gets
        assert fake.clock.now() - began < 5 + expected.seconds


@both
def test_the_sdk_gives_up_after_ten_attempts(fake: Fake, asynchronous: bool) -> None:
    """A create that always comes too soon is asked for ten times within a minute and a half, Retry-After or not."""
    fake.fault("error", times=None, error="rateLimited", retry_after_seconds=3600)
    with pytest.raises(FalClientHTTPError) as caught:
        done("submit", FLUX, INPUT, asynchronous=asynchronous)
    assert (caught.value.status_code, caught.value.response_headers["retry-after"]) == (429, "3600")
    assert (len(asked(fake)), len(fake.jobs)) == (10, 0)
    assert fake.clock.now() - fake.journal.exchanges[0].at < 90


def test_run_makes_two_of_one_as_well(fake: Fake) -> None:
    """An answer that `run` has waited for and lost is asked for again: both are paid for."""
    fake.fault("answer-lost")
    assert sdk().run(FLUX, INPUT)["images"]
    assert (len(fake.jobs), fake.ledger_of("id:secret").spent) == (2, 0.006)


@pytest.mark.parametrize("member", ["queue_position", "logs"])
def test_the_sdk_needs_what_the_reference_calls_optional(fake: Fake, member: str) -> None:
    """Without the place in the queue, or the logs, the SDK falls over a status: a stand-in must have both."""
    fake.fault("member-renamed", on="status", times=None, pointer=f"/{member}", name="x")
    with pytest.raises(KeyError, match=member):
        sdk().subscribe(FLUX, INPUT)


def test_files_expire() -> None:
    """A file is gone when its time is over."""
    with playing("files-expire") as fake:
        url = sdk().subscribe(FLUX, INPUT)["images"][0]["url"]
        assert httpx.get(url).status_code == 200
        fake.clock.advance(61)
        assert httpx.get(url).status_code == 404


# --- webhooks -------------------------------------------------------------------------------------------------------


def verify(received: Received, keys: Any, now: float, body: bytes | None = None) -> None:
    """Verify a webhook step by step as fal's page on webhooks has it, for the SDK has no verifier."""
    headers = {name.lower(): value for name, value in received.headers.items()}
    timestamp = headers["x-fal-webhook-timestamp"]
    assert abs(now - int(timestamp)) <= 300
    digest = hashlib.sha256(received.body if body is None else body).hexdigest()
    parts = (headers["x-fal-webhook-request-id"], headers["x-fal-webhook-user-id"], timestamp, digest)
    signature = bytes.fromhex(headers["x-fal-webhook-signature"])
    for key in keys["keys"]:
        public = base64.urlsafe_b64decode(key["x"] + "=" * (-len(key["x"]) % 4))
        Ed25519PublicKey.from_public_bytes(public).verify(signature, "\n".join(parts).encode())


def called_back(scenario: str | None, count: int, **given: Any) -> tuple[Any, float, list[Received]]:
    """Queue a request with a webhook, let it end, and return the keys, the time and what came."""
    with Receiver() as receiver, Fake("fal", scenario=scenario) as fake, fake.mock():
        handle = sdk().submit(FLUX, {**INPUT, **given}, webhook_url=receiver.url)
        fake.wait_for(handle.request_id, delivery=True)
        fake.clock.advance(60)
        return httpx.get(KEYS).json(), fake.clock.now(), receiver.wait(count)


def test_a_webhook_is_verified_with_the_published_key() -> None:
    """The result comes in words of its own, with a signature that fits the key at the documented address."""
    keys, now, (received,) = called_back(None, 1)
    verify(received, keys, now)
    with pytest.raises(InvalidSignature):
        verify(received, keys, now, received.body + b" ")
    body = json.loads(received.body)
    assert (body["status"], body["error"], body["request_id"]) == ("OK", None, body["gateway_request_id"])
    assert body["payload"]["images"][0]["content_type"] == "image/jpeg"


@pytest.mark.parametrize(
    ("scenario", "status", "payload"),
    [("content-policy", 422, "content_policy_violation"), ("runner-disconnected", 503, "runner_disconnected")],
)
def test_a_webhook_tells_of_an_error(scenario: str, status: int, payload: str) -> None:
    """What failed is an ERROR, with the status that the result has, and the result itself."""
    keys, now, (received,) = called_back(scenario, 1)
    verify(received, keys, now)
    body = json.loads(received.body)
    assert (body["status"], body["error"]) == ("ERROR", f"Invalid status code: {status}")
    assert payload in json.dumps(body["payload"])


def test_a_forged_webhook_is_not_taken() -> None:
    """A webhook that is signed with another key does not fit the published one."""
    keys, now, (received,) = called_back("webhook-wrong-signature", 1)
    with pytest.raises(InvalidSignature):
        verify(received, keys, now)


def test_a_webhook_can_come_twice() -> None:
    """Both have the same id, by which a receiver knows that it has seen it."""
    _, _, received = called_back("webhook-twice", 2)
    assert len({json.loads(one.body)["request_id"] for one in received}) == 1


# --- through the proxy ----------------------------------------------------------------------------------------------


def test_the_sdk_runs_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variables of the proxy alone the SDK reaches the stand-in for all hosts, by their https addresses."""
    with serve("fal", speed=100) as server, proxied(server) as opened:
        for name, value in {**opened.environment, "FAL_KEY": "id:secret"}.items():
            monkeypatch.setenv(name, value)
        client: Any = fal_client.SyncClient()
        with Receiver() as receiver, closing(client._client):  # the SDK itself never closes it
            result = client.subscribe(FLUX, INPUT)
            assert picture_of(result).size == (1024, 768)
            assert client.run("fal-ai/fast-sdxl", INPUT)["images"][0]["width"] == 1024
            handle = client.submit(FLUX, INPUT, webhook_url=receiver.url)
            assert handle.status_url.startswith("https://queue.fal.run/fal-ai/flux/requests/")
            (received,) = receiver.wait(1)
            verify(received, httpx.get(KEYS).json(), server.clock.now())

        async def fail() -> None:
            other: Any = fal_client.AsyncClient()
            async with await other._client:
                await other.subscribe(FLUX, INPUT)

        server.provider("fal").next_job(failure="content-policy")
        with pytest.raises(FalClientHTTPError) as caught:
            asyncio.run(fail())
        assert caught.value.status_code == 422
