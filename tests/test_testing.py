"""Tests of the suite that tests clients: it accuses none that is right, and finds each fault by its name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st

import understudy
from tests.faulty_clients import Plain, ReturnsTheJsonText, faulty
from tests.projects import run
from tests.right_clients import RIGHT, CalledBack, Reference
from tests.small import small
from understudy import pytest_plugin
from understudy.testing import Callback, ClientSuite, Endpoint
from understudy.testing.bench import Bench
from understudy.testing.properties import PROPERTIES
from understudy.testing.verdict import Verdict, text_of

BY_NAME = {prop.name: prop for prop in PROPERTIES}


@pytest.fixture(scope="module")
def benches() -> Iterator[dict[str, Bench]]:
    """A bench for each provider."""
    found = {name: Bench(name) for name in ("kie", "oxen", "replicate", "shortapi")}
    yield found
    for bench in found.values():
        bench.close()


def judged(client: type[ClientSuite], name: str, benches: dict[str, Bench]) -> Verdict:
    """Return the verdict on a client in respect of a property."""
    if vars(client).get("_bench") is not benches[client.provider]:
        client._begin(benches[client.provider])
    return client()._judge(BY_NAME[name])


# Those that are called back touch all that the others do.
MEASURED = [
    client if client._takes_callbacks() else pytest.param(client, marks=pytest.mark.unmeasured) for client in RIGHT
]


@pytest.mark.parametrize("client", MEASURED, ids=lambda client: client.__name__)
def test_a_client_that_is_right_is_not_accused(client: type[ClientSuite], benches: dict[str, Bench]) -> None:
    """The reference client has every property, sync and async, by polls and by callbacks, and so has a plain one."""
    takes_callbacks = client.receive is not ClientSuite.receive
    for name in BY_NAME:
        verdict = judged(client, name, benches)
        assert verdict.wrong is None, text_of(verdict)
        assert (verdict.reason is None) == (name not in NEVER_AT[client.provider, takes_callbacks])


#: The properties that mean nothing, by provider and by whether the client takes callbacks.
NEVER_AT: dict[tuple[str, bool], set[str]] = {
    ("kie", True): set(),
    ("kie", False): {"a_forged_callback_is_refused", "odd_callbacks_change_nothing"},
    ("oxen", False): {
        "an_error_in_the_body_is_noticed",
        "a_forged_callback_is_refused",
        "odd_callbacks_change_nothing",
    },
    ("replicate", True): {"an_error_in_the_body_is_noticed"},
    ("replicate", False): {
        "an_error_in_the_body_is_noticed",
        "a_forged_callback_is_refused",
        "odd_callbacks_change_nothing",
    },
    ("shortapi", True): {"a_forged_callback_is_refused"},
    ("shortapi", False): {"a_forged_callback_is_refused", "odd_callbacks_change_nothing"},
}


@pytest.mark.parametrize("client", faulty(), ids=lambda client: client.__name__)
def test_a_faulty_client_is_found_out_by_name(client: type[Plain], benches: dict[str, Bench]) -> None:
    """What is wrong with a client is found by the property that is meant for it."""
    verdict = judged(client, client.caught_by, benches)
    assert verdict.wrong is not None
    text = text_of(verdict)
    assert text.splitlines()[0] == f"{verdict.prop.text} Here it does not."
    assert "  where: " in text
    assert "  expected: " in text
    assert f"  a user loses: {verdict.prop.loss}" in text
    assert "POST /api/v1/jobs/createTask" in text


def test_each_property_finds_something() -> None:
    """There is a faulty client for each property, and there are more than twenty of them."""
    assert {client.caught_by for client in faulty()} == set(BY_NAME)
    assert len(faulty()) >= 20


class ChokesLater(CalledBack):
    """A client for async code that cannot bear what it is told."""

    provider = "kie"

    async def receive(self, callback: Callback) -> Any:
        raise KeyError("what is this?")


def test_an_async_receiver_that_raises_is_found_out(benches: dict[str, Bench]) -> None:
    """What a coroutine that receives callbacks raises is the client's fault, as in any other receiver."""
    verdict = judged(ChokesLater, "odd_callbacks_change_nothing", benches)
    assert verdict.wrong is not None
    assert "KeyError('what is this?')" in verdict.wrong


