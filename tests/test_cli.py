"""Tests of the command line, from outside where it matters."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from tests.live import connected, key, links_when_done, make, served
from understudy.cli import main
from understudy.errors import UsageError
from understudy.folders import bundled_root
from understudy.proxy import proxied
from understudy.server import serve


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "understudy", *arguments], capture_output=True, text=True, timeout=60, cwd=cwd
    )


# --- questions that are wrong ---------------------------------------------------------------------------------------


def test_help_is_quick() -> None:
    """`--help` names the commands, and imports nothing that takes its time."""
    code = (
        "import sys; from understudy.cli import main\n"
        "try: main(['--help'])\n"
        "finally: print(sorted({'httpx', 'starlette', 'uvicorn', 'anyio', 'asyncio', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert all(command in done.stdout for command in ("serve", "check", "new", "demo"))
    assert done.stdout.endswith("[]\n")


def test_version() -> None:
    """`--version` says which version is installed."""
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"understudy {version('understudy')}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["perform"],
        ["serve", "--port", "many"],
        ["serve", "--errors", "smoke"],
        ["serve", "--nonsense"],
        ["check", "--format", "song"],
        ["new"],
    ],
)
def test_wrong_flags(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A flag or command that there is not exits with 2 and says how it is used."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: understudy" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serve", "kei"], 'there is no provider "kei"; did you mean "kie"?'),
        (["serve", "--scenario", "stuck"], 'no provider here has the scenario "stuck"; did you mean "stuck-in-queue"?'),
        (["serve", "--port", "70000"], "port is 70000, and has to be from 0 to 65535"),
        (["serve", "--speed", "0"], "the speed has to be above 0, and is 0"),
        (["check", "kei"], 'there is no provider "kei"; did you mean "kie"?'),
        (["new", "Acme"], '"Acme" cannot name a provider'),
    ],
)
def test_wrong_names(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A name or number that cannot be exits with 2, its reason on standard error, without a traceback."""
    before = signal.getsignal(signal.SIGINT)
    assert main(arguments) == 2
    assert signal.getsignal(signal.SIGINT) is before
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    """A port that another program has exits with 2 and says what to do."""
    with serve("kie") as server:
        port = server.url.rpartition(":")[2]
        assert main(["serve", "kie", "--port", port]) == 2
        assert f"cannot listen on port {port} of 127.0.0.1: another program" in capsys.readouterr().err
        assert main(["serve", "kie", "--port", "0", "--asset-port", port]) == 2
        assert "Choose another asset port; 0 is any that is free" in capsys.readouterr().err
        advice = r"another port \(a `serve --proxy` has it on --port \+ 2\); 0 is any"
        with pytest.raises(UsageError, match=advice), proxied(server, port=int(port)):
            pass


