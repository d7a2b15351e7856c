"""The log of a server: lines that a person can read, on standard error, and never a key in one."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable
from datetime import UTC, datetime

from understudy import journal
from understudy.clock import Clock
from understudy.journal import Attempt, Struck, Transition, short
from understudy.lifecycle import worded
from understudy.roster import Role
from understudy.wire import Outcome, Reply, Request, Severed

_LONGEST_PATH = 120


class Logbook:
    """Writes the log.

    Args:
        clock: What time a line says it is.
        quiet: Whether to leave out all but trouble.
    """

    def __init__(self, clock: Clock, *, quiet: bool) -> None:
        self._clock = clock
        self._quiet = quiet

    def note(self, text: str) -> None:
        """Say something."""
        if not self._quiet:
            self._write(text)

    def trouble(self, text: str) -> None:
        """Say something that must not be missed."""
        self._write(text)

    def defect(self, error: BaseException, where: str) -> None:
        """Tell of a defect of ours, with its traceback."""
        trace = "".join(traceback.format_exception(error))
        self._write(f"{where}: this is a defect of Understudy: {type(error).__name__}\n{trace.rstrip()}")

    def request(self, role: Role | None, request: Request, outcome: Outcome, milliseconds: float) -> None:
        """Tell of a request and its answer; the query stays out, for a key may be in it."""
        if self._quiet:
            return
        told: tuple[str, ...] = ()
        parts = [f"{role.name if role else '-'} {request.method} {_shown(request.path)}", "200 stream"]
        if isinstance(outcome, Reply):
            told = outcome.jobs
            parts[1:] = [f"{outcome.status} {outcome.error or ''}".rstrip(), *_jobs(role, told)]
        elif isinstance(outcome, Severed):
            parts[1] = "no answer"
        self._write(", ".join([*parts, f"{milliseconds:.0f} ms"]))
        if role is not None:
            self.news(role, told)

    def news(self, role: Role, told: Iterable[str] = ()) -> None:
        """Tell what has come into a journal since the last time.

        Args:
            role: Whose journal.
            told: The jobs whose states the line of a request tells already.
        """
        if self._quiet:
            return
        fresh: list[journal.Entry] = []
        for entry in reversed(tuple(role.provider.journal)):
            if entry is role.told:
                break
            fresh.append(entry)
        for entry in reversed(fresh):
            role.told = entry
            if isinstance(entry, Transition) and entry.job_id not in told:
                self._write(f"{role.name} job {short(entry.job_id)} {worded(entry.state, entry.status)}")
            elif isinstance(entry, Struck):
                self._write(f"{role.name} fault {entry.fault} on {entry.on}")
            elif isinstance(entry, Attempt):
                answer = entry.note if entry.status is None else entry.status
                end = "delivered" if entry.delivered else "not delivered"
                where = f"callback {entry.attempt} to {_shown(entry.url)}"
                self._write(f"{role.name} job {short(entry.job_id)} {where}, {end}: {answer}")

    def _write(self, text: str) -> None:
        at = datetime.fromtimestamp(self._clock.now(), UTC).astimezone().strftime("%H:%M:%S")
        sys.stderr.write(f"{at} {text}\n")
        sys.stderr.flush()


def _jobs(role: Role | None, job_ids: tuple[str, ...]) -> list[str]:
    if role is None or not job_ids:
        return []
    play = role.provider.plays.get(job_ids[0])
    state = "forgotten" if play is None else str(play.record.state)
    more = f" and {len(job_ids) - 1} more" if len(job_ids) > 1 else ""
    return [f"job {short(job_ids[0])} {state}{more}"]


def _shown(path: str) -> str:
    """Return a path as a log may show it: without control characters, and not for ever."""
    clean = "".join(character if character.isprintable() else "?" for character in path)
    return clean if len(clean) <= _LONGEST_PATH else f"{clean[:_LONGEST_PATH]}…"
