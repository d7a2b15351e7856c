"""Mutants: a client or a fake with one of its rules taken out does not come through the ordeal.

Each one is a rule of ours, undone. That the ordeal fails on it shows that the ordeal looks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.ordeal import Ordeal
from understudy import ClientError, Job, OutcomeUnknown, Refused, State, creates, lifecycle, talk, waits
from understudy.contract.views import Words
from understudy.exchange import Answer
from understudy.inbox import Inbox
from understudy.ledger import Ledger
from understudy.listening import Listening
from understudy.pipeline import Pipeline
from understudy.stage import Stage
from understudy.submits import Submits
from understudy.talk import Talk
from understudy.waits import Waiting, Waits

pytestmark = pytest.mark.unmeasured

Patch = pytest.MonkeyPatch
Mutant = Callable[[Patch], None]
MUTANTS: list[tuple[Mutant, str, tuple[str, ...]]] = []


def mutant(provider: str, *faults: str) -> Callable[[Mutant], Mutant]:
    """Note a mutant, at which provider and by which faults it shows soonest; its docstring says what it does wrong."""

    def noted(change: Mutant) -> Mutant:
        MUTANTS.append((change, provider, faults))
        return change

    return noted


# --- the client ---------------------------------------------------------------------------------------------------


@mutant("kie", "answer-lost")
def a_create_without_an_answer_is_repeated(patch: Patch) -> None:
    """A create whose outcome is unknown is sent again."""
    submit = Submits.submit

    def stubborn(self: Submits, *args: Any, **options: Any) -> Any:
        try:
            return (yield from submit(self, *args, **options))
        except OutcomeUnknown:
            return (yield from submit(self, *args, **options))

    patch.setattr(Submits, "submit", stubborn)


@mutant("kie", "answer-lost")
def no_answer_is_a_refusal(patch: Patch) -> None:
    """A create that got no answer counts as refused."""
    error = Talk._error
    patch.setattr(
        Talk,
        "_error",
        lambda self, kind, *args, **options: error(self, Refused if kind is OutcomeUnknown else kind, *args, **options),
    )


@mutant("kie", "html-error-page")
def an_error_of_the_gateway_is_a_refusal(patch: Patch) -> None:
    """An answer that the contract does not know counts as refused, whatever its status."""
    refused = Submits._refused
    patch.setattr(
        Submits,
        "_refused",
        lambda self, operation, answer, *told: refused(self, operation, replace(answer, status=400), *told),
    )


@mutant("kie", "malformed-json")
def an_unreadable_answer_is_a_refusal(patch: Patch) -> None:
    """An answer to a create that cannot be read counts as refused."""
    accepted = Submits._accepted

    def sure(self: Submits, *args: Any) -> Any:
        try:
            return accepted(self, *args)
        except OutcomeUnknown as error:
            raise Refused(error.what) from None

    patch.setattr(Submits, "_accepted", sure)


@mutant("kie", "error")
def retry_after_is_not_read(patch: Patch) -> None:
    """What the provider asks to wait is not looked at."""
    for module in (talk, waits):
        patch.setattr(module, "retry_after", lambda answer: None)


@mutant("kie", "error")
def a_date_is_read_as_nothing(patch: Patch) -> None:
    """A Retry-After that is a date counts as none."""

    def seconds_only(answer: Answer) -> float | None:
        text = answer.headers.get("retry-after", "")
        return float(text) if text.isdecimal() else None

    for module in (talk, waits):
        patch.setattr(module, "retry_after", seconds_only)


@mutant("kie", "stuck")
def a_wait_has_no_deadline(patch: Patch) -> None:
    """A wait goes on for an hour after its deadline."""
    patch.setattr(Waiting, "deadline", property(lambda self: self.began + self.limit_seconds + 3600))


@mutant("kie", "unknown-state")
def an_unknown_word_is_a_failure(patch: Patch) -> None:
    """A state word that nobody knows ends a wait."""
    patch.setattr(Words, "unknown", property(lambda self: "failed"))


@mutant("kie", "html-error-page", "malformed-json")
def a_bad_poll_ends_a_wait(patch: Patch) -> None:
    """The first poll that goes wrong ends a wait."""
    patch.setattr(Waits, "_may_pass", lambda self, error, elapsed: False)


@mutant("oxen", "stream-drops", "stream-ends")
def a_lost_stream_ends_a_wait(patch: Patch) -> None:
    """A stream that goes wrong is not made up for by polling."""
    leave = Listening.__exit__

    def strictly(self: Listening, *given: Any) -> bool:
        leave(self, *given)
        return False

    patch.setattr(Listening, "__exit__", strictly)


@mutant("kie", "callback-twice")
def a_callback_is_told_twice(patch: Patch) -> None:
    """The inbox forgets what it was told."""
    patch.setattr(Inbox, "_put", lambda self, job_id, job: None)


@mutant("kie", "callback-wrong-signature")
def any_signature_will_do(patch: Patch) -> None:
    """The inbox does not look at signatures."""
    make = Inbox.__init__
    patch.setattr(Inbox, "__init__", lambda self, client, **options: make(self, client, **{**options, "secret": None}))


@mutant("kie", "callback-stale")
def a_stale_signature_will_do(patch: Patch) -> None:
    """A callback may be as old as it likes."""
    patch.setattr("understudy.callback._is_near", lambda timestamp, now, tolerance_seconds: True)


@mutant("kie", "answer-lost")
def the_key_is_in_an_error(patch: Patch) -> None:
    """An error says with which key a request was made."""
    error = Talk._error
    patch.setattr(
        Talk,
        "_error",
        lambda self, kind, what, *args, **options: error(
            self, kind, f"{what} with key {self._writer._api_key}", *args, **options
        ),
    )


# --- the fake -----------------------------------------------------------------------------------------------------


@mutant("shortapi")
def a_job_is_charged_twice(patch: Patch) -> None:
    """The ledger takes the money twice."""
    charge = Ledger.charge

    def twice(self: Ledger, *args: Any) -> None:
        charge(self, *args)
        charge(self, *args)

    patch.setattr(Ledger, "charge", twice)


@mutant("kie")
def more_comes_back_than_was_paid(patch: Patch) -> None:
    """A refund gives back twice what a job cost."""
    refund = Ledger.refund
    patch.setattr(
        Ledger, "refund", lambda self, job_id, cost, now, share=1.0: refund(self, job_id, cost * 2, now, share=share)
    )


@mutant("kie")
def a_refused_create_is_charged(patch: Patch) -> None:
    """The money is taken before it is seen whether the create is refused."""
    check = creates._check_concurrency

    def early(back: Any, call: Any, count: int) -> None:
        call.account.ledger.charge("nobody's", 1, back.clock.now())
        check(back, call, count)

    patch.setattr(creates, "_check_concurrency", early)


@mutant("oxen")
def a_job_leaves_its_end(patch: Patch) -> None:
    """A job that has ended can be cancelled."""
    patch.setattr(lifecycle, "TRANSITIONS", dict.fromkeys(State, frozenset(State)))
    after = Stage._enter

    def restless(self: Stage, play: Any, **more: Any) -> None:
        after(self, play, **more)
        if play.job.terminal and play.step.state is not State.CANCELLED:
            cancelled = replace(play.step, state=State.CANCELLED, status=None)
            play.plan, play.at = play.plan._replace(timeline=(cancelled,)), 0
            after(self, play)

    patch.setattr(Stage, "_enter", restless)


@mutant("kie", "error")
def a_fault_before_the_commit_commits(patch: Patch) -> None:
    """A request that is refused for certain is done all the same."""
    handle = Pipeline.answer

    def done_first(self: Pipeline, request: Any, *about: Any, own: bool) -> Any:
        outcome = handle(self, request, *about, own=own)
        if getattr(outcome, "error", None) == "rateLimited" and request.method == "POST":
            handle(self, request, *about, own=own)
        return outcome

    patch.setattr(Pipeline, "answer", done_first)


@mutant("kie")
def the_journal_keeps_keys(patch: Patch) -> None:
    """The journal names an account by its key."""
    patch.setattr("understudy.store.account_name", lambda key: key)


@mutant("kie")
def the_client_believes_what_it_saw_last(patch: Patch) -> None:
    """A status is what it was at the first look plus one."""
    heard = Waits._heard

    def ahead(self: Waits, job: Job, *more: Any) -> Job:
        seen: Job = heard(self, job, *more)
        return replace(seen, state=State.SUCCEEDED) if seen.state is State.RUNNING else seen

    patch.setattr(Waits, "_heard", ahead)


@pytest.mark.parametrize(("change", "provider", "faults"), MUTANTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_mutant_does_not_come_through(
    change: Mutant, provider: str, faults: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the rule taken out, the ordeal fails; without, it goes well, and so nothing but the rule is to blame."""
    pointed = type("Pointed", (Ordeal,), {"providers": (provider,), "faults": faults})
    given = settings(
        max_examples=300,
        stateful_step_count=20,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(pointed, settings=settings(given, max_examples=20))
    change(monkeypatch)
    with pytest.raises((AssertionError, ClientError)):
        run_state_machine_as_test(pointed, settings=given)
