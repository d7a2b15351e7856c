"""Tests of what a compiled contract tells of itself."""

from __future__ import annotations

from tests.documents import OPENAPI, contract, job_of
from understudy.contract.model import Contract

VIEW: dict[str, object] = {}
EVERYTHING = job_of(
    status={"operation": "look", "id": "$request.path.id", "reply": VIEW},
    cancel={"operation": "stop", "id": "$request.path.id", "from": ["queued"], "reply": VIEW},
    list={"operation": "all", "reply": VIEW},
    events={"operation": "listen", "scope": "account", "frames": {}},
    assets={
        "url": "https://files.test/{$job.id}",
        "renew": {"operation": "renew", "url": "$request.body#/url", "lifetimeSeconds": 5, "reply": VIEW},
    },
    models={
        "list": {"operation": "models", "reply": VIEW},
        "details": {"operation": "model", "model": "$request.path.id", "reply": VIEW},
    },
    files=[{"operations": ["upload"], "url": "https://files.test/{$file.name}", "reply": VIEW}],
    replies={"balance": VIEW},
)


def test_every_operation_belongs_to_a_part():
    """Each operation that a kind of job names is told with the part of `x-jobs` that names it."""
    assert contract(EVERYTHING).job_type.operation_ids() == {
        "make": "create",
        "look": "status",
        "stop": "cancel",
        "all": "list",
        "listen": "events",
        "renew": "renew",
        "models": "models",
        "model": "models",
        "balance": "replies",
        "upload": "files",
    }
    assert contract().job_type.operation_ids() == {"make": "create"}


def two_kinds() -> Contract:
    other = job_of(create=[{"operations": ["upload"], "reply": VIEW}])["job"]
    return contract({**job_of(), "other": other})


def test_an_operation_belongs_to_the_kind_of_job_that_claims_it():
    """Of several kinds of jobs the first is meant, unless another one claims the operation."""
    compiled = two_kinds()
    assert list(compiled.job_types) == ["job", "other"]
    names = {operation: compiled.job_type_of(operation).name for operation in ("make", "upload", "look")}
    assert names == {"make": "job", "upload": "other", "look": "job"}
    assert compiled.job_type.name == "job"


def test_the_servers_are_told_once_each():
    """The servers of all operations are told, the first one first."""
    text = OPENAPI.replace("{operationId: upload}", '{operationId: upload, servers: [{url: "https://b.test"}]}')
    assert contract(openapi=text).servers == ("https://api.small.test/v1", "https://b.test")


def test_a_contract_knows_its_name_and_its_document():
    """A contract is called like its folder and keeps its document for whoever wants to show a line."""
    compiled = contract()
    assert compiled.name == compiled.folder.name == "small"
    assert compiled.document.data["info"]["title"] == "Small"


def test_defaults_are_filled_in_below_what_was_given():
    """What a client gave stands over the defaults of its model; an unknown model has none."""
    mapped = '{discriminator: {propertyName: model, mapping: {small: "#/components/schemas/Small"}}}'
    text = OPENAPI.replace("schema: {type: object}", f"schema: {mapped}")
    text += "components: {schemas: {Small: {properties: {size: {default: 1}, format: {default: png}}}}}\n"
    jobs = job_of()
    jobs["job"]["create"][0].update(model="$request.body#/model", input="$request.body")
    job_type = contract(jobs, openapi=text).job_type
    assert job_type.with_defaults("small", {"size": 2}) == {"size": 2, "format": "png"}
    assert job_type.with_defaults("small", None) == {"size": 1, "format": "png"}
    assert job_type.with_defaults("tiny", {"a": 1}) == {"a": 1}
    assert job_type.with_defaults(None, None) == {}
