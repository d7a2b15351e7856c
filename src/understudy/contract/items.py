"""Items of a list of jobs that differ by the state of the job: each is a view of its own, and is read by itself."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.contract.expressions import Scope
from understudy.contract.reading import Path, ReadError, Reading
from understudy.contract.templates import Either, Template
from understudy.contract.views import Read, View
from understudy.lifecycle import Json

#: Where a reading has the state that an item was read in; no expression is called so.
READ_STATE = "readState"


@dataclass(frozen=True, slots=True)
class Item(Either):
    """An item that is a view of its job: of the forms the state tells which one it has."""

    view: View

    @classmethod
    def of(cls, view: View) -> Item:
        """Return what stands for each job of a list."""
        return cls(tuple(template for forms in view.variants.values() for _, template in forms), view)

    def form_of(self, value: Json) -> Template:
        return self.view.variants[self._read(value).state][-1][1]

    def render(self, scope: Scope) -> Json:
        return self.view.render(scope, scope["job"].state).body

    def read(self, value: Json, into: Reading, at: Path) -> None:
        try:
            state, reading = self._read(value)
        except ReadError as error:
            raise ReadError((*at, *error.pointer), error.expected) from None
        into.update(reading)
        into["job", READ_STATE] = state

    def _read(self, value: Json) -> Read:
        return self.view.read(value, {"response": {"body": value}})
