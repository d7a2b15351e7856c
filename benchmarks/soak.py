"""A live server under mixed load for ten minutes: creates, polls, callbacks, streams, downloads, and faults among them.

It says, and ends with 1 unless it holds: nothing goes wrong that no client has asked for, and once the stores are full
the server's memory stays where it is. Run it with `make soak`, or for a while only with `--seconds 60`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

import understudy
from understudy.folders import find_provider
from understudy.library import load_provider

CLIENTS = 50
SPEED = 20
MODELS = {
    "kie": ("google/nano-banana", {"prompt": "a lighthouse"}),
    "oxen": ("nano-banana", {"prompt": "a lighthouse", "aspect_ratio": "1:1"}),
    "shortapi": ("google/nano-banana-2/text-to-image", {"prompt": "a lighthouse", "aspect_ratio": "1:1"}),
}
CONTRACTS = {name: load_provider(find_provider(name))[0] for name in MODELS}

#: A tenth of the jobs and of the journal that a server keeps otherwise, so that its stores are full in two minutes.
SMALL = """
import understudy.journal, understudy.store
understudy.store.Plays.__init__.__defaults__ = (understudy.store.MAX_JOBS // 10,)
understudy.journal.Journal.__init__.__defaults__ = (understudy.journal.MAX_ENTRIES // 10,)
from understudy.cli import main
main()
"""

#: Memory is looked at from when the stores are full, for so long at least.
FILLING_SECONDS = 120
STEADY_SECONDS = 120
MAX_SLOPE_MB_PER_MINUTE = 1.0
MAX_SPREAD_MB = 25.0


@dataclass(frozen=True)
class Story:
    """What a client does, the scenario that it asks for, and how that ends for it."""

    provider: str
    scenario: str | None = None
    ends: type[Exception] | None = None
    calls_back: bool = False
    follows: bool = False
    downloads: bool = False


STORIES = (
    *[Story(name) for name in MODELS] * 3,
    *[Story(name, downloads=True) for name in MODELS],
    *[Story(name, calls_back=True) for name in ("kie", "shortapi")] * 2,
    *[Story("oxen", follows=True)] * 2,
    Story("kie", "answer-lost", understudy.OutcomeUnknown),
    Story("kie", "reset-before-commit", understudy.OutcomeUnknown),
    Story("kie", "server-error-on-create", understudy.OutcomeUnknown),
    Story("kie", "content-policy", understudy.JobFailed),
    Story("kie", "bad-gateway"),
    Story("kie", "server-error-on-poll"),
    Story("kie", "callback-twice", calls_back=True),
    Story("oxen", "answer-lost", understudy.OutcomeUnknown),
    Story("oxen", "gateway-timeout", understudy.OutcomeUnknown),
    Story("oxen", "stream-drops", follows=True),
    Story("oxen", "stream-strangers", follows=True),
    Story("oxen", "result-file-corrupt", downloads=True),
    Story("shortapi", "dribbling-answer"),
    Story("shortapi", "malformed-answer"),
    Story("shortapi", "rate-limited"),
)


class Soak:
    """The load, and what it has met.

    Args:
        url: Where the server is.
        seconds: For how long.
    """

    def __init__(self, url: str, seconds: float) -> None:
        self._url = url
        self._end = time.perf_counter() + seconds
        self._clock = understudy.SystemClock(SPEED)
        self._numbers = itertools.count()
        self._called: dict[str, asyncio.Event] = {}
        self.full_at = time.perf_counter() + FILLING_SECONDS
        self.requests = 0
        self.told: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()

    @property
    def running(self) -> bool:
        """Whether there is time left."""
        return time.perf_counter() < self._end

    async def run(self) -> None:
        """Have all clients do what they do, until the time is up."""
        receiver = await asyncio.start_server(self._receive, "127.0.0.1", 0)
        self._hook = f"http://127.0.0.1:{receiver.sockets[0].getsockname()[1]}"
        async with receiver, asyncio.TaskGroup() as clients:
            for seed in range(CLIENTS):
                clients.create_task(self._client(random.Random(seed)))

    async def _client(self, chance: random.Random) -> None:
        while self.running:
            story = chance.choice(STORIES)
            async with self._http(story) as http:
                await self._told(story, http)

    @asynccontextmanager
    async def _http(self, story: Story) -> AsyncIterator[httpx.AsyncClient]:
        """Open an HTTP client that counts, asks for the scenario of a story, and looks for what was not asked for."""
        scenario = story.scenario

        async def look(response: httpx.Response) -> None:
            self.requests += 1
            if response.status_code >= 500 and scenario is None:
                self.wrong[f"{response.status_code} from {response.request.url.path}"] += 1

        headers = {} if scenario is None else {"understudy-scenario": scenario}
        async with httpx.AsyncClient(
            headers=headers, event_hooks={"response": [look]}, timeout=30, trust_env=False, verify=False
        ) as http:
            yield http

    @asynccontextmanager
    async def _reference(self, provider: str, key: str, http: httpx.AsyncClient) -> AsyncIterator[Any]:
        url = f"{self._url}/{provider}"
        async with understudy.AsyncClient(
            CONTRACTS[provider], api_key=key, base_url=url, http=http, clock=self._clock
        ) as client:
            yield client

    async def _told(self, story: Story, http: httpx.AsyncClient) -> None:
        """Act a story, and see it end as it should."""
        number = str(next(self._numbers))
        self.told[story.scenario or "as usual"] += 1
        try:
            async with asyncio.timeout(60), self._reference(story.provider, f"key-{number}", http) as client:
                await self._act(story, client, number)
        except Exception as error:  # whatever it is, it is what this is about
            if type(error) is not story.ends:
                self.wrong[f"{story.provider}, {story.scenario or 'as usual'}: {error!r}"] += 1
        else:
            if story.ends is not None:
                self.wrong[f"{story.provider}, {story.scenario}: no {story.ends.__name__}"] += 1

    async def _act(self, story: Story, client: Any, number: str) -> None:
        model, given = MODELS[story.provider]
        called = self._called[number] = asyncio.Event()
        callback = f"{self._hook}/{number}" if story.calls_back else None
        job = await client.submit(given, model=model, callback_url=callback)
        job = await (client.follow(job) if story.follows else client.wait(job))
        if story.downloads and len(await client.download(job.outputs[0])) < 1000:
            self.wrong["a result that is no picture"] += 1
        if story.calls_back:
            await called.wait()
        del self._called[number]

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a callback, and tell who waits for it."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        await reader.readexactly(int(length[1]) if length else 0)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()
        called = self._called.get(head.split()[1].decode().strip("/"))
        if called is not None:
            called.set()


class Watch:
    """How much memory a process has, second by second, and how much work it takes."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")
        self._began = time.perf_counter()
        self.memory: list[tuple[float, float]] = []  # moments and megabytes

    async def look(self, soak: Soak) -> None:
        """Look until the load ends."""
        machine = understudy.SystemClock()
        while soak.running:
            line = re.search(r"VmRSS:\s+(\d+)", (self._folder / "status").read_text())
            self.memory.append((time.perf_counter(), int(line[1]) / 1024 if line else 0.0))
            await machine.sleep_async(1)

    def processor_share(self) -> float:
        """Return how much of one processor it has used."""
        ticks = (self._folder / "stat").read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK") / (time.perf_counter() - self._began)


@contextmanager
def served() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `understudy serve`; yield the process and the URL."""
    command = [sys.executable, "-c", SMALL, "serve", "--port", "0", "--speed", str(SPEED), "--quiet"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
    try:
        assert server.stdout is not None
        banner = "".join(itertools.takewhile(lambda line: "Ctrl-C" not in line, server.stdout))
        found = re.search(r"(http\S+)/__admin/", banner)
        assert found is not None, banner
        yield server, found[1]
    finally:
        server.kill()


def flat(memory: list[tuple[float, float]], full_at: float) -> bool:
    """Print how memory went since the stores were full; say whether it was flat."""
    print(f"  memory      {', '.join(f'{size:.0f}' for _, size in memory[::60])} MB, minute by minute")
    late = [sample for sample in memory if sample[0] >= full_at]
    if len(late) < STEADY_SECONDS:
        print("              too short a run to say more")
        return True
    slope = statistics.linear_regression(*zip(*late, strict=True)).slope * 60
    least, most = min(size for _, size in late), max(size for _, size in late)
    print(f"  after {FILLING_SECONDS} seconds, with the stores full")
    print(f"    memory    {least:.1f} to {most:.1f} MB   (at most {MAX_SPREAD_MB:g} apart)")
    print(f"    slope     {slope:+.2f} MB in a minute   (at most {MAX_SLOPE_MB_PER_MINUTE:g})")
    return slope <= MAX_SLOPE_MB_PER_MINUTE and most - least <= MAX_SPREAD_MB


async def loaded(soak: Soak, watch: Watch) -> None:
    """Load the server, and watch it."""
    await asyncio.gather(soak.run(), watch.look(soak))


def main() -> int:
    """Print the figures; return 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600, help="for how long; default: 600")
    seconds = parser.parse_args().seconds
    with served() as (server, url):
        soak, watch = Soak(url, seconds), Watch(server.pid)
        asyncio.run(loaded(soak, watch))
        share = watch.processor_share()
        server.send_signal(signal.SIGINT)
        log = server.communicate()[1]
    told = ", ".join(f"{count} {name}" for name, count in soak.told.most_common())
    print(f"{CLIENTS} clients for {seconds:g} seconds, speed {SPEED}, {os.cpu_count()} CPUs, {sys.version.split()[0]}")
    print(f"  stories     {soak.told.total()}: {told}")
    print(f"  requests    {soak.requests / seconds:.0f} a second")
    print(f"  processor   {share:.0%} of one")
    steady = flat(watch.memory, soak.full_at)
    for text, count in soak.wrong.most_common():
        print(f"  wrong       {count} times: {text}")
    if log:
        print(f"  log         {log}")
    return 0 if steady and not soak.wrong and not log else 1


if __name__ == "__main__":
    sys.exit(main())
