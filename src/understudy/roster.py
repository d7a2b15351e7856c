"""The roster: the providers that a server plays, how they are found by address, and how they are loaded anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from understudy import journal
from understudy.behaviour import Behaviour
from understudy.clock import Clock
from understudy.contract.catalogue import Transport
from understudy.contract.model import Contract
from understudy.errors import ContractInvalid, Problem, UsageError, suggestion
from understudy.fake import hosts_of
from understudy.library import Folders, find_provider, load_provider, provider_names, stamp
from understudy.provider import Provider
from understudy.stage import Send


@dataclass(eq=False, slots=True)
class Role:
    """A provider that is played.

    Attributes:
        folders: Where it was loaded from.
        stamp: What its files were like then.
        provider: Its pipeline.
        hosts: The hosts of the real one.
        scenario: The story that is played.
        errors: How its errors come, where that was asked for.
        told: The last entry of the journal that is in the log.
    """

    folders: Folders
    stamp: tuple[tuple[str, int], ...]
    provider: Provider
    hosts: tuple[str, ...]
    scenario: str | None
    errors: Transport | None
    told: journal.Entry | None = field(default=None)

    @property
    def name(self) -> str:
        """The provider's name."""
        return self.provider.contract.name


class Roster:
    """The providers of one server.

    Args:
        names: Their names, or paths to their contract folders; none for all that are found.
        clock: By which everything happens.
        send: Sends callbacks.
        seed: From which ids are minted.
        scenario: The story that is played by those that have it.
        errors: How errors come from those that can send them so.
        paths: Folders to look in before the working directory.

    Raises:
        UsageError: There is no such provider, and none has such a scenario or such errors.
        ContractInvalid: Files cannot be used.
    """

    def __init__(
        self,
        names: Iterable[str],
        *,
        clock: Clock,
        send: Send,
        seed: int = 0,
        scenario: str | None = None,
        errors: Transport | None = None,
        paths: Iterable[Path] = (),
    ) -> None:
        self._clock = clock
        self._send = send
        self._seed = seed
        paths = tuple(paths)
        folders = [find_provider(name, paths) for name in dict.fromkeys(names) or provider_names(paths)]
        stamps = [stamp(place) for place in folders]  # before they are read, so that no change is missed
        loaded = _load_all(folders)
        _one_of("scenario", scenario, [name for _, behaviour in loaded for name in behaviour.scenarios])
        _one_of("error transport", errors, [name for contract, _ in loaded for name in _transports(contract)])
        self._roles: dict[str, Role] = {}
        for place, at, (contract, behaviour) in zip(folders, stamps, loaded, strict=True):
            story = scenario if scenario in behaviour.scenarios else None
            transport = errors if errors in _transports(contract) else None
            provider = self._provider(contract, behaviour, story, transport)
            self._roles[contract.name] = Role(place, at, provider, hosts_of(contract), story, transport)

    def __iter__(self) -> Iterator[Role]:
        return iter(self._roles.values())

    def role(self, name: str) -> Role:
        """Return a provider by its name.

        Raises:
            UsageError: It is not played here.
        """
        if name not in self._roles:
            raise UsageError(f'"{name}" is not played here; {suggestion(name, self._roles)}')
        return self._roles[name]

    def find(self, host: str, path: str) -> tuple[Role, str] | None:
        """Return whose a request is, and its path there; None where it is nobody's.

        Args:
            host: Without its port, in lower case.
            path: The raw path, percent-encoded.
        """
        for role in self:
            if host in role.hosts:
                return role, path
        first, _, rest = path.removeprefix("/").partition("/")
        named = self._roles.get(unquote(first))
        return None if named is None else (named, f"/{rest}")

    def outdated(self) -> list[Role]:
        """Return the providers whose files have changed; each change is told once."""
        found = []
        for role in self:
            try:
                now = stamp(role.folders)
            except OSError:
                continue  # a file vanished while we looked: the next look will tell
            if now != role.stamp:
                role.stamp = now
                found.append(role)
        return found

    def replace(self, role: Role) -> None:
        """Load a provider anew; its jobs are forgotten.

        Raises:
            UsageError: It no longer has the scenario that is played; it stays as it was.
            ContractInvalid: Its files cannot be used; it stays as it was.
        """
        contract, behaviour = load_provider(role.folders)
        fresh = self._provider(contract, behaviour, role.scenario, role.errors)
        role.provider.reset()
        role.provider, role.hosts, role.told = fresh, hosts_of(contract), None

    def _provider(
        self, contract: Contract, behaviour: Behaviour, scenario: str | None, errors: Transport | None
    ) -> Provider:
        return Provider(
            contract,
            behaviour,
            clock=self._clock,
            seed=self._seed,
            scenario=scenario,
            errors=errors,
            send=self._send,
        )


def _load_all(folders: list[Folders]) -> list[tuple[Contract, Behaviour]]:
    """Load providers; what is wrong with any of them is told at once."""
    loaded, problems = [], list[Problem]()
    for place in folders:
        try:
            loaded.append(load_provider(place))
        except ContractInvalid as error:
            problems += error.problems
    if problems:
        raise ContractInvalid(problems)
    return loaded


def _transports(contract: Contract) -> tuple[Transport, ...]:
    return contract.job_type.errors.transports


def _one_of(kind: str, name: str | None, options: list[str]) -> None:
    if name is not None and name not in options:
        raise UsageError(f'no provider here has the {kind} "{name}"; {suggestion(name, dict.fromkeys(options))}')
