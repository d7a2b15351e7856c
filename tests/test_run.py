"""Tests of `understudy run`: programs of several kinds, with the providers' real addresses written into them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.live import served
from tests.scripts import SAID, SCENES, written
from understudy import run
from understudy.cli import main


def told(arguments: Sequence[str], folder: Path) -> tuple[int, dict[str, Any]]:
    """Run a command at speed 60, and return its exit status and the report."""
    file = folder / "report.json"
    status = main(["run", "--speed", "60", "--report", str(file), *arguments])
    return status, json.loads(file.read_text(encoding="utf-8"))


def python(code: str) -> list[str]:
    """Return the arguments that run a program in Python."""
    return ["--", sys.executable, "-c", textwrap.dedent(code)]


@pytest.mark.parametrize("name", ["curl", "requests", "httpx", "node"])
def test_a_script_that_knows_nothing(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A script with the real addresses in it polls, is called back, blocks and listens, at the fakes alone."""
    status, got = told(["--", *written(name, tmp_path)], tmp_path)
    output, errors = capfd.readouterr()
    assert output.splitlines() == SAID, errors
    assert (status, got["exit_status"]) == (0, 0)
    assert Counter(job["provider"] for job in got["jobs"]) == Counter(scene["who"] for scene in SCENES)
    assert {job["state"] for job in got["jobs"]} == {"succeeded"}
    assert got["money"][0] == {"provider": "kie", "spent": 36, "unit": "credits", "usd": pytest.approx(0.18)}
    assert (got["refused"], got["distrusted"], got["breaches"]) == ({}, {}, [])
    assert all(re.match(r"[a-z]+\.[a-z.]+/", exchange["url"]) for exchange in got["exchanges"])
    assert "POST api.kie.ai/api/v1/jobs/createTask: 200, job " in errors
    assert "  money     kie: 36 credits, $0.18\n" in errors


# --- what is told ---------------------------------------------------------------------------------------------------


