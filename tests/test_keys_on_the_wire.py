"""Tests of what every request must carry: the key, in each way that APIs want it, and headers that never change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.small import BODY, PATHS, VIEW, small, write
from understudy import Client, Fake
from understudy.contract.build import load_contract
from understudy.fake import API_KEY

RAW = {"type": "apiKey", "in": "header", "name": "Authorization"}

WAYS: dict[str, tuple[Any, dict[str, str], dict[str, str]]] = {
    "bearer": ({"type": "http", "scheme": "bearer"}, {"authorization": f"Bearer {API_KEY}"}, {}),
    "a word of its own": ({"type": "http", "scheme": "Key"}, {"authorization": f"Key {API_KEY}"}, {}),
    "another word": ({"type": "http", "scheme": "Token"}, {"authorization": f"Token {API_KEY}"}, {}),
    "no word": (RAW, {"authorization": API_KEY}, {}),
    "a header": ({"type": "apiKey", "in": "header", "name": "X-Key"}, {"x-key": API_KEY}, {}),
    "the query": ({"type": "apiKey", "in": "query", "name": "key"}, {}, {"key": API_KEY}),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_key_goes_where_it_is_taken(tmp_path: Path, way: str) -> None:
    """The client sends its key as the contract says, the stand-in takes it there, and refuses it anywhere else."""
    scheme, headers, query = WAYS[way]
    errors = {"unauthorized": [{"http": 401, "body": {"error": {"$match": "key"}}}]}
    fake = Fake("small", paths=[small(tmp_path, security=scheme, errors=errors)])
    seen: list[httpx.Request] = []
    http = httpx.Client(transport=fake.transport(), event_hooks={"request": [seen.append]})
    job = Client(fake.contract, api_key=API_KEY, http=http, clock=fake.clock).submit({"prompt": "a"})
    assert list(fake.jobs) == [job.id]
    assert {name: seen[0].headers[name] for name in headers} == headers
    assert dict(seen[0].url.params) == query
    for other in set(WAYS) - {way}:
        _, wrong, elsewhere = WAYS[other]
        reply = http.post("https://api.small.test/jobs", json={"prompt": "a"}, headers=wrong, params=elsewhere)
        assert (reply.status_code == 401) == (way != "no word" or "authorization" not in wrong), other


def test_any_of_several_keys_is_enough(tmp_path: Path) -> None:
    """Where a contract takes a key in several ways, each of them will do, and none is too few."""
    schemes = {"one": WAYS["a header"][0], "two": WAYS["bearer"][0], "three": WAYS["the query"][0]}
    contract = tmp_path / "contracts/small/openapi.yaml"
    data = load_contract(small(tmp_path) / "contracts/small").document.data
    data["components"]["securitySchemes"], data["security"] = schemes, [{name: []} for name in schemes]
    write(contract, data)
    with Fake("small", paths=[tmp_path]) as fake, httpx.Client(transport=fake.transport()) as http:
        for way in ("a header", "bearer", "the query"):
            _, headers, query = WAYS[way]
            reply = http.post("https://api.small.test/jobs", json={"prompt": "a"}, headers=headers, params=query)
            assert reply.status_code == 201
        assert http.post("https://api.small.test/jobs", json={"prompt": "a"}).status_code == 401
        assert {exchange.account for exchange in fake.journal.exchanges[:3]} == {fake.journal.exchanges[0].account}


VERSION = {"name": "X-Api-Version", "in": "header", "required": True, "schema": {"const": "2024-11-06"}}
FORMAT = {"name": "format", "in": "query", "required": True, "schema": {"type": "integer", "enum": [2]}}


def test_a_header_that_never_changes_is_sent_by_itself(tmp_path: Path) -> None:
    """What an operation requires and can have but one value of, the client sends; without it there is no job."""
    content = {"required": True, "content": {"application/json": {"schema": BODY}}}
    free = {"name": "X-Free", "in": "header", "schema": {"const": "free"}}
    paths = {
        "/jobs": {"parameters": [VERSION, FORMAT, free], "post": {"operationId": "createJob", "requestBody": content}},
        "/jobs/{id}": {**PATHS["/jobs/{id}"], "get": {"operationId": "getJob", "parameters": [VERSION]}},
    }
    status = {"operation": "getJob", "id": "$request.path.id", "reply": VIEW}
    fake = Fake("small", paths=[small(tmp_path, paths=paths, status=status, list=None)])
    seen: list[httpx.Request] = []
    http = httpx.Client(transport=fake.transport(), event_hooks={"request": [seen.append]})
    assert Client(fake.contract, api_key=API_KEY, http=http, clock=fake.clock).run({"prompt": "a"}).outputs
    assert {request.headers["x-api-version"] for request in seen} == {"2024-11-06"}
    assert seen[0].url.query == b"format=2"
    assert "x-free" not in seen[0].headers
    url = "https://api.small.test/jobs"
    assert http.post(f"{url}?format=2", json={"prompt": "a"}).status_code == 422
    wrong = {"x-api-version": "2023-01-01"}
    assert http.post(f"{url}?format=2", json={"prompt": "a"}, headers=wrong).status_code == 422
    assert len(fake.jobs) == 1
