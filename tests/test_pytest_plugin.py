"""Tests of the pytest plugin, from outside: each runs a small project of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.projects import run
from tests.small import small

CREATE = '"/api/v1/jobs/createTask", json={"model": "nano-banana-pro", "input": {"prompt": "a"}}'


def test_each_provider_is_a_fixture(project: pytest.Pytester) -> None:
    """A test that names a provider gets a fake of it, sync or async code alike; the factory makes any."""
    done = run(
        project,
        f"""
        import asyncio

        def test_sync(kie, oxen, shortapi):
            assert kie.client().post({CREATE}).json()["code"] == 200
            assert [fake.contract.name for fake in (kie, oxen, shortapi)] == ["kie", "oxen", "shortapi"]

        def test_async(kie):
            async def scene():
                async with kie.async_client() as http:
                    return (await http.post({CREATE})).json()
            assert asyncio.run(scene())["code"] == 200

        def test_factory(understudy):
            assert understudy("kie", balance=1).client().post({CREATE}).json()["code"] == 402
        """,
    )
    done.assert_outcomes(passed=3)


def test_a_provider_of_the_projects_own_is_a_fixture(project: pytest.Pytester) -> None:
    """A provider below the root of a project, or below a path that its ini file names, is a fixture as well."""
    small(project.path)
    small(project.path / "more")
    (project.path / "more/contracts/small").rename(project.path / "more/contracts/my-own")
    (project.path / "more/fakes/small").rename(project.path / "more/fakes/my-own")
    project.makeini("[pytest]\nunderstudy_paths = more\n")
    done = run(
        project,
        """
        def test_mine(small, my_own):
            assert small.contract.name == "small"
            assert my_own.contract.name == "my-own"
        """,
    )
    done.assert_outcomes(passed=1)


def test_the_marker_says_how_fakes_act(project: pytest.Pytester) -> None:
    """A marker on a test counts more than one on its class, and the test's own arguments most."""
    done = run(
        project,
        f"""
        import pytest

        @pytest.mark.understudy(balance=1, seed=5)
        class TestPoor:
            def test_poor(self, kie):
                assert kie.client().post({CREATE}).json()["code"] == 402

            @pytest.mark.understudy(balance=100)
            def test_rich(self, kie, understudy):
                assert kie.client().post({CREATE}).json()["code"] == 200
                assert list(kie.jobs) != []
                other = understudy("kie", seed=6)
                other.client().post({CREATE})
                assert list(kie.jobs) != list(other.jobs)

        @pytest.mark.understudy(scenario="insufficient-credits", errors="http")
        def test_scenario(kie):
            assert kie.client().post({CREATE}).status_code == 402
        """,
    )
    done.assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("marker", "text"),
    [
        ("scenaro='slow'", "the marker understudy has no 'scenaro'; did you mean \"scenario\"?"),
        ("'slow'", "the marker understudy has no 'slow'; "),
    ],
)
def test_a_misspelt_marker_is_told(project: pytest.Pytester, marker: str, text: str) -> None:
    """A word that the marker does not know ends the run before it begins."""
    done = run(project, f"import pytest\n\n@pytest.mark.understudy({marker})\ndef test_x(kie): pass\n")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert text in done.stderr.str()


