"""Tests of the files that a fake serves."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.small import small
from understudy import files as module
from understudy.clock import VirtualClock
from understudy.contract.build import load_contract
from understudy.contract.model import JobType
from understudy.fake import Fake
from understudy.files import Files, UploadedFile, below_host, moved
from understudy.store import Plays


def finished(root: Path, **options) -> tuple[Fake, str]:
    """Return a fake that has made a picture, and the link to it."""
    fake = Fake("small", paths=[root], **options)
    client = fake.client()
    job = client.post("/jobs", json={"prompt": "a lighthouse"}).json()["id"]
    fake.clock.advance(5)
    return fake, client.get(f"/jobs/{job}").json()["result"][0]


# Results


def test_a_result_is_a_picture(tmp_path: Path) -> None:
    """The link of a finished job leads to a real picture of the asked size."""
    sizes = {"resolution": "$job.input#/prompt", "sides": {"a lighthouse": 64}}
    fake, link = finished(small(tmp_path, behaviour={"pictures": sizes}))
    reply = fake.client().get(link)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "image/png")
    assert Image.open(BytesIO(reply.content)).size == (64, 64)


def test_a_link_expires_when_the_contract_says(tmp_path: Path) -> None:
    """A link works up to the last second of its life and not after."""
    assets = {"url": "https://files.small.test/{$job.id}", "lifetimeSeconds": 60}
    fake, link = finished(small(tmp_path, assets=assets))
    fake.clock.advance(60)
    assert fake.client().get(link).status_code == 200
    fake.clock.advance(1)
    reply = fake.client().get(link)
    assert (reply.status_code, reply.json()["title"]) == (403, "expired")


def test_an_expired_link_has_the_error_that_the_contract_names(tmp_path: Path) -> None:
    """The contract may name another error for a dead link, and its rule is what is answered."""
    assets = {"url": "https://files.small.test/{$job.id}", "lifetimeSeconds": 0, "expired": "gone"}
    fake, link = finished(small(tmp_path, assets=assets, errors={"gone": [{"http": 410, "body": {"at": "$url"}}]}))
    fake.clock.advance(1)
    reply = fake.client().get(link)
    assert (reply.status_code, reply.json()) == (410, {"at": urlsplit(link).path})


def test_a_link_that_needs_the_key_is_for_its_owner(tmp_path: Path) -> None:
    """Where the key must be sent, only the account that made the job can fetch its files."""
    assets = {"url": "https://files.small.test/{$job.id}", "needsKey": True}
    security = {"type": "apiKey", "in": "header", "name": "X-Key"}
    fake, link = finished(small(tmp_path, assets=assets, security=security))
    assert fake.client().get(link).status_code == 200
    assert fake.client(api_key="another").get(link).json()["title"] == "unauthorized"
    assert fake.client(headers={"X-Key": ""}).get(link).status_code == 401


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_file_can_only_be_fetched(tmp_path: Path, method: str) -> None:
    """Any method but GET and HEAD leads nowhere."""
    fake, link = finished(small(tmp_path))
    assert fake.client().request(method, link).json()["title"] == "unknownPath"
    assert fake.client().head(link).status_code == 200


@pytest.mark.parametrize("index", ["1", "-1", "x", "00", "9" * 5000, ""])
def test_a_file_that_a_job_has_not_is_not_found(tmp_path: Path, index: str) -> None:
    """A link to a file beyond those of the job leads nowhere, however it is written."""
    fake, link = finished(small(tmp_path))
    assert fake.client().get(link.replace("/0.", f"/{index}.")).status_code == 404


def test_a_job_without_a_result_has_no_file(tmp_path: Path) -> None:
    """Before the end there is no file, and for an unknown job there never is."""
    fake = Fake("small", paths=[small(tmp_path)])
    job = fake.client().post("/jobs", json={"prompt": "a"}).json()["id"]
    for name in (job, "job-unknown"):
        assert fake.client().get(f"https://files.small.test/{name}/0.png").status_code == 404


@pytest.mark.parametrize(
    "url",
    [
        "https://files.small.test/{$job.id}/{$output.index}.png",
        "https://files.small.test/{$output.index}/{$job.id}",
        "https://files.small.test/{$job.id}-{$output.index}",
        'https://files.small.test/of/{$job.id|after("projects/")}/{$output.index}',
        "https://files.small.test/{$job.id|sha256hex}?alt=media&n={$output.index}",
        "https://files.small.test?of={$job.id}&n={$output.index}#whole",
    ],
)
def test_a_file_is_where_its_link_says(tmp_path: Path, url: str) -> None:
    """Whatever the template of the links, each leads to the file that it was issued for, slashes in ids or not."""
    chosen = ["$request.body#/name", "projects/mine/operations/op {digits:4}"]
    pictures = {"size": "$job.input#/size", "count": "$job.input#/count"}
    root = small(tmp_path, id=chosen, assets={"url": url}, behaviour={"pictures": pictures})
    with Fake("small", paths=[root]) as fake:
        http = fake.client()
        for side in (64, 72):
            http.post("/jobs", json={"prompt": "a", "count": 2, "size": f"{side}x64"})
        fake.clock.advance(5)
        links = {side: job.outputs for side, job in zip((64, 72), fake.jobs.values(), strict=True)}
        for side, outputs in links.items():
            for output in outputs:
                reply = http.get(str(output.url), params={"more": "x"} if "?" not in str(output.url) else None)
                assert Image.open(BytesIO(reply.content)).size == (side, 64)
        fake.reset()
        assert http.get(str(links[64][0].url)).status_code == 404


@pytest.mark.parametrize("query", ["", "?alt=media&of={$job.id}"])
def test_a_renewed_link_leads_to_the_same_file(tmp_path: Path, query: str) -> None:
    """What tells a file from others stays in a fresh link, and only its end is another, however often it is renewed."""
    body = {"content": {"application/json": {"schema": {"type": "object"}}}}
    renewal = {
        "operation": "renew",
        "url": "$request.body#/url",
        "lifetimeSeconds": 60,
        "reply": {"body": "$asset.url"},
    }
    assets = {"url": f"https://files.small.test/{{$job.id}}{query}", "lifetimeSeconds": 10, "renew": renewal}
    paths = {"/links": {"post": {"operationId": "renew", "requestBody": body}}}
    fake, link = finished(small(tmp_path, paths=paths, assets=assets))
    for _ in range(3):
        fake.clock.advance(70)
        assert fake.client().get(link).status_code == 403
        link = fake.client().post("/links", json={"url": link}).json()
        assert fake.client().get(link).status_code == 200
        assert link.count("expires=") == 1


def test_the_links_of_a_forgotten_job_lead_nowhere(tmp_path: Path) -> None:
    """What is remembered of a file goes with its job."""
    fake, link = finished(small(tmp_path))
    (play,) = fake.provider.plays.values()
    assert fake.provider.plays.serving(play.addresses[0]) is play
    fake.provider.plays.forget(play)
    fake.provider.plays.issue(play, play.addresses)
    assert fake.provider.plays.serving(play.addresses[0]) is None
    assert fake.client().get(link).status_code == 404


def _copy(root: Path) -> JobType:
    return load_contract(root / "contracts/small").job_type


# Uploads


def uploaded(path: str, size: int) -> UploadedFile:
    return UploadedFile(path, path, "", size, "image/png", 0, b"x" * size)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 5))), st.integers(0, 12))
def test_uploads_are_bounded(job_type: JobType, story: list[tuple[str, int]], most: int) -> None:
    """However files come, the newest stay, one for each path, and no more bytes than allowed."""
    kept: dict[str, int] = {}
    files = Files({}, Plays(), VirtualClock())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_UPLOADED_BYTES", most)
        for path, size in story:
            files.keep(path, uploaded(path, size), job_type, None)
            kept.pop(path, None)
            kept[path] = size
            while sum(kept.values()) > most:
                kept.pop(next(iter(kept)))
            found = {path: files.find(path, {}) for path in "abcd"}
            assert {path: len(file.content) for path, file in found.items() if file is not None} == kept
    files.clear()
    assert not any(files.find(path, {}) for path in "abcd")


def test_an_upload_expires(job_type: JobType) -> None:
    """An upload can be fetched for its lifetime, and is told from an unknown one afterwards."""
    clock = VirtualClock()
    files = Files({}, Plays(), clock)
    files.keep("/a", uploaded("a", 3), job_type, 10)
    clock.advance(10)
    fresh = files.find("/a", {})
    clock.advance(1)
    stale = files.find("/a", {})
    assert fresh is not None
    assert stale is not None
    assert (fresh.expired, fresh.content) == (False, b"xxx")
    assert (stale.expired, stale.content) == (True, b"")


@pytest.fixture(scope="module")
def job_type(tmp_path_factory) -> JobType:
    """Return the kind of job of the small provider."""
    return _copy(small(tmp_path_factory.mktemp("small")))


# URLs


def test_what_follows_the_host_is_kept_whole() -> None:
    """Path, query and fragment follow the host; where there is none of them, the root does."""
    assert below_host("https://a.test/b/c?d=e/f#g") == "/b/c?d=e/f#g"
    assert below_host("https://a.test") == below_host("https://a.test/") == "/"
    assert below_host("https://a.test?b=c/d") == "/?b=c/d"


def test_a_url_moves_to_another_base() -> None:
    """With a base, a URL keeps its path and its query; without one it stays."""
    assert moved("https://a.test/b/c?d=/e", "http://127.0.0.1:1/_files") == "http://127.0.0.1:1/_files/b/c?d=/e"
    assert moved("https://a.test/b", "") == "https://a.test/b"
    assert moved("https://a.test", "http://b") == "http://b/"
