"""What other APIs do that those which are shipped do not: small contracts, one for each manner, in `apis/`."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.clients import Driver
from understudy import AsyncClient, Client, Fake, Job, JobFailed, Refused, UnreadableReply, UsageError, serve
from understudy.check import check_provider
from understudy.folders import find_provider
from understudy.lifecycle import State

APIS = Path(__file__).parent / "apis"

#: What a create needs: the model, where it has one, and the input.
GIVEN: dict[str, tuple[str | None, dict[str, Any]]] = {
    "binary": (None, {"prompt": "a lighthouse"}),
    "fileid": (None, {"prompt": "a lighthouse"}),
    "lines": (None, {"requests": [{"custom_id": "item-0"}]}),
    "location": (None, {"prompt": "a lighthouse"}),
    "longrunning": ("publishers/acme/models/film", {"prompt": "a lighthouse"}),
    "twostep": ("acme/photo/fast", {"prompt": "a lighthouse"}),
}

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(params=sorted(GIVEN))
def name(request: pytest.FixtureRequest) -> str:
    """One of the contracts."""
    return str(request.param)


def fake_of(name: str) -> Fake:
    return Fake(name, paths=[APIS])


def driver(kind: Any, fake: Fake) -> Driver:
    return Driver(kind, fake.contract, fake.transport(), fake.clock)


def submit(client: Any, name: str) -> Job:
    model, given = GIVEN[name]
    job: Job = client.submit(given, model=model)
    return job


def test_every_contract_is_tried():
    """There is no contract that these tests leave out."""
    assert sorted(folder.name for folder in (APIS / "contracts").iterdir()) == sorted(GIVEN)


def test_a_contract_is_usable(name: str) -> None:
    """Nothing is wrong with it: a client can read all that it needs."""
    report = check_provider(find_provider(name, [APIS]))
    assert [str(problem) for problem in report.problems] == []


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_client_gets_its_pictures(kind: Any, name: str) -> None:
    """It makes a job, waits for it, and fetches the files that came of it."""
    with fake_of(name) as fake:
        client = driver(kind, fake)
        job = client.wait(submit(client, name))
        assert job.state is State.SUCCEEDED
        assert job.id in fake.jobs
        assert len(job.outputs) == len(fake.jobs[job.id].outputs)
        assert all(client.download(output).startswith(PNG) for output in job.outputs)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_client_is_told_of_a_failure(kind: Any, name: str) -> None:
    """It raises the contract's own name of it, and the provider's words."""
    with fake_of(name) as fake:
        fake.next_job(failure="policy")
        client = driver(kind, fake)
        with pytest.raises(JobFailed) as caught:
            client.wait(submit(client, name))
        message = fake.contract.job_type.failures["policy"].message.render({})
        assert (caught.value.name, caught.value.provider_message) == ("policy", message)


def test_it_is_the_same_on_a_socket(name: str) -> None:
    """Links lead to the server itself, and a client follows them."""
    with serve(name, paths=[APIS], speed=200) as server:
        client = Client(name, paths=[APIS], api_key="key", base_url=server.url_of(name), clock=server.clock)
        job = client.wait(submit(client, name))
        assert client.download(job.outputs[0]).startswith(PNG)
        client.close()


# --- twostep --------------------------------------------------------------------------------------------------------

BEGUN = "https://queue.twostep.test/acme/photo/fast"
KEY = {"authorization": "Key key"}


def test_a_result_comes_from_an_operation_of_its_own():
    """Until the job has ended it says so; then it gives the result, or the failure with a status of its own."""
    with fake_of("twostep") as fake, fake.client() as http:
        begun = http.post(BEGUN, json={"prompt": "a"}).json()
        early = http.get(begun["response_url"])
        assert (early.status_code, early.json()) == (400, {"detail": "Request is still in progress"})
        fake.wait_for(begun["request_id"])
        whole = http.get(begun["response_url"])
        assert (whole.status_code, whole.json()["images"][0]["content_type"]) == (200, "image/png")


def test_a_failure_has_a_status_and_headers_of_its_own():
    """The result has them, and so has the answer of a create that blocks; other jobs have none of it."""
    with fake_of("twostep") as fake, fake.client() as http:
        for failure, status, header in ((None, 200, None), ("policy", 422, "false"), ("slow", 504, None)):
            fake.next_job(failure=failure)
            begun = http.post(BEGUN, json={"prompt": "a"}).json()
            fake.wait_for(begun["request_id"])
            fake.next_job(failure=failure)
            for answer in (
                http.get(begun["response_url"]),
                http.post(BEGUN.replace("queue", "sync"), json={"prompt": "a"}),
            ):
                assert (answer.status_code, answer.headers.get("retryable")) == (status, header)


def test_a_result_can_tell_the_size_of_its_files():
    """It is the size that the file has, and a client knows it without having fetched the file."""
    with (
        fake_of("twostep") as fake,
        Client(fake.contract, api_key="key", http=fake.client(), clock=fake.clock) as client,
    ):
        output = client.wait(submit(client, "twostep")).outputs[0]
        assert Image.open(io.BytesIO(client.download(output))).size == (output.width, output.height)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_result_can_be_asked_for_by_itself(kind: Any) -> None:
    """`result` tells what came of a job, as `status` tells how it is; where the status tells all, there is none."""
    with fake_of("twostep") as fake:
        client = driver(kind, fake)
        job = submit(client, "twostep")
        assert client.result(job).state is State.QUEUED
        fake.wait_for(job.id)
        assert client.status(job).outputs == ()
        assert client.result(job).outputs[0].url
    with fake_of("location") as fake:
        client = driver(kind, fake)
        with pytest.raises(UsageError, match="location has no operation for the result: its status tells it"):
            client.result(submit(client, "location"))


def test_two_hosts_may_take_the_same_path():
    """The host decides; on a server that stands in for both, its name comes first in the path."""
    with fake_of("twostep") as fake, fake.client() as http:
        assert http.post(BEGUN, json={"prompt": "a"}).json()["status"] == "IN_QUEUE"
        assert http.post(BEGUN.replace("queue", "sync"), json={"prompt": "a"}).json()["images"]
    with serve("twostep", paths=[APIS], speed=200) as server, httpx.Client(headers=KEY) as http:
        assert http.post(f"{server.url_of('twostep')}/acme/photo", json={"prompt": "a"}).json()["request_id"]
        assert http.post(f"{server.url}/sync.twostep.test/acme/photo", json={"prompt": "a"}).json()["images"]
        begun = http.post(f"{server.url}/queue.twostep.test/acme/photo", json={"prompt": "a"}).json()
        assert begun["status_url"].startswith(server.url_of("twostep"))
        assert http.get(begun["status_url"]).status_code == 202
        assert http.post(f"{server.url}/other.test/acme/photo", json={"prompt": "a"}).status_code == 404


def test_a_model_that_the_path_names_can_have_a_path_of_its_own():
    """Its input is checked, its defaults are known, and a client that names it is led there."""
    with fake_of("twostep") as fake, Client(fake.contract, api_key="key", http=fake.client()) as client:
        (model,) = fake.contract.job_type.models.values()
        assert (model.id, model.defaults) == ("acme/photo/best", {"quality": 10})
        for name in ("acme/photo/best", "acme/photo/fast"):
            client.submit({"prompt": "a", "quality": 5}, model=name)
        assert [job.model for job in fake.jobs.values()] == ["acme/photo/best", "acme/photo/fast"]
        with pytest.raises(Refused, match="11 is greater than the maximum of 10"):
            client.submit({"prompt": "a", "quality": 11}, model="acme/photo/best")
        assert client.submit({"prompt": "a", "quality": 11}, model="acme/photo/fast").id


def test_a_path_that_takes_all_others_tells_nothing():
    """Whose path it may be that nobody answers to is not said by one that fits whatever there is."""
    with serve("twostep", "longrunning", paths=[APIS]) as server:
        for path, hint in (
            ("v1/operations:fetch", "It is a path of longrunning: put /longrunning before it."),
            ("towstep/acme/photo", 'did you mean "twostep"?'),
        ):
            assert hint in httpx.post(f"{server.url}/{path}", json={}, trust_env=False).json()["detail"]


def test_a_job_without_its_links_cannot_be_asked_for():
    """Where only a link tells the whole path, a client says what it lacks."""
    with fake_of("twostep") as fake:
        client = Client(fake.contract, api_key="key", http=fake.client())
        with pytest.raises(UsageError, match=r"nothing tells the owner in /[{]owner[}]/[{]alias[}]/requests/"):
            client.status(Job(id=submit(client, "twostep").id))


def test_what_a_path_lacks_can_be_given():
    """A model is passed with the create; anything else that stands in every path is given to the client once."""
    with fake_of("twostep") as fake:
        client = Client(fake.contract, api_key="key", http=fake.client())
        with pytest.raises(UsageError, match=r"nothing tells the app in /.app.\n  do: pass model="):
            client.submit({"prompt": "a"})
        known = {"owner": "acme", "alias": "photo"}
        client = Client(fake.contract, api_key="key", http=fake.client(), parameters=known)
        job = submit(client, "twostep")
        assert client.status(Job(id=job.id)).state is State.QUEUED
    with fake_of("longrunning") as fake:
        client = Client(fake.contract, api_key="key", http=fake.client(), parameters={"model": "film"})
        assert client.submit({"prompt": "a"}).id


def test_a_link_to_another_host_is_not_followed():
    """The key goes to the provider alone: a link that leads away is as good as none."""
    with fake_of("location") as fake, Client(fake.contract, api_key="key", http=fake.client()) as client:
        job = submit(client, "location")
        job.links = {"status": f"https://elsewhere.test/operations/{job.id}"}
        assert client.status(job).state is State.RUNNING


def test_a_header_tells_the_id():
    """Where nothing else names the job, its id is taken from the address in a header."""
    with fake_of("location") as fake, Client(fake.contract, api_key="key", http=fake.client()) as client:
        assert submit(client, "location").id == next(iter(fake.jobs))


def test_a_result_can_have_an_id_of_its_own():
    """The status tells it at the end, it is asked for by that alone, and a status without it is not believed."""
    with fake_of("fileid") as fake:
        client = Client(fake.contract, api_key="key", http=fake.client(), clock=fake.clock)
        job = submit(client, "fileid")
        assert client.status(job).result_id is None
        fake.wait_for(job.id)
        told = client.status(job)
        assert told.result_id not in (None, job.id)
        with fake.client() as http:
            assert http.get("/files/retrieve", params={"file_id": job.id}).status_code == 404
        assert client.result(told).outputs[0].url
        with pytest.raises(UnreadableReply, match="the status tells no id of the result"):
            client.result(job)


def test_check_misses_the_id_of_a_result(tmp_path: Path) -> None:
    """Where no status tells it, nobody could ask for the result."""
    shutil.copytree(APIS, tmp_path, dirs_exist_ok=True)
    document = tmp_path / "contracts/fileid/openapi.yaml"
    document.write_text(document.read_text().replace("file_id: $job.resultId", "file_id: null"))
    report = check_provider(find_provider("fileid", [tmp_path]))
    assert "a client cannot get the id of the result of a job that is succeeded" in " ".join(
        problem.text for problem in report.problems
    )


# --- bodies that are no JSON ----------------------------------------------------------------------------------------


def test_a_result_can_be_bytes_or_base64():
    """What the client accepts decides between the file itself and the same in JSON."""
    with fake_of("binary") as fake, fake.client() as http:
        job_id = http.post("/upscale", json={"prompt": "a"}).json()["id"]
        fake.wait_for(job_id)
        plain = http.get(f"/results/{job_id}")
        assert (plain.headers["content-type"], plain.content[:8]) == ("image/png", PNG)
        in_json = http.get(f"/results/{job_id}", headers={"accept": "application/json"}).json()
        assert in_json["result"].startswith("iVBORw0KGgo")


def test_a_result_can_be_json_lines():
    """Each line is a JSON value, and the client reads them as a list."""
    with fake_of("lines") as fake, fake.client() as http:
        batch = http.post("/batches", json={"requests": []}).json()
        assert http.get(batch["results_url"]).status_code == 404
        fake.wait_for(batch["id"])
        answer = http.get(batch["results_url"])
        assert answer.headers["content-type"] == "application/x-jsonl"
        assert [line.count('"custom_id"') for line in answer.text.splitlines()] == [1, 1, 1]


# --- where things are in a request ----------------------------------------------------------------------------------


def test_an_id_can_be_in_the_body_and_a_model_in_several_segments():
    """The client writes them as the contract says, slashes and all."""
    with fake_of("longrunning") as fake, Client(fake.contract, api_key="key", http=fake.client()) as client:
        job = submit(client, "longrunning")
        client.status(job)
        create, status = fake.journal.exchanges
        assert create.path == "/v1/publishers/acme/models/film:predictLongRunning"
        assert fake.jobs[job.id].input == {"prompt": "a lighthouse"}
        assert (status.path, job.id.encode() in status.request_body) == ("/v1/operations:fetch", True)


def test_a_key_can_be_anywhere(name: str) -> None:
    """In a header of its own, in Authorization with any word before it or none, or in the query."""
    with fake_of(name) as fake, httpx.Client(transport=fake.transport(), base_url=fake.base_url) as bare:
        operation = next(iter(fake.contract.operations.values()))
        path = operation.path_with({"app": "acme/photo", "model": "film"})
        body = {"prompt": "a", "instances": [{}], "requests": []}
        assert bare.request(operation.method, path, json=body).status_code == 401
        with fake.client() as http:
            assert http.request(operation.method, path, json=body).status_code in (200, 202)


def test_a_list_tells_each_operation_by_what_is_in_it():
    """A client that lists operations finds each in its own state, with its files or its error."""
    with fake_of("longrunning") as fake, Client(fake.contract, api_key="key", http=fake.client()) as client:
        for state in (State.SUCCEEDED, State.FAILED, State.CANCELLED):
            fake.next_job(state=state)
            submit(client, "longrunning")
        client.cancel(submit(client, "longrunning"))
        found = list(client.jobs())
        assert [job.state for job in found] == [State.SUCCEEDED, State.FAILED, State.CANCELLED, State.CANCELLED]
        assert [len(job.outputs) for job in found] == [1, 0, 0, 0]
