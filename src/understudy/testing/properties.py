"""What must hold of any client of a job API: a table. Each is judged by what was seen of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from understudy.contract.model import Contract
from understudy.journal import Attempt, Exchange
from understudy.lifecycle import Job
from understudy.reach import host_of
from understudy.store import account_name
from understudy.testing import situations
from understudy.testing.run import Run, Situation

# A client may poll so much faster than is documented, and no more: documents give ranges, contracts their middle.
_PACE_SHARE = 0.5

# A date has no parts of a second.
_TOLERANCE_SECONDS = 1.0

# Where nothing says how long, a request that was refused for coming too soon is not to come again at once.
_DECENT_SECONDS = 1.0


@dataclass(frozen=True)
class Property:
    """Something that must hold.

    Attributes:
        name: As a test is called.
        text: What must hold, in a sentence.
        loss: What a user of the client loses where it does not.
        situations: What the client is put into, the plainest first.
        judge: Says what is wrong with a run, or None.
        draws: Whether it is to hold of many requests.
        of: Where it means anything: for every contract, for those that send callbacks, or for those that sign them.
        raises: Whether an error is what must come: that says nothing of a client that raises whatever happens.
    """

    name: str
    text: str
    loss: str
    situations: Callable[[Contract], Iterable[Situation]]
    judge: Callable[[Run], str | None]
    draws: bool = False
    of: str = "all"
    raises: bool = False


def _right(run: Run) -> str | None:
    if run.is_right:
        return None
    return f"expected: {_shown(run)}; got: {run.outcome()}"


def _shown(run: Run) -> str:
    return f"the result, {', '.join(run.files)}" if run.files else "a result"


def _raises(run: Run) -> str | None:
    return None if run.error is not None and not run.endless else f"expected: an error; got: {run.outcome()}"


def _one_create(run: Run) -> str | None:
    if len(run.creates) > 1:
        return f"expected: 1 create; got: {len(run.creates)}"
    return _raises(run)


def _one_job(run: Run) -> str | None:
    made = [entry for entry in run.creates if entry.jobs]
    return None if len(made) <= 1 else f"expected: 1 job; got: {len(made)}, each of which costs"


def _waits(run: Run) -> str | None:
    asked = next((fault.get("retry_after_seconds", 0.0) for fault in run.situation.faults), 0.0)
    least = max(asked - _TOLERANCE_SECONDS, _DECENT_SECONDS)
    for refused, again in _repeated(run):
        if refused.error == "rateLimited" and again.at - refused.at < least:
            waited = again.at - refused.at
            return f"expected: no request for {asked or _DECENT_SECONDS:g} seconds; got: the next after {waited:.1f}"
    return f"expected: an end; got: {run.outcome()}" if run.endless else None


def _repeated(run: Run) -> Iterator[tuple[Exchange, Exchange]]:
    """Return each request with the next one to the same operation."""
    for operation in {entry.operation for entry in run.exchanges}:
        yield from pairwise(entry for entry in run.exchanges if entry.operation == operation)


def _paced(run: Run) -> str | None:
    began = next((entry.at for entry in run.creates if entry.jobs), run.began)
    told = [entry.at for entry in run.journal if isinstance(entry, Attempt)]
    for before, after in pairwise(run.polls):
        seconds = _pace(run, before.at - began - _TOLERANCE_SECONDS)  # its clock began when the answer was there
        was_told = any(before.at <= at <= after.at for at in told)  # who was called back may ask at once
        if after.at - before.at < seconds * _PACE_SHARE - 0.001 and not was_told:
            when = f"{before.at - began:.0f} seconds after the create"
            return f"expected: about {seconds:g} seconds between polls {when}; got: {after.at - before.at:.1f}"
    return f"expected: an end; got: {run.outcome()}" if run.endless else None


def _pace(run: Run, elapsed: float) -> float:
    """Return how many seconds are to be between polls, so long after the create."""
    status = run.contract.job_type.status
    paces = status.poll if status is not None else ()
    fitting = (pace for pace in paces if pace.until_seconds is None or elapsed < pace.until_seconds)
    return next((pace.every_seconds for pace in fitting), 0.0)


def _in_time(run: Run) -> str | None:
    wrong = _right(run)
    ended = max((_ended(job) for job in run.jobs.values()), default=run.ended)
    if wrong is None and run.ended > ended + situations.LINK_SECONDS:
        return f"expected: links that are good; got: them {run.ended - ended:.0f} seconds after the end of the job"
    return wrong


def _ended(job: Job) -> float:
    return job.ended_at if job.ended_at is not None else 0.0


def _discreet(run: Run) -> str | None:
    endpoint = run.endpoint
    for secret, what in ((endpoint.api_key, "the key"), (endpoint.webhook_secret, "the webhook key")):
        where = next((where for where, text in run.told() if secret and secret in text), None)
        if where is not None:
            return f"expected: {what} nowhere; got: it in {where}"
    return _to_nobody_else(run)


def _to_nobody_else(run: Run) -> str | None:
    assets = run.contract.job_type.assets
    if assets is None or assets.needs_key:
        return None
    home = {host_of(server) for server in run.contract.servers}
    host = host_of(str(assets.url.parts[0]))
    mine = account_name(run.endpoint.api_key)
    sent = [entry for entry in run.exchanges if _is_file(run, entry) and entry.account == mine]
    if sent and host not in home:
        return f"expected: the key to {', '.join(sorted(home))} alone; got: it to {host}, with {sent[0].path}"
    return None


def _is_file(run: Run, entry: Exchange) -> bool:
    return any(url.endswith(entry.path) for url in run.files)


def _refuses(run: Run) -> str | None:
    if run.given and run.given[0].taken:
        return f"expected: the callback refused; got: it taken ({run.given[0].said})"
    return _right(run)


def _unmoved(run: Run) -> str | None:
    for number, one in enumerate(run.given, 1):
        if one.status >= 500 or (number == 1 and not one.taken):  # who has heard it already may say so
            return f"expected: each callback taken; got: number {number} not ({one.said})"
    return _right(run)


def _allowed(run: Run) -> str | None:
    wrong = next((entry for entry in run.exchanges if entry.error not in (None, "rateLimited")), None)
    if wrong is not None:
        return f"expected: what the contract allows; got: {wrong.method} {wrong.path}, {wrong.status} {wrong.error}"
    return None


PROPERTIES: tuple[Property, ...] = (
    Property(
        "a_success_returns_what_the_provider_made",
        "A job that succeeds gives what the provider made: the links to it, or the files.",
        "pictures that were paid for, or somebody else's",
        situations.plain,
        _right,
        draws=True,
    ),
    Property(
        "an_error_in_the_body_is_noticed",
        "An error that comes under HTTP 200 is an error all the same.",
        "the error itself: the code goes on with a job that does not exist",
        situations.errors_in_the_body,
        _raises,
        raises=True,
    ),
    Property(
        "a_failed_job_is_not_a_success",
        "A job that fails, is cancelled or expires raises.",
        "the reason, and perhaps the money that comes back",
        situations.failures,
        _raises,
        raises=True,
    ),
    Property(
        "a_refused_create_is_not_repeated",
        "What was refused for the request's own fault is not sent again.",
        "time, and the account, where a provider blocks who does not stop",
        situations.refusals,
        _one_create,
        raises=True,
    ),
    Property(
        "a_create_whose_answer_was_lost_is_not_repeated",
        "Where nobody can tell whether a job was made, no second one is asked for.",
        "money: both jobs are charged",
        situations.lost_answers,
        _one_create,
        raises=True,
    ),
    Property(
        "one_call_makes_one_job",
        "Whatever happens, one call makes at most one job.",
        "money: each job is charged",
        situations.all_of_it,
        _one_job,
    ),
    Property(
        "a_rate_limit_is_waited_out",
        "After a 429 nothing is asked before its Retry-After has passed, and not at once where it has none.",
        "the account: whoever goes on asking is refused for longer",
        situations.rate_limits,
        _waits,
    ),
    Property(
        "polls_keep_to_the_documented_pace",
        "Polls come no faster than twice the pace that is documented.",
        "the account: whoever asks too often is refused",
        situations.slow,
        _paced,
    ),
    Property(
        "one_bad_poll_does_not_lose_a_job",
        "A poll that goes wrong once is followed by another.",
        "a result that was paid for",
        situations.bad_polls,
        _right,
    ),
    Property(
        "what_nobody_knows_ends_in_an_error",
        "States, pages and answers that no document has end in an error, and not in a loop or a success.",
        "the program: it hangs, or goes on with nothing",
        situations.nonsense,
        _raises,
        raises=True,
    ),
    Property(
        "new_members_change_nothing",
        "A member that is new in an answer changes nothing.",
        "the program, on the day on which the provider adds one",
        situations.new_members,
        _right,
    ),
    Property(
        "a_stuck_job_ends_by_a_deadline",
        "A job that never ends raises after a while.",
        "the program: it waits for ever",
        situations.stuck,
        _raises,
        raises=True,
    ),
    Property(
        "the_result_is_there_before_its_link_dies",
        "What is returned can be fetched, or has been.",
        "a result that was paid for",
        situations.short_links,
        _in_time,
    ),
    Property(
        "the_key_stays_with_the_provider",
        "The key goes to the provider's host and no other, and into no exception and no log.",
        "the account, to whoever reads the log or owns the other host",
        situations.careless_moments,
        _discreet,
    ),
    Property(
        "a_forged_callback_is_refused",
        "A callback that the provider did not sign, or signed long ago, is refused and changes nothing.",
        "the truth: anybody can tell the program that a job is done",
        situations.forged_callbacks,
        _refuses,
        of="signed",
    ),
    Property(
        "odd_callbacks_change_nothing",
        "Callbacks that come twice, late, early or never change nothing.",
        "a result, or the program, which meets what it thought was over",
        situations.odd_callbacks,
        _unmoved,
        of="callbacks",
    ),
    Property(
        "nothing_is_sent_that_the_contract_forbids",
        "Whatever a client is asked for that the contract allows, it asks the provider for it as the contract says.",
        "requests, which the provider refuses",
        situations.plain,
        _allowed,
        draws=True,
    ),
)
