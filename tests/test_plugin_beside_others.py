"""Tests of the pytest plugin beside others, from outside: a small project, run in the ways in which people run one."""

from __future__ import annotations

import os

import pytest

COMMON = """
    import httpx
    import pytest

    BODY = {"model": "nano-banana-pro", "input": {"prompt": "a"}}
    CREATE = "/api/v1/jobs/createTask"

    async def made(kie):
        async with kie.async_client() as http:
            return (await http.post(CREATE, json=BODY)).json()["code"]
    """

#: What runs wherever our plugin does.
PLAIN = (
    COMMON
    + """
    import asyncio

    @pytest.mark.parametrize("number", range(4))
    def test_sync(kie, number):
        assert kie.client().post(CREATE, json=BODY).json()["code"] == 200
        assert len(kie.jobs) == 1

    @pytest.mark.parametrize("number", range(4))
    def test_async(kie, number):
        assert asyncio.run(made(kie)) == 200
        assert len(kie.jobs) == 1

    @pytest.mark.understudy(balance=1)
    def test_marker(kie):
        assert kie.client().post(CREATE, json=BODY).json()["code"] == 402

    def test_patched(kie):
        with kie.mock():
            assert httpx.get("https://api.kie.ai/api/v1/chat/credit").json()["code"] == 401
    """
)

#: What needs the plugins of others: pytest-asyncio, anyio, respx and pytest-httpx.
BESIDE = (
    COMMON
    + """
    @pytest.fixture
    def anyio_backend():
        return "asyncio"

    @pytest.mark.asyncio
    async def test_asyncio(kie):
        assert await made(kie) == 200

    @pytest.mark.anyio
    async def test_anyio(kie):
        assert await made(kie) == 200

    def test_respx(kie, respx_mock):
        respx_mock.get("https://other.test/").respond(204)
        assert kie.client().post(CREATE, json=BODY).json()["code"] == 200
        assert httpx.get("https://other.test/").status_code == 204

    def test_respx_and_mock(kie, respx_mock):
        respx_mock.get("https://other.test/").respond(204)
        with kie.mock():
            assert httpx.get("https://api.kie.ai/api/v1/chat/credit").json()["code"] == 401
            assert httpx.get("https://other.test/").status_code == 204

    def test_pytest_httpx(kie, httpx_mock):
        httpx_mock.add_response(url="https://other.test/", status_code=204)
        assert kie.client().post(CREATE, json=BODY).json()["code"] == 200
        assert httpx.get("https://other.test/").status_code == 204

    @pytest.mark.httpx_mock(should_mock=lambda request: request.url.host == "other.test")
    def test_pytest_httpx_and_mock(kie, httpx_mock):
        httpx_mock.add_response(url="https://other.test/", status_code=204)
        with kie.mock():
            assert httpx.get("https://api.kie.ai/api/v1/chat/credit").json()["code"] == 401
            assert httpx.get("https://other.test/").status_code == 204

    @pytest.mark.asyncio
    async def test_pytest_httpx_and_async_code(kie, httpx_mock):
        httpx_mock.add_response(url="https://other.test/", status_code=204)
        assert await made(kie) == 200
        async with httpx.AsyncClient() as http:
            assert (await http.get("https://other.test/")).status_code == 204
    """
)

#: What pytest-asyncio runs in its mode `auto` only.
AUTO = (
    COMMON
    + """
    async def test_unmarked(kie):
        assert await made(kie) == 200

    @pytest.fixture
    async def code(kie):
        return await made(kie)

    async def test_fixture(kie, code):
        assert code == 200
        assert len(kie.jobs) == 1
    """
)


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project that nothing of the run around it reaches; the plugins that are installed are active."""
    for name in [name for name in os.environ if name.startswith(("PYTEST_", "COV_", "UNDERSTUDY_"))]:
        monkeypatch.delenv(name)
    return pytester


def run(project: pytest.Pytester, *options: str, **files: str) -> pytest.RunResult:
    """Run tests of the project."""
    project.makepyfile(**files)
    return project.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:schemathesis", *options)


def test_it_runs_in_parallel(project: pytest.Pytester) -> None:
    """Under pytest-xdist each test has a fake of its own, whichever worker it is on."""
    run(project, "-n", "4", test_plain=PLAIN).assert_outcomes(passed=10)


def test_it_runs_where_every_warning_is_an_error(project: pytest.Pytester) -> None:
    """With strict markers, and warnings as errors from the start on, nothing is told."""
    done = run(project, "--strict-markers", "--strict-config", "-W", "error", "-p", "no:asyncio", test_plain=PLAIN)
    done.assert_outcomes(passed=10)


@pytest.mark.parametrize(("mode", "auto"), [("strict", 0), ("auto", 2)])
def test_it_runs_beside_the_plugins_of_others(project: pytest.Pytester, mode: str, auto: int) -> None:
    """pytest-asyncio in either mode, anyio, respx and pytest-httpx do their work, all in one run, and so do we."""
    project.makeini(f"[pytest]\nasyncio_mode = {mode}\nasyncio_default_fixture_loop_scope = function\n")
    files = {"test_plain": PLAIN, "test_beside": BESIDE, **({"test_auto": AUTO} if auto else {})}
    done = run(project, "--strict-markers", "--strict-config", "-W", "error", **files)
    done.assert_outcomes(passed=10 + 7 + auto)
    done.stdout.fnmatch_lines(["plugins:*"])
    for plugin in ("httpx", "asyncio", "respx", "anyio", "understudy"):
        done.stdout.fnmatch_lines([f"plugins:*{plugin}-*"])
