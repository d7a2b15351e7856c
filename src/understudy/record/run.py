"""`understudy record`: stand between a program and a provider, or read a HAR, and write down what was said."""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from understudy.behaviour import Behaviour
from understudy.clock import Clock
from understudy.contract.model import Contract
from understudy.environment import merged
from understudy.errors import UsageError, writing
from understudy.folders import find_provider
from understudy.library import load_provider
from understudy.reach import host_of
from understudy.record.facts import facts_in, patch_of
from understudy.record.recordings import recordings_of, redactor_of, with_story, write
from understudy.record.relay import Relay, relayed
from understudy.record.sequences import tell
from understudy.record.tape import Called, Tape, read_har
from understudy.run import executed


def record(
    provider: str,
    out: Path,
    *,
    upstreams: Sequence[str] = (),
    har: Path | None = None,
    port: int = 0,
    command: Sequence[str] = (),
    callbacks: Sequence[Path] = (),
    patch: Path | None = None,
    until: Callable[[Relay], None],
    clock: Clock | None = None,
) -> int:
    """Record what a provider says.

    Args:
        provider: Its name, or a path to its contract folder.
        out: The folder that the recordings are written to.
        upstreams: The base URLs that may be forwarded to; with a HAR, the one that stands for the contract's server.
        har: What was seen, in place of a relay.
        port: Where the relay listens, and callbacks on the next one; 0 for any that is free.
        command: A program to run behind the provider's own addresses, until whose end it is recorded.
        callbacks: Files with the bodies of callbacks that came in elsewhere.
        patch: The file that the patch goes to; standard output by default.
        until: Returns when all has been said; told of the relay, where there is no command.
        clock: By which times are noted; the machine's by default.

    Returns:
        The exit code: that of the command, or 0.

    Raises:
        UsageError: There is nothing to record from, or nowhere to write to.
        ContractInvalid: The contract cannot be used.
    """
    if har is None and not upstreams:
        raise UsageError("there is nothing to record: say --upstream URL, the provider, or --har FILE")
    contract, behaviour = load_provider(find_provider(provider))
    handed_in = [Called(None, {}, _read(file)) for file in callbacks]
    status, tape = 0, Tape()
    if har is not None:
        tape = read_har(har)
    else:
        with relayed(upstreams, port=port, callback_port=port and port + 1, clock=clock) as relay:
            if command:
                status = executed(command, merged(relay.environment, os.environ))
            else:
                until(relay)
        tape = relay.tape
        for host, count in relay.refused.items():
            sys.stderr.write(f"refused {count} times: {host}; say --upstream https://{host} if it is the provider's\n")
        if relay.lost:
            sys.stderr.write(f"{relay.lost} exchanges were too many to be kept\n")
    upstream = upstreams[0] if upstreams else None
    source = f"capture of {host_of(upstream) if upstream else host_of(contract.servers[0])}"
    _tell(contract, behaviour, [*tape, *handed_in], upstream, source, out, patch)
    return status


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None


def _tell(
    contract: Contract,
    behaviour: Behaviour,
    tape: Tape,
    upstream: str | None,
    source: str,
    out: Path,
    patch: Path | None,
) -> None:
    told = tell(contract, tape, upstream)
    redactor = redactor_of(contract, told)
    written = recordings_of(contract, told, redactor, upstream, source)
    recordings = [with_story(contract, behaviour, recording) for recording in written]
    for path in write(recordings, out, redactor):
        sys.stdout.write(f"{path}\n")
    if not recordings:
        sys.stderr.write(f"nothing of {contract.name} was seen\n")
    facts = facts_in(contract, told, recordings, redactor)
    for fact in facts:
        sys.stderr.write(f"new: {fact.text}\n")
    date = max((step.at for step in told.steps if step.at is not None), default=0.0)
    day = datetime.datetime.fromtimestamp(date, datetime.UTC).strftime("%Y-%m-%d")
    text = patch_of(contract, facts, source, day)
    assert not redactor.leaks(text), "a secret would be written"
    if patch is None:
        sys.stdout.write(text)
    elif text:
        with writing(patch, "--patch"):
            patch.write_text(text, encoding="utf-8")