# --- how a suite is used ----------------------------------------------------------------------------------------------


class Misused(ClientSuite):
    provider = "kie"


class WrongWords(ClientSuite):
    provider = "kie"

    def generate(self, endpoint: Endpoint, request: dict[str, Any]) -> Any:
        return self.call(**request)

    def call(self, prompt: str) -> None: ...


class WrongWordsAsync(WrongWords):
    async def generate(self, endpoint: Endpoint, request: dict[str, Any]) -> Any:
        return self.call(**request)


class MisusesTheReference(ClientSuite):
    provider = "kie"

    def generate(self, endpoint: Endpoint, request: dict[str, Any]) -> Any:
        return understudy.Client("kei", api_key=endpoint.api_key)


class NotAwaited(ClientSuite):
    provider = "kie"

    def generate(self, endpoint: Endpoint, request: dict[str, Any]) -> Any:
        return self.later()

    async def later(self) -> None: ...


class OneName(Reference):
    models = "nano-banana-pro"


class ATypeErrorOfItsOwn(ClientSuite):
    provider = "kie"

    def generate(self, endpoint: Endpoint, request: dict[str, Any]) -> Any:
        return self.call(**request)

    def call(self, model: str, input: dict[str, Any]) -> Any:
        return model + input  # type: ignore[operator]


@pytest.mark.parametrize(
    ("client", "text"),
    [
        (Misused, "Misused has to say how to call your client: override generate"),
        (WrongWords, "the client cannot be called like that: .* got an unexpected keyword argument 'model'"),
        (WrongWordsAsync, "the client cannot be called like that: .* got an unexpected keyword argument 'model'"),
        (MisusesTheReference, 'there is no provider "kei"'),
        (NotAwaited, "returned a coroutine: await it there, or make it `async def`"),
        (OneName, r'models has to be a list of names: models = \["nano-banana-pro"\]'),
    ],
)
def test_a_wrong_use_of_the_suite_is_no_verdict(
    client: type[ClientSuite], text: str, benches: dict[str, Bench]
) -> None:
    """A client that cannot be called at all is told to whoever wrote the suite."""
    with pytest.raises(understudy.UsageError, match=text):
        judged(client, "one_call_makes_one_job", benches)


def test_a_suite_without_a_provider_is_told_so(project: pytest.Pytester) -> None:
    """A suite that names no provider is told what it lacks; one beside it that names one is judged."""
    code = """
        from understudy.testing import ClientSuite

        class TestIt(ClientSuite): pass

        class TestNext(ClientSuite):
            provider = "kie"

            def generate(self, endpoint, request): return []
        """
    done = run(project, code, "-k", "forged_callback")
    done.assert_outcomes(errors=1, skipped=1)
    done.stdout.fnmatch_lines(["*TestIt has to name its provider: provider = *"])


class Idle(ClientSuite):
    provider = "kie"

    def generate(self, endpoint: Endpoint, request: dict[str, Any]) -> Any:
        return []


def test_a_client_that_asks_for_nothing_is_not_praised(benches: dict[str, Bench]) -> None:
    """Of a client that makes no job nothing is said but that it returns nothing."""
    verdicts = [judged(Idle, name, benches) for name in BY_NAME]
    assert [one.prop.name for one in verdicts if one.wrong] == ["a_success_returns_what_the_provider_made"]
    assert [one.prop.name for one in verdicts if not one.wrong and one.reason is None] == [
        "nothing_is_sent_that_the_contract_forbids"
    ]


