"""Tests of lists that are split into pages: as the fake makes them, and as both clients walk through them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import clients
from tests.acme import Acme
from tests.clients import Driver, pair
from tests.small import small
from understudy import Client, ContractInvalid, Fake, Job, ProviderError, UnreadableReply, UsageError, VirtualClock
from understudy.lists import MAX_PAGES

kind = clients.kind

EACH = {"$each": "$jobs", "do": {"id": "$job.id", "state": "$job.status"}}
SIZE = {"at": "$request.query.size", "default": 3, "max": 4}

#: What tells the next page, by the way in which it is told.
WAYS: dict[str, tuple[str, dict[str, str]]] = {
    "url": ("token", {"next": "$page.nextUrl", "previous": "$page.previousUrl"}),
    "token": ("token", {"next": "$page.next|omit", "previous": "$page.previous"}),
    "id": ("id", {"more": "$page.hasMore", "first": "$page.firstId", "last": "$page.lastId"}),
    "offset": ("offset", {"total": "$page.total"}),
    "next offset": ("offset", {"next": "$page.next", "previous": "$page.previous"}),
    "number": ("number", {}),
    "next number": ("number", {"next": "$page.next", "previous": "$page.previous"}),
}


def listing(way: str, **page: Any) -> dict[str, Any]:
    """Return a list that is split in a way."""
    style, shown = WAYS[way]
    page = {"style": style, "at": "$request.query.at", "size": SIZE, **page}
    return {"operation": "listJobs", "reply": {"body": {**shown, "jobs": EACH}}, "page": page}


@pytest.fixture(scope="module")
def fakes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Fake]:
    """A fake for each way in which the next page is told."""
    roots = {way: small(tmp_path_factory.mktemp("small"), list=listing(way)) for way in WAYS}
    return {way: Fake("small", paths=[root]) for way, root in roots.items()}


@pytest.fixture
def acme(tmp_path: Path) -> Acme:
    """A provider in an empty folder."""
    return Acme(tmp_path)


def make(fake: Fake, number: int = 1) -> list[str]:
    """Make jobs and return their ids, the newest first."""
    made = [fake.client().post("/jobs", json={"prompt": "a"}).json()["id"] for _ in range(number)]
    return made[::-1]


def client_of(fake: Fake, **options: Any) -> Client:
    return Client(fake.contract, api_key="key", http=fake.client(), clock=fake.clock, **options)


def listed(fake: Fake, **query: Any) -> Any:
    return fake.client().get("/jobs", params=query).json()


# --- as the fake makes them -----------------------------------------------------------------------------------------


@given(way=st.sampled_from(sorted(WAYS)), number=st.integers(0, 14), later=st.lists(st.integers(0, 3), max_size=4))
def test_a_walk_meets_each_job_once_in_order(fakes: dict[str, Fake], way: str, number: int, later: list[int]) -> None:
    """However many jobs there are, however pages are asked for, whatever is made meanwhile: each job comes once."""
    fake = fakes[way]
    fake.reset()
    there = make(fake, number)
    walk, coming = client_of(fake).jobs(), iter(later)
    found = []
    for job in walk:
        found.append(job.id)
        make(fake, next(coming, 0))
    assert [one for one in found if one in there] == there
    assert len(set(found)) == len(found)
    if WAYS[way][0] in ("token", "id"):  # where pages are counted, what is new moves the rest, and may be met
        assert found == there


@given(
    way=st.sampled_from([way for way in sorted(WAYS) if way not in ("id", "offset", "number")]),
    number=st.integers(0, 14),
    size=st.integers(1, 4),
)
def test_a_walk_back_meets_the_same_pages(fakes: dict[str, Fake], way: str, number: int, size: int) -> None:
    """Whoever follows `previous` from the last page comes through the same pages to the first."""
    fake = fakes[way]
    fake.reset()
    make(fake, number)

    def walk(page: Any, key: str) -> list[Any]:
        pages = [page]
        while (mark := pages[-1].get(key)) is not None:
            assert len(pages) < 20
            answer = fake.client().get(mark).json() if way == "url" else listed(fake, size=size, at=mark)
            pages.append(answer)
        return pages

    there = walk(listed(fake, size=size), "next")
    assert walk(there[-1], "previous") == there[::-1]
    assert [len(page["jobs"]) for page in there[:-1]] == [size] * (len(there) - 1)


def test_a_page_has_as_many_as_are_asked_for(fakes: dict[str, Fake]) -> None:
    """A page has the size that is asked for, never more than the contract allows, and the usual one without a word."""
    fake = fakes["token"]
    fake.reset()
    make(fake, 6)
    for query, size in (({}, 3), ({"size": ""}, 3), ({"size": 2}, 2), ({"size": 4}, 4), ({"size": 99}, 4)):
        assert len(listed(fake, **query)["jobs"]) == size


def test_a_size_may_be_anything_where_no_bound_is_known(tmp_path: Path) -> None:
    """Without `max` all jobs may be on one page, and without a place for it the size is always the same."""
    for size, shown in (({"at": "$request.query.size", "default": 1}, 5), ({"default": 1}, 1)):
        fake = Fake("small", paths=[small(tmp_path / str(shown), list=listing("token", size=size))])
        make(fake, 6)
        assert len(listed(fake, size=5)["jobs"]) == shown


def test_a_page_tells_of_itself(fakes: dict[str, Fake]) -> None:
    """The first and the last id, whether there is more and how many there are in all are known on each page."""
    fake = fakes["id"]
    fake.reset()
    ids = make(fake, 5)
    first, last = listed(fake), listed(fake, at=ids[2])
    assert (first["more"], first["first"], first["last"]) == (True, ids[0], ids[2])
    assert (last["more"], last["first"], last["last"]) == (False, ids[3], ids[4])
    empty = listed(fake, at=ids[4])
    assert (empty["more"], empty["first"], empty["last"], empty["jobs"]) == (False, None, None, [])
    fakes["offset"].reset()
    make(fakes["offset"], 5)
    assert listed(fakes["offset"], at=100) == {"total": 5, "jobs": []}


@pytest.mark.parametrize(
    ("way", "query", "expected"),
    [
        ("token", {"at": "nonsense"}, "a token of this list"),
        ("token", {"at": "é"}, "a token of this list"),
        ("token", {"at": "PDAx"}, "a token of this list"),
        ("url", {"at": "5"}, "a token of this list"),
        ("id", {"at": "job-00000000"}, "the id of a job"),
        ("offset", {"at": "-1"}, "a whole number from 0"),
        ("offset", {"at": "9" * 5000}, "a whole number from 0"),
        ("number", {"at": "0"}, "a whole number from 1"),
        ("number", {"at": "two"}, "a whole number from 1"),
        ("token", {"size": "0"}, "a whole number from 1"),
    ],
)
def test_a_page_that_cannot_be_is_invalid(tmp_path: Path, way: str, query: dict[str, str], expected: str) -> None:
    """A cursor, an id or a number that leads nowhere is the named error `invalid`, which tells where and why."""
    rule = {"http": 400, "body": {"field": "$violation.field", "expected": "$violation.limit"}}
    fake = Fake("small", paths=[small(tmp_path, list=listing(way), errors={"invalid": [rule]})])
    make(fake)
    assert listed(fake, **query) == {"field": next(iter(query)), "expected": expected}


def test_the_id_of_somebody_elses_job_leads_nowhere(tmp_path: Path) -> None:
    """A page cannot begin below a job that another account has made."""
    key = {"type": "apiKey", "in": "header", "name": "X-Key"}
    fake = Fake("small", paths=[small(tmp_path, list=listing("id"), security=key)])
    (job,) = make(fake)
    assert fake.client(api_key="another").get("/jobs", params={"at": job}).json()["title"] == "invalid"


def test_a_link_to_a_page_has_the_rest_of_the_request_and_no_key(tmp_path: Path) -> None:
    """The URL of the next page keeps filters and path, goes by the server's own address, and never has a key in it."""
    key = {"type": "apiKey", "in": "query", "name": "key"}
    parameter = {"name": "group", "in": "path", "required": True, "schema": {"type": "string"}}
    paths = {"/groups/{group}/jobs": {"parameters": [parameter], "get": {"operationId": "listGroup"}}}
    parts = {**listing("url"), "operation": "listGroup"}
    fake = Fake("small", paths=[small(tmp_path, paths=paths, list=parts, security=key)])
    client = fake.client(api_key="secret")
    for _ in range(5):
        client.post("/jobs", params={"key": "secret"}, json={"prompt": "a"})
    url = httpx.URL(client.get("/groups/a%20b/jobs", params={"key": "secret", "x": "y"}).json()["next"])
    assert (url.host, url.raw_path.partition(b"?")[0]) == ("api.small.test", b"/groups/a%20b/jobs")
    assert sorted(url.params) == ["at", "x"]