def test_what_is_wrong_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each breach of a contract is told with what was expected, what came, and what to do; no key is told."""
    code = """
        import requests
        def post(url, key="hidden", **more):
            return requests.post(url, headers={"Authorization": f"Bearer {key}"} if key else {}, **more).json()
        def get(url, key="hidden", **params):
            return requests.get(url, headers={"Authorization": f"Bearer {key}"}, params=params).json()
        short, kie = "https://api.shortapi.ai/api/v1/job", "https://api.kie.ai/api/v1/jobs"
        get(f"{short}/query", id="early")
        job = post(f"{short}/create", json={"model": "google/nano-banana-2/text-to-image",
          "args": {"prompt": "x", "aspect_ratio": "1:1"}, "callback_url": "https://example.com/"})
        for _ in range(2):
            get(f"{short}/query", id=job.get("id"))
            get(f"{short}/query", id=str(job.get("id")))
        get(f"{short}/query", key="another", id=job["data"]["job_id"])
        get(f"{short}/qeury")
        get("https://api.shortapi.ai/")
        requests.delete(f"{short}/query")
        post(f"{kie}/createTask", key=None, json={})
        post(f"{kie}/createTask", key="invalid", json={})
        post(f"{kie}/createTask", data="{}")
        post(f"{kie}/createTask", json={"model": "nano-banana-por"})
        post(f"{kie}/createTask", json={"model": "nano-banana-pro", "input": {}})
        try: requests.get("https://example.com/")
        except requests.exceptions.ProxyError as error: print(error)
        raise SystemExit(7)
    """
    status, got = told(python(code), tmp_path)
    output, errors = capfd.readouterr()
    assert status == got["exit_status"] == 7
    assert "403 example.com is refused: --allow example.com" in output
    assert got["refused"] == {"example.com": 1}
    assert "  refused   example.com: --allow example.com lets it through\n" in errors
    found = [(each["expected"], each["got"], each["do"], each["times"]) for each in got["breaches"]]
    assert ("the id of a job", "id=early", "make a job, and take the id from the reply", 1) in found
    here = "the id that the reply to the create has at `data.job_id`, not at the top"
    assert (here, "no id", "read `data.job_id` of that reply", 2) in found
    assert (here, "id=None", "read `data.job_id` of that reply", 2) in found
    assert "; got: id=None\n  do: read `data.job_id` of that reply (2 times)" in errors
    dos = [do for _, _, do, _ in found]
    assert "ask with the key that the job was made with" in dos
    assert "perhaps GET /api/v1/job/query" in dos
    key = "the header `Authorization` with `Bearer KEY`"
    assert (key, "no key", f"send a key in {key}", 1) in found
    assert (key, "a key that is refused", f"send a key in {key}", 1) in found
    assert "send `Content-Type: application/json`" in dos
    assert 'did you mean "nano-banana-pro"?' in dos
    assert "mend the request" in dos
    assert "give a callback URL on this machine" in dos
    assert "hidden" not in errors + json.dumps(got)


def test_a_host_that_is_allowed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """`--allow` lets a host through, and it is not told of as refused."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        code = f"""
            import os, socket
            port = os.environ["HTTPS_PROXY"].rpartition(":")[2]
            with socket.create_connection(("127.0.0.1", int(port))) as connection:
                connection.sendall(b"CONNECT localhost:{listener.getsockname()[1]} HTTP/1.1\\r\\n\\r\\n")
                print(connection.recv(100).split(b" ")[1].decode())
        """
        _, got = told(["--provider", "kie", "--allow", "localhost", *python(code)], tmp_path)
    assert capfd.readouterr().out == "200\n"
    assert got["refused"] == {}


def test_a_story_is_no_breach(tmp_path: Path) -> None:
    """What a scenario refuses though the client did nothing wrong is no breach, nor is a connection that it cuts."""
    code = """
        import requests
        def post(url, body):
            try: requests.post(url, json=body, headers={"Authorization": "Bearer key"})
            except requests.exceptions.ConnectionError: pass
        post("https://api.shortapi.ai/api/v1/job/create",
          {"model": "google/nano-banana-2/text-to-image", "args": {"prompt": "x", "aspect_ratio": "1:1"}})
    """
    status, got = told(["--provider", "shortapi", "--scenario", "invalid-model", *python(code)], tmp_path)
    assert status == 0
    assert [exchange["error"] for exchange in got["exchanges"]] == ["unknownModel"]
    assert got["breaches"] == []
    status, got = told(["--provider", "shortapi", "--scenario", "answer-lost", *python(code)], tmp_path)
    assert [exchange["status"] for exchange in got["exchanges"]] == [None]
    assert got["breaches"] == []


def test_a_client_that_does_not_trust_us(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A client that reads the proxy and not the bundle is told of."""
    code = """
        import requests
        try: requests.get("https://api.kie.ai/", verify=__import__("certifi").where())
        except requests.exceptions.SSLError: print("no")
    """
    _, got = told(["--provider", "kie", *python(code)], tmp_path)
    output, errors = capfd.readouterr()
    assert output == "no\n"
    assert got["distrusted"] == {"api.kie.ai": 1}
    assert "  distrust  api.kie.ai: a client broke TLS off; it may not read SSL_CERT_FILE and the like\n" in errors


# --- how it ends ----------------------------------------------------------------------------------------------------


def test_the_way_in_and_out(tmp_path: Path) -> None:
    """The command has our standard input, output and error, and what of our environment is not the proxy's."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "understudy",
            "run",
            "--provider",
            "kie",
            "--",
            "sh",
            "-c",
            "cat; echo $MINE >&2; exit 9",
        ],
        input="in\n",
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "MINE": "here"},
    )
    assert (done.returncode, done.stdout) == (9, "in\n")
    assert done.stderr == "here\nunderstudy: 0 exchanges, 0 breaches\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_goes_to_the_command(number: signal.Signals) -> None:
    """A signal is passed on, and the command says how it all ends; one that it does not survive is 128 and more."""
    code = "import signal; print('up', flush=True); signal.pause()"
    process = subprocess.Popen(
        [sys.executable, "-m", "understudy", "run", "--provider", "kie", "--", sys.executable, "-c",
         f"import signal; signal.signal({int(number)}, signal.SIG_DFL); {code}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert "0 exchanges" in errors


COUNTING = """
import signal, sys
got, asked = [], {signal.SIGINT, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, asked)  # or one could come between a look and a wait
print("up", flush=True)
while signal.sigwait(asked) == signal.SIGINT:
    got.append(1)
    print("interrupted", flush=True)
