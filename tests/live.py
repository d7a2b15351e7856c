"""What the tests of the live server share: one job of each provider as a client sees it, and a server to talk to."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from understudy.clock import VirtualClock
from understudy.folders import bundled_root
from understudy.journal import Journal
from understudy.roster import Roster
from understudy.server import LiveServer

PROVIDERS = ("fal", "kie", "oxen", "replicate", "shortapi")

#: More requests than any wait of these tests takes; one that takes more has hung.
PATIENCE = 20_000


def key(name: str = "key", scheme: str = "Bearer") -> dict[str, str]:
    """Return the header that carries a key, which is the same at most of them."""
    return {"authorization": f"{scheme} {name}"}


@dataclass(frozen=True)
class Story:
    """How one job is made and read."""

    create: str
    body: dict[str, Any]
    id_of: Callable[[Any], str]
    status: Callable[[str], str]
    done: Callable[[Any], bool]
    links: Callable[[Any], list[str]]
    scheme: str = "Bearer"
    result: Callable[[str], str] | None = None  # where that is not what the status tells


STORIES = {
    "fal": Story(
        "/fal-ai/flux/schnell",
        {"prompt": "a lighthouse", "output_format": "png"},
        lambda reply: reply["request_id"],
        lambda job_id: f"/fal-ai/flux/requests/{job_id}/status",
        lambda reply: reply["status"] == "COMPLETED",
        lambda reply: [image["url"] for image in reply["images"]],
        "Key",
        lambda job_id: f"/fal-ai/flux/requests/{job_id}",
    ),
    "kie": Story(
        "/api/v1/jobs/createTask",
        {"model": "nano-banana-pro", "input": {"prompt": "a lighthouse"}},
        lambda reply: reply["data"]["taskId"],
        lambda job_id: f"/api/v1/jobs/recordInfo?taskId={job_id}",
        lambda reply: reply["data"]["state"] in ("success", "fail"),
        lambda reply: json.loads(reply["data"]["resultJson"])["resultUrls"],
    ),
    "oxen": Story(
        "/api/ai/queue",
        {"model": "google-nano-banana-pro", "prompt": "a lighthouse"},
        lambda reply: reply["generations"][0]["generation_id"],
        lambda job_id: f"/api/ai/queue/{job_id}",
        lambda reply: reply["status"] in ("succeeded", "failed"),
        lambda reply: [reply["result_url"]],
    ),
    "replicate": Story(
        "/models/black-forest-labs/flux-schnell/predictions",
        {"input": {"prompt": "a lighthouse", "output_format": "png"}},
        lambda reply: reply["id"],
        lambda job_id: f"/predictions/{job_id}",
        lambda reply: reply["status"] in ("succeeded", "failed"),
        lambda reply: reply["output"],
    ),
    "shortapi": Story(
        "/api/v1/job/create",
        {
            "model": "google/nano-banana-pro/text-to-image",
            "args": {"prompt": "a lighthouse", "aspect_ratio": "1:1", "num_images": 1, "resolution": "1K"},
        },
        lambda reply: reply["data"]["job_id"],
        lambda job_id: f"/api/v1/job/query?id={job_id}",
        lambda reply: reply["data"]["status"] in (2, 3),
        lambda reply: [image["url"] for image in reply["data"]["result"]["images"]],
    ),
}


def make(http: httpx.Client, url: str, name: str, **more: Any) -> str:
    """Make a job and return its id."""
    story = STORIES[name]
    reply = http.post(url + story.create, json={**story.body, **more}, headers=key(scheme=story.scheme))
    return story.id_of(reply.json())


def links_when_done(http: httpx.Client, url: str, name: str, job_id: str) -> list[str]:
    """Poll a job until it has ended, and return the links to its result files."""
    story = STORIES[name]
    headers = key(scheme=story.scheme)
    for _ in range(PATIENCE):
        reply = http.get(url + story.status(job_id), headers=headers).json()
        if reply.get("code") != 429 and story.done(reply):  # it is polled as fast as can be, so this is what it meets
            return story.links(http.get(url + story.result(job_id), headers=headers).json() if story.result else reply)
    raise AssertionError(f"{name} job {job_id} does not end: {reply}")


def until(http: httpx.Client, url: str, holds: Callable[[], object]) -> None:
    """Ask the server how it is until something holds."""
    for _ in range(PATIENCE):
        if holds():
            return
        http.get(f"{url}/__admin/health")
    raise AssertionError("it never came to hold")


def connected(url: str) -> socket.socket:
    """Return a bare connection to a server."""
    return socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=20)


def raw(url: str, data: bytes) -> bytes:
    """Send bytes as they are, and return the answer."""
    with connected(url) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        with suppress(ConnectionError):
            while piece := connection.recv(65536):
                answer += piece
        return answer


@contextmanager
def listening(http: httpx.Client, url: str) -> Iterator[Iterator[str]]:
    """Read a stream line by line; it is open when the block begins."""
    with http.stream("GET", url, headers=key()) as reply:
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "text/event-stream"
        yield reply.iter_lines()


def told(server: LiveServer, provider: str = "kie") -> Journal:
    """Return the journal of a provider."""
    return server.provider(provider).journal


def copy_of(name: str, folder: Path, *changes: tuple[str, str]) -> Path:
    """Copy a provider to a folder, with changes to its document; return the document."""
    for kind in ("contracts", "fakes"):
        shutil.copytree(bundled_root() / kind / name, folder / kind / name)
    document = folder / "contracts" / name / "openapi.yaml"
    text = document.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    document.write_text(text, encoding="utf-8")
    return document


def roster_of(*names: str) -> Roster:
    """Return a roster that sends no callbacks."""
    return Roster(names, clock=VirtualClock(), send=lambda delivery, done: None)


@dataclass
class Mailbox:
    """What a receiver has got, and how it answers."""

    url: str = ""
    status: int = 200
    got: list[tuple[dict[str, str], Any]] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)
    hold: threading.Event | None = None

    def wait(self, count: int) -> None:
        """Wait until so many callbacks have come in."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.got) >= count, 20)


