"""Tests of the stand-in of a provider, and of what requests go through: one request in, one reply out."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.small import BODY, JOB, small
from understudy.clock import VirtualClock
from understudy.contract.catalogue import ENGINE_ERRORS
from understudy.contract.codecs import parse_json
from understudy.errors import UsageError
from understudy.fake import Fake
from understudy.folders import find_provider
from understudy.library import load_provider
from understudy.lifecycle import State
from understudy.provider import Provider
from understudy.wire import MAX_BODY_BYTES, Reply, Request, Stream, Wait

PROVIDERS = ["kie", "oxen", "replicate", "shortapi"]
KEY = {"type": "apiKey", "in": "header", "name": "X-Key"}
MODEL = {**BODY, "properties": {**BODY["properties"], "model": {"const": "m"}}}
BY_MODEL = {
    "oneOf": [{"$ref": "#/components/schemas/M"}],
    "discriminator": {"propertyName": "model", "mapping": {"m": "#/components/schemas/M"}},
}


def strict(root: Path, *, errors: dict[str, Any], errors_by: Any = None) -> Fake:
    """Return a fake that can be made to answer every error of the engine."""
    content = {"application/json": {"schema": BY_MODEL}, "text/csv": {"schema": BY_MODEL}}
    root = small(
        root,
        id=["$request.query.own", "{uuid}"],
        security=KEY,
        schemas={"M": MODEL},
        paths={"/jobs": {"post": {"operationId": "createJob", "requestBody": {"required": True, "content": content}}}},
        list=None,
        errors=errors,
        errorTransports=["http", "body"],
        prices={"rules": [{"when": '$job.input#/prompt == "dear"', "amount": 99}]},
        assets={"url": "https://files.small.test/{$job.id}", "lifetimeSeconds": 0},
        limits={"rate": [{"operations": ["listen"], "count": 1, "perSeconds": 9}]},
        events={"operation": "listen", "scope": "account", "frames": {}},
    )
    return Fake("small", paths=[root], balance=10, errors=errors_by)


def expired(fake: Fake, client: httpx.Client) -> httpx.Response:
    fake.next_job(state=State.SUCCEEDED)
    client.post("/jobs", json={"model": "m", "prompt": "a"})
    fake.clock.advance(1)
    return client.get(f"https://files.small.test/{list(fake.jobs)[-1]}")


def broken(fake: Fake, client: httpx.Client) -> httpx.Response:
    fake.next_job(error="serverError")
    return client.post("/jobs", json={"model": "m", "prompt": "a"})


JSON = {"content-type": "application/json"}
TAKEN = {"model": "m", "prompt": "a"}

#: How each error of the engine is provoked, and its HTTP status where the contract has no rule for it.
ERRORS: dict[str, tuple[Any, int]] = {
    "unauthorized": (lambda fake, client: client.get("/jobs/a", headers={"X-Key": "invalid"}), 401),
    "unsupportedMediaType": (lambda fake, client: client.post("/jobs", content=b"a"), 415),
    "tooLarge": (lambda fake, client: client.post("/jobs", content=bytes(MAX_BODY_BYTES + 1), headers=JSON), 413),
    "malformed": (lambda fake, client: client.post("/jobs", content=b"{", headers=JSON), 400),
    "unknownModel": (lambda fake, client: client.post("/jobs", json={"model": "n"}), 422),
    "invalid": (lambda fake, client: client.post("/jobs", json={"model": "m"}), 422),
    "notFound": (lambda fake, client: client.get("/jobs/a"), 404),
    "methodNotAllowed": (lambda fake, client: client.put("/jobs"), 405),
    "unknownPath": (lambda fake, client: client.get("/nowhere"), 404),
    "idTaken": (lambda fake, client: [client.post("/jobs?own=a", json=TAKEN) for _ in range(2)][1], 409),
    "credits": (lambda fake, client: client.post("/jobs", json={"model": "m", "prompt": "dear"}), 402),
    "rateLimited": (lambda fake, client: [client.stream("GET", "/events").__enter__(), client.get("/events")][1], 429),
    "expired": (expired, 403),
    "serverError": (broken, 500),
}


# Errors


def test_every_error_of_the_engine_is_provoked_here() -> None:
    """The table above has every error that the engine can answer."""
    assert set(ERRORS) == set(ENGINE_ERRORS)


@pytest.mark.parametrize("transport", ["http", "body"])
@pytest.mark.parametrize("name", sorted(ERRORS))
def test_an_error_is_answered_by_its_rule(tmp_path: Path, name: str, transport: Any) -> None:
    """Each error has the rule's body and headers, and its own HTTP status or 200, as the transport says."""
    rule = {
        "http": 418,
        "message": "sorry: {$error.name}",
        "headers": {"X-Error": "$error.name"},
        "body": {"name": "$error.name", "message": "$error.message"},
    }
    fake = strict(tmp_path, errors={name: [rule] for name in ENGINE_ERRORS}, errors_by=transport)
    reply = ERRORS[name][0](fake, fake.client())
    assert reply.status_code == (418 if transport == "http" else 200)
    assert reply.json() == {"name": name, "message": "sorry: "}
    assert reply.headers["x-error"] == name
    assert fake.journal.exchanges[-1].error == name
    assert ("allow" in reply.headers) == (name == "methodNotAllowed")


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_an_error_without_a_rule_is_told_loudly(tmp_path: Path, name: str) -> None:
    """Where the contract is silent the answer is a problem document that says so, with the usual status."""
    errors = {"serverError": [{"http": 500, "when": "$now == 0"}]}
    fake = strict(tmp_path, errors=errors)
    make, status = ERRORS[name]
    reply = make(fake, fake.client())
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/problem+json")
    problem = reply.json()
    assert (problem["title"], problem["status"]) == (name, status)
    assert f'The contract has no rule for the error "{name}"' in problem["detail"]


