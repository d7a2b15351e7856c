"""Tests of `understudy verify`: fakes are as their contracts have them, altered ones are not, and no money is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.acme import Acme
from tests.alterations import KEY, PROVIDERS, Altered, Edit
from understudy.cli import main
from understudy.clock import SystemClock
from understudy.errors import UsageError
from understudy.lifecycle import State
from understudy.provider import SCENARIO_HEADER
from understudy.server import serve
from understudy.verify.budget import Budget
from understudy.verify.findings import Found
from understudy.verify.run import run
from understudy.verify.suite import CHECKS, FREE, PAID, Checked
from understudy.wire import Reply, Request


def differences(checks: list[Checked]) -> list[Found]:
    return [found for check in checks for found in check.found]


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_fake_is_as_its_contract_has_it(name: str):
    """Verify finds nothing at all in the fakes of our providers, at any of their servers."""
    for server in range(len(Altered(name).contract.servers)):
        fake = Altered(name, server=server)
        checks = fake.verify()
        assert differences(checks) == []
        assert sum(check.asked for check in checks if check.name in FREE) > 0
    assert {check.name for check in checks} == set(CHECKS)


# --- altered by hand, after what happened or could -------------------------------------------------------------------


def put(*steps: Any) -> Edit:
    """Return an edit that puts a value at a place of `x-jobs`; the last step is the value."""

    def edit(data: dict[str, Any]) -> None:
        node = next(iter(data["x-jobs"].values()))
        for step in steps[:-2]:
            node = node[step]
        node[steps[-2]] = steps[-1]

    return edit


def moved(steps: tuple[Any, ...], old: str, new: str) -> Edit:
    """Return an edit that gives a member of an object in `x-jobs` another name."""

    def edit(data: dict[str, Any]) -> None:
        node = next(iter(data["x-jobs"].values()))
        for step in steps:
            node = node[step]
        node[new] = node.pop(old)

    return edit


def operation(path: str, method: str, change: Callable[[dict[str, Any]], object]) -> Edit:
    """Return an edit of an operation."""
    return lambda data: change(data["paths"][path][method])


def answered(when: Callable[[Request, Reply], bool], **changes: Any) -> Callable[[Request, Reply], Reply]:
    """Return what changes some of the answers."""
    return lambda request, reply: replace(reply, **changes) if when(request, reply) else reply


KIE_BODY = ("status", "reply", "body", "data")

BY_HAND: dict[str, tuple[str, Edit | None, Callable[[Request, Reply], Reply] | None]] = {
    "the id has another name": ("kie", moved(("create", 0, "reply", "body", "data"), "taskId", "task_id"), None),
    "the state has another name": ("kie", moved(KIE_BODY, "state", "status"), None),
    "success is called completed": ("kie", put("states", "succeeded", ["completed"]), None),
    "failure is 4 instead of 3, and running is 5": ("shortapi", put("states", "running", [5]), None),
    "errors come by HTTP status": ("kie", put("errorTransports", ["http", "body"]), None),
    "an unknown id is 404 and not 422": ("replicate", put("errors", "unknownModel", 0, "http", 404), None),
    "the result is an object and no text": (
        "kie",
        put("status", "reply", "bodyByState", "succeeded", "data", "resultJson", "$job.result"),
        None,
    ),
    "the result is in another place": ("oxen", moved(("status", "reply", "body"), "result_url", "url"), None),
    "the id is a number": ("shortapi", put("create", 0, "reply", "body", "data", "job_id", 12345), None),
    "times are in seconds": ("kie", put("status", "reply", "body", "data", "createTime", "$job.createdAt|epoch"), None),
    "times are milliseconds": ("oxen", put("status", "reply", "body", "enqueued_at", "$job.createdAt|epochMs"), None),
    "times are text": ("oxen", put("status", "reply", "body", "enqueued_at", "$job.createdAt|iso"), None),
    "durations are seconds": (
        "kie",
        put("status", "reply", "bodyByState", "succeeded", "data", "costTime", "$job.durationSeconds|seconds"),
        None,
    ),
    "callbacks are not signed": ("kie", lambda data: next(iter(data["x-jobs"].values()))["callback"].pop("sign"), None),
    "callbacks are signed otherwise": ("kie", put("callback", "sign", "message", "{$delivery.body}"), None),
    "callbacks do not come": ("kie", put("callback", "trigger", ["failed"]), None),
    "a callback says OK in another word": ("fal", put("callback", "view", "states", "succeeded", ["DONE"]), None),
    "a header is missing": ("fal", put("status", "reply", "headers", {}), None),
    "202 is 200": ("fal", put("status", "reply", "http", 200), None),
    "201 is 200": ("replicate", put("create", 0, "reply", "http", 200), None),
    "links are not told": ("fal", moved(("create", 0, "reply", "body"), "status_url", "url"), None),
    "a cancel is refused": ("oxen", put("cancel", "from", ["running"]), None),
    "errors have another shape": (
        "replicate",
        put("errors", "unauthorized", 1, "body", {"error": "$error.message"}),
        None,
    ),
    "no key is needed": ("kie", operation("/api/v1/chat/credit", "get", lambda node: node.update(security=[])), None),
    "an operation is gone": ("oxen", None, answered(lambda request, _: request.path == "/api/ai/models", status=404)),
    "a limit is gone": (
        "kie",
        lambda data: [
            node["properties"]["input"]["properties"].get("prompt", {}).pop("maxLength", None)
            for node in data["components"]["schemas"].values()
            if "input" in node.get("properties", {}) and "properties" in node["properties"]["input"]
        ],
        None,
    ),
    "the result file is empty": (
        "shortapi",
        None,
        answered(lambda request, _: request.host == "file.shortapi.ai", body=b""),
    ),
    "an answer is a page": (
        "kie",
        None,
        answered(lambda request, _: "credit" in request.path, headers=[("content-type", "text/html")], body=b"<html>"),
    ),
}


@pytest.mark.parametrize("case", BY_HAND)
def test_a_drift_is_found(case: str):
    """What providers have changed, or could, is found in their fakes when they do it."""
    name, edit, change = BY_HAND[case]
    checks = Altered(name, edit, change).checks()
    assert any(found.grade != "variable" for check in checks for found in check.found)


# --- money -----------------------------------------------------------------------------------------------------------


class Interrupted(BaseException):
    """Somebody pulls the plug."""


def jobs_paid(fake: Altered) -> Decimal:
    """Return what was spent at a fake, in US dollars, whatever came back of it."""
    movements = [entry.amount for account in fake.provider.accounts.values() for entry in account.ledger.entries]
    return sum((Decimal(str(amount)) for amount in movements if amount > 0), Decimal(0)) * Decimal(
        str(fake.contract.job_type.usd_per_unit)
    )


@settings(max_examples=10, deadline=None)
@given(
    name=st.sampled_from(["oxen", "replicate"]),
    budget=st.sampled_from(["0", "0.004", "0.05", "0.1", "1"]),
    points=st.lists(st.tuples(st.integers(0, 25), st.booleans()), max_size=3),
)
@example(name="oxen", budget="1", points=[(2, False)])  # a job is made, and nobody is told
def test_no_interruption_spends_more(tmp_path_factory, name: str, budget: str, points: list[tuple[int, bool]]):
    """However often a run is interrupted and resumed, no check makes a second job, and the budget is kept."""
    fake = Altered(name)
    file = tmp_path_factory.mktemp("verify") / "progress.json"
    inner = fake.transport.handle_request
    count = 0

    def handle(request: httpx.Request) -> httpx.Response:
        nonlocal count
        count -= 1
        if count == 0 and before:
            raise Interrupted
        response = inner(request)
        if count == 0:
            raise Interrupted  # it was made, and nobody was told
        return response

    fake.transport.handle_request = handle  # type: ignore[method-assign]
    for count, before in (*points, (0, True)):  # noqa: B007
        try:
            checks = fake.verify(budget=budget, file=file, only=PAID)
        except Interrupted:
            checks = []
        paid = jobs_paid(fake)
        assert paid <= Decimal(budget)
        assert len(fake.provider.plays) <= len(PAID)
    assert {check.name for check in checks} == set(PAID)
    kept = json.loads(file.read_text()) if file.exists() else {"checks": {}}
    assert paid <= sum((Decimal(entry["usd"]) for entry in kept["checks"].values()), Decimal(0))
    assert len(fake.provider.plays) <= len(kept["checks"])
    assert KEY not in json.dumps(kept)
    assert not [found for found in differences(checks) if found.grade == "breaking"]


def test_what_was_paid_for_is_not_paid_again(tmp_path):
    """A run that is begun again with the progress of one that has ended says the same, and pays nothing."""
    fake, file = Altered("kie", put("states", "running", ["at work"])), tmp_path / "progress.json"
    first = fake.verify(file=file, only=PAID)
    paid = jobs_paid(fake)
    second = fake.verify(file=file, only=PAID)
    assert jobs_paid(fake) == paid > 0
    assert differences(second) == differences(first) != []


def test_other_models_are_paid_for_while_the_budget_lasts(tmp_path):
    """Of a provider a job of each further model is made, the cheapest first, and none twice when the run is resumed."""
    fake, file = Altered("oxen"), tmp_path / "progress.json"
    inner = fake.transport.handle_request

    def handle(request: httpx.Request) -> httpx.Response:
        request.headers.pop(SCENARIO_HEADER, None)  # a provider has never heard of it
        return inner(request)

    fake.transport.handle_request = handle  # type: ignore[method-assign]
    checks = fake.verify(budget="0.12", file=file, only=("other-models",))
    assert differences(checks) == []
    made = [check.name for check in checks if check.skipped is None]
    assert made == [check.name for check in checks][: len(made)]
    assert 1 < len(made) < len(checks)
    assert [play.job.model for play in fake.provider.plays.values()] == [one.partition(" ")[2] for one in made]
    paid = jobs_paid(fake)
    assert [check[:3] for check in fake.verify(budget="0.12", file=file, only=("other-models",))] == [
        check[:3] for check in checks
    ]
    assert jobs_paid(fake) == paid <= Decimal("0.12")


def test_without_a_budget_nothing_is_made():
    """With a budget of nothing the free checks are made, no job is, and the paid ones say why not."""
    fake = Altered("fal")
    checks = fake.verify(budget="0", only=(*FREE, *PAID))
    assert not fake.provider.plays
    assert all(check.skipped is not None for check in checks if check.name in PAID)
    assert any(check.skipped is None for check in checks)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"about": {"provider": "fal"}, "checks": {}}'])
def test_a_file_that_is_no_progress_is_refused(tmp_path, text: str):
    """Progress is taken up from a file of the same run alone."""
    file = tmp_path / "progress.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"progress\.json is"):
        Budget(file, Decimal(1), {"provider": "kie"})


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def live(monkeypatch, tmp_path):
    """A live fake of one provider in an empty folder, and the key in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROVIDER_KEY", KEY)
    with serve("kie", speed=50) as server:
        yield f"{server.url}/kie"


