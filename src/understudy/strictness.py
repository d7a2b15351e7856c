"""What a strict test does not let pass: requests that no provider knows, and callbacks that nobody took."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from understudy.errors import nearest
from understudy.journal import Attempt, Exchange
from understudy.provider import Provider
from understudy.reach import NOT_SENT

_UNEXPECTED = frozenset({"unknownPath", "methodNotAllowed", "unexpected host"})

# Lines of the timeline that are shown: the last ones.
_LINES = 15


def complaints(provider: Provider, account: str | None = None) -> list[str]:
    """Return what a strict test fails for, each in four lines and a timeline.

    Args:
        provider: Whose journal is looked at.
        account: Of which account; None for all.
    """
    entries = list(provider.journal)
    mine = [entry for entry in entries if isinstance(entry, Exchange) and account in (None, entry.account)]
    jobs = {job_id for entry in mine for job_id in entry.jobs}
    lost = _lost(entry for entry in entries if isinstance(entry, Attempt) and (account is None or entry.job_id in jobs))
    found = [*_unexpected(provider, mine), *lost]
    if found:
        told = provider.journal.timeline().splitlines()
        found[-1] += "\n" + "\n".join(told[-_LINES:])
    return found


def refused(host: str) -> str:
    """Return what a strict test says of a host that the proxy has refused."""
    return (
        f"unexpected host: {host}\n"
        f"  where: the proxy, behind which nothing leaves this machine\n"
        f"  expected: a host of a provider that is played; got: {host}\n"
        f"  do: mend the address, or let it pass with @pytest.mark.understudy(strict=False)"
    )


def _unexpected(provider: Provider, exchanges: Iterable[Exchange]) -> Iterator[str]:
    known = [f"{operation.method} {operation.path}" for operation in provider.contract.operations.values()]
    for entry in exchanges:
        if entry.operation is None and entry.error in _UNEXPECTED:
            asked = f"{entry.method} {entry.path}"
            close = nearest(asked, known)
            yield (
                f"unexpected request: {asked}\n"
                f"  where: the fake {provider.contract.name}, {entry.account}\n"
                f"  expected: {f'perhaps {close}' if close else ', '.join(known)}; got: {entry.status} {entry.error}\n"
                f"  do: mend the request, or let it pass with @pytest.mark.understudy(strict=False)"
            )


def _lost(attempts: Iterable[Attempt]) -> Iterator[str]:
    last = {(entry.job_id, entry.url): entry for entry in attempts}
    for entry in last.values():
        if not entry.delivered and not entry.note.startswith(NOT_SENT):
            answer = entry.note if entry.status is None else f"HTTP {entry.status}"
            yield (
                f"a callback was not taken: {entry.url}\n"
                f"  where: job {entry.job_id}, attempt {entry.attempt}\n"
                f"  expected: an answer that counts as delivered; got: {answer}\n"
                f"  do: mend the receiver, or let it pass with @pytest.mark.understudy(strict=False)"
            )
