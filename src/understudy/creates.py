"""Make jobs: check the request, decide how the jobs go, charge for them, put them on the stage, answer."""

from __future__ import annotations

from dataclasses import replace

from understudy.asked import read_input
from understudy.call import Backstage, Call, about, plain, refused, violations
from understudy.contract.creates import Create
from understudy.contract.expressions import Expression, Scope
from understudy.contract.loader import pointer_parts
from understudy.contract.validation import Violation
from understudy.files import shown
from understudy.ledger import cost_of
from understudy.lifecycle import Job, State
from understudy.mint import new_id
from understudy.plan import AS_USUAL, Plan, with_outcome
from understudy.repeats import once
from understudy.store import Play
from understudy.wire import Answered, Outcome, Reply, Wait

#: Jobs that one request can make.
MAX_JOBS_PER_REQUEST = 100


def create(back: Backstage, call: Call) -> Outcome:
    """Make jobs, but for a create whose key was there before."""
    (group,) = [group for group in call.job_type.creates if call.operation.id in group.operations]
    if group.idempotency is None:
        return _make(back, call, group)
    return once(call, group.idempotency, back.clock.now(), lambda: _make(back, call, group))


def _make(back: Backstage, call: Call, group: Create) -> Outcome:
    """Make jobs: check, decide how they go, charge, and put them on the stage."""
    found = violations(call)
    for violation in found:
        if not group.late or not _in_input(violation, group):
            raise refused(violation)
    count = call.value(group.number)
    count = int(count) if isinstance(count, int | float) and 1 <= count <= MAX_JOBS_PER_REQUEST else 1
    drafts = [_draft(back, call, group) for _ in range(count)]
    drafts[0].id = _chosen_id(back, call) or drafts[0].id
    scope = {**call.scope, "job": drafts[0]}
    plan = _plan(back, call, scope)
    cost = cost_of(call.job_type.prices, scope) or 0
    if plan.error is not None:
        rule = call.job_type.errors.find(plan.error, call.operation.id, scope)
        if rule is None or rule.committed != "yes":
            raise Answered(plan.error)
    if not call.account.ledger.covers(cost, count) or (call.balance is not None and cost * count > call.balance):
        raise Answered("credits")
    _check_concurrency(back, call, count)
    if found:
        timeline = with_outcome(plan.timeline or (), "invalid")
        plan = plan._replace(timeline=timeline, failure="invalid", message=_late_message(call, found[0]))
    plays = [_commit(back, call, plan, job, cost) for job in drafts]
    if plan.error is not None:
        raise Answered(plan.error, job=plays[0].job)
    if group.sync is not None and (group.sync.when is None or group.sync.when.holds(call.scope)):
        most = call.value(group.sync.max_seconds)
        patience = most if isinstance(most, int | float) else float("inf")
        return _blocked(back, call, group, plays, back.clock.now() + patience)
    return _created(back, call, group, plays)


def _in_input(violation: Violation, group: Create) -> bool:
    """Say whether a violation is about the input, and not about what stands beside it."""
    parts = tuple(pointer_parts(violation.pointer))
    inputs = [item.pointer or () for item in group.input if isinstance(item, Expression)]
    if violation.place != "body" or not any(parts[: len(inner)] == inner for inner in inputs):
        return False
    # where the whole body is the input, nothing that another key claims is part of it
    return () not in inputs or (parts != () and parts[0] not in group.claims)


def _draft(back: Backstage, call: Call, group: Create) -> Job:
    given, body = call.value(group.input), plain(call.view.body)
    given = body if given is call.view.body else plain(given)
    read = read_input(group, body, given)  # before the model, which is a text of the body and shared with other jobs
    model, callback_url = call.value(group.model), call.value(group.callback_url)
    return Job(
        id=new_id(call.job_type, back.random, call.view),
        model=model if isinstance(model, str) else None,
        input=read,
        request=body,
        created_at=call.now,
        updated_at=call.now,
        callback_url=callback_url if isinstance(callback_url, str) and callback_url else None,
        cost=0,
        spent=0,
        refunded=False,
        data_removed=False,
        operation=call.operation.id,
        parameters=call.view.path,
    )


def _chosen_id(back: Backstage, call: Call) -> str | None:
    """Return the id that the client wants for its job, where it may choose."""
    for place in call.job_type.chosen_id:
        chosen = call.value((place,))
        if isinstance(chosen, str) and chosen:
            if chosen in back.plays:
                raise Answered(
                    "idTaken", violation=about(place, "uniqueItems", None, chosen, "another job has this id")
                )
            return chosen
    return None


def _plan(back: Backstage, call: Call, scope: Scope) -> Plan:
    """Decide how a job goes: as a test has asked for, else as the scenario tells, else as usual; faults change it."""
    call.account.creates += 1
    plan = AS_USUAL
    if back.next_plans:
        plan = back.next_plans.popleft()
    elif call.story is not None and call.story.selects(scope, call.account.creates):
        plan = call.story.plan
    if plan == AS_USUAL:
        plan = back.usual  # one for all of them
    else:
        usual, hidden = back.usual, plan.visible_after_seconds
        plan = plan._replace(
            timeline=with_outcome(plan.timeline or usual.timeline or (), plan.failure),
            visible_after_seconds=usual.visible_after_seconds if hidden is None else hidden,
        )
    for fault in call.faults:
        plan = fault.plan(plan, call.job_type.words.shown(State.SUCCEEDED))
    return plan


def _check_concurrency(back: Backstage, call: Call, count: int) -> None:
    most = call.job_type.concurrent_jobs
    if most is not None and call.account.active + count > most:
        raise Answered("rateLimited")


def _late_message(call: Call, violation: Violation) -> str:
    failure = call.job_type.failures.get("invalid")
    scope = {**call.scope, "violation": violation}
    return violation.message if failure is None else str(failure.message.render(scope))


def _commit(back: Backstage, call: Call, plan: Plan, job: Job, cost: float) -> Play:
    now = call.now
    call.account.ledger.charge(job.id, cost, now)
    job.cost = job.spent = cost
    play = Play(
        record=job,
        account=call.account,
        job_type=call.job_type,
        plan=plan,
        server_url=call.scope["server"]["url"],
        asset_url=call.request.asset_url,
        request=call.view if job.request is call.view.body else replace(call.view, body=job.request),  # without files
        story=call.story,
    )
    back.stage.begin(play)
    return play


def _created(back: Backstage, call: Call, group: Create, plays: list[Play]) -> Reply:
    now = back.clock.now()
    for play in plays:
        play.record.poll_after_seconds = play.poll_after(now)
    jobs = [shown(play, play.job, group.reply, call.scope) for play in plays]
    reply = call.reply(group.reply, jobs[0].state, tuple([job.id for job in jobs]), job=jobs[0], jobs=jobs)
    if group.told_by_json:
        for play in plays:
            play.set_aside(call.request.body)
    return reply


def _blocked(back: Backstage, call: Call, group: Create, plays: list[Play], limit: float) -> Outcome:
    """Answer when the jobs have ended, or when the provider's patience has."""
    kept = [play for play in plays if back.plays.get(play.job.id) is play]  # all, unless the fake was reset meanwhile
    for play in kept:
        back.stage.skip_reads(play)
    active = [play for play in kept if not play.job.terminal]
    now = back.clock.now()
    if not active or now >= limit:
        return _created(back, call, group, plays)
    seconds = active[0].step.seconds
    due = float("inf") if seconds is None else now + seconds
    return Wait(min(due, limit), lambda: _blocked(back, call, group, plays, limit))
