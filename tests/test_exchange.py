"""Tests of requests and answers as data."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.player import contract_of
from tests.small import PATHS, create_with, small
from understudy.contract.expressions import parse_place
from understudy.contract.model import Contract
from understudy.errors import UsageError
from understudy.exchange import ACCEPT, Answer, Draft, Send, Writer, answer_scope, decoded, retry_after

NOW = 1_800_000_000.0
KEY = "sk-12345"


# Retry-After


def asked(text: str) -> float | None:
    return retry_after(Answer(429, {"retry-after": text}, b"", NOW))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("7200", 7200),
        ("9" * 400, float("inf")),
        (formatdate(NOW + 90, usegmt=True), 90),
        ("Fri Jan 15 08:01:30 2027", 90),  # the oldest of the three forms, without a zone
        ("Fri, 15 Jan 2027 09:01:30 +0100", 90),
        (formatdate(NOW - 90, usegmt=True), 0),
        ("1.5", None),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("Fri, 15 Jan 99999999999999999999 08:00:00 GMT", None),
    ],
)
def test_retry_after_is_read(text: str, seconds: float | None) -> None:
    """Retry-After is read as seconds and as an HTTP date in any of its forms, and as nothing where it is neither."""
    assert asked(text) == seconds


@given(
    st.text() | st.from_regex(r"[A-Z]{3}, [0-9]+ (Jan|Dec) [0-9]+ [0-9]+:[0-9]+:[0-9]+( [+-][0-9]+)?", fullmatch=True)
)
def test_any_retry_after_is_none_or_not_negative(text: str) -> None:
    """Whatever stands in Retry-After gives no pause, or one that is not negative."""
    seconds = asked(text)
    assert seconds is None or seconds >= 0


# Drafts


def test_a_draft_puts_values_where_places_say() -> None:
    """Values go to the body, to a member within it, to the query, to a header and into the path."""
    draft = Draft()
    for place, value in (
        ("$request.body", {"prompt": "x"}),
        ("$request.body#/a/b", 1),
        ("$request.body#/a/c", 2),
        (["fixed", "$request.query.id"], "3"),
        ("$request.header.X-Name", 4),
        ("$request.path.id", "5"),
    ):
        draft.put(parse_place(place), value, "no place")
    assert draft.body == {"prompt": "x", "a": {"b": 1, "c": 2}}
    assert (draft.query, draft.headers, draft.path) == ({"id": "3"}, [("x-name", "4")], {"id": "5"})


def test_a_draft_that_has_no_place_complains() -> None:
    """A value without a place in the request raises UsageError with the complaint."""
    with pytest.raises(UsageError, match="no place for it"):
        Draft().put(parse_place("fixed"), 1, "no place for it")


# Requests


def written(contract: Contract, operation: str, **parts: Any) -> Send:
    draft = Draft()
    for name, part in parts.items():
        setattr(draft, name, part)
    return Writer(contract, KEY, None).send(contract.operations[operation], draft, 30)


def test_a_request_is_written() -> None:
    """A request has the operation's URL, the key, and JSON where it has a body."""
    send = written(contract_of("kie"), "createTask", body={"model": "ü"})
    assert send == Send(
        method="POST",
        url="https://api.kie.ai/api/v1/jobs/createTask",
        headers=(
            ("accept", "application/json, */*"),
            ("Authorization", f"Bearer {KEY}"),
            ("content-type", "application/json"),
        ),
        body='{"model":"ü"}'.encode(),
        timeout_seconds=30,
        most_seconds=30,
    )


@pytest.mark.parametrize(("value", "text"), [("a/b?c#d", "a%2Fb%3Fc%23d"), ("ü &", "%C3%BC%20%26"), (7, "7")])
def test_a_path_parameter_stays_one_segment(value: Any, text: str) -> None:
    """Whatever an id holds, it stays one segment of the path, and reaches no other operation."""
    send = written(contract_of("oxen"), "getGeneration", path={"generation_id": value})
    assert send.url == f"https://hub.oxen.ai/api/ai/queue/{text}"
    assert send.body == b""


def test_a_base_url_stands_in_for_the_servers() -> None:
    """With a base URL, every operation is asked for there."""
    contract = contract_of("kie")
    send = Writer(contract, KEY, "http://127.0.0.1:4010/kie/").send(contract.operations["getCredit"], Draft(), 30)
    assert send.url == "http://127.0.0.1:4010/kie/api/v1/chat/credit"


def test_the_key_stands_where_the_contract_says(tmp_path: Any) -> None:
    """The key stands in a header or the query as the contract has it, and not at all where none is needed."""
    place = {"type": "apiKey", "name": "X-Key"}
    header = written(contract_of("small", small(tmp_path / "1", security={**place, "in": "header"})), "account")
    query = written(contract_of("small", small(tmp_path / "2", security={**place, "in": "query"})), "account")
    none = written(contract_of("small", small(tmp_path / "3")), "account")
    assert ("X-Key", KEY) in header.headers
    assert (query.url, KEY in str(query.headers)) == (f"https://api.small.test/account?X-Key={KEY}", False)
    assert KEY not in none.url + str(none.headers)