def test_a_live_fake_is_as_its_contract_has_it(live, capsys):
    """Over a socket a fake is as its contract has it; each check is told as it is made, and the prices before that."""
    clock = SystemClock(50)
    assert run("kie", base_url=live, key_env="PROVIDER_KEY", budget="0.04", clock=clock) == 0
    out, err = capsys.readouterr()
    assert "17 of 25 checks made, 0.040 USD spent" in out
    assert "breaking" not in out
    assert "drift" not in out
    assert err.index("all of it costs 0.040 USD") < err.index("no-key: fine")
    assert KEY not in out + err
    assert not list(Path().iterdir())


@pytest.mark.parametrize("format", ["text", "json", "junit", "github", "sarif"])
def test_each_format_tells_of_the_checks(live, capsys, format: str):
    """In each format the command tells what was checked, or found, and what a difference is worth."""
    arguments = ["verify", "kie", "--base-url", live, "--key-env", "PROVIDER_KEY", "--only", "balance"]
    assert main([*arguments, "--format", format]) == 0
    out = capsys.readouterr().out
    assert (out == "") == (format == "github")
    with serve("shortapi", speed=50) as server:
        arguments[arguments.index(live)] = f"{server.url}/shortapi"
        assert main([*arguments, "--format", format]) == 1
        assert main([*arguments, "--format", format, "--fail-on", "never"]) == 0
        assert "getCredit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--base-url", "http://127.0.0.1:1", "--key-env", "NO_SUCH_KEY"], "NO_SUCH_KEY is not set"),
        (["--base-url", "nowhere", "--key-env", "PROVIDER_KEY"], "is no URL of a provider"),
        (["--base-url", "http://127.0.0.1:1", "--key-env", "PROVIDER_KEY", "--budget", "much"], "no amount of money"),
        (["--base-url", "http://127.0.0.1:1", "--key-env", "PROVIDER_KEY", "--only", "ballance"], "balance"),
    ],
)
def test_a_wrong_question_is_told(monkeypatch, capsys, arguments, complaint):
    """A wrong question is answered with what is wrong, and exit code 2."""
    monkeypatch.setenv("PROVIDER_KEY", KEY)
    assert main(["verify", "kie", *arguments]) == 2
    assert complaint in capsys.readouterr().err