def test_a_type_error_within_the_client_is_a_verdict(benches: dict[str, Bench]) -> None:
    """A TypeError from within the client is what the client raised."""
    verdict = judged(ATypeErrorOfItsOwn, "a_success_returns_what_the_provider_made", benches)
    assert verdict.wrong is not None
    assert re.search(r"it raised TypeError: .* \(test_testing\.py:\d+\)$", verdict.wrong)


class Broken(ClientSuite):
    provider = "kie"

    def generate(self, endpoint: Endpoint, request: dict[str, Any]) -> Any:
        raise RuntimeError("it does not work at all")


def test_a_client_that_never_works_is_not_praised(benches: dict[str, Bench]) -> None:
    """Of a client that raises whatever happens it is not said that it notices errors."""
    verdicts = {name: judged(Broken, name, benches) for name in BY_NAME}
    assert verdicts["a_success_returns_what_the_provider_made"].wrong is not None
    reasons = {name: verdict.reason for name, verdict in verdicts.items() if verdict.wrong is None}
    assert [name for name, reason in reasons.items() if reason is None] == ["nothing_is_sent_that_the_contract_forbids"]
    for verdict in verdicts.values():
        if verdict.prop.raises:
            assert verdict.reason == "the client raises even when all goes as usual"


class Narrow(Reference):
    models: ClassVar[tuple[str, ...]] = ("google/nano-banana",)


def test_a_suite_can_say_what_its_client_is_asked_for(benches: dict[str, Bench]) -> None:
    """`models` narrows what is drawn, and so does a `requests` of the suite's own."""
    seen: list[dict[str, Any]] = []

    class Noting(Narrow):
        def generate(self, endpoint: Endpoint, request: dict[str, Any]) -> Any:
            seen.append(request)
            return super().generate(endpoint, request)

    verdict = judged(Noting, "nothing_is_sent_that_the_contract_forbids", benches)
    assert verdict.wrong is None
    assert {request["model"] for request in seen} == {"google/nano-banana"}
    assert len({repr(request) for request in seen}) > 5


SUITE = """
    import understudy
    from understudy.testing import ClientSuite

    class TestMine(ClientSuite):
        provider = "kie"
        models = ["nano-banana-pro"]

        def generate(self, endpoint, request):
            client = understudy.Client("kie", api_key=endpoint.api_key, base_url=endpoint.base_url, http=endpoint.http)
            try:
                return [output.url for output in client.run(**request).outputs]
            except understudy.JobFailed:
                return []
    """


@pytest.mark.unmeasured
def test_the_scorecard_is_shown_at_the_end(project: pytest.Pytester) -> None:
    """Each property is a test, a failed one tells why, and a scorecard says it all once more, also under xdist."""
    done = run(project, SUITE, "-n", "2")
    done.assert_outcomes(passed=14, failed=1, skipped=2)
    done.stdout.fnmatch_lines(
        [
            "*test_a_failed_job_is_not_a_success*",
            "A job that fails, is cancelled or expires raises. Here it does not.",
            '  where: the job fails: "content-policy"; asked for {*',
            "  expected: an error; got: it returned [[][]]",
            "  a user loses: the reason, and perhaps the money that comes back",
            "*POST /api/v1/jobs/createTask 200*",
            "      the end  client    it returned [[][]]",
            "*scorecard of TestMine at kie*",
            "   ok  a success returns what the provider made",
            "FAILS  a failed job is not a success * a user loses the reason, *",
            "    -  a forged callback is refused * the client takes no callbacks*",
        ],
        consecutive=False,
    )


def test_requests_may_be_of_the_suites_own(benches: dict[str, Bench]) -> None:
    """A suite may draw what its client is asked for by itself."""
    one = {"model": "nano-banana-pro", "input": {"prompt": "a lighthouse at night"}}
    seen: list[dict[str, Any]] = []

    class Own(Reference):
        def requests(self) -> Any:
            return st.just(one)

        def generate(self, endpoint: Endpoint, request: dict[str, Any]) -> Any:
            seen.append(request)
            return super().generate(endpoint, request)

    assert judged(Own, "a_success_returns_what_the_provider_made", benches).wrong is None
    assert [request for request in seen if request != one] == []


