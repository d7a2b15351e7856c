"""The machine finds what a client does wrong, lets a careful one pass, and prints a test that fails in the same way."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from understudy import Client, ClientError, Fake, Job, State
from understudy.fake import API_KEY
from understudy.ledger import Ledger
from understudy.strategies.machine import LifecycleMachine, Made, charged_twice, forbidden, gone_on

brief = settings(
    max_examples=60,
    stateful_step_count=12,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


class Careful(LifecycleMachine):
    """The reference client, which keeps every promise."""

    provider = "oxen"

    def __init__(self, fake: Fake | None = None) -> None:
        super().__init__(fake)
        self.client = Client(self.provider, api_key=API_KEY, http=self.fake.client(), clock=self.fake.clock)

    def submit(self, request: dict[str, Any]) -> Any:
        return self.client.submit(**request, timeout_seconds=30)

    def status(self, job: Job) -> State | str | None:
        return self.client.status(job).state

    def cancel(self, job: Job) -> None:
        self.client.cancel(job)

    def download(self, job: Job) -> None:
        for output in self.client.status(job).outputs:
            self.client.download(output)


class Hasty(Careful):
    """Takes a job that runs for one that has succeeded."""

    def status(self, job: Job) -> State | str | None:
        state = self.client.status(job).state
        return "succeeded" if state is State.RUNNING else state


class Forgetful(Careful):
    """Forgets how a job has ended."""

    told = 0

    def status(self, job: Job) -> State | str | None:
        self.told += 1
        state = self.client.status(job).state
        return State.RUNNING if self.told > 1 else state


class Stubborn(Careful):
    """Makes each job twice."""

    def submit(self, request: dict[str, Any]) -> Any:
        super().submit(request)
        return super().submit(request)


class Dreaming(Careful):
    """Has jobs that nobody has made."""

    def submit(self, request: dict[str, Any]) -> Any:
        return "a dream"


class Sloppy(Careful):
    """Sends what the contract forbids."""

    def submit(self, request: dict[str, Any]) -> Any:
        self.fake.client().get("/nowhere")


class Nervous(Careful):
    """Raises something though all is well."""

    errors: ClassVar[tuple[type[Exception], ...]] = (LookupError, ClientError)

    def status(self, job: Job) -> State | str | None:
        raise ValueError("no reason")


class Anxious(Nervous):
    """Raises what it may raise, but not though all is well."""

    errors = (ValueError, ClientError)


class Silent(LifecycleMachine):
    """Makes no job, and says nothing."""

    provider = "kie"

    def submit(self, request: dict[str, Any]) -> Any:
        return None


def lines_of(error: BaseException) -> str:
    """Return what Hypothesis has noted of a failure."""
    return "\n".join(getattr(error, "__notes__", ()))


@pytest.mark.parametrize("machine", [Careful, Silent])
def test_a_careful_client_comes_through(machine: Any) -> None:
    """A client that keeps the promises passes, whatever goes wrong."""
    run_state_machine_as_test(machine, settings=settings(brief, max_examples=40))


@pytest.mark.parametrize(
    ("machine", "kind", "text"),
    [
        (Hasty, AssertionError, "the client says that a job is succeeded, and it is"),
        (Forgetful, AssertionError, "and now that it is running"),
        (Stubborn, AssertionError, "one submit made 2 jobs"),
        (Dreaming, AssertionError, "the client has a job that was not made"),
        (Sloppy, AssertionError, "the contract forbids"),
        (Nervous, ValueError, "no reason"),
        (Anxious, ValueError, "no reason"),
    ],
)
def test_what_is_broken_is_found_and_told(machine: Any, kind: type[Exception], text: str, oxen: Fake) -> None:
    """A client that breaks a promise fails, and the test that is printed, taken as it is, fails in the same way."""
    with pytest.raises(kind, match=text) as caught:
        run_state_machine_as_test(machine, settings=settings(brief, max_examples=200))
    noted = lines_of(caught.value)
    assert "what happened:" in noted
    written = re.search(r"as a test:\n\n(.*?\n)(?:\n|$)(?!    )(?!\n|def )", noted + "\n\n", re.DOTALL)
    assert written is not None
    names: dict[str, Any] = {}
    exec(compile(written[1], "pasted", "exec"), names)
    test: Callable[[Fake], None] = names["test_oxen"]
    with pytest.raises(kind):
        test(Fake("oxen"))


def test_money_and_ends_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake that charges twice, or goes on after an end, is found out."""
    charge = Ledger.charge

    def twice(self: Ledger, *args: Any) -> None:
        charge(self, *args)
        charge(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "charge", twice)
        with pytest.raises(AssertionError, match="charged or paid back twice"):
            run_state_machine_as_test(Careful, settings=brief)
    fake = Fake("oxen")
    Careful(fake).submit({"model": "nano-banana", "input": {"prompt": "a"}})
    fake.clock.advance(100)
    assert (charged_twice(fake.ledger), gone_on(fake.journal), forbidden(fake)) == ([], [], [])
    fake.journal.add(fake.journal.transitions[0])
    assert gone_on(fake.journal) == list(fake.jobs)


def test_a_job_that_is_no_longer_kept_is_not_looked_at() -> None:
    """Of a job that the provider has forgotten, nothing is asserted."""
    machine = Careful()
    made = machine.make({"model": "nano-banana", "input": {"prompt": "a"}}, {})
    assert isinstance(made, Made)
    assert repr(made) == "job_1"
    machine.fake.reset()
    machine.look(made)
    machine.stop(made)
    assert "with suppress(Exception):\n        machine.status(job_1)" in machine.as_test()


def test_what_is_not_written_is_said() -> None:
    """A method that a subclass does not write is an error."""
    machine = Silent()
    with pytest.raises(NotImplementedError):
        LifecycleMachine.submit(machine, {})
    for method in (machine.status, machine.cancel, machine.download):
        with pytest.raises(NotImplementedError):
            method("a job")
