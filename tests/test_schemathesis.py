"""Schemathesis, with all of its checks, finds nothing wrong with a stand-in: it keeps to its own OpenAPI document."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings

from tests.live import PROVIDERS, told
from understudy import serve
from understudy.contract.model import Contract
from understudy.folders import find_provider


def asked(contract: Contract) -> set[str]:
    """Return the operations of a contract without its endless streams."""
    streams = {kind.events.operation for kind in contract.job_types.values() if kind.events is not None}
    return contract.operations.keys() - streams


#: A small contract of several hosts, with results that fail by status.
APIS = Path(__file__).parent / "apis"


#: Measured is the first alone: the others touch nothing more.
FIRST, *OTHERS = [*PROVIDERS, "twostep"]


@pytest.mark.parametrize("name", [FIRST, *(pytest.param(name, marks=pytest.mark.unmeasured) for name in OTHERS)])
def test_a_stand_in_keeps_to_its_document(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever is sent to a stand-in, valid or not, its answers are those that its document promises."""
    with serve(name, paths=[APIS], speed=10_000) as server:
        contract = server.provider(name).contract
        server.provider(name).accounts.of_key("key").ledger.balance = 10**9
        (scheme,) = {security.scheme for security in contract.securities[:1]}
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run", str(contract.folder / "openapi.yaml")),
            *("--url", server.url_of(name), "--header", f"Authorization: {scheme} key", "--checks", "all"),
            *(
                "--max-examples",
                str(settings().max_examples // 10),
                "--generation-deterministic",
                "--continue-on-failure",
            ),
        ]
        hooks = {**os.environ, "SCHEMATHESIS_HOOKS": "understudy.schemathesis"}
        run = subprocess.run(command, cwd=tmp_path, env=hooks, capture_output=True, text=True)
        exchanges = told(server, name).exchanges

    assert run.returncode == 0, run.stdout + run.stderr
    assert asked(contract) <= {exchange.operation for exchange in exchanges}
    assert {"credits", "serverError"}.isdisjoint({exchange.error for exchange in exchanges})
    assert "defect" not in capfd.readouterr().err


def test_errors_inside_http_200_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error inside HTTP 200 gets its status; a server error is a failure, and that there is no such job is none."""
    from schemathesis.core.failures import ServerError  # it takes its time to load
    from schemathesis.openapi.checks import RejectedPositiveData

    from understudy import schemathesis as hooks  # it alters Schemathesis

    raw = {"operationId": "recordInfo"}
    location = (find_provider("kie").contract / "openapi.yaml").as_uri()
    operation = SimpleNamespace(definition=SimpleNamespace(raw=raw), schema=SimpleNamespace(location=location))
    case: Any = SimpleNamespace(operation=operation)
    response: Any = SimpleNamespace(
        status_code=200, content=b'{"code": 422, "msg": "recordInfo is null", "data": null}'
    )
    monkeypatch.setattr(hooks, "_send", lambda case, **more: response)
    assert hooks._sent(case).status_code == 422
    rejected, broken = (kind.__new__(kind) for kind in (RejectedPositiveData, ServerError))
    context: Any = None
    assert not hooks.filter_failure(context, rejected, case, response)
    assert not hooks.filter_failure(context, broken, case, response)
    response.content = b'{"code": 500, "msg": "Internal server error", "data": null}'
    assert hooks.filter_failure(context, broken, case, response)
    response.content = b'{"code": 200, "msg": "success", "data": null}'
    assert hooks.filter_failure(context, rejected, case, response)
