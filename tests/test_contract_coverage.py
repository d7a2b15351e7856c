"""Tests of `understudy coverage`: what is counted, and that what a gap names closes it."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from tests.acme import Acme
from tests.projects import run
from tests.small import JOB, small
from understudy import ClockExhausted, Fake, Receiver, State, Step
from understudy.cli import main
from understudy.coverage.items import items_of
from understudy.coverage.report import KINDS, Covered, Item, as_json, of_data, read
from understudy.coverage.session import Session
from understudy.coverage.tally import Tally
from understudy.markers import wanted
from understudy.provider import onlookers
from understudy.server import serve

CAT = {"model": "cat", "input": {"prompt": "a"}}

#: What Acme has beside the usual, so that there is something of every kind.
RETRY = {"afterSeconds": [60]}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Acme, in a folder."""
    acme = Acme(tmp_path_factory.mktemp("acme"))
    acme.job["callback"]["retry"] = RETRY
    acme.job["failures"]["rude"]["http"] = 451
    acme.job["errors"]["odd"][0]["operations"] = ["make", "listen"]
    acme.job["states"]["expired"] = ["lapsed"]
    acme.job["retention"] = {"jobSeconds": 3600, "then": "expired"}
    acme.write()
    return acme.root


def items(root: Path) -> list[Item]:
    """Return what can be touched of Acme."""
    fake = Fake("acme", paths=[root])
    return items_of(fake.contract, fake.provider.behaviour)


CALLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "all": ("GET", "/jobs", {}),
    "make": ("POST", "/jobs", {"content": b"a", "headers": {"content-type": "text/plain"}}),
    "models": ("GET", "/models", {}),
    "balance": ("GET", "/balance", {}),
    "upload": ("POST", "/files", {"files": {"file": b"a"}, "data": {"name": "a"}}),
    "renew": ("POST", "/links", {"data": {"url": "https://nowhere.test"}}),
    "makeNow": ("POST", "/blocking", {"json": {"model": "cat"}}),
    "look": ("GET", "/jobs/none", {}),
    "stop": ("DELETE", "/jobs/none", {}),
    "listen": ("GET", "/events", {}),
}


def call(http: httpx.Client, operation: str) -> None:
    """Call an operation of Acme, without a word on how it is answered; one that streams is left at once."""
    method, path, more = CALLS[operation]
    with contextlib.suppress(httpx.TransportError, ClockExhausted), http.stream(method, path, **more):
        pass


def tour(fake: Fake, http: httpx.Client, hook: str) -> None:
    """Follow a job of Acme to its end and beyond, and call each operation."""
    with contextlib.suppress(httpx.TransportError, LookupError, ValueError):
        made = http.post("/jobs", json=CAT | {"hook": hook}).json()["jobs"][0]["id"]
        for _ in range(12):
            http.get(f"/jobs/{made}")
            fake.clock.advance(1)
        http.delete(f"/jobs/{made}")
        for output in fake.jobs[made].outputs:
            for seconds in (100, 0):
                http.get(str(output.url))
                fake.clock.advance(seconds)
            http.post("/links", data={"url": output.url})
        fake.clock.advance(3600)
        http.get(f"/jobs/{made}")
    for operation in CALLS:
        call(http, operation)


def touched_by(root: Path, code: str, then: str) -> set[tuple[str, str]]:
    """Do what a gap names, follow a job and call every operation; return what was touched."""
    scenario = code.partition('scenario="')[2].partition('"')[0] or None
    with contextlib.ExitStack() as stack:
        tally, fake = Tally(), stack.enter_context(Fake("acme", paths=[root], scenario=scenario))
        tally.attend(fake.provider)
        names = {"acme": fake, "State": State, "Step": Step, "Receiver": Receiver}
        done = None if code.startswith(("#", "@")) else eval(code, names)
        hook = stack.enter_context(done).url if isinstance(done, Receiver) else "http://127.0.0.1:9/"
        http = stack.enter_context(done if isinstance(done, httpx.Client) else fake.client())
        if then in CALLS:
            call(http, then)
        elif then == "cancel":
            http.delete(f"/jobs/{http.post('/jobs', json=CAT).json()['jobs'][0]['id']}")
        tour(fake, http, hook)
    (covered,) = tally.report()
    return {(item.kind, item.name) for item in covered.items if item.times}


def test_what_a_gap_names_closes_it(root: Path) -> None:
    """Whatever can be touched of a contract that uses every part of the format is touched by what its gap names."""
    wanted = items(root)
    assert {item.kind for item in wanted} == set(KINDS)
    done: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for item in wanted:
        compile(f"{item.close}\ndef test(): pass", "gap", "exec")  # so that it can be pasted
        code, _, then = item.close.partition("  # then ")
        way = code, "cancel" if then == "stop" else then.partition(":")[0]
        if way not in done:
            done[way] = touched_by(root, *way)
        assert (item.kind, item.name) in done[way], item.close