def test_virtual_time_is_a_marker(project: pytest.Pytester) -> None:
    """Waits of a marked test move the clock of all its fakes, in process and on a server of its own."""
    done = run(
        project,
        f"""
        import asyncio
        import time
        from time import sleep

        import httpx
        import pytest
        import understudy

        def polled(http):
            began = time.perf_counter()
            task = http.post({CREATE}).json()["data"]["taskId"]
            deadline, polls = time.monotonic() + 600, 0
            while time.monotonic() < deadline:
                polls += 1
                http.get("/api/v1/jobs/recordInfo", params={{"taskId": task}})
                sleep(5)
            return polls, time.perf_counter() - began

        @pytest.mark.virtual_time
        def test_in_process(kie, oxen):
            kie.client().get("/api/v1/chat/credit")  # what is used first is imported then
            polls, seconds = polled(kie.client())
            print(f"took {{seconds * 1000:.0f}} ms")
            assert polls > 100
            assert kie.clock is oxen.clock
            assert time.time() == kie.clock.now()

        @pytest.mark.virtual_time
        def test_live(understudy_server):
            headers = {{"authorization": f"Bearer {{understudy_server.api_key}}"}}
            with httpx.Client(base_url=understudy_server.url_of("kie"), headers=headers, trust_env=False) as http:
                assert polled(http)[0] == 120

        @pytest.mark.virtual_time
        def test_loop(kie):
            asyncio.run(asyncio.sleep(600))
            assert kie.clock.now() - understudy.VirtualClock().now() == pytest.approx(600)

        @pytest.mark.virtual_time(ceiling_seconds=60)
        def test_ceiling():
            with pytest.raises(understudy.ClockExhausted):
                time.sleep(61)

        def test_not_marked(kie):
            before = kie.clock.now()
            time.sleep(0.001)
            assert kie.clock.now() == before
            assert abs(time.time() - kie.clock.now()) > 86400
        """,
    )
    done.assert_outcomes(passed=5)


def test_an_unexpected_request_fails_a_test(project: pytest.Pytester) -> None:
    """A request that no provider knows fails the test when it is over: what, where, expected and got, what to do."""
    done = run(
        project,
        """
        def test_path(kie):
            kie.client().post("/api/v1/jobs/createTasks", json={})

        def test_host(kie):
            kie.client().get("https://elsewhere.example/x?key=secret")
        """,
    )
    done.assert_outcomes(passed=2, errors=2)
    done.stdout.fnmatch_lines(
        [
            "unexpected request: POST /api/v1/jobs/createTasks",
            "  where: the fake kie, account-*",
            "  expected: perhaps POST /api/v1/jobs/createTask; got: * unknownPath",
            "  do: mend the request, or let it pass with @pytest.mark.understudy(strict=False)",
            "*0.0 s  client    POST /api/v1/jobs/createTasks *",
            "unexpected request: GET https://elsewhere.example/x",
        ]
    )
    assert "secret" not in done.stdout.str()


def test_a_callback_that_was_not_taken_fails_a_test(project: pytest.Pytester) -> None:
    """A receiver that refuses a callback to the last fails the test; an address that may not be called does not."""
    code = """
        import pytest
        from understudy import Receiver

        def make(kie, url):
            body = {"model": "nano-banana-pro", "input": {"prompt": "a"}, "callBackUrl": url}
            kie.client().post("/api/v1/jobs/createTask", json=body)
            kie.clock.sleep(4000)

        def test_refused(kie):
            with Receiver(status=500) as receiver:
                make(kie, receiver.url)

        @pytest.mark.understudy(strict=False)
        def test_let_pass(kie):
            with Receiver(status=500) as receiver:
                make(kie, receiver.url)

        def test_nobody_may_be_called(kie):
            make(kie, "http://example.com/hook")

        def test_nothing_there(kie):
            make(kie, "http://127.0.0.1:9/hook")
        """
    done = run(project, code)
    done.assert_outcomes(passed=4, errors=2)
    done.stdout.fnmatch_lines(
        [
            "a callback was not taken: http://127.0.0.1:*/callback",
            "  where: job *, attempt 4",
            "  expected: an answer that counts as delivered; got: HTTP 500",
            "  do: mend the receiver, or let it pass with @pytest.mark.understudy(strict=False)",
        ]
    )
    done.stdout.fnmatch_lines(["*got: no answer: ConnectError"])
    run(project, code, "--understudy-lenient").assert_outcomes(passed=4)


