"""A Hypothesis state machine that plays a fake against somebody's client, and says what the client breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, invariant, multiple, precondition, rule
from hypothesis.strategies import SearchStrategy

from understudy.contract.model import Contract
from understudy.fake import Fake
from understudy.folders import Paths
from understudy.journal import Exchange, Journal, Struck
from understudy.ledger import Ledger
from understudy.lifecycle import TERMINAL, State
from understudy.mishaps import combinations
from understudy.strategies.asks import requests
from understudy.strategies.happenings import fault_at, misleads, outcomes
from understudy.strategies.pasted import code_of

#: Named errors that tell a client of a request that it should not have made.
FORBIDDEN = frozenset(
    {"invalid", "malformed", "methodNotAllowed", "tooLarge", "unknownModel", "unknownPath", "unsupportedMediaType"}
)


@dataclass
class Made:
    """A job of the client's.

    Attributes:
        name: What it is called in the test that is printed.
        id: The provider's id of it.
        handle: What the client's `submit` returned.
        told: The end that the client has told of, if any.
    """

    name: str
    id: str
    handle: Any
    told: State | None = None

    def __repr__(self) -> str:
        return self.name


def charged_twice(ledger: Ledger) -> list[str]:
    """Return the jobs that an account was charged for more than once, or paid back more than once."""
    seen = [(entry.job_id, entry.amount > 0) for entry in ledger.entries]
    return sorted({job_id for job_id, charge in seen if seen.count((job_id, charge)) > 1})


def gone_on(journal: Journal) -> list[str]:
    """Return the jobs that have entered a further state after their end."""
    ended, found = set[str](), []
    for transition in journal.transitions:
        found += [transition.job_id] if transition.job_id in ended else []
        if transition.state in TERMINAL:
            ended.add(transition.job_id)
    return found


def forbidden(fake: Fake) -> list[str]:
    """Return what a client has asked for, and the contract forbids."""
    asked = [entry for entry in fake.journal.exchanges if entry.error in FORBIDDEN]
    late = [job_id for job_id, job in fake.jobs.items() if job.error is not None and job.error.name in FORBIDDEN]
    return [f"{entry.method} {entry.path}: {entry.error}" for entry in asked] + late


def _drawn(draw: Callable[[Contract], SearchStrategy[Any]]) -> SearchStrategy[Any]:
    """Return what is drawn for the provider of the machine that runs; it is made once for each."""
    made: dict[Path, SearchStrategy[Any]] = {}

    def of(machine: LifecycleMachine) -> SearchStrategy[Any]:
        contract = machine.fake.contract
        if contract.folder not in made:
            made[contract.folder] = draw(contract)
        return made[contract.folder]

    return st.runner().flatmap(of)


def _outcomes(contract: Contract) -> SearchStrategy[dict[str, Any]]:
    """Draw outcomes, but for errors that tell of a wrong request."""
    return outcomes(contract).filter(lambda outcome: FORBIDDEN.isdisjoint(outcome.values()))


def _faults(contract: Contract) -> SearchStrategy[dict[str, Any]]:
    """Draw faults, but for those that tell a client what is not so."""
    strikes = [strike for strike in combinations(contract) if not misleads(contract, strike[0])]
    drawn = st.sampled_from(strikes).flatmap(lambda strike: fault_at(contract, *strike))
    return drawn.filter(lambda fault: fault.get("error") not in FORBIDDEN)


class LifecycleMachine(RuleBasedStateMachine):
    """Draws what happens to jobs, has a client live through it, and looks after each step whether all is well.

    Subclass it, say which provider, and call the client that is to be tested: it talks to `self.fake`, by
    `self.fake.client()` or `self.fake.transport()`. Its `TestCase` is a test. When it fails, it prints what happened,
    and a plain test that fails in the same way.

    These are the promises. One submit makes one job at most. No job is charged twice, and no more comes back than was
    paid. A job that the client says has ended has ended so, and stays so. The client makes no request that the contract
    forbids. And it raises nothing, as long as nothing goes wrong.

    Args:
        fake: The fake; a new one of the provider by default.

    Attributes:
        provider: The provider's name, or a path to its contract.
        paths: Folders with `contracts/` and `fakes/` to look in before the working directory.
        errors: What the client may raise when something goes wrong; any `Exception` by default.

    Raises:
        UsageError: There is no such provider.

    Example:
        >>> import understudy
        >>> from hypothesis import settings
        >>> from understudy.strategies import LifecycleMachine
        >>> class Careful(LifecycleMachine):
        ...     provider = "kie"
        ...     def __init__(self, fake=None):
        ...         super().__init__(fake)
        ...         http, clock = self.fake.client(), self.fake.clock
        ...         self.client = understudy.Client(self.provider, api_key="key", http=http, clock=clock)
        ...     def submit(self, request):
        ...         return self.client.submit(**request)
        ...     def status(self, job):
        ...         return self.client.status(job).state
        >>> from hypothesis.stateful import run_state_machine_as_test
        >>> run_state_machine_as_test(Careful, settings=settings(max_examples=3, deadline=None))
    """

    provider: ClassVar[str]
    paths: ClassVar[Paths] = ()
    errors: ClassVar[tuple[type[Exception], ...]] = (Exception,)
    jobs: ClassVar[Bundle[Made]] = Bundle("jobs")

    def __init__(self, fake: Fake | None = None) -> None:
        super().__init__()
        self.fake = Fake(self.provider, paths=self.paths) if fake is None else fake
        self._steps: list[str] = []
        self._made = 0

    # --- what is to be written ---

    def submit(self, request: dict[str, Any]) -> Any:
        """Make a job with the client.

        Args:
            request: A dict of `model`, where there are models, and `input`.

        Returns:
            What the client knows the job by; it is passed to the others. None says that there is no job.
        """
        raise NotImplementedError

    def status(self, job: Any) -> State | str | None:
        """Ask the client how a job is.

        Args:
            job: What `submit` returned.

        Returns:
            The state, such as `State.SUCCEEDED` or `succeeded`; None where the client does not say.
        """
        raise NotImplementedError

    def cancel(self, job: Any) -> None:
        """Have the client cancel a job; without it, no job is cancelled.

        Args:
            job: What `submit` returned.
        """
        raise NotImplementedError

    def download(self, job: Any) -> None:
        """Have the client fetch the result of a job that has succeeded; without it, no result is fetched.

        Args:
            job: What `submit` returned.
        """
        raise NotImplementedError

    # --- what happens ---

    @rule(target=jobs, request=_drawn(requests), outcome=_drawn(_outcomes))
    def make(self, request: dict[str, Any], outcome: dict[str, Any]) -> Made | MultipleResults[Made]:
        """Make a job."""
        if outcome:
            self._do(f"fake.next_job({_arguments(outcome)})")
            self.fake.next_job(**outcome)
        before = set(self.fake.jobs)
        name, handle = f"job_{self._made + 1}", None
        with self._calling(f"{name} = machine.submit({code_of(request)})"):
            handle = self.submit(request)
        made = [job_id for job_id in self.fake.jobs if job_id not in before]
        self._promise(len(made) <= 1, f"one submit made {len(made)} jobs", f"len(fake.jobs) <= {len(before) + 1}")
        if handle is None:
            return multiple()
        self._promise(bool(made), "the client has a job that was not made", f"len(fake.jobs) > {len(before)}")
        self._made += 1
        return Made(name, made[0], handle)

    @rule(job=jobs)
    def look(self, job: Made) -> None:
        """Ask the client how a job is."""
        call, told = f"machine.status({job.name})", None
        with self._calling(call, job):
            told = self.status(job.handle)
        state = None if told is None else State(told)
        record = self.fake.jobs.get(job.id)
        if state is None or record is None:
            return
        line = self._steps.pop()  # where it does not hold, it is asked in the assertion, and not twice
        wrong = f"the client says that a job is {state}, and it is {record.state}"
        self._promise(state not in TERMINAL or state is record.state, wrong, f"{call} != {str(state)!r}")
        wrong = f"the client said that a job is {job.told}, and now that it is {state}"
        self._promise(job.told in (None, state), wrong, f"{call} == {str(job.told)!r}")
        self._do(line)
        job.told = state if state in TERMINAL else None

    @rule(seconds=st.sampled_from([1, 10, 100, 4000]))
    def let_time_pass(self, seconds: int) -> None:
        """Do something else for a while."""
        self._do(f"fake.clock.advance({seconds})")
        self.fake.clock.advance(seconds)

    @rule(fault=_drawn(_faults))
    def arm(self, fault: dict[str, Any]) -> None:
        """Have something go wrong from now on, some time."""
        self._do(f"fake.fault({_arguments(fault)})")
        self.fake.fault(**fault)

    @precondition(lambda self: type(self).cancel is not LifecycleMachine.cancel)
    @rule(job=jobs)
    def stop(self, job: Made) -> None:
        """Have the client cancel a job."""
        record = self.fake.jobs.get(job.id)
        with self._calling(f"machine.cancel({job.name})", job, late=record is not None and record.terminal):
            self.cancel(job.handle)

    @precondition(lambda self: type(self).download is not LifecycleMachine.download)
    @rule(job=jobs)
    def fetch(self, job: Made) -> None:
        """Have the client fetch the result of a job that it knows to have succeeded."""
        if job.told is State.SUCCEEDED:
            with self._calling(f"machine.download({job.name})", job):
                self.download(job.handle)

    # --- what holds ---

    @invariant()
    def money_adds_up(self) -> None:
        """No job is charged twice, and no more comes back than was paid."""
        ledger, twice = self.fake.ledger, charged_twice(self.fake.ledger)
        self._promise(not twice, f"charged or paid back twice: {twice}", "charged_twice(fake.ledger) == []")
        paid_back = f"{ledger.refunded} came back of {ledger.charged}"
        self._promise(ledger.refunded <= ledger.charged, paid_back, "fake.ledger.refunded <= fake.ledger.charged")

    @invariant()
    def what_has_ended_stays_so(self) -> None:
        """A job that has ended enters no further state."""
        found = gone_on(self.fake.journal)
        self._promise(not found, f"went on after their end: {found}", "gone_on(fake.journal) == []")

    @invariant()
    def requests_are_allowed(self) -> None:
        """The client asks for nothing that the contract forbids."""
        found = forbidden(self.fake)
        self._promise(not found, f"the contract forbids: {found}", "forbidden(fake) == []")

    def teardown(self) -> None:
        """Tell what happened, and the test that shows it; Hypothesis prints both when the run has failed."""
        note(f"what happened:\n{self.fake.journal.timeline()}")
        note(f"as a test:\n\n{self.as_test()}")
        self.fake.close()

    def as_test(self) -> str:
        """Return the steps that were taken as a test for pytest."""
        own, fixture = type(self), self.fake.contract.name.replace("-", "_")
        body = "".join(f"    {line}\n" for line in self._steps)
        names = [name for name in ("charged_twice", "forbidden", "gone_on") if name in body]
        imports = [
            *(["from contextlib import suppress\n"] if "suppress(" in body else []),
            *(["from understudy import State\n"] if "State." in body else []),
            *([f"from understudy.strategies.machine import {', '.join(names)}\n"] if names else []),
            f"from {own.__module__} import {own.__qualname__}\n",
        ]
        head = f"def test_{fixture}({fixture}):\n    fake, machine = {fixture}, {own.__qualname__}({fixture})\n"
        return f"{''.join(imports)}\n\n{head}{body}"

    # --- how it is done ---

    def _do(self, line: str) -> None:
        self._steps.append(line)

    def _promise(self, holds: bool, text: str, code: str) -> None:
        """Raise AssertionError where something does not hold; the code says the same in the test that is printed."""
        if not holds:
            self._do(f"assert {code}")
            raise AssertionError(text)

    @contextmanager
    def _calling(self, line: str, job: Made | None = None, *, late: bool = False) -> Iterator[None]:
        """Call the client; what it may raise passes where it comes too late, or something has gone wrong."""
        self._do(line)
        before = len(list(self.fake.journal))
        try:
            yield
        except self.errors:
            if not (late or self._has_gone_wrong(before, job)):
                raise
            self._steps[-1:] = ["with suppress(Exception):", f"    {line}"]

    def _has_gone_wrong(self, before: int, job: Made | None) -> bool:
        """Say whether a fault has struck, an error was answered, or a job does not succeed."""
        entries = list(self.fake.journal)
        concerned = list(self.fake.jobs)[-1:] if job is None else [job.id]
        return (
            any(isinstance(entry, Struck) for entry in entries)
            or any(isinstance(entry, Exchange) and entry.error is not None for entry in entries[before:])
            or not all(self._may_succeed(job_id) for job_id in concerned)
        )

    def _may_succeed(self, job_id: str) -> bool:
        """Say whether a job is kept and has succeeded, or is on its way."""
        play = self.fake.provider.plays.get(job_id)
        return play is not None and (play.job.state is State.SUCCEEDED or play.at + 1 < len(play.steps))


def _arguments(given: dict[str, Any]) -> str:
    """Return arguments as they are written in a call; a fault comes first, by its place."""
    first = [repr(given["fault"])] if "fault" in given else []
    return ", ".join([*first, *(f"{name}={code_of(value)}" for name, value in given.items() if name != "fault")])