def test_a_place_that_is_in_no_query_has_no_link(tmp_path: Path) -> None:
    """Where the page is named in a header there is a token, and no URL could have it."""
    page = {"reply": {"body": {"next": "$page.next", "url": "$page.nextUrl", "jobs": EACH}}}
    fake = Fake("small", paths=[small(tmp_path, list={**listing("token", at="$request.header.X-Page"), **page})])
    make(fake, 4)
    first = listed(fake)
    assert (first["url"], first["next"]) != (None, None)
    second = fake.client().get("/jobs", headers={"X-Page": first["next"]}).json()
    assert (first["url"], len(second["jobs"]), second["next"]) == (None, 1, None)


def test_what_has_gone_leaves_no_gap(tmp_path: Path) -> None:
    """A page by token begins where the last one ended, also when the job there is not listed any more."""
    parts = {
        **listing("token"),
        "filter": [{"by": "$request.query.state", "is": "$job.status", "otherwise": ["queued"]}],
    }
    fake = Fake("small", paths=[small(tmp_path, list=parts)])
    ids = make(fake, 6)
    first = listed(fake)
    fake.client().delete(f"/jobs/{ids[2]}")
    assert [job["id"] for job in listed(fake, at=first["next"])["jobs"]] == ids[3:]


# --- as a client walks ----------------------------------------------------------------------------------------------


