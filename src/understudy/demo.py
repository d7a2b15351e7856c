"""The whole story on one page: for each provider a job is made, followed, told of, fetched and paid for, offline."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understudy.client import Client
from understudy.contract.creates import Create
from understudy.contract.expressions import Expression, first_value
from understudy.errors import UsageError, writing
from understudy.fake import Fake
from understudy.folders import provider_names
from understudy.journal import Exchange, described, short
from understudy.lifecycle import Job, Json
from understudy.probes import sample_parameters
from understudy.receiver import Receiver
from understudy.wire import RequestView

_KEY = "demo-key"


def run(folder: Path, *, providers: list[str] | None = None) -> int:
    """Play the demo and print it as it goes.

    Args:
        folder: Where the result files are written to.
        providers: Which providers; all that are found by default.

    Returns:
        0.

    Raises:
        UsageError: There is no such provider, or it has no example, or the folder cannot be written to.
    """
    with writing(folder, "--folder"):
        folder.mkdir(parents=True, exist_ok=True)
    print("Understudy plays each provider in this process, on a virtual clock. Nothing leaves this machine.")
    for name in providers or provider_names():
        with ExitStack() as stack:
            fake = stack.enter_context(Fake(name))
            receiver = stack.enter_context(Receiver())
            _Story(fake, receiver, folder).tell()
    called = sys.argv[0] if Path(sys.argv[0]).stem == "understudy" else "python -m understudy"
    print(f"\nNext: `{called} serve` plays them live on 127.0.0.1:4010; the README shows the rest.")
    return 0


@dataclass(frozen=True, slots=True)
class _Sample:
    """A create as the contract's own example has it."""

    create: Create
    model: str | None
    input: dict[str, Json]


class _Story:
    """One provider's part of the page."""

    def __init__(self, fake: Fake, receiver: Receiver, folder: Path) -> None:
        self._fake = fake
        self._receiver = receiver
        self._folder = folder
        self._client = Client(fake.contract, api_key=_KEY, http=fake.client(), clock=fake.clock)
        self._began = fake.clock.now()
        self._told = 0

    def tell(self) -> None:
        sample = _sample(self._fake)
        title = " · ".join(filter(None, (self._fake.contract.name, sample.model)))
        print(f"\n{title}\n{'─' * len(title)}", flush=True)
        events = self._fake.contract.job_type.events
        of_all = events is not None and events.scope == "account"  # that of one job could only be opened too late
        job = self._by_event(sample) if of_all else self._by_callback(sample)
        self._tell_file(job)
        self._tell_money()

    def _by_callback(self, sample: _Sample) -> Job:
        takes_callback = bool(sample.create.callback_url)
        url = self._receiver.url if takes_callback else None
        job = self._client.submit(sample.input, model=sample.model, callback_url=url)
        self._catch_up()
        job = self._client.wait(job)
        self._catch_up()
        for callback in self._receiver.received:
            told = self._client.read_callback(callback.headers, callback.body, secret=self._secret())
            how = "its signature is right" if self._secret() is not None else "it is not signed"
            self._line(None, "callback", f"says {told.state} of job {short(told.id)}; {how}")
        return job

    def _by_event(self, sample: _Sample) -> Job:
        with self._client.events() as events:
            self._catch_up()
            job = self._client.submit(sample.input, model=sample.model)
            self._catch_up()
            told = next(events)
            self._catch_up()
        self._line(None, "event", f"says {told.state} of job {short(told.id)}; it came on the stream")
        job = self._client.wait(job)
        self._catch_up()
        return job

    def _secret(self) -> str | None:
        callback = self._fake.contract.job_type.callback
        if callback is None or callback.sign is None:
            return None
        return callback.sign.key.raw({"secret": self._fake.provider.behaviour.secrets}) or None

    def _catch_up(self) -> None:
        """Print what the journal has noted since the last time."""
        entries = list(self._fake.journal)[self._told :]
        self._told += len(entries)
        polls = [entry for entry in entries if isinstance(entry, Exchange) and entry.jobs and entry.method == "GET"]
        # a create is noted once it is answered, after the job's first state: here it comes first
        for entry in sorted(entries, key=lambda entry: (entry.at, not isinstance(entry, Exchange))):
            if entry not in polls:
                self._line(entry.at, *described(entry))
        if polls:
            times = "once" if len(polls) == 1 else f"{len(polls)} times"
            self._line(None, "client", f"polled {times}, at the provider's documented pace")

    def _tell_file(self, job: Job) -> None:
        output = job.outputs[0]
        content = self._client.download(output)
        self._told = len(self._fake.journal)
        suffix = (output.url or "").rpartition(".")[2]
        path = self._folder / f"{self._fake.contract.name}.{suffix}"
        with writing(path, "--folder"):
            path.write_bytes(content)
        self._line(None, "result", f"{path} ({len(content):,} bytes)")
        self._line(None, "", f"fetched from {output.url}")

    def _tell_money(self) -> None:
        job_type, ledger = self._fake.contract.job_type, self._fake.ledger_of(_KEY)
        dollars = "" if job_type.usd_per_unit in (None, 1) else f", ${ledger.spent * (job_type.usd_per_unit or 0):.2f}"
        self._line(None, "money", f"{ledger.spent} {job_type.unit} spent{dollars}; {ledger.balance} left")

    def _line(self, at: float | None, who: str, what: str) -> None:
        when = "" if at is None else f"{at - self._began:6.1f} s"
        print(f"{when:>8}  {who:<9} {what}", flush=True)


def _sample(fake: Fake) -> _Sample:
    """Return the first example that the contract has for a create."""
    contract = fake.contract
    create = contract.job_type.creates[0]
    operation = contract.operations[create.operations[0]]
    examples = operation.examples
    if not examples:
        raise UsageError(f"{contract.name} has no example request: give its create operation a named example")
    body = next(iter(examples.values()))
    scope: dict[str, Any] = {"request": RequestView(body, {}, {}, sample_parameters(contract, operation)["path"])}
    given = first_value(create.input, scope)
    whole = any(isinstance(item, Expression) and not item.pointer for item in create.input)
    sent = {key: value for key, value in given.items() if not (whole and key in create.claims)}
    model = first_value(create.model, scope) if create.model else None
    return _Sample(create, model, sent)