def test_an_interrupted_run_is_not_begun_anew(monkeypatch, tmp_path, capsys):
    """Where progress of an interrupted run lies, a run that may pay wants to be told what to do with it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROVIDER_KEY", KEY)
    Path("understudy-verify-kie.json").write_text("{}")
    arguments = ["verify", "kie", "--base-url", "http://127.0.0.1:1", "--key-env", "PROVIDER_KEY", "--budget", "1"]
    assert main(arguments) == 2
    assert "--resume understudy-verify-kie.json" in capsys.readouterr().err


# --- whatever a provider does ----------------------------------------------------------------------------------------


def test_a_fake_that_uses_every_part_of_the_format_is_as_its_contract_has_it(tmp_path):
    """Verify understands every part of the format, such as a key in the query and a create that blocks."""
    acme = Acme(tmp_path)
    acme.openapi["components"]["securitySchemes"]["key"] = {"type": "apiKey", "in": "query", "name": "key"}
    acme.job["prices"] = {**acme.job.get("prices", {"unit": "credits", "rules": [{"amount": 1}]}), "usdPerUnit": 0.01}
    checks = Altered(str(acme.write().contract)).verify(budget="100")
    assert differences(checks) == []
    assert {"lifecycle", "callback", "blocking", "no-key"} <= {check.name for check in checks if check.skipped is None}


def test_what_a_document_has_seldom_is_asked_as_well(tmp_path):
    """Fixed headers are not left out, lists may be too short, a path may have all methods, a create no callback."""
    acme = Acme(tmp_path)
    fixed = {"name": "X-Version", "in": "header", "required": True, "schema": {"const": "1"}}
    acme.openapi["paths"]["/jobs"]["post"]["parameters"] = [fixed]
    acme.cat["properties"]["input"]["properties"]["sizes"] = {"type": "array", "minItems": 1, "items": {}}
    plain = {"responses": {"200": {"description": "Nothing"}}}
    acme.openapi["paths"]["/models"].update(
        {method: {**plain, "operationId": f"{method}Models"} for method in ("patch", "put", "delete", "post")}
    )
    made, now = acme.job["create"]
    acme.job["create"] = [made, {"operations": now["operations"], "model": now["model"], "reply": made["reply"]}]
    acme.job["prices"]["usdPerUnit"] = 0.01
    fake = Altered(str(acme.write().contract))
    asked: list[httpx.Request] = []
    inner = fake.transport.handle_request
    fake.transport.handle_request = lambda request: (asked.append(request), inner(request))[1]  # type: ignore
    checks = {check.name: check for check in fake.verify(budget="100")}
    assert differences([*checks.values()]) == []
    assert checks["callback"].skipped is None
    posts = [request for request in asked if (request.method, request.url.path) == ("POST", "/v1/jobs")]
    assert all(request.headers["x-version"] == "1" for request in posts)
    assert any(b'"sizes":[]' in request.content.replace(b" ", b"") for request in posts)


@pytest.mark.parametrize("name", ["fal", "oxen"])
@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"\xff\xfe", b'{"data": [1], "code": [], "status": {}}'])
def test_junk_is_found_and_survived(name: str, body: bytes):
    """Whatever comes in place of every answer is breaking, and no more than that."""
    change = answered(lambda *_: True, body=body, headers=[("content-type", "image/png")])
    assert any(found.grade == "breaking" for found in differences(Altered(name, None, change).verify()))


STORIES: dict[str, tuple[str, Callable[[Altered], object], str, list[str]]] = {
    "a poll that comes too soon": (
        "kie",
        lambda fake: fake.provider.fault("error", on="status", error="rateLimited"),
        "lifecycle",
        [],
    ),
    "a job that is not visible yet": (
        "kie",
        lambda fake: fake.provider.next_job(visible_after_seconds=2),
        "lifecycle",
        [],
    ),
    "reads that all fail": (
        "shortapi",
        lambda fake: fake.provider.fault("error", on="status", times=None, error="serverError"),
        "lifecycle",
        ["unreadable"],
    ),
    "a job that never ends": (
        "kie",
        lambda fake: fake.provider.next_job(state=State.RUNNING),
        "lifecycle",
        ["not-ended"],
    ),
    "a job that fails": ("fal", lambda fake: fake.provider.next_job(failure="model-error"), "cancel", []),
    "another job that fails": (
        "shortapi",
        lambda fake: fake.provider.next_job(failure="content-policy"),
        "lifecycle",
        ["state-differs", "other-end"],
    ),
    "a create that is lost": ("kie", lambda fake: fake.provider.fault("answer-lost"), "lifecycle", ["no-answer"]),
    "a poll that is lost": (
        "kie",
        lambda fake: fake.provider.fault("reset-before-commit", on="status"),
        "lifecycle",
        [],
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_what_passes_is_no_difference(story: str):
    """An error that passes is no difference; one that lasts, and another end than was to be expected, is one."""
    name, arm, check, rules = STORIES[story]
    fake = Altered(name)
    arm(fake)
    found = [one.rule for one in differences(fake.verify(only=(check,))) if one.grade != "variable"]
    assert list(dict.fromkeys(found)) == rules


@pytest.mark.parametrize(
    ("name", "host", "at"),
    [
        ("shortapi", "elsewhere.test", ("assets", "url")),
        ("fal", "elsewhere.test", ("create", 3, "reply", "body", "status_url")),
        ("fal", "fal.run", ("create", 3, "reply", "body", "status_url")),
    ],
)
def test_no_other_host_is_called(name: str, host: str, at: tuple[str | int, ...]):
    """A link that leads to a host which the contract does not name, or is not verified, is told of, not followed."""
    fake = Altered(name, put(*at, f"https://{host}/{{$job.id}}.png"))
    hosts = []
    inner = fake.transport.handle_request
    fake.transport.handle_request = lambda request: (hosts.append(request.url.host), inner(request))[1]  # type: ignore
    found = differences(fake.verify(only=("lifecycle",)))
    assert any(host in one.text for one in found)
    assert host not in hosts


def test_the_key_is_not_shown():
    """A provider that repeats the key in its answers does not have it shown, nor kept."""
    fake = Altered("kie", None, answered(lambda request, _: "credit" in request.path, body=f'"{KEY}"'.encode()))
    found = differences(fake.verify(only=("balance",)))
    assert any("[key]" in one.text for one in found)
    assert not any(KEY in one.text for one in found)


@pytest.mark.parametrize(
    ("name", "edit", "change", "rule"),
    [
        (
            "shortapi",
            None,
            answered(lambda one, _: "file." in one.host, headers=[("content-type", "text/html")]),
            "file-type",
        ),
        (
            "fal",
            None,
            answered(lambda one, _: "media" in one.host, headers=[("content-type", "image/gif")]),
            "file-type",
        ),
        ("fal", put("callback", "sign", "encoding", "base64"), None, "header-differs"),
        ("shortapi", put("assets", "url", "https://elsewhere.test/{$job.id}.png"), None, "link-elsewhere"),
    ],
)
def test_files_signatures_and_links_are_looked_at(name: str, edit: Edit | None, change: Any, rule: str):
    """A file of another kind, a signature of another form, and a link to another host are drifts with names."""
    assert rule in {one.rule for one in differences(Altered(name, edit, change).verify())}


def test_what_has_no_price_is_not_bought(tmp_path):
    """Where the contract has no price, or none for what would be bought, nothing is paid for."""
    nobodys = [{"when": '$job.model == "nobody\'s"', "amount": 1}]
    for prices in ({"unit": "credits", "rules": nobodys}, {"unit": "USD", "usdPerUnit": 1, "rules": nobodys}):
        acme = Acme(tmp_path)
        acme.job["prices"] = prices
        checks = Altered(str(acme.write().contract)).verify(budget="100", only=PAID)
        assert all(check.skipped is not None for check in checks)