@contextmanager
def receiver() -> Iterator[Mailbox]:
    """Receive callbacks on a loopback address."""
    mailbox = Mailbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with mailbox.arrived:
                mailbox.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                mailbox.arrived.notify_all()
            if mailbox.hold is not None:
                mailbox.hold.wait(20)
            with suppress(OSError):  # the sender may have given up
                self.send_response(mailbox.status)
                self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    mailbox.url = f"http://127.0.0.1:{server.server_address[1]}/callback"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield mailbox
    finally:
        if mailbox.hold is not None:
            mailbox.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Served:
    """A server in a process of its own: `understudy serve`."""

    process: subprocess.Popen[str]
    banner: str

    @property
    def url(self) -> str:
        """The URL of the providers."""
        found = re.search(r"(http\S+)/__admin/", self.banner)
        assert found is not None, self.banner
        return found[1]

    def log_until(self, text: str) -> str:
        """Read the log up to a line with a text."""
        assert self.process.stderr is not None
        lines = []
        for line in self.process.stderr:
            lines.append(line)
            if text in line:
                return "".join(lines)
        raise AssertionError(f"no line with {text!r} in:\n{''.join(lines)}")

    def stop(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """Send a signal; return the exit code and the rest of the log."""
        self.process.send_signal(number)
        _, log = self.process.communicate(timeout=20)
        return self.process.returncode, log


@contextmanager
def served(*arguments: str, cwd: Path | None = None) -> Iterator[Served]:
    """Run `understudy serve` on free ports, in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "understudy", "serve", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    banner = ""
    try:
        for line in process.stdout:
            banner += line
            if "Ctrl-C" in line:
                break
        yield Served(process, banner)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=20)
        finally:
            process.kill()  # nothing, where it has ended
