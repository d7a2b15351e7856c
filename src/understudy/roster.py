"""The roster: the providers that a server plays, how they are found by address, and how they are loaded."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from understudy.errors import ContractInvalid, Problem, UsageError, suggestion
from understudy.folders import Folders, Paths, base_path_of, find_provider, provider_names, stamp
from understudy.reach import host_of, is_loopback

if TYPE_CHECKING:
    from understudy import journal
    from understudy.behaviour import Behaviour
    from understudy.clock import Clock
    from understudy.contract.catalogue import Transport
    from understudy.contract.model import Contract
    from understudy.coverage.tally import Tally
    from understudy.provider import Provider
    from understudy.stage import Send

# What plays a provider is imported when one is loaded: a server has to answer soon.


class Roster:
    """The providers of one server.

    One that comes with the package has been proven usable, and is loaded when it is first asked for. The user's own are
    loaded at once, so that what is wrong with their files is told at once.

    Args:
        names: Their names, or paths to their contract folders; none for all that are found.
        clock: By which everything happens.
        send: Sends callbacks.
        seed: From which ids are minted.
        scenario: The story that is played by those that have it.
        errors: How errors come from those that can send them so.
        balance: What accounts start with, in each provider's unit; None for what is usual.
        callback_url: The address of the account, of those that send callbacks there.
        paths: Folders to look in before the working directory.

    Raises:
        UsageError: There is no such provider, and none has such a scenario, such errors or such an address.
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
        balance: float | None = None,
        callback_url: str | None = None,
        paths: Paths = (),
    ) -> None:
        self.clock = clock
        self.send = send
        self.seed = seed
        self.scenario = scenario
        self.errors = errors
        self.balance = balance
        self.callback_url = callback_url
        paths = tuple(paths)
        folders = [find_provider(name, paths) for name in dict.fromkeys(names) or provider_names(paths)]
        self._roles = {place.contract.name: Role(self, place) for place in folders}
        if (scenario, errors, callback_url) != (None, None, None):
            _load_all(self)
            _one_of("scenario", scenario, [name for role in self for name in role.provider.behaviour.scenarios])
            rules = [role.provider.contract.job_type.errors for role in self]
            _one_of("error transport", errors, [name for rule in rules for name in rule.transports])
            if callback_url is not None and not any(role.provider.contract.tells_accounts for role in self):
                raise UsageError("no provider here sends callbacks to an address of the account: name it in the create")
        else:
            _load_all(role for role in self if not role.folders.bundled)

    def __iter__(self) -> Iterator[Role]:
        return iter(self._roles.values())

    @functools.cached_property
    def tally(self) -> Tally:
        """Counts what is touched of them, for as long as the server runs."""
        from understudy.coverage.tally import Tally

        return Tally()

    def playing(self) -> Iterator[Role]:
        """Return the providers that are loaded: only those have jobs, accounts and a journal."""
        return (role for role in self if role.playing)

    def role(self, name: str) -> Role:
        """Return a provider by its name.

        Raises:
            UsageError: It is not played here.
        """
        if name not in self._roles:
            raise UsageError(f'"{name}" is not played here; {suggestion(name, self._roles)}')
        return self._roles[name]

    def find(self, host: str, path: str) -> tuple[Role, str, str] | None:
        """Return whose a request is, its path there, and which of its hosts it is for, where that is said.

        A path begins with the name of a provider, or with one of its hosts.

        Returns:
            The three, or None where it is nobody's.

        Args:
            host: Without its port, in lower case.
            path: The raw path, percent-encoded.
        """
        # no provider that comes with the package has its home on loopback: none need be loaded to know that
        for role in self.playing() if not host or is_loopback(host) else self:
            if host in role.hosts:
                return role, path, host
        first, _, rest = path.removeprefix("/").partition("/")
        named = self._roles.get(unquote(first))
        if named is not None:
            return named, f"/{rest}", ""
        owner = next((role for role in self if first in role.hosts), None) if "." in first else None
        return None if owner is None else (owner, f"/{rest}", first)

    def outdated(self) -> list[Role]:
        """Return the providers that are played and whose files have changed; each change is told once."""
        found = []
        for role in self.playing():
            try:
                now = stamp(role.folders)
            except OSError:
                continue  # a file vanished while we looked: the next look will tell
            if now != role.stamp:
                role.stamp = now
                found.append(role)
        return found


