"""Any program, unmodified, with the fakes in place of the providers that it calls."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import FrameType

from understudy.environment import merged
from understudy.errors import UsageError, writing
from understudy.isolation import Room
from understudy.proxy import Proxy, proxied
from understudy.report import Report
from understudy.server import LiveServer, serve

# A command that a signal has ended is told of as shells do.
_BY_SIGNAL = 128


def run(
    command: Sequence[str],
    *,
    providers: Sequence[str] = (),
    scenario: str | None = None,
    speed: float = 1.0,
    allow: Sequence[str] = (),
    isolated: bool = False,
    file: Path | None = None,
) -> int:
    """Run a command behind the proxy, and report on standard error.

    Args:
        command: The program and its arguments.
        providers: Who is played; all that are found by default.
        scenario: The story that is played by those that have it.
        speed: Seconds of the providers' time in one second; 1 by default.
        allow: Other hosts that the command may reach.
        isolated: Whether the command gets a network of its own, from which nothing leads out.
        file: Where the report goes as JSON, too.

    Returns:
        The exit status of the command; 128 and the number of the signal where one has ended it.

    Raises:
        UsageError: The command cannot be run, or the file not be written; or as `serve` and `proxied` raise it.
    """
    if isolated and allow:
        raise UsageError(
            f"nothing leads out of --isolated: say --allow {allow[0]} in place of it, or leave --allow out"
        )
    with serve(*providers, scenario=scenario, speed=speed) as server:
        report = Report(server.roster)
        with proxied(server, allow=allow, told=report.note) as proxy:
            if file is not None:
                _write(file, "")  # rather now than after all has been done
            environment = merged(proxy.environment, os.environ)
            status = _isolated(command, environment, server, proxy) if isolated else executed(command, environment)
        sys.stderr.write(f"{report.text(proxy.refused, proxy.distrusted, proxy.option_for)}\n")
        if file is not None:
            _write(file, json.dumps(report.data(proxy.refused, proxy.distrusted, status), indent=2) + "\n")
    return status


def _write(file: Path, text: str) -> None:
    with writing(file, "--report"):
        file.write_text(text, encoding="utf-8")


def _isolated(command: Sequence[str], environment: Mapping[str, str], server: LiveServer, proxy: Proxy) -> int:
    with closing(Room(proxy.hosts, proxy.port, proxy.bundle)) as room:
        server.courier.proxy = proxy.url  # by which it gets in there

        def settle(process: subprocess.Popen[bytes]) -> None:
            entrances = room.settle(process.pid)
            server.beside(lambda _: proxy.enter(room, entrances))

        return executed(command, environment, room.way_in, [room.descriptor], settle)


def executed(
    command: Sequence[str],
    environment: Mapping[str, str],
    before: Sequence[str] = (),
    descriptors: Sequence[int] = (),
    settle: Callable[[subprocess.Popen[bytes]], None] = lambda _: None,
) -> int:
    """Run a command to its end, and return its exit status, as `run` does."""
    processes: list[subprocess.Popen[bytes]] = []
    with _passed_on(processes):
        try:
            started = subprocess.Popen([*before, *command], env=environment, pass_fds=descriptors)  # noqa: S603 # as asked
            processes.append(started)
            settle(started)
        except OSError as error:
            raise UsageError(f"{command[0]} cannot be run: {error.strerror}") from None
        finally:
            ended = [process.wait() for process in processes]
    return _BY_SIGNAL - ended[0] if ended[0] < 0 else ended[0]


@contextmanager
def _passed_on(processes: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Pass the signals that ask for an end on to processes."""

    def pass_on(number: int, _: FrameType | None) -> None:
        if number == signal.SIGINT and _from_terminal():
            return
        for process in processes:
            with suppress(ValueError):  # on Windows a console tells all its programs, and there is no other way
                process.send_signal(number)

    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(one, pass_on) for one in signals]
    try:
        yield
    finally:
        for one, handler in zip(signals, before, strict=True):
            signal.signal(one, handler)


def _from_terminal() -> bool:
    """Say whether Ctrl-C comes from a terminal, which sends it to the command by itself."""
    try:
        with open("/dev/tty", "rb") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False