def test_a_port_that_is_not_for_everybody(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the system keeps a port for others, another port is advised."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("understudy.listen.socket.create_server", refuse)
    assert main(["serve", "kie", "--port", "80"]) == 2
    told = capsys.readouterr().err
    assert "cannot listen on port 80 of 127.0.0.1: [Errno 13] Permission denied.\n  Choose another port; 0 is" in told


def test_ports_that_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """Where two ports are to be one it is not said that another program must have it."""
    with socket.create_server(("127.0.0.1", 0)) as spare:
        free = str(spare.getsockname()[1])
    assert main(["serve", "kie", "--port", free, "--asset-port", free]) == 2
    told = capsys.readouterr().err
    assert f"cannot listen on port {free} of 127.0.0.1: another program listens there, or this one does.\n" in told
    assert "Choose another asset port" in told


@pytest.mark.parametrize("host", ["192.0.2.1", "256.256.256.256"])
def test_a_host_that_is_not_this_machine(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the host is wrong, another host is advised, and not another port."""
    assert main(["serve", "kie", "--port", "0", "--host", host]) == 2
    told = capsys.readouterr().err
    assert f"cannot listen on port 0 of {host}: " in told
    assert told.endswith("\n  Choose another host: an address of this machine, such as 127.0.0.1.\n")


def test_a_broken_contract(tmp_path: Path) -> None:
    """A contract that cannot be used exits with 2 and names file and line."""
    folder = tmp_path / "contracts" / "mine"
    folder.mkdir(parents=True)
    (folder / "openapi.yaml").write_text("openapi: 3.1.0\n", encoding="utf-8")
    done = run("serve", "mine", "--port", "0", cwd=tmp_path)
    assert done.returncode == 2
    assert "openapi.yaml:1:" in done.stderr
    assert "Traceback" not in done.stderr


# --- the other commands ---------------------------------------------------------------------------------------------


def test_check(capsys: pytest.CaptureFixture[str]) -> None:
    """`check` proves a provider usable, and exits with 0."""
    assert main(["check", "kie"]) == 0
    assert "kie" in capsys.readouterr().out


def test_whoever_has_seen_enough() -> None:
    """When nobody reads the output any more, as after `| head`, a command ends without a word."""
    process = subprocess.Popen(
        [sys.executable, "-m", "understudy", "check", "kie"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(60) == 0


def test_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`demo` tells the story of the providers that are named, and leaves their pictures in a folder."""
    assert main(["demo", "shortapi", "--folder", str(tmp_path / "out")]) == 0
    assert "shortapi" in capsys.readouterr().out
    assert list((tmp_path / "out").iterdir())


# --- serving --------------------------------------------------------------------------------------------------------


def test_the_banner_says_where(tmp_path: Path) -> None:
    """The banner has the base URL of each provider, the result files, the page, the keys and the scenario."""
    with served("--scenario", "errors-as-http", "--asset-port", "0") as server:
        names = "".join(f"  {name:<9}  {server.url}/{name}\n" for name in ("fal", "kie", "oxen"))
        assert f"{names}  replicate  {server.url}/replicate/v1\n" in server.banner
        assert "  files      http://127.0.0.1:" in server.banner
        assert f"  admin      {server.url}/__admin/\n" in server.banner
        assert "  key        any, each is an account of its own\n" in server.banner
        assert "  scenario   errors-as-http (kie, shortapi)\n" in server.banner
        assert httpx.get(f"{server.url}/kie/api/v1/chat/credit").status_code == 401
        assert server.stop()[0] == 0
    with served("replicate") as server:  # which is not loaded yet
        assert f"  replicate  {server.url}/replicate/v1\n" in server.banner


def test_the_port_of_the_files_is_the_next_one() -> None:
    """Unless told otherwise, result files come from the port after the one that was asked for."""
    for _ in range(20):  # the next port may be taken by chance
        with serve("kie") as free:
            port = int(free.url.rpartition(":")[2])
        with served("kie", "--port", str(port)) as server:
            if server.banner:
                assert f"http://127.0.0.1:{port + 1}\n" in server.banner
                return
    raise AssertionError("no two ports in a row are free")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it(number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM stop the server with streams and requests open: exit code 0, and no traceback."""
    with (
        served("oxen", "--scenario", "stuck-in-queue") as server,
        httpx.Client(timeout=20) as http,
        http.stream("GET", f"{server.url}/oxen/api/events", headers=key()) as events,
        connected(server.url) as unfinished,
    ):
        unfinished.sendall(b"POST /oxen/api/ai/queue HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{")
        code, log = server.stop(number)
        assert list(events.iter_lines()) == []
    assert code == 0
    assert "Traceback" not in log
    assert "oxen GET /api/events, 200 stream" in log.splitlines()[-1]


def test_a_lifecycle_at_speed() -> None:
    """With `--speed 100` a job is done in a hundredth of its time, and each step of it is in the log."""
    with served("kie", "--speed", "100") as server, httpx.Client(timeout=20) as http:
        job_id = make(http, f"{server.url}/kie", "kie")
        (link,) = links_when_done(http, f"{server.url}/kie", "kie", job_id)
        assert http.get(link).status_code == 200
        code, log = server.stop()
    assert code == 0
    assert f"kie job {job_id[:8]}… succeeded ('success')" in log


def test_a_quiet_server_says_nothing() -> None:
    """With `--quiet` requests are not logged."""
    with served("kie", "--quiet", "--errors", "http", "--seed", "7", "--allow-callback", "hooks.test") as server:
        assert httpx.get(f"{server.url}/kie/api/v1/chat/credit").status_code == 401
        assert server.stop() == (0, "")


def test_ids_come_from_the_seed() -> None:
    """The same seed gives the same ids, and another one gives others."""
    with (
        httpx.Client(timeout=20) as http,
        served("kie", "--quiet", "--seed", "1") as one,
        serve("kie", seed=1) as same,
        serve("kie", seed=2) as other,
    ):
        ids = [make(http, f"{server.url}/kie", "kie") for server in (one, same, other)]
    assert ids[0] == ids[1] != ids[2]


def test_reload(tmp_path: Path) -> None:
    """With `--reload` a changed provider is loaded anew and its jobs are forgotten; a broken one stays as it was."""
    for kind in ("contracts", "fakes"):
        shutil.copytree(bundled_root() / kind / "kie", tmp_path / kind / "kie")
    behaviour = tmp_path / "fakes" / "kie" / "behaviour.yaml"
    text = behaviour.read_text(encoding="utf-8")

    def balance() -> int:
        reply = http.get(f"{server.url}/kie/api/v1/chat/credit", headers=key())
        credits: int = reply.json()["data"]
        return credits

    with served("kie", "--reload", cwd=tmp_path) as server, httpx.Client(timeout=20) as http:
        make(http, f"{server.url}/kie", "kie")
        assert balance() == 10000 - 18
        behaviour.write_text(text.replace("balance: 10000", "balance: 500"), encoding="utf-8")
        server.log_until("kie was loaded anew; its jobs are forgotten")
        assert balance() == 500
        assert http.get(f"{server.url}/__admin/jobs").json()["total"] == 0
        behaviour.write_text(text.replace("balance: 10000", "balnce: 500"), encoding="utf-8")
        log = server.log_until("balnce")
        assert "kie stays as it was:" in log
        assert f"behaviour.yaml:{text[: text.index('balance')].count(os.linesep) + 1}: " in log
        assert balance() == 500
        behaviour.write_text(text.replace("balance: 10000", "balance: 7"), encoding="utf-8")
        server.log_until("kie was loaded anew")
        assert balance() == 7
