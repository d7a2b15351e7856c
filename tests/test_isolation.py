"""Tests of `understudy run --isolated`: programs that no variable leads, in a network out of which nothing leads."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import certifi
import pytest

from tests.scripts import SAID, written
from understudy import isolation
from understudy.cli import main
from understudy.errors import UsageError
from understudy.isolation import Room

# What is measured for coverage takes four times as long, and once is enough.
UNMEASURED = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}

RUN = [sys.executable, "-m", "understudy", "run", "--isolated", "--provider", "kie"]


@pytest.fixture(scope="session", autouse=True)
def _can_be_isolated() -> None:
    """Where this machine allows no isolation, that is why these tests are skipped."""
    tried = subprocess.run([*RUN, "--", "true"], capture_output=True, text=True, timeout=60, env=UNMEASURED)
    if tried.returncode == 2:
        pytest.skip(tried.stderr)


def isolated(arguments: Sequence[str], folder: Path) -> tuple[int, dict[str, Any]]:
    """Run a command in isolation at speed 60, and return its exit status and the report."""
    file = folder / "report.json"
    status = main(["run", "--isolated", "--speed", "60", "--report", str(file), *arguments])
    return status, json.loads(file.read_text(encoding="utf-8"))


# --- whom no variable leads -----------------------------------------------------------------------------------------

SOCKETS = r"""
import os, socket, ssl, sys
from urllib.parse import urlsplit

ASK = b"GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer key\r\nConnection: close\r\n\r\n"

def said(connection, host, path=b"/api/v1/chat/credit"):
    connection.sendall(ASK % (path, host.encode()))
    return b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")[2].decode()

trust = ssl.create_default_context()
for host in ("api.kie.ai", "hub.oxen.ai"):
    with trust.wrap_socket(socket.create_connection((host, 443)), server_hostname=host) as line:
        print(host, said(line, host))
with socket.create_connection(("api.kie.ai", 80)) as line:
    print("plain", said(line, "api.kie.ai"))
proxy = urlsplit(os.environ["HTTPS_PROXY"])
with socket.create_connection((proxy.hostname, proxy.port)) as line:
    print("proxy", said(line, "api.kie.ai", b"http://api.kie.ai/api/v1/chat/credit"))
with socket.create_connection((proxy.hostname, proxy.port)) as line:
    print("nobody", said(line, "127.0.0.1:1", b"http://127.0.0.1:1/"))
with socket.create_connection(("kieai.redpandaai.co", 443)) as line:
    try: ssl.create_default_context(cafile=sys.argv[1]).wrap_socket(line, server_hostname="kieai.redpandaai.co")
    except ssl.SSLError: print("distrusted")
"""

CREDIT = '{"code":200,"msg":"success","data":10000}'


def test_a_client_that_reads_no_variable(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """aiohttp as it is polls, is called back, blocks and listens, at the real addresses."""
    status, got = isolated(["--", *written("aiohttp", tmp_path)], tmp_path)
    output, errors = capfd.readouterr()
    assert (status, output.splitlines()) == (0, SAID), errors
    assert {job["state"] for job in got["jobs"]} == {"succeeded"}
    assert got["breaches"] == []


def test_bare_sockets(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A socket to a provider's name is answered, with TLS and without; the proxy is there, too, and loopback is its."""
    (tmp_path / "none.pem").write_bytes(Path(certifi.where()).read_bytes())
    status, got = isolated(["--", sys.executable, "-c", SOCKETS, str(tmp_path / "none.pem")], tmp_path)
    output, errors = capfd.readouterr()
    assert status == 0, errors
    lines = dict(line.partition(" ")[::2] for line in output.splitlines())
    assert lines["api.kie.ai"] == lines["plain"] == lines["proxy"] == CREDIT
    assert "error" in lines["hub.oxen.ai"]
    assert lines["nobody"] == ""
    assert got["distrusted"] == {"kieai.redpandaai.co": 1}