sys.exit(f"got {len(got)}")
"""

# Of two signals that wait that with the lower number comes first: had Ctrl-C been passed on, it would have
# been so before SIGTERM.
TERMINAL = f"""
import os, pty, signal, sys
child, terminal = pty.fork()
if not child:
    program = [sys.executable, "-c", {COUNTING!r}]
    os.execv(sys.executable, [sys.executable, "-m", "understudy", "run", "--provider", "kie", "--", *program])
text, steps = b"", [(b"up", lambda: os.write(terminal, b"\\x03")),
                    (b"interrupted", lambda: os.kill(child, signal.SIGTERM))]
try:
    while piece := os.read(terminal, 1024):
        text += piece
        if steps and steps[0][0] in text:
            steps.pop(0)[1]()
except OSError:  # the terminal has no user any more
    pass
print(text.decode(), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_ctrl_c_comes_once() -> None:
    """Ctrl-C in a terminal comes to the command from there, and so not a second time from us."""
    done = subprocess.run([sys.executable, "-c", TERMINAL], capture_output=True, text=True, timeout=60)
    assert "got 1" in done.stdout, done.stdout + done.stderr
    assert done.stdout.endswith(" 1\n")


def test_a_signal_before_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C before the command has begun ends as if it had."""

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "serve", interrupted)
    assert main(["run", "--", "true"]) == 130


def test_a_signal_that_cannot_be_passed_on() -> None:
    """Where a process takes no such signal, as on Windows, it is left to the console; without a process nothing is."""

    class Process:
        def send_signal(self, number: int) -> None:
            raise ValueError("Unsupported signal")

    with run._passed_on([Process()]):  # type: ignore[list-item]
        signal.raise_signal(signal.SIGTERM)
    with run._passed_on([]):
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--", "no-such-program"], "no-such-program cannot be run: No such file or directory"),
        (["--provider", "kei", "--", "true"], 'there is no provider "kei"; did you mean "kie"?'),
        (
            ["--report", "/no/such/folder/file", "--", "true"],
            "/no/such/folder/file cannot be written: No such file or directory; choose another --report",
        ),
        (["--speed", "0", "--", "true"], "the speed has to be above 0"),
    ],
)
def test_a_wrong_question(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be run, played or written is told, and the exit code is 2."""
    assert main(["run", *arguments]) == 2
    assert message in capsys.readouterr().err


# --- for as long as one likes ---------------------------------------------------------------------------------------


def test_serving_with_a_proxy() -> None:
    """`serve --proxy` prints a line for a shell, in which then any program meets the fakes; at the end its files go."""
    for program in ("bash", "curl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    with served("kie", "--proxy") as server:
        found = re.search(
            r"  proxy  (http://127\.0\.0\.1:\d+): eval \"\$\(understudy (env --proxy \1)\)\"\n", server.banner
        )
        assert found is not None, server.banner
        script = f"""
            eval "$({sys.executable} -m understudy {found[2]})"
            curl -sS https://api.kie.ai/api/v1/chat/credit -H "Authorization: Bearer key"
            echo; echo "$SSL_CERT_FILE"
        """
        done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, timeout=60)
        reply, bundle = done.stdout.splitlines()
        assert json.loads(reply)["data"] == 10000
        assert Path(bundle).exists()
        assert server.stop()[0] == 0
    assert not Path(bundle).exists()


def test_the_variables_of_no_proxy(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a proxy `env` prints nothing that a shell would take, and exits with 2."""
    assert main(["env", "--proxy", "http://127.0.0.1:1"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "understudy serve --proxy" in captured.err