def test_the_key_stands_in_one_place_only(tmp_path: Any) -> None:
    """Where a header may carry the key, it does not stand in the URL as well."""
    contract = contract_of("small", small(tmp_path, security={"type": "http", "scheme": "bearer"}))
    operation = contract.operations["account"]
    either = operation._replace(security=(*_query_key(tmp_path), *operation.security))
    send = Writer(contract, KEY, None).send(either, Draft(), 30)
    assert send.url == "https://api.small.test/account"
    assert ("Authorization", f"Bearer {KEY}") in send.headers


def _query_key(tmp_path: Any) -> Any:
    security = {"type": "apiKey", "name": "key", "in": "query"}
    return contract_of("small", small(tmp_path / "query", security=security)).operations["account"].security


def test_a_request_does_not_show_the_key() -> None:
    """The text of a request that a debugger or a failing test shows has no key in it."""
    send = written(contract_of("kie"), "getCredit")
    assert KEY not in repr(send)


@pytest.mark.parametrize("parts", [{"body": {"a": {1}}}, {"body": {"a": "\ud800"}}, {"path": {"a": "\ud800"}}])
def test_what_cannot_be_written_is_a_mistake(parts: dict[str, Any]) -> None:
    """A value that is no JSON or no text raises UsageError, with the operation's name."""
    with pytest.raises(UsageError, match="the request to createTask cannot be written"):
        written(contract_of("kie"), "createTask", **parts)


def test_text_is_shown_without_the_key() -> None:
    """The key is taken out of a text of the provider's; without a key there is nothing to take out."""
    contract = contract_of("kie")
    assert Writer(contract, KEY, None).without_key(f"no {KEY}!") == "no [key]!"
    assert Writer(contract, "", None).without_key("no key") == "no key"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rate limit exceeded by m", "rate limit exceeded by [key]"),
        ('"m" is no key: m', '"[key]" is no key: [key]'),
        ("mine, am, m2, m_m", "mine, am, m2, m_m"),
    ],
)
def test_a_short_key_is_no_part_of_a_word(text: str, shown: str) -> None:
    """A key of a few letters is taken out where it is a word of its own, and leaves the other words whole."""
    assert Writer(contract_of("kie"), "m", None).without_key(text) == shown


def test_files_are_fetched_with_the_key_where_it_is_asked_for(tmp_path: Any) -> None:
    """A file on the hosts of a contract whose files need the key is fetched with it, and with a base URL from there."""
    keyed = {"url": "https://files.small.test/{$job.id}", "needsKey": True}
    security = {"type": "http", "scheme": "bearer"}
    keyed_contract = contract_of("small", small(tmp_path / "1", security=security, assets=keyed))
    bare_contract = contract_of("small", small(tmp_path / "2", security=security, assets=None))
    for contract, base, url, sent in (
        (keyed_contract, None, "https://files.small.test/x", True),
        (keyed_contract, None, "https://API.small.test/x", True),
        (keyed_contract, None, "HTTPS://files.small.test/x?from=https://evil.test/", True),
        (keyed_contract, None, "https://evil.test/x?from=https://files.small.test/", False),
        (keyed_contract, None, "https://files.small.test.evil.test/x", False),
        (keyed_contract, "http://127.0.0.1:1/small", "http://127.0.0.1:1/assets/x", True),
        (keyed_contract, "http://127.0.0.1:1/small", "https://api.small.test/x", False),
        (bare_contract, None, "https://api.small.test/x", False),
    ):
        assert bool(Writer(contract, KEY, base).fetch(url).headers) is sent, url


# Answers


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[" * 100_000, b"NaN"])
def test_what_is_no_json_is_nothing(body: bytes) -> None:
    """A body that is no JSON is decoded as nothing."""
    assert decoded(Answer(200, {}, body, NOW)) is None


def test_a_place_can_be_the_first_item_of_a_list() -> None:
    """What belongs there is put into a list of one, however deep."""
    draft = Draft()
    for pointer, value in (("/a/0/b", 1), ("/c/0", 2), ("/d/0/0/e", 3)):
        draft.put(parse_place(f"$request.body#{pointer}"), value, "")
    assert draft.body == {"a": [{"b": 1}], "c": [2], "d": [[{"e": 3}]]}


def test_conditions_see_answer_and_request(tmp_path: Any) -> None:
    """What conditions look at has the answer, the request where there is one, and the input."""
    contract = contract_of("small", small(tmp_path, paths=PATHS, create=create_with()))
    draft = Draft()
    draft.headers.append(("prefer", "wait"))
    draft.path["id"], draft.query["page"] = "t", "2"
    scope = answer_scope(Answer(201, {"a": "b"}, b"{}", NOW), {}, draft, {"prompt": "x"})
    assert contract.job_type.words.told_without_word is False
    assert (scope["statusCode"], scope["response"]["header"], scope["request"].header) == (
        201,
        {"a": "b"},
        {"accept": ACCEPT, "prefer": "wait"},
    )
    assert (scope["request"].path, scope["request"].query) == ({"id": "t"}, {"page": "2"})
    assert (scope["response"]["body"], scope["job"]) == ({}, {"input": {"prompt": "x"}})
    assert answer_scope(Answer(200, {}, b"", NOW), None)["request"].header == {"accept": ACCEPT}
