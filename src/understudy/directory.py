"""The directory of a server: where a request leads, by how it calls whom it is for, and how that one calls itself."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import NamedTuple

from understudy.errors import suggestion
from understudy.roster import Role, Roster
from understudy.wire import Reply, Request, problem

#: Places that are remembered, by how they were called.
MAX_PLACES = 1_000

#: A Host header: a name or an address, and perhaps a port.
HOST_HEADER = re.compile(r"(\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9._-]+)(?::([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a server listens.

    Attributes:
        host: As a URL names it.
        port: Where the providers answer.
        asset_port: Where links to result files lead.
    """

    host: str
    port: int
    asset_port: int

    @property
    def url(self) -> str:
        """The URL of the providers."""
        return f"http://{self.host}:{self.port}"

    @property
    def asset_url(self) -> str:
        """The URL of the result files."""
        return f"http://{self.host}:{self.asset_port}"

    def as_called(self, host: str, port: str | None, called_port: int) -> tuple[str, str]:
        """Return both URLs as a client names them: the ports that it sees may be those of a port mapping."""
        seen = str(self.port) if called_port == self.asset_port else port
        return f"http://{host}:{seen}" if seen else f"http://{host}", f"http://{host}:{self.asset_port}"


class Place(NamedTuple):
    """Where a request leads: to whom, whether its path names them, which of their hosts, and how that is called."""

    role: Role
    named: bool
    host: str
    server_url: str
    asset_url: str


class Directory:
    """Finds whom a request is for.

    Args:
        roster: The providers.
        addresses: Where the server listens.
    """

    def __init__(self, roster: Roster, addresses: Addresses) -> None:
        self._roster = roster
        self._addresses = addresses
        self._places = functools.lru_cache(maxsize=MAX_PLACES)(self._place)

    def find(self, called: str, first: str, port: int) -> Place | None:
        """Return where a request leads, or None where it is nobody's.

        Args:
            called: Its Host header.
            first: The first segment of its path.
            port: Where it came in.
        """
        return self._places(called, first, port)

    def forget(self) -> None:
        """Look anew: a provider has changed."""
        self._places.cache_clear()

    def nobodys(self, request: Request) -> Reply:
        """Return the answer to a request that is nobody's, with whom it may be for."""
        urls = {role.name: f"{self._addresses.url}/{role.name}{role.base_path}" for role in self._roster}
        found = {role.name: role.provider.contract.router.find(request.method, request.path) for role in self._roster}
        # a parameter that spans segments takes the paths of all others as well: that tells nothing
        owners = [name for name, routed in found.items() if routed and not any("/" in x for x in routed.path.values())]
        first = request.path.strip("/").partition("/")[0]
        hint = (
            f"It is a path of {' and '.join(owners)}: put /{owners[0]} before it."
            if owners
            else f"A path begins with the name of a provider; {suggestion(first, urls)}"
        )
        detail = f"Nobody answers to {request.path}. {hint}"
        return problem(404, "no such provider", detail, providers=urls, admin=f"{self._addresses.url}/__admin/")

    def _place(self, called: str, first: str, port: int) -> Place | None:
        address = HOST_HEADER.fullmatch(called)
        host = address[1].lower() if address else ""
        path = f"/{first}/"
        found = self._roster.find(host, path)
        if found is None:
            return None
        role, rest, own = found
        url, asset_url = self._addresses.url, self._addresses.asset_url
        if address and host not in role.hosts:
            url, asset_url = self._addresses.as_called(host, address[2], port)
        return Place(role, rest != path, own, f"{url}/{role.place_of(own)}", f"{asset_url}/{role.name}")
