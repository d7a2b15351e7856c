"""With which HTTP statuses each operation can be answered, and what has it answered so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from understudy.behaviour import Behaviour
from understudy.contract.catalogue import ErrorRule
from understudy.contract.model import Contract, JobType
from understudy.contract.operations import Operation
from understudy.contract.views import View
from understudy.lifecycle import TERMINAL, State

#: A key that most stand-ins refuse.
WRONG_KEY = "invalid-key"


def answers_of(contract: Contract, behaviour: Behaviour) -> list[tuple[str, str]]:
    """Return each operation with each status that it can have, and what has it answered so.

    The statuses are those of its views, in the states that a job can be in, and those of the named errors that it meets
    by itself or that the contract has for it, as errors come by default.
    """
    found: dict[str, str] = {}
    for kind in contract.job_types.values():
        for operation, part in kind.operation_ids().items():
            answers = _Answers(contract.operations[operation], part, kind, contract.name.replace("-", "_"), behaviour)
            for status, close in (*answers.views(), *answers.errors()):
                found.setdefault(f"{operation} {status}", close)
    return list(found.items())


class _Answers:
    """The answers of one operation."""

    def __init__(self, operation: Operation, part: str, kind: JobType, fake: str, behaviour: Behaviour) -> None:
        self._operation = operation
        self._part = part
        self._kind = kind
        self._fake = fake
        self._behaviour = behaviour
        self._call = f"{operation.id}: {operation.method} {operation.path}"
        self._named = [state for state in State if state in kind.words.by_state]

    def views(self) -> Iterator[tuple[int, str]]:
        """Return the statuses of what it answers when all is well."""
        id, kind = self._operation.id, self._kind
        if self._part == "create":
            group = next(group for group in kind.creates if id in group.operations)
            states = [self._behaviour.timeline[0].state]
            if group.sync is not None:  # it blocks until the end, or until its patience ends
                states = [state for state in self._named if state in TERMINAL or group.sync.max_seconds]
            yield from self._of(group.reply, states)
        elif kind.endings(id):
            for way in kind.endings(id):
                yield from self._of(way.reply, [state for state in self._named if state in way.states])
            working = frozenset[State]().union(*(way.states for way in kind.endings(id)))
            yield from self._of(kind.endings(id)[0].refused, [state for state in self._named if state not in working])
        elif part := next((part for part in (kind.status, kind.result) if part and part.operation == id), None):
            yield from self._of(part.reply, self._named)
        else:
            yield self._plain(), f"# call {self._call}"

    def _plain(self) -> int:
        """Return the status of an answer that is about no job in particular."""
        id, kind = self._operation.id, self._kind
        views = [kind.listing.reply] if kind.listing is not None and kind.listing.operation == id else []
        views += [entry.reply for entry in kind.model_operations if entry.operation == id]
        views += [view for operation, view in kind.replies.items() if operation == id]
        views += [upload.reply for upload in kind.uploads if id in upload.operations]
        renew = kind.assets.renew if kind.assets is not None else None
        views += [renew.reply] if renew is not None and renew.operation == id else []
        return views[0].http[None] if views else 200

    def _of(self, view: View, states: Iterable[State]) -> Iterator[tuple[int, str]]:
        usual = {step.state for step in self._behaviour.timeline}
        for state in states:
            status = view.http.get(state, view.http[None])
            plain = status == view.http[None] and state in usual
            first = f"{self._fake}.next_job(state=State.{state.name})  # then"
            yield status, f"# call {self._call}" if plain else f"{first} {self._call}"
        for failure in self._kind.failures.values():
            if failure.http in view.failed_http and failure.http is not None:
                yield failure.http, f'{self._fake}.next_job(failure="{failure.name}")  # then {self._call}'

    def errors(self) -> Iterator[tuple[int, str]]:
        """Return the statuses of the named errors that it meets."""
        catalogue = self._kind.errors
        for name, rules in catalogue.rules.items():
            own = [rule for rule in rules if self._meets(rule)]
            for rule in sorted(own, key=lambda rule: rule.when is not None):  # what can be asked for comes first
                by = rule.transport or catalogue.transports[0]
                status = 200 if by == "body" else rule.http
                yield status, self._error(rule) if rule.when is None else f'# have it answer "{name}": {self._call}'

    def _meets(self, rule: ErrorRule) -> bool:
        if rule.operations is not None:
            return self._operation.id in rule.operations
        operation, name = self._operation, rule.name
        takes = operation.body is not None
        by_itself = {
            "unauthorized": bool(operation.security),
            "notFound": self._part in self._kind.about_a_job,
            "rateLimited": any(operation.id in rate.operations for rate in self._kind.rates),
            "invalid": takes or bool(operation.parameters),
            **dict.fromkeys(("malformed", "unsupportedMediaType", "tooLarge"), takes),
            **dict.fromkeys(("unknownPath", "methodNotAllowed", "expired"), False),
        }
        return by_itself.get(name, self._part == "create")

    def _error(self, rule: ErrorRule) -> str:
        if rule.name == "unauthorized" and self._behaviour.refused_keys.search(WRONG_KEY):
            return f'{self._fake}.client(api_key="{WRONG_KEY}")  # then {self._call}'
        if self._part == "create":
            return f'{self._fake}.next_job(error="{rule.name}")  # then {self._call}'
        return f'{self._fake}.fault("error", on="{self._part}", error="{rule.name}")  # then {self._call}'