def test_asking_for_a_job_that_has_expired_touches_it(root: Path) -> None:
    """A job that expires after its end is touched as expired when somebody asks for it."""
    code = next(item.close for item in items(root) if item.name == "succeeded → expired")
    assert code == "# ask for a job more than 3600 seconds after its end"
    assert ("outcomes", "expired") in touched_by(root, code, "")


def rule(*operations: str) -> list[Any]:
    """Return the rules of an error that some operations answer."""
    return [{"operations": list(operations), "http": 409, "message": "no", "body": {"error": "no"}}]


@pytest.mark.parametrize(
    ("parts", "kind", "name", "close"),
    [
        ({}, "errors", "no", None),
        ({}, "faults", "error", None),
        ({}, "transitions", "running → failed", None),
        ({}, "transitions", "queued → cancelled", "small.next_job(state=State.QUEUED)  # then cancelJob"),
        ({"cancel": None}, "transitions", "queued → cancelled", None),
        ({"cancel": {**JOB["cancel"], "from": ["succeeded"]}}, "transitions", "succeeded → cancelled", None),
        ({"errors": {"no": rule("createJob")}}, "errors", "no", 'small.next_job(error="no")'),
        ({"errors": {"no": rule("getJob")}}, "errors", "no", 'small.fault("error", on="status", error="no")'),
        ({"errors": {"no": rule("getJob")}}, "faults", "error", 'small.fault("error", error="no")'),
        ({"errors": {"no": rule("listen")}}, "operations", "listen 409", None),
        ({"errors": {"no": rule("listen")}}, "errors", "no", 'small.next_job(error="no")'),
        ({"result": {"operation": "listen", "id": "$request.query.id", "reply": {"body": "$job.result"}}}
         | {"errors": {"no": rule("listen")}}, "errors", "no", 'small.fault("error", on="result", error="no")'),
    ],
)  # fmt: skip
def test_what_can_be_touched_comes_from_the_contract(
    tmp_path: Path, parts: Any, kind: str, name: str, close: str | None
) -> None:
    """What a contract lacks is no gap, and a gap is closed where the contract allows it."""
    fake = Fake("small", paths=[small(tmp_path, **parts)])
    found = {item[:2]: item.close for item in items_of(fake.contract, fake.provider.behaviour)}
    assert found.get((kind, name)) == close


@pytest.mark.parametrize("provider", ["fal", "kie", "oxen", "replicate", "shortapi"])
def test_what_a_gap_names_is_there(provider: str) -> None:
    """The code of each gap of a bundled provider runs: it names what the provider has."""
    with Fake(provider) as fake:
        names = {provider: fake, "State": State, "Step": Step, "Receiver": Receiver}
        for item in items_of(fake.contract, fake.provider.behaviour):
            if item.close.startswith("@"):
                assert item.close.split('"')[1] in fake.provider.behaviour.scenarios
            elif not item.close.startswith(("#", "Receiver")):
                eval(item.close, names)


def test_an_error_without_a_rule_is_none_of_the_contract(tmp_path: Path) -> None:
    """What is answered where the contract has no rule is counted as no error of its."""
    tally, fake = Tally(), Fake("small", paths=[small(tmp_path)])
    tally.attend(fake.provider)
    fake.client().get("/nowhere")
    assert tally.report() == []


# --- a run of pytest ---

#: A provider of which a team touches 13 of 34 things.
SUITE = """
    import pytest

    def make(small):
        return small.client().post("/jobs", json={"prompt": "a"})

    def test_success(small):
        small.wait_for(make(small).json()["id"])

    @pytest.mark.understudy(scenario="rude")
    def test_rude(small):
        small.wait_for(make(small).json()["id"])

    def test_live(understudy_server):
        import httpx
        with httpx.Client(trust_env=False) as http:
            http.get(understudy_server.url_of("small") + "/account")

    def test_patched(small):
        import httpx
        with small.mock():
            httpx.get("https://api.small.test/jobs")
    """
RUDE = {"description": "It fails.", "failure": "rude"}

#: What the suite touches: two creates, the list, the balance; both walks; a failure; a scenario.
TOUCHED = {
    "createJob 201": 2,
    "listJobs 200": 1,
    "account 200": 1,
    "queued": 2,
    "running": 2,
    "new → queued": 2,
    "queued → running": 2,
    "running → succeeded": 1,
    "running → failed": 1,
    "succeeded": 1,
    "failed": 1,
    "rude": 2,
}


@pytest.fixture
def team(project: pytest.Pytester) -> pytest.Pytester:
    """A project with a provider of its own, and a suite that touches a known part of it."""
    failures = {"rude": {"code": 1, "message": "rude"}}
    parts = {"cancel": None, "assets": None, "outputs": None, "failures": failures}
    account = {"replies": {"account": {"body": {"balance": "$account.balance"}}}}
    small(project.path, scenarios={"rude": RUDE, "slow": {"description": "Slow."}}, **parts, **account)
    return project


