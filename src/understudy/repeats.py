"""Creates with a key of the client's: the same key makes no second job, and is answered as it was the first time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

from understudy.bodies import Part
from understudy.call import Call, without_files
from understudy.contract.codecs import encode_json
from understudy.contract.creates import Idempotency
from understudy.lifecycle import Json
from understudy.store import MAX_KEYS, Once
from understudy.wire import Answered, Outcome, Reply, Wait


def once(call: Call, rule: Idempotency, now: float, make: Callable[[], Outcome]) -> Outcome:
    """Make jobs, or answer as the create with the same key was answered.

    Args:
        call: The create.
        rule: The contract's part.
        now: The time, in unix seconds.
        make: Makes the jobs.

    Raises:
        Answered: The key is that of another request, or of one that still waits for its answer; or it was made, and
            answered by an error.
    """
    key = call.value(rule.key)
    if key is None:
        return make()
    name, keys = _digest(key), call.account.once
    asked = _digest([call.operation.id, {**call.view.path}, {**call.view.query}, without_files(call.view.body, _told)])
    known = keys.get(name)
    if known is None or now > known.until:
        known = Once(asked, now + rule.seconds, _made(make))
        keys.pop(name, None)
        keys[name] = known
        if len(keys) > MAX_KEYS:
            del keys[next(iter(keys))]
        return _answer(known)
    while isinstance(known.outcome, Wait) and known.outcome.until <= now:  # whoever has asked first may have gone
        known.outcome = known.outcome.resume()
    if known.asked != asked or isinstance(known.outcome, Wait):
        raise Answered(rule.conflict)
    return _answer(known)


def _made(make: Callable[[], Outcome]) -> Outcome | Answered:
    """Return what comes of a create; an error that tells of no job is none: its key is free."""
    try:
        return make()
    except Answered as answered:
        if "job" not in answered.scope:
            raise
        return answered


def _answer(known: Once) -> Outcome:
    """Return what was kept as an answer of its own, since faults may change an answer."""
    outcome = known.outcome
    if isinstance(outcome, Answered):
        raise Answered(outcome.name, outcome.headers, **outcome.scope)
    if isinstance(outcome, Wait):
        return Wait(outcome.until, lambda: _resumed(known, outcome))
    return replace(outcome, headers=[*outcome.headers]) if isinstance(outcome, Reply) else outcome


def _resumed(known: Once, wait: Wait) -> Outcome:
    known.outcome = wait.resume()
    return _answer(known)


def _digest(value: Json) -> str:
    return hashlib.sha256(encode_json(value)).hexdigest()


def _told(file: Part) -> Json:
    return [*file.values(), hashlib.sha256(file.content).hexdigest()]