class FailsNowAndThen(Reference):
    """A client that cannot do one thing."""

    def generate(self, endpoint: Endpoint, request: dict[str, Any]) -> Any:
        if len(request["input"]) > 1:
            raise RuntimeError("too much")
        return super().generate(endpoint, request)


def test_what_fails_is_told_of_the_plainest_request(benches: dict[str, Bench]) -> None:
    """Of the requests that a client cannot make the plainest is told."""
    verdict = judged(FailsNowAndThen, "a_success_returns_what_the_provider_made", benches)
    assert verdict.run is not None
    assert len(verdict.run.request["input"]) == 2
    assert "asked for {" in text_of(verdict)


@pytest.mark.parametrize(
    ("client", "raised"),
    [(Reference, None), (Broken, pytest.skip.Exception), (ReturnsTheJsonText, pytest.fail.Exception)],
)
def test_a_test_of_a_suite_passes_fails_or_is_skipped(
    client: type[ClientSuite], raised: type[BaseException] | None, benches: dict[str, Bench]
) -> None:
    """A test of a suite fails with the text of its verdict, is skipped with the reason, and records what it came to."""
    records: list[Any] = []
    client._begin(benches[client.provider])
    name = (
        "a_success_returns_what_the_provider_made" if client is ReturnsTheJsonText else "a_failed_job_is_not_a_success"
    )
    with nullcontext() if raised is None else pytest.raises(raised):
        getattr(client(), f"test_{name}")(lambda *record: records.append(record))
    [(key, record)] = records
    assert (key, record["suite"]) == ("understudy", f"{client.__name__} at kie")


def test_a_scorecard_is_in_the_order_of_the_properties(capsys: pytest.CaptureFixture[str]) -> None:
    """The scorecards have a line for each verdict, in one order, and reports of other tests are passed over."""
    first, second = PROPERTIES[:2]
    verdicts = [Verdict(second, wrong="x"), Verdict(first), Verdict(PROPERTIES[-1], reason="not here")]
    reports: list[Any] = [
        SimpleNamespace(user_properties=[("understudy", one.as_record("A", "b"))]) for one in verdicts
    ]
    reports += [SimpleNamespace(user_properties=[("other", 1)]), SimpleNamespace()]
    lines: list[str] = []
    terminal: Any = SimpleNamespace(
        section=lines.append, write=lambda text: lines.extend(text.splitlines()), stats={"passed": reports}
    )
    pytest_plugin.pytest_terminal_summary(terminal)
    assert [line.split()[0] for line in lines] == ["scorecard", "ok", "FAILS", "-"]
    assert lines[0] == "scorecard of A at b"
    assert lines[2].endswith(f"a user loses {second.loss}")
    assert lines[3].endswith("not here")


def test_what_has_to_be_overridden_does_nothing() -> None:
    """The suite itself calls no client."""
    for call in (lambda: ClientSuite().generate(None, {}), lambda: ClientSuite().receive(None)):  # type: ignore[arg-type]
        with pytest.raises(NotImplementedError):
            call()


class ReturnsNothing(ClientSuite):
    provider = "kie"

    def generate(self, endpoint: Endpoint, request: dict[str, Any]) -> Any:
        return None


def test_a_client_that_returns_nothing_has_no_success(benches: dict[str, Bench]) -> None:
    """Nothing is not what the provider has made."""
    verdict = judged(ReturnsNothing, "a_success_returns_what_the_provider_made", benches)
    assert verdict.wrong is not None
    assert verdict.wrong.endswith("it returned None")


