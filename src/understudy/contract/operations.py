"""The operations of an OpenAPI document: where each is, what it takes, and which one a request is for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from understudy.contract.codecs import as_text
from understudy.contract.keypairs import access_key_in, token_of
from understudy.contract.validation import BodyCheck, Parameter
from understudy.lifecycle import Json
from understudy.reach import host_of


class Security(NamedTuple):
    """How a key is sent: one security scheme of OpenAPI.

    Attributes:
        place: `header` or `query`.
        name: The header or query parameter.
        scheme: The word before the key, such as `Bearer`; empty for a bare key.
        lifetime_seconds: How long a token is good that a client makes of a key that is a pair; None for any other key.
    """

    place: str
    name: str
    scheme: str
    lifetime_seconds: float | None = None

    def key_in(self, headers: Mapping[str, str], query: Mapping[str, str], now: float | None = None) -> str | None:
        """Return the key that a request carries, or None; of a pair the access key, where its token is good."""
        value = headers.get(self.name.lower()) if self.place == "header" else query.get(self.name)
        if value is None or not self.scheme:
            return value or None
        scheme, _, key = value.partition(" ")
        if scheme != self.scheme and scheme.lower() != self.scheme.lower():
            return None
        return access_key_in(key, now) if self.lifetime_seconds is not None else key.strip() or None


def key_in(
    securities: Iterable[Security], headers: Mapping[str, str], query: Mapping[str, str], now: float | None = None
) -> str | None:
    """Return the key that a request carries in any of the ways that there are, or None."""
    for security in securities:
        key = security.key_in(headers, query, now)
        if key is not None:
            return key
    return None


def key_headers(securities: Iterable[Security], key: str, now: float | None = None) -> dict[str, str]:
    """Return the header that carries a key, by the first way that uses one; none where none does.

    Args:
        securities: The ways.
        key: The key; of a pair both, with a colon between them.
        now: When a token of a pair begins to be good, in unix seconds; None for one that always is.
    """
    for security in securities:
        if security.place == "header":
            if security.lifetime_seconds is not None:
                key = token_of(key, security.lifetime_seconds, now)
            return {security.name: f"{security.scheme} {key}".strip()}
    return {}


def key_parameters(securities: Iterable[Security], key: str) -> dict[str, str]:
    """Return the query parameter that carries a key, where no header can."""
    securities = tuple(securities)
    if not securities or key_headers(securities, key):
        return {}
    return {securities[0].name: key}


class Operation(NamedTuple):
    """One operation.

    Attributes:
        id: The operationId.
        method: In capitals.
        server: The URL of its server, without a slash at the end.
        path: The path template below the server.
        security: Any one of these is needed; empty when none is.
        parameters: What it takes in path, query and headers.
        body: How its body is checked; None when it takes none.
        examples: Name → value of the named examples of its body.
        responses: Status (`200`, `4XX`, `default`) → schema check of its JSON body, where it has a schema.
        spanning: The path parameters that may hold a `/`.
    """

    id: str
    method: str
    server: str
    path: str
    security: tuple[Security, ...]
    parameters: tuple[Parameter, ...]
    body: BodyCheck | None
    examples: Mapping[str, Json]
    responses: Mapping[str, Any]
    spanning: frozenset[str] = frozenset()

    def fixed(self, place: str, given: Mapping[str, Json]) -> dict[str, Json]:
        """Return what parameters of a place have in every request.

        Args:
            place: `path`, `query` or `header`.
            given: Values that are known beside those that can be but one.
        """
        own = [entry for entry in self.parameters if entry.place == place]
        values = {entry.name: given.get(entry.name, entry.constant) for entry in own}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def names(self) -> set[str]:
        """The names that it has for its parameters and for the members of its body."""
        outlines = () if self.body is None else self.body.outlines.values()
        return {entry.name for entry in self.parameters}.union(*(outline.members for outline in outlines))

    @property
    def route(self) -> str:
        """The path template from the root of the host."""
        return self.base_path + self.path

    @property
    def base_path(self) -> str:
        """The path of its server, without a slash at the end."""
        return urlsplit(self.server).path.rstrip("/")

    def path_with(self, values: Mapping[str, Json]) -> str:
        """Return the path, percent-encoded, with values in the place of parameters."""
        path = self.path
        for name, value in values.items():
            path = path.replace(f"{{{name}}}", quote(as_text(value), safe="/" if name in self.spanning else ""))
        return path


class Routed(NamedTuple):
    """What a path leads to: `operation` is None when the path exists and the method does not."""

    operation: Operation | None
    path: Mapping[str, str]
    methods: tuple[str, ...]


class Router:
    """Finds the operation of a request.

    Literal segments win over parameters, and parameters that span segments come last.

    Args:
        operations: What there is.
    """

    def __init__(self, operations: Iterable[Operation]) -> None:
        by_host: dict[str, list[Operation]] = {}
        for operation in operations:
            by_host.setdefault(host_of(operation.server), []).append(operation)
        self._by_host = {host: _Routes(found) for host, found in by_host.items()}

    def find(self, method: str, path: str, host: str = "") -> Routed | None:
        """Return where a request leads, or None when there is no such path.

        Args:
            method: In capitals.
            path: The raw path, percent-encoded as it came.
            host: The host that was asked; of one that has no operations, such as loopback, all are looked at.
        """
        found: Routed | None = None
        for routes in [self._by_host[host]] if host in self._by_host else self._by_host.values():
            routed = routes.find(method, path)
            if routed is not None and routed.operation is not None:
                return routed
            found = found or routed
        return found


class _Routes:
    """The routes of one host."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        by_route: dict[str, dict[str, Operation]] = {}
        spanning: dict[str, frozenset[str]] = {}
        for operation in operations:
            by_route.setdefault(operation.route, {})[operation.method] = operation
            spanning[operation.route] = spanning.get(operation.route, frozenset()) | operation.spanning
        self._literal = {
            route: {method: Routed(operation, {}, tuple(methods)) for method, operation in methods.items()}
            for route, methods in by_route.items()
            if "{" not in route
        }
        routes = [route for route in by_route if "{" in route]
        self._patterns = [
            (_pattern(route, spanning[route]), path_names(route), by_route[route])
            for route in sorted(routes, key=lambda route: _rank(route, spanning[route]))
        ]

    def find(self, method: str, path: str) -> Routed | None:
        literal = self._literal.get(path)
        if literal is not None:
            return literal.get(method) or Routed(None, {}, tuple(literal))
        found: Routed | None = None
        for pattern, names, methods in self._patterns:
            match = pattern.fullmatch(path)
            if match is None:
                continue
            values = dict(zip(names, map(unquote, match.groups()), strict=True))
            if method in methods:
                return Routed(methods[method], values, tuple(methods))
            found = found or Routed(None, values, tuple(methods))
        return found


_PARAMETER = re.compile(r"\{([^{}]+)\}")


def _pattern(route: str, spanning: frozenset[str]) -> re.Pattern[str]:
    pieces = _PARAMETER.split(route)
    text = "".join(
        ("(.+)" if piece in spanning else "([^/]+)") if index % 2 else re.escape(piece)
        for index, piece in enumerate(pieces)
    )
    return re.compile(text)


def _rank(route: str, spanning: Iterable[str]) -> tuple[bool, list[int]]:
    spans = any(f"{{{name}}}" in route for name in spanning)
    return spans, [-len(_PARAMETER.sub("", segment)) for segment in route.split("/")]


def path_names(path: str) -> list[str]:
    """Return the names of the parameters in a path template."""
    return _PARAMETER.findall(path)


def server_url(server: Json) -> str:
    """Return the URL of an OpenAPI server object, its variables at their defaults."""
    url = str(server.get("url", ""))
    for name, variable in server.get("variables", {}).items():
        url = url.replace(f"{{{name}}}", str(variable.get("default", "")))
    return url.rstrip("/")
