"""Origin: which templates a fake has rendered an answer from, as far as the contract tells."""

from __future__ import annotations

from collections.abc import Mapping, Set
from types import MappingProxyType
from typing import NamedTuple

from understudy.contract.conditions import same
from understudy.contract.expressions import Scope
from understudy.contract.reading import Path
from understudy.contract.templates import Literal, Match, Object, Template
from understudy.contract.views import View
from understudy.lifecycle import ACTIVE, Job, Json, State
from understudy.probes import chosen, decoded, fits, results_of, rules_of, views_of
from understudy.provider import Provider
from understudy.wire import Reply, RequestView


class Source(NamedTuple):
    """What the fake has rendered something from, as far as the contract tells."""

    body: Template | None = None
    headers: tuple[tuple[str, Template], ...] = ()
    parts: Mapping[Path, Template] = MappingProxyType({})


def source_of(provider: Provider, operation: str, reply: Reply, view: RequestView, before: Mapping[str, Job]) -> Source:
    """Return what a reply was rendered from.

    Args:
        provider: Whose reply it is.
        operation: What was asked; empty where the request leads to no operation.
        reply: The reply.
        view: The request, as expressions see it.
        before: The jobs as they were before it.
    """
    job_type = provider.contract.job_type_of(operation)
    if reply.error is not None:
        rules = rules_of(job_type, reply.error, operation)
        rule = next((found for found in rules if fits(found.body, decoded(reply.body))), None)
        return Source() if rule is None else Source(rule.body, rule.headers, {("error", "message"): rule.message})
    part = job_type.operation_ids().get(operation)
    now = {job_id: play.job for job_id, play in provider.plays.items()}
    about = before if part == "status" else {**before, **now}  # a read can be the last of a step, a job be removed
    jobs = [about[job_id] for job_id in reply.jobs]
    job = next(iter(jobs), None)
    views = [found for name, found in views_of(job_type) if name == operation]
    ways = job_type.endings(operation)
    if ways and job is not None:
        views = [next((way.reply for way in ways if way.takes(before[job.id])), ways[0].refused)]
    if not views:
        return Source()
    state = job.state if job is not None and part in ("create", "status", "cancel", "delete") else None
    scope = {"request": view, "job": job, "jobs": jobs, "statusCode": reply.status}
    return Source(chosen(views[0].variants[state], scope), views[0].headers, results_of(job_type))


def states_told(view: View, body: Json, scope: Scope) -> Set[State]:
    """Return the states of a job that goes on which a body can be of: those that show what is in it."""
    return {state for state in ACTIVE if _shows(chosen(view.variants[state], scope), body)} or ACTIVE


def _shows(template: Template, value: Json) -> bool:
    """Say whether a template has all the members of a value, and no other literals than are in it."""
    if isinstance(template, Literal | Match) and isinstance(template.value, Mapping):
        template = Object(tuple((key, Literal(item)) for key, item in template.value.items()), None)
    if isinstance(template, Object) and isinstance(value, Mapping):
        members, more = dict(template.members), template.spread is not None
        return all(_shows(members[key], item) if key in members else more for key, item in value.items())
    return not isinstance(template, Literal | Match) or same(template.value, value)