def walked(driver: Driver) -> list[Job]:
    """Return all jobs that a client lists."""
    if isinstance(driver.client, Client):
        return list(driver.client.jobs())

    async def walk() -> list[Job]:
        return [job async for job in driver.client.jobs()]

    return asyncio.run(walk())


def scripted(kind: Any, root: Path, way: str, *pages: Any, **parts: Any) -> tuple[Driver, list[httpx.Request]]:
    """Return a client of a provider that answers with these pages, the last one again and again."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        page = pages[min(len(asked), len(pages)) - 1]
        if isinstance(page, Exception):
            raise page
        return httpx.Response(page) if isinstance(page, int) else httpx.Response(200, json=page)

    paths = [small(root, list=listing(way), **parts)]
    return Driver(kind, "small", httpx.MockTransport(answer), VirtualClock(), paths=paths), asked


@pytest.mark.parametrize("way", sorted(WAYS))
def test_both_clients_walk_through_a_list(kind: Any, tmp_path: Path, way: str) -> None:
    """Both clients list all jobs, with what the list tells of them."""
    client, fake = pair(kind, "small", paths=[small(tmp_path, list=listing(way))])
    ids = make(fake, 7)
    assert [(job.id, job.state) for job in walked(client)] == [(one, "queued") for one in ids]


def test_a_list_without_pages_is_one(kind: Any) -> None:
    """A provider that does not split its list is asked once."""
    client, fake = pair(kind, "oxen")
    job = client.submit(**clients.CASES["oxen"].job)
    assert [one.id for one in walked(client)] == [job.id]
    assert [exchange.operation for exchange in fake.journal.exchanges] == ["enqueue", "listQueue"]


def test_a_provider_without_a_list_is_told(kind: Any) -> None:
    """Where nothing lists jobs the client says so."""
    with pytest.raises(UsageError, match="kie has no operation that lists jobs"):
        walked(pair(kind, "kie")[0])


JOB = {"id": "job-1", "state": "queued"}


@pytest.mark.parametrize(
    ("way", "pages", "error", "text"),
    [
        ("url", [{"jobs": [JOB], "next": "?at=1"}], UnreadableReply, "after 2 pages it leads to one that was read"),
        ("token", [{"jobs": [JOB], "next": "1"}], UnreadableReply, "after 2 pages it leads to one that was read"),
        ("url", [{"jobs": [], "next": "https://evil.test/"}], UnreadableReply, "a link leads to another host"),
        ("url", [{"jobs": [], "next": "http://["}], UnreadableReply, "the list cannot be read"),
        ("url", [{"jobs": [], "next": 1}], UnreadableReply, r"text for \$page.nextUrl is expected"),
        ("token", [{"jobs": [], "next": {}}], UnreadableReply, r"text or a number for \$page.next is expected"),
        ("id", [{"jobs": [JOB], "more": "yes"}], UnreadableReply, r"true or false for \$page.hasMore"),
        ("token", [{"jobs": {}}], UnreadableReply, "the list cannot be read: a list is expected at /jobs"),
        ("token", [500], ProviderError, "the list could not be read"),
        ("token", [httpx.ReadError("reset")], ProviderError, "the list got no answer: ReadError: reset"),
    ],
)
def test_a_list_that_cannot_be_read_is_an_error(
    kind: Any, tmp_path: Path, way: str, pages: list[Any], error: type[Exception], text: str
) -> None:
    """Pages that lead in a circle or elsewhere, and answers that are no pages, are errors and no endless walk."""
    client, asked = scripted(kind, tmp_path, way, *pages)
    with pytest.raises(error, match=text):
        walked(client)
    assert len(asked) <= 2


def test_a_list_that_only_grows_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that always has another page is left after so many."""
    assert MAX_PAGES == 10_000
    monkeypatch.setattr("understudy.lists.MAX_PAGES", 5)
    pages = [{"jobs": [], "next": str(number)} for number in range(9)]
    client, asked = scripted(Client, tmp_path, "token", *pages)
    with pytest.raises(UnreadableReply, match="after 5 pages it leads to yet another"):
        walked(client)
    assert len(asked) == 5