VIOLATION = {name: f"$violation.{name}" for name in ("field", "pointer", "keyword", "value", "message")}


@pytest.mark.parametrize(
    ("content", "kind", "told"),
    [
        (
            b"a",
            "text/plain; a=b",
            {"keyword": "contentType", "value": "text/plain", "message": "text/plain is not one of"},
        ),
        (b"a", "", {"keyword": "contentType", "value": "", "message": "no content type is not one of"}),
        (b"{", "application/json", {"keyword": "format", "message": "the body is not application/json: "}),
    ],
)
def test_what_is_wrong_with_a_body_as_a_whole_is_told(tmp_path: Path, content: bytes, kind: str, told: Any) -> None:
    """A body of a wrong type, or that is not what its type says, is a violation of the body, and is called so."""
    rule = {"http": 418, "body": VIOLATION}
    fake = strict(tmp_path, errors={name: [rule] for name in ENGINE_ERRORS}, errors_by="http")
    body = fake.client().post("/jobs", content=content, headers={"content-type": kind}).json()
    assert body["message"].startswith(told["message"])
    assert body == {"field": "body", "pointer": "", "value": None, **told, "message": body["message"]}


@pytest.mark.parametrize("place", ["query", "header"])
def test_a_parameter_is_checked_where_it_stands(tmp_path: Path, place: str) -> None:
    """A parameter that is not what its schema says is refused by its name, and a good one passes."""
    parameter = {"name": "page", "in": place, "schema": {"type": "integer"}}
    rule = {"http": 400, "body": VIOLATION}
    root = small(
        tmp_path,
        paths={"/account": {"get": {"operationId": "account", "parameters": [parameter]}}},
        replies={"account": {"body": 1}},
        errors={"invalid": [rule], "serverError": [{"http": 500}]},
    )
    client = Fake("small", paths=[root]).client()
    for value, status in (("7", 200), ("x", 400)):
        given: dict[str, Any] = {"params" if place == "query" else "headers": {"page": value}}
        reply = client.get("/account", **given)
        assert reply.status_code == status
    assert (reply.json()["field"], reply.json()["keyword"]) == ("page", "type")


