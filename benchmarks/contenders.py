"""Who is measured: each as its maker releases it, how it is started, and how a job is made and asked for there."""

from __future__ import annotations

import contextlib
import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks import played
from benchmarks.load import ask, check
from benchmarks.programs import FIRST_CPU, LINUX, ROOT, TOOLS, Program, free_port, python_of, started

HERE = Path(__file__).parent
MODULES = TOOLS / "node_modules"


@dataclass(frozen=True)
class Contender:
    """A server that can be put in the place of a job API.

    Attributes:
        name: What it is called.
        version: Of what was started.
        command: Writes what it needs into a folder, and returns how it is started on a port.
        needs: Files and programs without which it cannot be.
        create: Makes a job.
        poll: Asks for the job of an id, or for the only one.
        job_id: Where the answer to a create has the id.
        expected: What each answer has in it.
        reset: Forgets all jobs; None where nothing does.
        cpus: On which it runs; empty for all, as its users have it.
        compiles: Whether it gets faster while it runs.
    """

    name: str
    version: Callable[[], str]
    command: Callable[[int, Path], list[str]]
    needs: tuple[str | Path, ...]
    create: bytes
    poll: Callable[[str], bytes]
    job_id: re.Pattern[bytes] = re.compile(rb'"taskId": ?"([^"]+)"')
    expected: bytes = b"taskId"
    reset: bytes | None = None
    cpus: frozenset[int] = frozenset()
    compiles: bool = False

    def lacks(self) -> str | None:
        """Return what is missing to start it, or None."""
        for need in self.needs:
            if isinstance(need, Path) and not need.exists():
                return f"{need.relative_to(ROOT)} is not there: make bench gets it from npm"
            if isinstance(need, str) and shutil.which(need) is None:
                return f"{need} is not installed"
        return None if LINUX else "only Linux tells what a process takes"


@dataclass(frozen=True)
class Served:
    """A contender that runs.

    Attributes:
        contender: Which.
        program: Its process.
        port: Where it listens.
    """

    contender: Contender
    program: Program
    port: int

    def reset(self) -> None:
        """Have it forget all jobs, if it can."""
        if self.contender.reset is not None:
            check(ask(self.port, self.contender.reset), b"")

    def polls(self, jobs: int) -> list[bytes]:
        """Make jobs, and return the requests that ask for them."""
        answers = [ask(self.port, self.contender.create) for _ in range(jobs)]
        found = [self.contender.job_id.search(answer) for answer in answers]
        return [self.contender.poll(match[1].decode()) for match in found if match]


@contextlib.contextmanager
def served(contender: Contender, folder: Path) -> Iterator[Served]:
    """Start a contender in a folder of its own."""
    own = folder / contender.name.lower()
    own.mkdir()
    port = free_port()
    with started(contender.command(port, own), own, contender.cpus) as program:
        program.wait_for_port(port)
        yield Served(contender, program, port)


def _polled(prefix: str = "") -> Callable[[str], bytes]:
    return lambda job_id: played.request("GET", f"{prefix}{played.POLL_PATH}?taskId={job_id}")


def _created(prefix: str = "") -> bytes:
    return played.request("POST", prefix + played.CREATE_PATH, played.BODY)


def _understudy(port: int, folder: Path) -> list[str]:
    played.write_provider(folder)
    command = [python_of("base"), "-m", "understudy", "serve", played.PROVIDER, "--scenario", played.ARMED]
    return [*command, "--port", str(port), "--asset-port", "0", "--quiet"]


def _limit(port: int, folder: Path) -> list[str]:
    return [python_of("limit"), str(HERE / "limit.py"), str(port)]


def _httpserver(port: int, folder: Path) -> list[str]:
    return [sys.executable, str(HERE / "httpserver.py"), str(port)]


def _prism(port: int, folder: Path) -> list[str]:
    contract = played.write_provider(folder) / "contracts" / played.PROVIDER / "openapi.yaml"
    return ["node", str(_PRISM), "mock", "-h", "127.0.0.1", "-p", str(port), "-v", "silent", str(contract)]


def _wiremock(port: int, folder: Path) -> list[str]:
    (folder / "mappings").mkdir()
    key = {"Authorization": {"matches": "Bearer .+"}}
    stubs = {
        "create": ({"method": "POST", "urlPath": played.CREATE_PATH, "headers": key}, played.CREATED),
        "poll": ({"method": "GET", "urlPath": played.POLL_PATH, "headers": key}, played.POLLED),
    }
    for name, (request, answer) in stubs.items():
        response = {"status": 200, "headers": {"Content-Type": "application/json"}, "body": json.dumps(answer)}
        (folder / "mappings" / f"{name}.json").write_text(json.dumps({"request": request, "response": response}))
    options = ["--port", str(port), "--bind-address", "127.0.0.1", "--root-dir", str(folder)]
    return ["java", "-jar", str(_found(_WIREMOCK)), *options]