class Role:
    """A provider that is played.

    Args:
        roster: What is true of all its providers.
        folders: Where it is loaded from.

    Attributes:
        name: The provider's name.
        folders: Where it is loaded from.
        stamp: What its files were like when it was loaded.
        scenario: The story that is played, once it is loaded.
        errors: How its errors come, where that was asked for, once it is loaded.
        told: The last entry of the journal that is in the log.
    """

    def __init__(self, roster: Roster, folders: Folders) -> None:
        self.name = folders.contract.name
        self.folders = folders
        self.stamp: tuple[tuple[str, int], ...] = ()
        self.scenario: str | None = None
        self.errors: Transport | None = None
        self.told: journal.Entry | None = None
        self._roster = roster
        self._provider: Provider | None = None
        self._lock = threading.Lock()

    @property
    def playing(self) -> bool:
        """Whether it has been loaded."""
        return self._provider is not None

    @property
    def provider(self) -> Provider:
        """Its stand-in; loaded when it is first asked for.

        Raises:
            ContractInvalid: Its files cannot be used.
        """
        return self._provider or self._loaded()

    def _loaded(self) -> Provider:
        from understudy.library import load_provider

        with self._lock:
            if self._provider is None:
                self.stamp = stamp(self.folders)  # before they are read, so that no change is missed
                contract, behaviour = load_provider(self.folders)
                if self._roster.scenario in behaviour.scenarios:
                    self.scenario = self._roster.scenario
                if self._roster.errors in contract.job_type.errors.transports:
                    self.errors = self._roster.errors
                self._provider = self._play(contract, behaviour)
            return self._provider

    @property
    def base_path(self) -> str:
        """The path of the real one's base URL, such as `/v1`; empty where it has none."""
        return self.provider.contract.base_path if self.playing else base_path_of(self.folders)

    def place_of(self, host: str) -> str:
        """Return where on a server the operations of one of its hosts are; without a slash before it or after it."""
        main, *others = self.provider.contract.servers
        server = next((server for server in others if host_of(server) == host), None)
        return f"{self.name}{urlsplit(main).path}" if server is None else f"{host}{urlsplit(server).path}"

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts of the real one."""
        return self.provider.contract.hosts

    def play(self, scenario: str | None) -> None:
        """Play another story from now on, or the usual.

        Raises:
            UsageError: It has none of that name.
        """
        self.provider.play(scenario)
        self.scenario = scenario

    def reset(self) -> None:
        """Forget its jobs, accounts, files and journal."""
        if self.playing:
            self.provider.reset()

    def reload(self) -> None:
        """Load it anew; its jobs are forgotten.

        Raises:
            UsageError: It no longer has the scenario that is played; it stays as it was.
            ContractInvalid: Its files cannot be used; it stays as it was.
        """
        from understudy.library import load_provider

        fresh = self._play(*load_provider(self.folders))
        self.provider.reset()
        self._provider, self.told = fresh, None

    def _play(self, contract: Contract, behaviour: Behaviour) -> Provider:
        from understudy.provider import Provider

        provider = Provider(
            contract,
            behaviour,
            clock=self._roster.clock,
            seed=self._roster.seed,
            scenario=self.scenario,
            errors=self.errors,
            balance=self._roster.balance,
            callback_url=self._roster.callback_url if contract.tells_accounts else None,
            send=self._roster.send,
        )
        self._roster.tally.attend(provider)
        return provider


def _load_all(roles: Iterable[Role]) -> None:
    """Load providers; what is wrong with any of them is told at once."""
    problems: list[Problem] = []
    for role in roles:
        try:
            _ = role.provider
        except ContractInvalid as error:
            problems += error.problems
    if problems:
        raise ContractInvalid(problems)


def _one_of(kind: str, name: str | None, options: list[str]) -> None:
    if name is not None and name not in options:
        raise UsageError(f'no provider here has the {kind} "{name}"; {suggestion(name, dict.fromkeys(options))}')