def test_what_leads_nowhere_is_answered_as_the_scenario_has_it(tmp_path: Path) -> None:
    """The scenario says how errors come for a path that is none, like for all else."""
    rules = {name: [{"http": 404, "body": 1}] for name in ("unknownPath", "methodNotAllowed", "serverError")}
    scenarios = {"quiet": {"description": "Errors come as 200.", "errors": "body"}}
    root = small(tmp_path, errors=rules, errorTransports=["http", "body"], scenarios=scenarios)
    for scenario, status in ((None, 404), ("quiet", 200)):
        client = Fake("small", paths=[root], scenario=scenario).client()
        assert [client.get("/nowhere").status_code, client.put("/jobs").status_code] == [status] * 2


def test_a_missing_rule_falls_back(tmp_path: Path) -> None:
    """What the contract has no rule for is answered by the nearest that it has, as the manual of the format says."""
    for name, fallback in ENGINE_ERRORS.items():
        if fallback is not None:
            fake = strict(tmp_path, errors={fallback: [{"http": 418, "body": 1}], "serverError": [{"http": 500}]})
            assert ERRORS[name][0](fake, fake.client()).status_code == 418, name


def test_a_rule_may_have_a_transport_of_its_own(tmp_path: Path) -> None:
    """A rule that always comes by one transport does so whatever the others do."""
    rules = {"notFound": [{"http": 404, "transport": "http", "body": 1}], "unknownPath": [{"http": 404, "body": 1}]}
    client = strict(tmp_path, errors={**rules, "serverError": [{"http": 500}]}, errors_by="body").client()
    assert [client.get(path).status_code for path in ("/jobs/a", "/nowhere")] == [404, 200]