def _mockserver(port: int, folder: Path) -> list[str]:
    key = {"Authorization": ["Bearer .+"]}
    expectations = [
        {
            "httpRequest": {"method": method, "path": path, "headers": key},
            "httpResponse": {
                "statusCode": 200,
                "headers": {"Content-Type": ["application/json"]},
                "body": json.dumps(answer),
            },
        }
        for method, path, answer in (
            ("POST", played.CREATE_PATH, played.CREATED),
            ("GET", played.POLL_PATH, played.POLLED),
        )
    ]
    (folder / "expectations.json").write_text(json.dumps(expectations))
    initial = f"-Dmockserver.initializationJsonPath={folder / 'expectations.json'}"
    return ["java", initial, "-jar", str(_found(_MOCKSERVER)), "-serverPort", str(port), "-logLevel", "WARN"]


def _aimock(port: int, folder: Path) -> list[str]:
    answer = {"images": [{"url": "https://example.com/image.png"}]}
    fixture = {"match": {"endpoint": "fal"}, "response": {"json": answer}}
    (folder / "fixtures.json").write_text(json.dumps({"fixtures": [fixture]}))
    options = ["-p", str(port), "-f", str(folder / "fixtures.json"), "--log-level", "silent"]
    return ["node", str(_AIMOCK / "dist" / "cli.js"), *options]


_WIREMOCK = MODULES / "wiremock" / "build"
_MOCKSERVER = MODULES / "mockserver-node"
_PRISM = MODULES / "@stoplight" / "prism-cli" / "dist" / "index.js"
_AIMOCK = MODULES / "@copilotkit" / "aimock"
_FAL = {"x-fal-target-host": "queue.fal.run"}


def _found(folder: Path) -> Path:
    """Return the jar that a package of npm has in a folder."""
    return next(folder.glob("*.jar"))


def _of_npm(name: str) -> Callable[[], str]:
    return lambda: str(json.loads((MODULES / name / "package.json").read_text())["version"])


def _of_python(name: str) -> Callable[[], str]:
    return lambda: version(name)


UNDERSTUDY = Contender(
    name="Understudy",
    version=_of_python("understudy"),
    command=_understudy,
    needs=(),
    create=_created("/kie"),
    poll=_polled("/kie"),
    reset=played.request("POST", "/__admin/reset", {}),
    cpus=FIRST_CPU,
)

LIMIT = Contender(
    name="L",
    version=lambda: f"Starlette {version('starlette')}, uvicorn {version('uvicorn')}, orjson {version('orjson')}",
    command=_limit,
    needs=(),
    create=_created(),
    poll=_polled(),
    reset=played.request("POST", "/reset", {}),
    cpus=FIRST_CPU,
)

#: What users would take instead.
PEERS = (
    Contender(
        name="WireMock",
        version=_of_npm("wiremock"),
        command=_wiremock,
        needs=("java", _WIREMOCK),
        create=_created(),
        poll=_polled(),
        reset=played.request("DELETE", "/__admin/requests"),
        compiles=True,
    ),
    Contender(
        name="MockServer",
        version=_of_npm("mockserver-node"),
        command=_mockserver,
        needs=("java", _MOCKSERVER),
        create=_created(),
        poll=_polled(),
        reset=played.request("PUT", "/mockserver/clear?type=log", {}),
        compiles=True,
    ),
    Contender(
        name="aimock",
        version=_of_npm("@copilotkit/aimock"),
        command=_aimock,
        needs=("node", _AIMOCK),
        create=played.request("POST", "/fal/fal-ai/flux/schnell", {"prompt": "a lighthouse in the fog"}, _FAL),
        poll=lambda job_id: played.request("GET", f"/fal/fal-ai/flux/schnell/requests/{job_id}/status", None, _FAL),
        job_id=re.compile(rb'"request_id": ?"([^"]+)"'),
        expected=b"request_id",
        compiles=True,
    ),
    Contender(
        name="Prism",
        version=_of_npm("@stoplight/prism-cli"),
        command=_prism,
        needs=("node", _PRISM),
        create=_created(),
        poll=_polled(),
        compiles=True,
    ),
    Contender(
        name="pytest-httpserver",
        version=_of_python("pytest-httpserver"),
        command=_httpserver,
        needs=(),
        create=_created(),
        poll=_polled(),
        cpus=FIRST_CPU,
    ),
)


def machine() -> str:
    """Say in one line what machine this is."""
    cpus = Path("/proc/cpuinfo")
    models = re.findall(r"^model name\s*: (.*)$", cpus.read_text(), re.MULTILINE) if cpus.exists() else []
    kind = f"{len(models)} CPUs {models[0]}" if models else platform.processor()
    return f"{kind}, {platform.system()} {platform.release()}, Python {platform.python_version()}"


def versions() -> dict[str, str]:
    """Return what was measured, with its version; what is not there is left out."""
    names = ("httpx", "respx", "pytest-httpx", "responses", "requests", "hypothesis", "jsonschema-rs", "uvloop")
    found = {name: version(name) for name in names}
    found |= {one.name: one.version() for one in (UNDERSTUDY, LIMIT, *PEERS) if one.lacks() is None}
    if shutil.which("java"):
        said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True).stderr
        found["Java"] = said.split('"')[1]
    if shutil.which("node"):
        found["Node"] = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip(
            "v\n"
        )
    return found