def test_a_run_can_be_lenient_and_have_a_seed(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds for a whole run is said by option, in the ini file or in the environment."""
    code = """
        def test_lenient(kie):
            kie.client().get("/nowhere")
            assert kie.provider._seed == 7
        """
    run(project, code, "--understudy-lenient", "--understudy-seed", "7").assert_outcomes(passed=1)
    project.makeini("[pytest]\nunderstudy_lenient = true\nunderstudy_seed = 7\n")
    run(project, code).assert_outcomes(passed=1)
    project.makeini("[pytest]\n")
    monkeypatch.setenv("UNDERSTUDY_LENIENT", "1")
    monkeypatch.setenv("UNDERSTUDY_SEED", "7")
    run(project, code).assert_outcomes(passed=1)


SERVED = """
    import httpx
    import pytest
    import understudy

    BODY = {"model": "nano-banana-pro", "input": {"prompt": "a"}}

    def create(server, path="/api/v1/jobs/createTask"):
        headers = {"authorization": f"Bearer {server.api_key}"}
        with httpx.Client(trust_env=False) as http:
            return http.post(server.url_of("kie") + path, json=BODY, headers=headers).json()

    @pytest.mark.parametrize("number", range(6))
    def test_alone(understudy_server, number):
        assert create(understudy_server)["code"] == 200
        assert understudy_server.account_of("kie").ledger.spent == 18

    @pytest.mark.understudy(scenario="maintenance")
    def test_scenario(understudy_server):
        assert create(understudy_server)["code"] == 455

    @pytest.mark.understudy(balance=5)
    def test_poor(understudy_server):
        assert create(understudy_server)["code"] == 402

    def test_planned(understudy_server):
        understudy_server.next_job("kie", error="credits")
        assert create(understudy_server)["code"] == 402
        understudy_server.fault("kie", "answer-lost", times=2)
        with pytest.raises(httpx.ReadError):
            create(understudy_server)

    def test_what_another_planned_is_forgotten(understudy_server):
        assert create(understudy_server)["code"] == 200

    @pytest.mark.understudy(scenario="insufficient-credits")
    @pytest.mark.virtual_time
    def test_scenario_in_virtual_time(understudy_server):
        assert create(understudy_server)["code"] == 402

    @pytest.mark.understudy(scenario="maintenanc")
    def test_misspelt(understudy_server):
        with pytest.raises(understudy.UsageError, match='did you mean "maintenance"'):
            create(understudy_server)

    def test_unexpected(understudy_server):
        create(understudy_server, "/nowhere")
    """


def test_a_live_server_is_shared_and_each_test_has_its_own_account(project: pytest.Pytester) -> None:
    """Tests on one live server do not meet, and each fails for its own requests alone."""
    run(project, SERVED).assert_outcomes(passed=13, errors=1)


@pytest.mark.unmeasured
def test_tests_run_in_parallel(project: pytest.Pytester) -> None:
    """Under pytest-xdist nothing has to be said: each worker has a server of its own."""
    run(project, SERVED, "-n", "4").assert_outcomes(passed=13, errors=1)


LED = """
    import os
    import subprocess
    import sys
    import time

    import pytest
    import requests

    BEFORE = dict(os.environ)
    KIE = "https://api.kie.ai/api/v1"

    def call(path, base=KIE, **body):
        headers = {"Authorization": "Bearer of-my-own"}
        return requests.request("POST" if body else "GET", base + path, headers=headers, json=body or None).json()

    def create():
        return call("/jobs/createTask", model="nano-banana-pro", input={"prompt": "a"})

    def test_itself(understudy_proxy):
        task = create()["data"]["taskId"]
        assert [*understudy_proxy.provider("kie").plays] == [task]

    def test_what_it_starts(understudy_proxy):
        headers = {"Authorization": "Bearer x"}
        code = f"import requests; print(requests.get('{KIE}/chat/credit', headers={headers}).text)"
        assert '"data":10000' in subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout

    @pytest.mark.parametrize("number", range(2))
    def test_alone(understudy_proxy, number):
        create()
        assert understudy_proxy.provider("kie").accounts.of_key("of-my-own").ledger.spent == 18
        understudy_proxy.provider("kie").next_job(error="credits")
        assert create()["code"] == 402

    @pytest.mark.understudy(scenario="maintenance")
    def test_scenario(understudy_proxy):
        assert create()["code"] == 455

    @pytest.mark.understudy(balance=7, errors="http")
    def test_poor(understudy_proxy):
        assert call("/chat/credit")["data"] == 7
        assert create()["code"] == 402

    @pytest.mark.virtual_time
    def test_in_virtual_time(understudy_proxy, understudy_server):
        task, began = create()["data"]["taskId"], time.monotonic()
        while call(f"/jobs/recordInfo?taskId={task}")["data"]["state"] != "success":
            time.sleep(5)
        assert time.monotonic() - began == pytest.approx(15, abs=1)
        assert understudy_server.server is not understudy_proxy

    def test_after_it():
        assert dict(os.environ) == BEFORE | {"PYTEST_CURRENT_TEST": os.environ["PYTEST_CURRENT_TEST"]}

    def other_host():
        with pytest.raises(requests.exceptions.ProxyError, match="example.com is refused"):
            requests.get("https://example.com/")

    @pytest.mark.understudy(strict=False)
    def test_lenient(understudy_proxy):
        other_host()
        call("/nowhere")

    def test_strict(understudy_proxy):
        other_host()
        call("/nowhere")
    """


def test_a_test_is_led_to_the_fakes(project: pytest.Pytester) -> None:
    """Code with real addresses in it, in the test or started by it, meets fakes of its own, and strictly."""
    done = run(project, LED)
    done.assert_outcomes(passed=10, errors=1)
    done.stdout.fnmatch_lines(
        [
            "*unexpected request: GET /api/v1/nowhere",
            "*expected: a host of a provider that is played; got: example.com",
        ]
    )


def test_a_run_without_fakes_imports_nothing_heavy(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until a fixture is used, no engine, no HTTP library and no YAML is imported."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # other plugins import what they like
    done = run(
        project,
        """
        import sys

        def test_x():
            heavy = {"httpx", "yaml", "jsonschema_rs", "starlette", "uvicorn", "understudy.provider", "PIL"}
            assert not heavy & set(sys.modules)
        """,
        "-p",
        "understudy.pytest_plugin",
    )
    done.assert_outcomes(passed=1)


def test_pytest_takes_our_modules_as_they_are(project: pytest.Pytester) -> None:
    """pytest rewrites the assertions of the tests, and leaves our modules to Python, which reads them sooner."""
    done = run(
        project,
        """
        import sys
        from importlib.machinery import SourceFileLoader

        FIRST = {"understudy.pytest_plugin", "understudy.unrewritten"}

        def test_ours(kie):
            ours = [module for name, module in sys.modules.items() if name.startswith("understudy.")]
            loaders = {type(module.__loader__) for module in ours if module.__name__ not in FIRST}
            assert loaders == {SourceFileLoader}

        def test_theirs():
            assert type(sys.modules[__name__].__loader__) is not SourceFileLoader
        """,
    )
    done.assert_outcomes(passed=2)


def test_the_fixtures_are_listed(project: pytest.Pytester) -> None:
    """`pytest --fixtures` tells of them, and `--markers` of the marker."""
    listed = run(project, "", "--fixtures").stdout.str()
    for name in ("kie", "oxen", "shortapi", "understudy", "understudy_proxy", "understudy_server"):
        assert f"\n{name} " in listed
    assert (
        "@pytest.mark.understudy(scenario, seed, balance, errors, strict)" in run(project, "", "--markers").stdout.str()
    )


def test_the_plugin_is_short() -> None:
    """The plugin has at most 120 lines."""
    import understudy.pytest_plugin

    assert len(Path(understudy.pytest_plugin.__file__).read_text(encoding="utf-8").splitlines()) <= 120