@pytest.mark.parametrize(
    ("provider", "scenario", "status"), [("kie", None, 200), ("kie", "errors-as-http", 401), ("oxen", None, 401)]
)
def test_the_scenario_chooses_the_transport(provider: str, scenario: str | None, status: int) -> None:
    """Without a word from the test, the scenario decides how errors come, else the contract's first transport."""
    fake = Fake(provider, scenario=scenario)
    path = "/api/v1/chat/credit" if provider == "kie" else "/api/ai/models"
    assert fake.client(api_key="invalid").get(path).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), ({"X-Key": ""}, 401), ({"X-Key": "invalid-1"}, 401), ({"X-Key": "good"}, 404)],
)
def test_a_key_is_needed(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    """No key, an empty one and one that is refused get the provider's 401; any other is an account."""
    fake = strict(tmp_path, errors={"serverError": [{"http": 500}]})
    with httpx.Client(transport=fake.transport(), base_url=fake.base_url) as client:
        assert client.get("/jobs/a", headers=headers).status_code == status


def test_rates_are_counted_by_account() -> None:
    """Kie reads a task ten times a second and no more; another key has a window of its own."""
    clock = VirtualClock()
    fake = Fake("kie", clock=clock)
    request = Request("GET", "/api/v1/jobs/recordInfo", "taskId=x", [("authorization", "Bearer a")])
    codes = [code_of(fake.handle(request)) for _ in range(11)]
    assert codes == [422] * 10 + [429]
    other = Request("GET", "/api/v1/jobs/recordInfo", "taskId=x", [("authorization", "Bearer b")])
    assert code_of(fake.handle(other)) == 422
    clock.advance(1)
    assert code_of(fake.handle(request)) == 422


def code_of(outcome: Any) -> int:
    assert isinstance(outcome, Reply)
    code: int = json.loads(outcome.body)["code"]
    return code


# Late checks


def test_oxen_looks_at_parameters_when_the_generation_runs() -> None:
    """A bad parameter is enqueued at Oxen, and its generation fails with the text of the violation, paid back."""
    fake = Fake("oxen")
    client = fake.client()
    body = {"model": "nano-banana", "prompt": "a", "aspect_ratio": "5:1"}
    job = client.post("/api/ai/queue", json=body).json()["generations"][0]["generation_id"]
    fake.clock.advance(60)
    generation = client.get(f"/api/ai/queue/{job}").json()
    assert generation["status"] == "failed"
    assert generation["error_message"].startswith("Getting model response error: 422 - Value error, ")
    assert '"5:1"' in generation["error_message"]
    assert fake.ledger.spent == 0
    assert client.post("/api/ai/images/edit", json=body).status_code == 400
    assert client.post("/api/ai/queue", json={**body, "num_generations": 5}).status_code == 400


# Whatever comes in


@pytest.mark.parametrize("provider", PROVIDERS)
@given(data=st.data())
def test_any_request_gets_a_reply(provider: str, data: st.DataObject) -> None:
    """Whatever comes as method, path, query, headers and body, the answer is a reply, and its body JSON or a file."""
    fake = Fake(provider)
    operations = list(fake.contract.operations.values())
    text = st.text(max_size=20)
    for _ in range(2):
        operation = data.draw(st.sampled_from(operations))
        method = data.draw(st.sampled_from([operation.method] * 4 + ["GET", "HEAD", "PATCH"]) | text)
        path = operation.route
        for parameter in operation.parameters:
            inside = data.draw(st.sampled_from([*fake.jobs, "x"]) | text)
            path = path.replace(f"{{{parameter.name}}}", inside)
        body = data.draw(st.binary(max_size=40) | bodies(provider))
        request = Request(
            method,
            data.draw(st.just(path) | text),
            data.draw(st.just("taskId=x&id=x") | text),
            data.draw(st.just([("authorization", "Bearer k"), ("content-type", "application/json")]) | headers),
            body,
        )
        outcome = fake.handle(request)
        while isinstance(outcome, Wait):
            fake.clock.advance(outcome.until - fake.clock.now())
            outcome = outcome.resume()
        if isinstance(outcome, Stream):
            continue
        assert isinstance(outcome, Reply)
        assert 100 <= outcome.status <= 599
        types = [value for name, value in outcome.headers if name == "content-type"]
        if outcome.body and types[0].endswith("json"):
            parse_json(outcome.body)
        assert not (outcome.status == 500 and types == ["application/problem+json"])
    fake.clock.advance(100)


headers = st.lists(
    st.tuples(
        st.sampled_from(["authorization", "content-type", "x-key", "prefer"]),
        st.sampled_from(
            [
                *["Bearer k", "bearer", "Bearer invalid", "application/json", "application/json; charset=x"],
                *["multipart/form-data; boundary=b", "multipart/form-data", "application/x-www-form-urlencoded"],
            ]
        )
        | st.text(max_size=20),
    )
)


@functools.cache
def bodies(provider: str) -> st.SearchStrategy[bytes]:
    """Return JSON of any kind, now and then with the members that the provider knows, whatever is in them."""
    names = ["model", "input", "args", "prompt", "callBackUrl", "callback_url", "url", "num_generations", "uploadPath"]
    models = list(Fake(provider).contract.job_type.models)
    leaves = st.sampled_from([*models, "http://[", "", "1:1"]) | st.none() | st.booleans() | st.integers() | st.floats()
    values = st.recursive(
        leaves | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(names), inner, max_size=5),
        max_leaves=8,
    )
    return values.map(lambda value: json.dumps(value).encode())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_body_of_any_kind_is_answered(provider: str) -> None:
    """The classics of bad bodies get an answer of the provider's own at every operation, never a crash."""
    classics: list[bytes] = [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"5",
        b"{}",
        b"\xff",
        b'{"model": {}}',
        b'{"model": "\\ud800"}',
    ]
    for classic in [*classics, b"[" * 5000, b'{"input": 1e999}', b"{" * 50, b" " * 100]:
        fake = Fake(provider)
        for operation in fake.contract.operations.values():
            for kind in ("application/json", "multipart/form-data; boundary=b", ""):
                sent = [("authorization", "Bearer k"), ("content-type", kind)]
                outcome = fake.handle(Request(operation.method, operation.route, "", sent, classic))
                if isinstance(outcome, Reply):
                    assert outcome.operation == operation.id
                    assert b"no rule for the error" not in outcome.body


