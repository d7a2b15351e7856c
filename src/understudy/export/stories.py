"""The stories of a fake, each played once as a client meets it, as one HAR."""

from __future__ import annotations

from understudy.behaviour import Behaviour
from understudy.clock import VirtualClock
from understudy.contract.model import Contract, Status
from understudy.export.har import as_har
from understudy.export.scenes import Playing, given_to
from understudy.fake import API_KEY
from understudy.journal import Entry
from understudy.lifecycle import Json
from understudy.probes import PACE_SECONDS, naming, request_to

# How long a job is asked for, and for how long its callbacks may be sent again, in seconds.
_ASKED_SECONDS = 120.0
_SENT_AGAIN_SECONDS = 3600.0


def as_stories(contract: Contract, behaviour: Behaviour) -> dict[str, Json]:
    """Return a HAR of the usual story and of every scenario: create, reads at the documented pace, callbacks.

    One clock is for all of them, so that they come one after another. Neither the key nor a secret of the behaviour
    file is in it.
    """
    clock, entries = VirtualClock(), list[Entry]()
    for scenario in (None, *behaviour.scenarios):
        playing = Playing(contract, behaviour, scenario, clock)
        if scenario is not None:
            playing.provider.plan_next(behaviour.scenarios[scenario].plan)  # whatever its `when` and `nth` choose
        _play(contract, playing)
        entries += playing.provider.journal
    return as_har(entries, contract.servers[0], secrets=[API_KEY, *map(str, behaviour.secrets.values())])


def _play(contract: Contract, playing: Playing) -> None:
    group, status = contract.job_type.creates[0], contract.job_type.status
    operation = group.operations[0]
    playing.answer(request_to(contract.operations[operation], given_to(contract, group, operation)))
    began = playing.clock.now()
    for job_id, play in playing.provider.plays.items():
        while not play.job.terminal and playing.clock.now() < began + _ASKED_SECONDS:
            _wait(playing, status, playing.clock.now() - began)
            if status is not None:
                playing.answer(request_to(contract.operations[status.operation], naming(status.id, job_id)))
        result = contract.job_type.result
        if result is not None and play.job.terminal:
            playing.answer(request_to(contract.operations[result.operation], naming(result.id, job_id)))
    playing.clock.advance(_SENT_AGAIN_SECONDS)


def _wait(playing: Playing, status: Status | None, elapsed: float) -> None:
    """Let as much time pass as the provider asks for, and never so little that one story fills a file."""
    seconds = None if status is None else status.every_seconds(elapsed)
    playing.clock.advance(max(seconds or 0.0, PACE_SECONDS))