def test_without_any_variable(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """curl trusts the fakes through what this machine trusts, where it reads that from a file."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    bundled = any(Path(place).exists() for place in isolation._BUNDLES)
    nothing = ["env", "-i"] if bundled else []
    ask = ["curl", "-sS", "--noproxy", "*", "https://api.kie.ai/api/v1/chat/credit", "-H", "Authorization: Bearer key"]
    status, _ = isolated(["--", *nothing, *ask], tmp_path)
    output, errors = capfd.readouterr()
    assert (status, output) == (0, CREDIT), errors


OUT = """
import socket, sys
for address in (("1.1.1.1", 443), ("example.com", 443), ("127.0.0.1", int(sys.argv[1])), ("::1", int(sys.argv[1]))):
    try: socket.create_connection(address, timeout=5)
    except OSError as error: print(error.strerror)
"""


def test_nothing_leads_out(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """No address, no other name and no port of this machine's loopback is reached."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        isolated(["--", sys.executable, "-c", OUT, str(listener.getsockname()[1])], tmp_path)
    output, errors = capfd.readouterr()
    assert output.splitlines() == [
        "Network is unreachable",
        "Name or service not known",
        "Connection refused",
        "Connection refused",
    ], errors


REFUSED = """
import urllib.request
try: urllib.request.urlopen("http://example.com/")
except urllib.error.HTTPError as error: print(error.reason, error.read().decode(), sep="\\n")
"""


def test_what_is_refused_is_told_with_what_would_help(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The program and the report are told that another host can be allowed only where there is no isolation."""
    isolated(["--", sys.executable, "-c", REFUSED], tmp_path)
    output, errors = capfd.readouterr()
    assert output.startswith("example.com is refused: --allow example.com in place of --isolated\n"), errors
    assert "do: if it is to be reached, say --allow example.com in place of --isolated\n" in output
    assert "refused   example.com: --allow example.com in place of --isolated lets it through\n" in errors


# --- what stays as it is --------------------------------------------------------------------------------------------

HERE = """
import os, sys
print(os.getuid(), os.getgid(), os.getcwd(), sys.stdin.read())
print(len(os.listdir("/proc/self/fd")))
try: os.wait()
except ChildProcessError: print("no child")
raise SystemExit(9)
"""


def told_here(before: Sequence[str], cwd: Path) -> tuple[int, list[str], str]:
    """Run a program that tells who and where it is; return its exit status, its output and its errors."""
    program = ["sh", "-c", 'grep ^Sig[IB] /proc/self/status; exec "$0" -S -c "$1"', sys.executable, HERE]
    done = subprocess.run(
        [*before, *program], input="in", capture_output=True, text=True, cwd=cwd, timeout=60, env=UNMEASURED
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_the_program_is_where_it_was(tmp_path: Path) -> None:
    """User, folder, standard input, signals, descriptors, children and exit status are those without isolation."""
    status, output, errors = told_here([*RUN, "--"], tmp_path)
    assert (status, output) == told_here([], tmp_path)[:2], errors
    assert f"{os.getuid()} {os.getgid()} {tmp_path} in" in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_goes_to_the_program(number: signal.Signals) -> None:
    """A signal is passed on to the program, and ends it."""
    program = "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL); print('up', flush=True); signal.pause()"
    with subprocess.Popen(
        [*RUN, "--", sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=UNMEASURED,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        process.communicate(timeout=20)
        assert process.returncode == 128 + number


def test_a_program_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """A program that cannot be run is told, and the exit code is 2."""
    assert main(["run", "--isolated", "--", "no-such-program"]) == 2
    assert capsys.readouterr().err == "no-such-program cannot be run: No such file or directory\n"


# --- with more rights, and with fewer -------------------------------------------------------------------------------

# Each of these begins as root of a user namespace: so it needs no rights here, and takes them from what comes after.
ROOT = ["unshare", "--user", "--map-root-user"]
NO_USERS = [*ROOT, "sh", "-c", 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$0" "$@"']
SOMEBODY = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
NOBODY = [
    "setpriv",
    "--reuid=1",
    "--regid=1",
    "--clear-groups",
    "--inh-caps=+dac_override",
    "--ambient-caps=+dac_override",
]
NOBODY = NOBODY if os.getuid() == 0 else []
POOR = [*NO_USERS, "setpriv", "--bounding-set=-sys_admin"]


@pytest.mark.parametrize(
    ("before", "who"), [(ROOT, "0"), (NO_USERS, "0"), (SOMEBODY, "1000"), (NOBODY, str(os.getuid() or 1))]
)
def test_whoever_we_are(before: list[str], who: str) -> None:
    """It works for root, for root without user namespaces and for anybody else, and the user stays who it was."""
    program = ["sh", "-c", "id -u; cat /proc/net/dev | grep -c :"]
    done = subprocess.run([*before, *RUN, "--", *program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"{who}\n1\n"), done.stderr


def test_who_has_no_right() -> None:
    """Where neither namespaces nor the rights of root are to be had it is told which setting forbids them."""
    done = subprocess.run([*POOR, *RUN, "--", "true"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == (
        "this machine does not let the program be isolated: No space left on device\n"
        "  where: --isolated, at a network of its own\n"
        "  expected: user namespaces, or the rights of root; got: user.max_user_namespaces = 0\n"
        "  do: `sudo sysctl user.max_user_namespaces=10000`; or leave --isolated out, and variables lead the client\n"
    )


def test_where_no_setting_tells_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no setting forbids it, as in many containers, it is told how to start those."""
    monkeypatch.setattr(isolation, "_SETTINGS", ())
    text = str(isolation._complaint("its own /etc/hosts", 1))
    assert "let the program be isolated: Operation not permitted\n  where: --isolated, at its own /etc/hosts\n" in text
    assert "  do: start a container with `--privileged`" in text


def test_another_system(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is no Linux there is no isolation."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UsageError, match="--isolated needs Linux"):
        Room(["a.test"], 1, Path("x"))


def test_nothing_can_be_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    """A host that is to be reached and a network out of which nothing leads do not go together."""
    assert main(["run", "--isolated", "--allow", "example.com", "--", "true"]) == 2
    assert "nothing leads out of --isolated: say --allow example.com in place of it" in capsys.readouterr().err


# --- what ends too early --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("begins", [False, True])
def test_a_way_in_that_ends(begins: bool) -> None:
    """A process that ends on its way in is left to its exit status, and nobody can be reached in there."""
    room = Room(["a.test"], 1, Path("x"))
    program = "import json, socket, sys; s = socket.socket(fileno=int(sys.argv[1])); s.recv(1)" if begins else ""
    command = [sys.executable, "-c", program, str(room.descriptor)]
    with subprocess.Popen(command, pass_fds=[room.descriptor]) as process:
        if not begins:
            process.wait()
        assert room.settle(process.pid) == []
    with pytest.raises(ConnectionRefusedError):
        asyncio.run(room.connect("localhost", 1))
    room.close()


def test_whoever_is_left_alone() -> None:
    """A process on its way in ends where nobody tells it what to do."""
    room = Room(["a.test"], 1, Path("x"))
    with subprocess.Popen([*room.way_in, "true"], pass_fds=[room.descriptor]) as process:
        room.close()
        assert process.wait() == 2


def test_users_that_cannot_be_known() -> None:
    """Where the users of a namespace cannot be said that is told, and the process ends."""
    room = Room(["a.test"], 1, Path("x"))
    program = """
import socket, sys
with socket.socket(fileno=int(sys.argv[1])) as control:
    control.recv(65536)
    control.send(b'{"new_user": true}')  # which is not so
    sys.exit(len(control.recv(1)))
"""
    command = [sys.executable, "-c", program, str(room.descriptor)]
    with subprocess.Popen(command, pass_fds=[room.descriptor]) as process:
        with pytest.raises(UsageError, match="at its users"):
            room.settle(process.pid)
        assert process.wait() == 0
    room.close()