# Reset, plans, carriers


def test_a_provider_refuses_what_it_has_not(tmp_path: Path) -> None:
    """A scenario or a transport that the provider has not is the caller's mistake."""
    contract, behaviour = load_provider(find_provider("small", [small(tmp_path)]))
    with pytest.raises(UsageError, match='there is no scenario "a"; there is none'):
        Provider(contract, behaviour, clock=VirtualClock(), scenario="a")
    with pytest.raises(UsageError, match='small has no errors by "body"; there is: http'):
        Provider(contract, behaviour, clock=VirtualClock(), errors="body")


def test_nobody_has_to_carry_callbacks(tmp_path: Path) -> None:
    """Without a carrier a callback is noted as not sent."""
    root = small(tmp_path, callback={"view": {"body": 1}})
    contract, behaviour = load_provider(find_provider("small", [root]))
    provider = Provider(contract, behaviour, clock=VirtualClock())
    body = b'{"prompt": "a", "callback": "http://127.0.0.1/"}'
    provider.handle(Request("POST", "/jobs", "", [("content-type", "application/json")], body))
    provider.clock.advance(100)
    assert [entry.note for entry in provider.journal.attempts] == ["not sent: nobody carries callbacks here"]


def test_a_request_is_noted_with_its_answer(tmp_path: Path) -> None:
    """The journal has method, path, operation, account, status, jobs and both bodies of each request."""
    fake = Fake("small", paths=[small(tmp_path)])
    fake.client().post("/jobs?x=y", json={"prompt": "a"})
    [entry] = fake.journal.exchanges
    assert (entry.method, entry.path, entry.operation, entry.account) == ("POST", "/jobs", "createJob", "anonymous")
    assert (entry.status, entry.error, entry.jobs) == (201, None, tuple(fake.jobs))
    assert (json.loads(entry.request_body), json.loads(entry.reply_body)["state"]) == ({"prompt": "a"}, "queued")


@pytest.mark.parametrize(
    ("part", "node", "expected"),
    [
        ("body", {"done": '$job.progress|after("~")'}, None),
        ("body", {"done": '$job.createdAt|after("~")'}, "text"),
        ("body", {"picture": "$job.outputs.0.content"}, "a JSON value in the place of bytes"),
        ("headers", {"X-By": "$job.createdAt|base64"}, "bytes"),
    ],
)
def test_a_reply_that_cannot_be_made_names_its_place(
    tmp_path: Path, part: str, node: dict[str, Any], expected: str | None
) -> None:
    """A template that cannot take its value is a mistake of the contract, and no traceback to whoever asks."""
    fake = Fake("small", paths=[small(tmp_path, status={**JOB["status"], "reply": {part: node}})])
    job_id = fake.client().post("/jobs", json={"prompt": "a"}).json()["id"]
    fake.wait_for(job_id)
    reply = fake.client().get(f"/jobs/{job_id}")
    assert reply.status_code == (500 if expected else 200)
    if expected:
        what = f"x-jobs.job.status.reply asks for what cannot be made: {expected} is expected."
        assert (reply.json()["title"], reply.json()["detail"].startswith(what)) == ("a defect of the contract", True)
        assert (fake.journal.exchanges[-1].error, fake.journal.exchanges[-1].jobs) == (reply.json()["title"], (job_id,))
