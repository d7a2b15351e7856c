"""Compile a contract: hold its files against the format, and turn `x-jobs` into the data of `model`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from understudy.contract.callbacks import compile_callback
from understudy.contract.catalogue import ENGINE_ERRORS
from understudy.contract.closed import hold_to_format
from understudy.contract.compiler import At, Compiler
from understudy.contract.creates import Create, compile_create
from understudy.contract.endings import Ending, compile_from
from understudy.contract.failures import compile_catalogue, compile_failures
from understudy.contract.frames import Events, compile_events
from understudy.contract.ids import compile_id
from understudy.contract.loader import Document, load
from understudy.contract.model import (
    Assets,
    Contract,
    Filter,
    JobType,
    Listing,
    ModelInfo,
    ModelOperation,
    Pace,
    Price,
    Rate,
    Renew,
    Result,
    Retention,
    Status,
    Upload,
)
from understudy.contract.older import modernise
from understudy.contract.openapi import OpenApi
from understudy.contract.overlay import lay_over
from understudy.contract.pages import compile_paging
from understudy.contract.templates import Template
from understudy.contract.views import View
from understudy.errors import suggestion
from understudy.folders import document_of
from understudy.lifecycle import State


def load_document(folder: Path) -> Document:
    """Read the OpenAPI document of one provider, with the overlay that may lie beside it.

    Raises:
        ContractInvalid: One of the two cannot be read, or does not fit the other.
    """
    document = load(document_of(folder) or folder / "openapi.yaml")
    overlay = folder / "overlay.yaml"
    if overlay.exists():
        lay_over(document, overlay)
    modernise(document)
    return document


def load_contract(folder: Path, *, proven: bool = False) -> Contract:
    """Read and compile the contract of one provider.

    Args:
        folder: `contracts/<provider>`, with an `openapi.yaml` in it.
        proven: Whether it is known to be in the format, which takes a fifth of the time to see.

    Returns:
        The compiled contract; it is called like its folder.

    Raises:
        ContractInvalid: With every problem found.
    """
    return compile_contract(load_document(folder), folder, proven=proven)


def compile_contract(document: Document, folder: Path, *, proven: bool = False) -> Contract:
    """Compile a document that was read; see `load_contract`.

    Args:
        document: The document.
        folder: Where it was read from, after which the contract is called.
        proven: Whether it is known to be in the format.
    """
    if not proven:
        hold_to_format(document)
    openapi = OpenApi(document)
    job_types = {
        name: _JobTypeBuilder(document, openapi, ("x-jobs", name), node).build(name)
        for name, node in document.data["x-jobs"].items()
    }
    document.raise_if_invalid()
    return Contract(folder.name, folder, document, openapi.operations, openapi.router, job_types)


class _JobTypeBuilder(Compiler):
    """Compiles one entry of `x-jobs`; the format's schema has been held to it before."""

    def __init__(self, document: Document, openapi: OpenApi, at: At, node: dict[str, Any]) -> None:
        super().__init__(document)
        self._openapi = openapi
        self._at = at
        self._node = node
        self._words = self.words(node["states"], (*at, "states"))
        self._success = self.condition(node.get("successCriteria"), (*at, "successCriteria"))
        names = [name for group in node["create"] for name in group["operations"]]
        creates = [openapi.operations[name] for name in names if name in openapi.operations]
        self._chosen_id, self._id = compile_id(self, node["id"], (*at, "id"), creates)

    def build(self, name: str) -> JobType:
        node, at = self._node, self._at
        creates = tuple(self._create(group, (*at, "create", index)) for index, group in enumerate(node["create"]))
        transports = tuple(node.get("errorTransports", ("http",)))
        errors = compile_catalogue(self, node.get("errors", {}), (*at, "errors"), transports, self._operations)
        prices, limits = node.get("prices", {}), node.get("limits", {})
        outputs = None if "outputs" not in node else self.template(node["outputs"], (*at, "outputs"))
        return JobType(
            name=name,
            id=self._id,
            chosen_id=self._chosen_id,
            words=self._words,
            success=self._success,
            creates=creates,
            status=self._part("status", self._status),
            result=self._part("result", self._result),
            cancel=self._part("cancel", self._ending),
            delete=self._part("delete", self._ending),
            listing=self._part("list", self._listing),
            events=self._part("events", self._events),
            callback=self._part(
                "callback", partial(compile_callback, self, words=self._words, operation=self._operation)
            ),
            outputs=outputs,
            assets=self._part("assets", self._assets),
            errors=errors,
            failures=compile_failures(self, node.get("failures", {}), (*at, "failures")),
            models=self._models(creates),
            model_operations=self._model_operations(node.get("models", {}), (*at, "models")),
            replies={
                self._operation(operation, (*at, "replies", operation)): self._view(
                    view, (*at, "replies", operation), of_job=False
                )
                for operation, view in node.get("replies", {}).items()
                if not operation.startswith("x-")
            },
            uploads=tuple(
                self._upload(entry, (*at, "files", index)) for index, entry in enumerate(node.get("files", ()))
            ),
            rates=tuple(
                Rate(
                    frozenset(self._operations(rule["operations"], (*at, "limits", "rate", index, "operations"))),
                    rule["count"],
                    rule["perSeconds"],
                )
                for index, rule in enumerate(limits.get("rate", ()))
            ),
            concurrent_jobs=limits.get("concurrent", {}).get("jobs"),
            unit=prices.get("unit", ""),
            usd_per_unit=prices.get("usdPerUnit"),
            prices=tuple(
                self._price(rule, (*at, "prices", "rules", index)) for index, rule in enumerate(prices.get("rules", ()))
            ),
            retention=self._retention(node.get("retention", {}), (*at, "retention")),
        )

    def _view(self, node: dict[str, Any], at: At, *, of_job: bool = True, of_failures: bool = False) -> View:
        failures = self._node.get("failures", {}) if of_failures else {}
        failed_http = frozenset(entry["http"] for entry in failures.values() if "http" in entry)
        return self.view(node, at, self._words, self._success, of_job=of_job, failed_http=failed_http)

    def _part(self, key: str, build: Any) -> Any:
        return build(self._node[key], (*self._at, key)) if key in self._node else None

    def _operation(self, name: str, at: At) -> str:
        if name not in self._openapi.operations:
            self.problem(at, f'there is no operation "{name}"; {suggestion(name, self._openapi.operations)}')
        return name

    def _operations(self, names: Iterable[str], at: At) -> tuple[str, ...]:
        return tuple(self._operation(name, (*at, index)) for index, name in enumerate(names))

    def _link(self, node: dict[str, Any], at: At) -> Template | None:
        return self.template(node["link"], (*at, "link")) if "link" in node else None

    def _models(self, creates: tuple[Create, ...]) -> dict[str, ModelInfo]:
        """Return the models: those that the first create's body names, and those that have a create of their own."""
        found = self._openapi.models(creates[0]) if creates else {}
        for create in creates:
            model = next(iter(create.model), None)
            if isinstance(model, str) and model not in found:
                found[model] = self._openapi.model(model, create)
        return found

    # --- operations ---

    def _create(self, node: dict[str, Any], at: At) -> Create:
        names = self._operations(node["operations"], (*at, "operations"))
        if "idempotency" in node:
            self._error_name(node["idempotency"]["conflict"], (*at, "idempotency", "conflict"))
        return compile_create(
            self,
            node,
            at,
            names=names,
            operations=self._openapi.operations,
            chosen_id=self._chosen_id,
            reply=self._view(node["reply"], (*at, "reply"), of_failures="sync" in node),
        )

    def _status(self, node: dict[str, Any], at: At) -> Status:
        invisible = node.get("notYetVisible", {})
        if invisible:
            self._error_name(invisible["error"], (*at, "notYetVisible", "error"))
        return Status(
            operation=self._operation(node["operation"], (*at, "operation")),
            id=self.place(node["id"], (*at, "id")),
            link=self._link(node, at),
            reply=self._view(node["reply"], (*at, "reply")),
            invisible_error=invisible.get("error"),
            invisible_seconds=invisible.get("withinSeconds", 0),
            give_up_seconds=node.get("giveUpSeconds"),
            poll=tuple(Pace(step.get("untilSeconds"), step["everySeconds"]) for step in node.get("poll", ())),
        )

    def _result(self, node: dict[str, Any], at: At) -> Result:
        return Result(
            operation=self._operation(node["operation"], (*at, "operation")),
            id=self.place(node["id"], (*at, "id")),
            link=self._link(node, at),
            minted=node.get("resultId"),
            reply=self._view(node["reply"], (*at, "reply"), of_failures=True),
        )

    def _ending(self, node: dict[str, Any], at: At) -> Ending:
        reply = self._view(node["reply"], (*at, "reply"))
        return Ending(
            operation=self._operation(node["operation"], (*at, "operation")),
            id=self.place(node["id"], (*at, "id")),
            link=self._link(node, at),
            states=compile_from(self, node["from"], (*at, "from"), self._words),
            reply=reply,
            refused=self._view(node["refused"], (*at, "refused")) if "refused" in node else reply,
            refund=self.share(node),
        )

    def _listing(self, node: dict[str, Any], at: At) -> Listing:
        filters = []
        for index, entry in enumerate(node.get("filter", ())):
            place = (*at, "filter", index)
            otherwise = entry.get("otherwise")
            filters.append(
                Filter(
                    self.expression(entry["by"], (*place, "by")),
                    self.place(entry["is"], (*place, "is")),
                    None if otherwise is None else tuple(otherwise),
                )
            )
        reply = self._view(node["reply"], (*at, "reply"), of_job=False)
        return Listing(
            operation=self._operation(node["operation"], (*at, "operation")),
            filters=tuple(filters),
            reply=reply,
            paging=compile_paging(self, node["page"], (*at, "page"), reply) if "page" in node else None,
        )

    def _events(self, node: dict[str, Any], at: At) -> Events:
        return compile_events(self, node, at, self._operation(node["operation"], (*at, "operation")), self._words)

    def _assets(self, node: dict[str, Any], at: At) -> Assets:
        renew = None
        if "renew" in node:
            inner, place = node["renew"], (*at, "renew")
            renew = Renew(
                operation=self._operation(inner["operation"], (*place, "operation")),
                url=self.place(inner["url"], (*place, "url")),
                lifetime_seconds=inner["lifetimeSeconds"],
                reply=self._view(inner["reply"], (*place, "reply"), of_job=False),
            )
        self._error_name(node.get("expired", "expired"), (*at, "expired"))
        return Assets(
            url=self.text(node["url"], (*at, "url")),
            lifetime_seconds=node.get("lifetimeSeconds"),
            needs_key=node.get("needsKey", False),
            expired=node.get("expired", "expired"),
            renew=renew,
        )

    def _retention(self, node: dict[str, Any], at: At) -> Retention:
        if "then" in node and State.EXPIRED not in self._words.by_state:
            self.problem((*at, "then"), 'a job cannot be shown as expired: "states" has no word for it')
        return Retention(node.get("jobSeconds"), node.get("dataSeconds"), "then" in node)

    def _model_operations(self, node: dict[str, Any], at: At) -> tuple[ModelOperation, ...]:
        found = []
        for key in ("list", "details"):
            if key in node:
                inner, place = node[key], (*at, key)
                found.append(
                    ModelOperation(
                        operation=self._operation(inner["operation"], (*place, "operation")),
                        model=self.place(inner["model"], (*place, "model")) if "model" in inner else None,
                        reply=self._view(inner["reply"], (*place, "reply"), of_job=False),
                    )
                )
        return tuple(found)

    def _upload(self, node: dict[str, Any], at: At) -> Upload:
        return Upload(
            operations=self._operations(node["operations"], (*at, "operations")),
            content=self.place_in(node, "content", at),
            name=self.place_in(node, "name", at),
            folder=self.place_in(node, "folder", at),
            url=self.text(node["url"], (*at, "url")),
            lifetime_seconds=node.get("lifetimeSeconds"),
            reply=self._view(node["reply"], (*at, "reply"), of_job=False),
        )

    def _price(self, node: dict[str, Any], at: At) -> Price:
        return Price(self.condition(node.get("when"), (*at, "when")), node["amount"], self.place_in(node, "per", at))

    def _error_name(self, name: str, at: At) -> None:
        names = {*self._node.get("errors", {}), *ENGINE_ERRORS}
        if name not in names:
            self.problem(at, f'there is no error "{name}"; {suggestion(name, names)}')
