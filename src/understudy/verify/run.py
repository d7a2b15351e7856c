"""`understudy verify`: hold a provider to its contract, and say what is different, for people and for CI."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path

from understudy.clock import Clock, SystemClock
from understudy.contract.model import Contract
from understudy.errors import UsageError, suggestion
from understudy.folders import find_provider
from understudy.library import load_provider
from understudy.outputs import WRITERS, Case, Finding
from understudy.reach import is_loopback
from understudy.receiver import Receiver
from understudy.verify.budget import Budget
from understudy.verify.findings import GRADES, LEVELS, Found
from understudy.verify.jobs import Callbacks
from understudy.verify.line import Line
from understudy.verify.suite import CHECKS, Checked, Suite


def run(
    provider: str,
    *,
    base_url: str,
    key_env: str,
    budget: str = "0",
    only: Sequence[str] = (),
    resume: Path | None = None,
    callback_url: str | None = None,
    callback_port: int = 0,
    secret_env: str | None = None,
    format: str = "text",
    fail_on: str = "breaking",
    clock: Clock | None = None,
) -> int:
    """Verify a provider and print what is different.

    Args:
        provider: Its name, or a path to its contract folder.
        base_url: Where it is.
        key_env: The environment variable that has the key.
        budget: What may be spent, in US dollars; with 0 nothing is paid for.
        only: The checks that are made; none for all.
        resume: Where progress is kept, and taken up from; a file named after the provider by default.
        callback_url: The address that the provider can call back, from which a tunnel leads here.
        callback_port: The port on loopback that the tunnel leads to; 0 for any.
        secret_env: The environment variable that has the secret of callbacks.
        format: `text`, `json`, or one of `outputs`.
        fail_on: The mildest grade that fails: `breaking`, `drift`, `variable`; `never` for none.
        clock: By which is waited; the machine's by default.

    Returns:
        The exit code: 0 when nothing of that grade was found, 1 when something was.

    Raises:
        UsageError: There is no such provider, check or variable, the budget is no amount of money, or nobody is at the
            base URL.
        ContractInvalid: The contract cannot be used.
    """
    contract, behaviour = load_provider(find_provider(provider))
    for name in only:
        if name not in CHECKS:
            raise UsageError(f'there is no check "{name}"; {suggestion(name, CHECKS)}')
    key = _variable(key_env)
    secret = None if secret_env is None else _variable(secret_env)
    most = _money(budget)
    file = resume if resume is not None else Path(f"understudy-verify-{contract.name}.json")
    if most and resume is None and file.exists():
        raise UsageError(f"{file} has the progress of a run that was interrupted: --resume {file}, or remove it")
    time = clock if clock is not None else SystemClock()
    progress = Budget(file if most else None, most, {"provider": contract.name, "base_url": base_url})
    with (
        Line(contract, base_url=base_url, api_key=key, clock=time) as line,
        _callbacks(line, callback_url, callback_port) as callbacks,
    ):
        line.reach()
        suite = Suite(
            contract,
            behaviour,
            line,
            clock=time,
            budget=progress,
            callbacks=callbacks,
            secret=secret,
            tell=_tell,
        )
        checks = list(suite.run(only))
    if most and resume is None:
        file.unlink(missing_ok=True)
    _print(contract, checks, progress, format)
    failing = () if fail_on == "never" else GRADES[: [str(grade) for grade in GRADES].index(fail_on) + 1]
    return 1 if any(found.grade in failing for check in checks for found in check.found) else 0


def _variable(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise UsageError(f"the environment variable {name} is not set, or empty: put the key there")
    return value


def _money(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise UsageError(f'"{text}" is no amount of money: a budget is US dollars, such as 0.50')
    return amount


@contextmanager
def _callbacks(line: Line, url: str | None, port: int) -> Iterator[Callbacks | None]:
    """Yield where callbacks come in; only what runs on this machine can call back without a tunnel."""
    if url is None and not is_loopback(line.host):
        yield None
        return
    with Receiver(port=port) as receiver:
        yield Callbacks(url or receiver.url, receiver.received)


def _print(contract: Contract, checks: Sequence[Checked], budget: Budget, format: str) -> None:
    if format == "json":
        told = [{**check._asdict(), "found": [found._asdict() for found in check.found]} for check in checks]
        data = {"provider": contract.name, "spent": f"{budget.spent:f}", "checks": told}
        sys.stdout.write(json.dumps(data, indent=2) + "\n")
    elif format in WRITERS:
        sys.stdout.write(WRITERS[format]("verify", as_cases(contract, checks)))
    else:
        sys.stdout.write(as_text(contract, checks, budget))


def as_text(contract: Contract, checks: Sequence[Checked], budget: Budget) -> str:
    """Return what is different for people, the worst first."""
    lines: list[str] = []
    for grade in GRADES:
        own = [(check, found) for check in checks for found in check.found if found.grade == grade]
        if own:
            lines.append(grade)
        lines += [f"  {check.name}: {_where(found)}{found.text} ({found.rule})" for check, found in own]
    counts = Counter(found.grade for check in checks for found in check.found)
    summary = ", ".join(f"{counts[grade]} {grade}" for grade in GRADES if counts[grade]) or "as the contract has it"
    made = [check for check in checks if check.skipped is None]
    lines.append(f"{contract.name}: {summary}; {len(made)} of {len(checks)} checks made, {budget.spent:f} USD spent")
    return "".join(f"{line}\n" for line in lines)


def _where(found: Found) -> str:
    return f"{found.operation} " if found.operation else ""


def as_cases(contract: Contract, checks: Sequence[Checked]) -> list[Case]:
    """Return the checks for CI; what is different stands where the contract has the operation."""
    return [
        Case(
            contract.name,
            check.name,
            tuple(_finding(contract, found) for found in check.found),
            check.skipped,
            check.seconds,
        )
        for check in checks
    ]


def _finding(contract: Contract, found: Found) -> Finding:
    operation = contract.operations.get(found.operation)
    at = () if operation is None else ("paths", operation.path, operation.method.lower())
    return Finding(found.rule, LEVELS[found.grade], f"{_where(found)}{found.text}", *contract.document.where(at))


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
