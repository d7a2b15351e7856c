"""Tests of the router and of keys: which operation a request is for, and who is asking."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.contract.operations import Operation, Routed, Router, Security, path_names, server_url


def operation(
    name: str, path: str, method: str = "GET", server: str = "https://a.test", spanning: Iterable[str] = ()
) -> Operation:
    return Operation(name, method, server, path, (), (), None, {}, {}, frozenset(spanning))


def router(*paths: str, spanning: dict[str, set[str]] | None = None) -> Router:
    """Return a router of GET operations that are called like their paths."""
    return Router([operation(path, path, spanning=(spanning or {}).get(path, ())) for path in paths])


def found(routed: Routed | None) -> tuple[str | None, dict[str, str]]:
    """Return the path template and the parameters that a request led to."""
    assert routed is not None
    return (routed.operation.id if routed.operation else None), dict(routed.path)


def test_literals_come_before_parameters_and_spanning_ones_last():
    """In whatever order a document has them, the first segment that differs decides, the literal one winning."""
    paths = ["/a/b", "/a/{x}", "/a/{x}.json", "/{x}/b", "/{x}/{y}", "/a/{rest}/end", "/{all}"]
    expected = {
        "/a/b": ("/a/b", {}),
        "/a/c": ("/a/{x}", {"x": "c"}),
        "/a/c.json": ("/a/{x}.json", {"x": "c"}),
        "/c/b": ("/{x}/b", {"x": "c"}),
        "/c/d": ("/{x}/{y}", {"x": "c", "y": "d"}),
        "/a/1/2/end": ("/a/{rest}/end", {"rest": "1/2"}),
        "/a/1/2/3": ("/{all}", {"all": "a/1/2/3"}),
        "/z": ("/{all}", {"all": "z"}),
    }
    spans = {"/a/{rest}/end": {"rest"}, "/{all}": {"all"}}
    for order in list(permutations(paths))[::97]:
        routes = router(*order, spanning=spans)
        assert {path: found(routes.find("GET", path)) for path in expected} == expected


def test_parameters_that_are_alike_are_tried_in_the_order_of_the_document():
    """Where nothing tells two routes apart, the first one of the document wins, in every process."""
    for paths in (("/a/{x}", "/a/{y}"), ("/a/{y}", "/a/{x}")):
        assert found(router(*paths).find("GET", "/a/1"))[0] == paths[0]


segments = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(segments, segments)
def test_a_parameter_is_decoded(first: str, second: str):
    """Whatever a client puts into a path, percent-encoded, is what the operation sees, slashes included."""
    routes = router("/x/{first}/y/{second-one}")
    path = f"/x/{quote(first, safe='')}/y/{quote(second, safe='')}"
    assert found(routes.find("GET", path)) == ("/x/{first}/y/{second-one}", {"first": first, "second-one": second})


@pytest.mark.parametrize("name", ["id", "task-id", "task.id", "2nd", "a b", "class", "é"])
def test_a_parameter_may_have_any_name(name: str):
    """The name of a parameter need not be a name of Python."""
    assert found(router(f"/jobs/{{{name}}}").find("GET", "/jobs/7")) == (f"/jobs/{{{name}}}", {name: "7"})
    assert path_names(f"/jobs/{{{name}}}/{{b}}") == [name, "b"]


@pytest.mark.parametrize("path", ["/a", "/a/", "/a/b/c", "/A/b", "/a%2Fb", "", "//a/b", "/a//", "/{x}/{y}/"])
def test_another_path_leads_nowhere(path: str):
    """A parameter is one segment that is not empty; nothing is added, left out or changed in case."""
    assert router("/a/b", "/a/{x}").find("GET", path) is None


def test_a_path_without_the_method_is_told_from_no_path():
    """Where the path exists and the method does not, the methods that do are told, of the best match first."""
    routes = Router(
        [
            operation("get", "/a/{x}"),
            operation("put", "/a/{x}", "PUT"),
            operation("post", "/{y}/{x}", "POST"),
            operation("list", "/b"),
        ]
    )
    assert routes.find("DELETE", "/a/1") == Routed(None, {"x": "1"}, ("GET", "PUT"))
    assert routes.find("DELETE", "/b") == Routed(None, {}, ("GET",))
    assert found(routes.find("POST", "/a/1")) == ("post", {"y": "a", "x": "1"})
    assert found(routes.find("PUT", "/a/1")) == ("put", {"x": "1"})


def test_a_route_begins_with_the_path_of_its_server():
    """The path of the server stands in front of the operation's own."""
    assert operation("a", "/b", server="https://a.test/v1/").route == "/v1/b"
    assert operation("a", "/b", server="/").route == "/b"


def test_the_variables_of_a_server_have_their_defaults():
    """A server's URL has the defaults of its variables in it, and no slash at the end."""
    server = {"url": "https://{region}.a.test/{v}/", "variables": {"region": {"default": "eu"}, "v": {"default": 1}}}
    assert server_url(server) == "https://eu.a.test/1"
    assert server_url({"url": "/"}) == ""
    assert server_url({}) == ""


# --- keys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("Bearer k", "k"),
        ("bearer  k ", "k"),
        ("Key k", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("", None),
        (None, None),
    ],
)
def test_a_key_stands_behind_its_scheme(value: str | None, key: str | None):
    """The scheme is compared in any case, and what is behind it is the key."""
    headers = {} if value is None else {"authorization": value}
    assert Security("header", "Authorization", "Bearer").key_in(headers, {}) == key


def test_a_bare_key_is_the_whole_value():
    """A key without a scheme is the value of its header or query parameter; an empty one is none."""
    assert Security("header", "X-Key", "").key_in({"x-key": "a b"}, {}) == "a b"
    assert Security("header", "X-Key", "").key_in({"x-key": ""}, {}) is None
    assert Security("query", "key", "").key_in({"key": "no"}, {"key": "yes"}) == "yes"
    assert Security("query", "Key", "").key_in({}, {"key": "no"}) is None
