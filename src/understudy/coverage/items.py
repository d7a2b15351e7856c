"""What of a contract can be touched, and for each thing what touches it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from understudy.behaviour import Behaviour
from understudy.contract.model import Contract, JobType
from understudy.coverage.answers import WRONG_KEY, answers_of
from understudy.coverage.report import KINDS, Item
from understudy.coverage.tally import kind_of, walk
from understudy.faults import fault_class
from understudy.lifecycle import TERMINAL, State, Timeline
from understudy.mishaps import combinations, errors_of, parameters, pointers
from understudy.plan import with_outcome
from understudy.scenario import Scenario

# Whoever meets these has asked for what is not there, and a strict test fails for it.
_MISTAKES = frozenset({"unknownPath", "methodNotAllowed"})


def items_of(contract: Contract, behaviour: Behaviour) -> list[Item]:
    """Return what can be touched, in the order of `KINDS`.

    Args:
        contract: What the provider promises.
        behaviour: How its stand-in acts, with the scenarios.
    """
    found: dict[tuple[str, str], Item] = {}
    for item in _Items(contract, behaviour).all():
        found.setdefault((item.kind, item.name), item)
    return sorted(found.values(), key=lambda item: KINDS.index(item.kind))


class _Items:
    def __init__(self, contract: Contract, behaviour: Behaviour) -> None:
        self._contract = contract
        self._behaviour = behaviour
        self._fake = contract.name.replace("-", "_")
        # those that are about every job, so that no test has to know more
        self._stories = [
            story for story in behaviour.scenarios.values() if story.when is None and story.nth in (None, 1)
        ]

    def all(self) -> Iterator[Item]:
        kinds = self._contract.job_types.values()
        yield from (Item("operations", *answer) for answer in answers_of(self._contract, self._behaviour))
        named = [state for state in State if any(state in kind.words.by_state for kind in kinds)]
        yield from (Item(kind_of(state), state.value, self._to(state)) for state in named)
        yield from self._transitions(named)
        for name in dict.fromkeys(name for kind in kinds for name in kind.errors.rules if name not in _MISTAKES):
            yield Item("errors", name, self._error(name))
        for name in dict.fromkeys(name for kind in kinds for name in kind.failures):
            story = self._story(one for one in self._stories if one.plan.failure == name)
            yield Item("failures", name, story or f'{self._fake}.next_job(failure="{name}")')
        yield from (item for kind in kinds for item in _callbacks(kind))
        yield from self._faults()
        yield from (Item("scenarios", name, _played(name)) for name in self._behaviour.scenarios)

    def _story(self, stories: Iterable[Scenario]) -> str | None:
        """Return how the first of some stories is played."""
        return next((_played(story.name) for story in stories), None)

    def _timeline(self, story: Scenario) -> Timeline:
        return with_outcome(story.plan.timeline or self._behaviour.timeline, story.plan.failure)

    def _to(self, state: State) -> str:
        own = (story for story in self._stories if story.plan.timeline and _steps(story.plan.timeline)[-1] is state)
        return self._story(own) or f"{self._fake}.next_job(state=State.{state.name})"

    def _transitions(self, named: list[State]) -> Iterator[Item]:
        usual = self._behaviour.timeline
        timelines = [usual, *map(self._timeline, self._behaviour.scenarios.values())]
        if self._contract.job_type.failures:
            timelines.append(with_outcome(usual, next(iter(self._contract.job_type.failures))))
        for before, state in dict.fromkeys(step for one in timelines for step in _walked(one)):
            own = (
                one for one in self._stories if one.plan.timeline and (before, state) in _walked(self._timeline(one))
            )
            yield Item("transitions", walk(before, state), self._story(own) or self._walk(before, state))
        for kind in self._contract.job_types.values():
            if kind.cancel is not None:
                for state in (state for state in named if state in kind.cancel.states.keys() - TERMINAL):
                    code = f"{self._fake}.next_job(state=State.{state.name})  # then {kind.cancel.operation}"
                    yield Item("transitions", walk(state, State.CANCELLED), code)
            if kind.retention.expires:
                after = f"# ask for a job more than {kind.retention.job_seconds:g} seconds after its end"
                yield Item("transitions", walk(State.SUCCEEDED, State.EXPIRED), after)

    def _walk(self, before: State | None, state: State) -> str:
        if before is None:
            return f"{self._fake}.next_job(state=State.{state.name})"
        return f"{self._fake}.next_job(timeline=[Step(State.{before.name}, seconds=1), Step(State.{state.name})])"

    def _error(self, name: str) -> str:
        """Return what has a named error answered: a story, a fault where no create has it, or the next create."""
        told = (story for story in self._stories if story.plan.error == name)
        struck = (one for one in self._stories for rule in one.faults if not rule.when and name in rule.fault.errors())
        story = self._story(told) or self._story(struck)
        if story is not None:
            return story
        if name == "unauthorized" and self._behaviour.refused_keys.search(WRONG_KEY):
            return f'{self._fake}.client(api_key="{WRONG_KEY}")'
        if name == "expired" and self._contract.job_type.assets is not None:
            return f'{self._fake}.fault("link-expires")  # then ask for the file'
        for kind in self._contract.job_types.values():
            parts = [part for id, part in kind.operation_ids().items() if name in errors_of(kind, {id})]
            if parts and "create" not in parts:
                return f'{self._fake}.fault("error", on="{parts[0]}", error="{name}")'
        return f'{self._fake}.next_job(error="{name}")'

    def _faults(self) -> Iterator[Item]:
        places: dict[str, str] = {}
        for name, part in combinations(self._contract):
            places.setdefault(name, part)
        kind = self._contract.job_type
        for name, part in places.items():
            own = (one for one in self._stories if any(rule.name == name and not rule.when for rule in one.faults))
            said = [f'"{name}"'] + ([] if part == fault_class(name).on[0] else [f'on="{part}"'])
            wanted = parameters(name)
            if "pointer" in wanted:
                said.append(f'pointer="{pointers(kind, part)[0]}"')
            if wanted.get("error") not in (None, *kind.errors.rules):
                if not kind.errors.rules:
                    continue
                said.append(f'error="{next(iter(kind.errors.rules))}"')
            then = "  # and have the job call back" if part == "callback" else ""
            yield Item("faults", name, self._story(own) or f"{self._fake}.fault({', '.join(said)}){then}")


def _callbacks(kind: JobType) -> Iterator[Item]:
    if kind.callback is None:
        return
    yield Item("callbacks", "delivered", "Receiver()  # its url is where the job calls back")
    yield Item("callbacks", "refused", "Receiver(status=500)  # and status = 200 for the next attempt")
    if kind.callback.retry_after_seconds:
        after = f"{kind.callback.retry_after_seconds[0]:g} seconds later"
        yield Item("callbacks", "retried", f"Receiver(status=500)  # and status = 200, {after}")
    if kind.callback.sign is not None:
        yield Item("callbacks", "signed", "Receiver()  # its url is where the job calls back")


def _played(scenario: str) -> str:
    return f'@pytest.mark.understudy(scenario="{scenario}")'


def _steps(timeline: Timeline) -> list[State]:
    return [step.state for step in timeline]


def _walked(timeline: Timeline) -> list[tuple[State | None, State]]:
    """Return the transitions of a timeline; a job that stays in its state under another word makes none."""
    states = _steps(timeline)
    return [(None, states[0]), *((before, state) for before, state in pairwise(states) if before is not state)]