@pytest.mark.parametrize("parts", [{}, {"assets": None, "errors": {}}], ids=str)
def test_a_small_contract_has_its_situations(tmp_path: Path, parts: dict[str, Any]) -> None:
    """A client of a contract that lacks something is judged by what it has."""
    small(tmp_path, **parts)
    with Bench("small", [tmp_path]) as bench:
        contract = bench.contract

        class Small(ClientSuite):
            provider = "small"

            def generate(self, endpoint: Endpoint, request: dict[str, Any]) -> Any:
                options = {"api_key": endpoint.api_key, "base_url": endpoint.base_url, "http": endpoint.http}
                return [output.url for output in understudy.Client(contract, **options).run(**request).outputs]

        Small._begin(bench)
        for prop in PROPERTIES:
            verdict = Small()._judge(prop)
            assert verdict.wrong is None, text_of(verdict)


def test_who_takes_callbacks_is_told_that_none_come(tmp_path: Path) -> None:
    """Of a client that takes callbacks, and a provider that sends none, that is the reason why it is not judged."""
    small(tmp_path, callback=None)

    class Taking(Idle):
        provider = "small"

        def receive(self, callback: Callback) -> Any:
            return None

    with Bench("small", [tmp_path]) as bench:
        verdict = judged(Taking, "a_forged_callback_is_refused", {"small": bench})
    assert verdict.reason == "small sends no callbacks"


# --- what the documents say -------------------------------------------------------------------------------------------

PAGE = Path(__file__).parents[1] / "docs" / "testing.md"


def listed() -> str:
    """Return the table of the properties."""
    lines = ["| property | what must hold | where it does not, a user loses |", "|---|---|---|"]
    lines += [f"| `test_{prop.name}` | {prop.text} | {prop.loss} |" for prop in PROPERTIES]
    return "\n".join(lines) + "\n"


def test_the_page_lists_every_property() -> None:
    """`docs/testing.md` has the table that the code makes; UNDERSTUDY_REFRESH=1 writes it."""
    head, mark, _ = PAGE.read_text(encoding="utf-8").partition("<!-- from the code -->\n")
    if os.environ.get("UNDERSTUDY_REFRESH") == "1":
        PAGE.write_text(f"{head}{mark}\n{listed()}", encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == f"{head}{mark}\n{listed()}"


def fences(document: Path) -> list[str]:
    """Return the Python blocks of a document, and those that show what is printed."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [text for language, text in found if language in ("python", "")]


@pytest.mark.unmeasured
def test_the_scorecard_of_the_page_is_that_of_its_client(project: pytest.Pytester) -> None:
    """The client that the page shows fails as the page says."""
    code, card = fences(PAGE)[:2]
    shown = run(project, code).stdout.str()
    for line in card.splitlines()[1:]:
        assert line in shown, shown


@pytest.mark.unmeasured
def test_the_scorecard_of_the_tutorial_is_that_of_its_app(project: pytest.Pytester) -> None:
    """The app of the tutorial fails as the tutorial says, and in nothing else."""
    blocks = fences(PAGE.with_name("tutorial.md"))
    app = next(block for block in blocks if "# --- the app ---" in block)
    at = next(number for number, block in enumerate(blocks) if "from test_pictures import" in block)
    project.makepyfile(test_pictures=app)
    done = run(project, blocks[at])
    shown = done.stdout.str().splitlines()
    assert [line for line in shown if line.startswith("FAILS")] == blocks[at + 1].splitlines()


@pytest.mark.unmeasured
def test_the_tutorial_ends_with_what_passes(project: pytest.Pytester) -> None:
    """With its last step done the app keeps its key, and its own tests pass: no client asks a host that is not here."""
    page = PAGE.with_name("tutorial.md")
    blocks = fences(page)
    app = next(block for block in blocks if "# --- the app ---" in block)
    suite = next(block for block in blocks if "from test_pictures import" in block)
    fetch, fixture = re.findall(r"^```py\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (old,) = (line for line in app.splitlines(keepends=True) if "resultUrls" in line)
    project.makepyfile(test_pictures=f"import httpx\n{app.replace(old, fetch)}\n\n{fixture}")
    assert run(project, suite).stdout.str().count("\nFAILS") == 3
    project.runpytest_subprocess("-p", "no:cacheprovider", "test_pictures.py").assert_outcomes(passed=5)