def test_a_list_by_id_without_a_word_of_more_ends_with_an_empty_page(tmp_path: Path) -> None:
    """Where the list says neither what is next nor whether there is more, the walk goes on until nothing comes."""
    client, asked = scripted(Client, tmp_path, "id", {"jobs": [JOB]}, {"jobs": []})
    assert [job.id for job in walked(client)] == ["job-1"]
    assert [request.url.params.get("at") for request in asked] == [None, "job-1"]


def test_the_key_goes_along_to_the_next_page(kind: Any, tmp_path: Path) -> None:
    """A link to the next page has no key, so the client sends it again, in the header or in the URL."""
    for place in ("header", "query"):
        security = {"type": "apiKey", "in": place, "name": "X-Key"}
        pages: tuple[Any, ...] = (
            {"jobs": [JOB], "next": "/jobs?at=1"},
            {"jobs": [], "next": "/more"},
            {"jobs": [], "next": None},
        )
        client, asked = scripted(kind, tmp_path / place, "url", *pages, security=security)
        assert len(walked(client)) == 1
        sent = [request.headers if place == "header" else request.url.params for request in asked]
        assert {one["X-Key"] for one in sent} == {"understudy-key"}


# --- what is wrong with a contract ----------------------------------------------------------------------------------


def test_a_token_must_be_shown(tmp_path: Path) -> None:
    """A list by token that shows neither the next token nor the next URL cannot be walked, and is no contract."""
    with pytest.raises(ContractInvalid, match=r"shows neither \$page.next nor \$page.nextUrl"):
        Fake("small", paths=[small(tmp_path, list=listing("token") | {"reply": {"body": {"jobs": EACH}}})])


def test_a_list_must_tell_which_jobs(acme: Acme) -> None:
    """A list whose ids a client cannot get back is a problem; one that is split is rendered with a page."""
    acme.job["list"]["reply"] = {"body": {"jobs": {"$each": "$jobs", "do": {"is": "$job.status"}}}}
    assert "a client cannot get the id of a job that is queued from this" in acme.problems()


@pytest.mark.parametrize(("style", "schema"), [("token", "string"), ("offset", "integer"), ("number", "integer")])
def test_a_page_is_held_to_the_schema(acme: Acme, style: str, schema: str) -> None:
    """What leads to a page is a number where pages are counted, and text otherwise."""
    operation = acme.openapi["paths"]["/jobs"]["get"]
    operation["parameters"] = [{"name": "at", "in": "query", "schema": {"type": schema}}]
    body = {"type": "object", "properties": {"next": {"type": schema}}}
    operation["responses"]["200"]["content"] = {"application/json": {"schema": body}}
    acme.job["list"]["reply"] = {"body": {"next": "$page.next|omit", "jobs": EACH}}
    acme.job["list"]["page"] = {"style": style, "at": "$request.query.at", "size": {"default": 2}}
    assert acme.problems() == []