def counted(project: pytest.Pytester, name: str = ".understudy-coverage") -> dict[str, int]:
    """Return what a run has written: what was touched, and how often."""
    (covered,) = read(project.path / name)
    found: dict[str, int] = {}
    for item in covered.items:
        if item.times:
            found[item.name] = found.get(item.name, 0) + item.times
    return found


def test_a_run_counts_what_it_touches(team: pytest.Pytester) -> None:
    """In process, live and patched, in workers: all of it is counted, told at the end, and written."""
    done = run(team, SUITE, "--understudy-coverage", "-n", "2")
    done.assert_outcomes(passed=4)
    assert counted(team) == TOUCHED
    (covered,) = read(team.path / ".understudy-coverage")
    assert (len(covered.items), len(covered.gaps), covered.percent) == (34, 21, 38)
    done.stdout.fnmatch_lines(
        [
            "*= understudy coverage =*",
            "small: 38 %, 13 of 34 touched",
            "  operations 3 of 4, not getJob 200",
            "  states 2 of 2",
            "  transitions 4 of 4",
            "  outcomes 2 of 4, not cancelled, expired",
            "  failures 1 of 1",
            "  faults 0 of 17, not *",
            "  scenarios 1 of 2, not slow",
            "`understudy coverage` says what closes each gap, --format html shows it",
        ]
    )


def test_a_run_fails_below_a_percentage(team: pytest.Pytester) -> None:
    """With a percentage a run counts, in one process as in several, and fails where a provider is touched by less."""
    done = run(team, SUITE, "--understudy-coverage-fail-under", "39", "--understudy-coverage-file", "build/few.json")
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    done.assert_outcomes(passed=4)
    done.stdout.fnmatch_lines(["FAILED: small is below 39 %", "`understudy coverage build?few.json` says *"])
    assert counted(team, "build/few.json") == TOUCHED


@pytest.mark.parametrize("said", ["some", "-1", "101", "nan"])
def test_a_percentage_is_a_number(said: str) -> None:
    """What is no percentage is refused, and named."""
    config: Any = SimpleNamespace(getoption=lambda name: None, getini={"understudy_coverage_fail_under": said}.get)
    with pytest.raises(pytest.UsageError, match=f"has to be a number from 0 to 100, and not '{said}'"):
        wanted(config)


def test_a_worker_that_has_crashed_hands_over_nothing(pytestconfig: pytest.Config) -> None:
    """A worker that is gone without a word is left out."""
    session = Session(pytestconfig, file=None, fail_under=0)
    session.pytest_testnodedown(object())
    session.pytest_unconfigure()
    assert onlookers == []


def test_a_run_that_counts_nothing_imports_nothing(team: pytest.Pytester) -> None:
    """Where nobody asks for it, nothing of it is imported; the ini file can ask, and a run may touch nothing."""
    code = """
        import sys

        def test_x():
            assert any(name.startswith("understudy.coverage") for name in sys.modules) is {}
        """
    run(team, code.format(False)).assert_outcomes(passed=1)
    assert not (team.path / ".understudy-coverage").exists()
    team.makeini("[pytest]\nunderstudy_coverage = true\nunderstudy_coverage_fail_under = 0\n")
    done = run(team, code.format(True))
    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines(["nothing was touched"])
    assert read(team.path / ".understudy-coverage") == []


def test_a_live_server_counts(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A server counts for as long as it runs, over resets, and what it tells is merged with what files say."""
    written = str(tmp_path / "report.json")
    report = [Covered("acme", (Item("states", "queued", "a", 2),))]
    Path(written).write_text(as_json(report), encoding="utf-8")
    with serve("acme", paths=[root]) as server:
        with httpx.Client(base_url=server.url_of("acme"), trust_env=False) as http:
            http.get("/models", headers={"x-key": "a"})
            httpx.post(f"{server.url}/__admin/reset", trust_env=False)
            http.get("/models", headers={"x-key": "a"})
        assert main(["coverage", "--url", server.url, "--format", "json"]) == 0
        (covered,) = of_data(json.loads(capsys.readouterr().out), "it")
        assert [(item.name, item.times) for item in covered.items if item.times] == [("models 200", 2)]
        assert main(["coverage", written, "--url", f"{server.url}/", "--format", "json"]) == 0
        (covered,) = of_data(json.loads(capsys.readouterr().out), "it")
        assert [(item.name, item.times) for item in covered.items if item.times] == [("models 200", 2), ("queued", 2)]
        assert main(["coverage", "--url", server.url_of("acme")]) == 2
        assert "is no coverage" in capsys.readouterr().err
    assert main(["coverage", "--url", server.url]) == 2
    assert capsys.readouterr().err == (
        f"no server answers at {server.url}/__admin/coverage.\n"
        "  `understudy serve` starts one, and prints its address.\n"
    )
