"""Streams of server-sent events: what is sent when a job enters a state, and which state an event tells of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from understudy.contract.compiler import At, Compiler
from understudy.contract.expressions import Place
from understudy.contract.reading import ReadError, Reading, check_types
from understudy.contract.templates import Each, Template, literals
from understudy.contract.views import Words
from understudy.lifecycle import Json, State


class Frame(NamedTuple):
    """One server-sent event, or with `each` one for each element of a list; without a name it is a `message`."""

    event: str | None
    data: Template
    each: Each | None
    id: Template | None
    retry_seconds: float | None


class Events(NamedTuple):
    """The operation that streams server-sent events; `replay` is whether it begins with those that were before."""

    operation: str
    scope: Literal["account", "job"]
    id: Place
    link: Template | None
    keep_alive_seconds: float | None
    keep_alive_comment: str
    frames: Mapping[State, tuple[Frame, ...]]
    end: frozenset[State]
    replay: bool
    words: Words


class Told(NamedTuple):
    """What an event tells."""

    state: State
    frame: Frame
    reading: Reading


def compile_events(compiler: Compiler, node: dict[str, Any], at: At, operation: str, words: Words) -> Events:
    """Compile a stream of events.

    Args:
        compiler: Notes what is wrong.
        node: As it stands in the file; the format's schema has been held to it.
        at: Where it stands.
        operation: The operationId.
        words: The wire words of the job.
    """
    keep_alive = node.get("keepAlive", {})
    return Events(
        operation=operation,
        scope=node["scope"],
        id=compiler.place(node["id"], (*at, "id")) if "id" in node else (),
        link=compiler.template(node["link"], (*at, "link")) if "link" in node else None,
        keep_alive_seconds=keep_alive.get("everySeconds"),
        keep_alive_comment=keep_alive.get("comment", ""),
        frames={
            State(state): tuple(
                _compile_frame(compiler, entry, (*at, "frames", state, index)) for index, entry in enumerate(entries)
            )
            for state, entries in node["frames"].items()
            if state in set(State)
        },
        end=frozenset(State(state) for state in node.get("end", ())),
        replay=node.get("replay", False),
        words=words,
    )


def _compile_frame(compiler: Compiler, node: dict[str, Any], at: At) -> Frame:
    each = compiler.template({"$each": node["each"], "do": node["data"]}, at) if "each" in node else None
    return Frame(
        event=node.get("event"),
        data=compiler.template(node["data"], (*at, "data")),
        each=each if isinstance(each, Each) else None,
        id=compiler.template(node["id"], (*at, "id")) if "id" in node else None,
        retry_seconds=node.get("retrySeconds"),
    )


def recognise(events: Events, name: str, value: Json) -> Told | None:
    """Return what an event tells, or None for one of another kind.

    The frame with the most `$match` literals that fit is meant; where that is one of several states, it tells nothing.
    """
    found: list[tuple[int, Told]] = []
    for state, frames in events.frames.items():
        for frame in frames:
            reading: Reading = {}
            try:
                frame.data.read(value, reading, ())
                check_types(reading)
            except ReadError:
                continue
            word = reading.get(("job", "status"))
            told = state if word is None else events.words.state_named(word)
            if (frame.event or "message") == name and told is state:
                found.append((literals(frame.data), Told(state, frame, reading)))
    most = max((count for count, _ in found), default=0)
    best = [told for count, told in found if count == most]
    return best[0] if len({told.state for told in best}) == 1 else None
