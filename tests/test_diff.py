"""Tests of `understudy diff`: what a single change of a contract does to a consumer."""

from __future__ import annotations

import copy
import fnmatch
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.acme import Acme
from understudy.cli import main
from understudy.contract.build import load_contract
from understudy.diff.changes import GRADES
from understudy.diff.compare import compare
from understudy.diff.rules import RULES
from understudy.diff.sources import contract_at
from understudy.errors import UsageError
from understudy.folders import find_provider

GONE = "(gone)"
JOB = "x-jobs/job/"
CAT = "components/schemas/Cat/"
SCHEMA = "components/schemas/Job/"
POST = "paths/~1jobs/post/"
LOOK = "paths/~1jobs~1{id}/"

B, R, S = GRADES

#: What the base has beside the usual, so that each change has something to change.
MORE: dict[str, Any] = {
    JOB + "status/poll": [{"untilSeconds": 60, "everySeconds": 3}, {"everySeconds": 10}],
    JOB + "status/giveUpSeconds": 600,
    JOB + "events/keepAlive": {"everySeconds": 15, "comment": "here"},
    JOB + "events/id": "$request.query.id",
    JOB + "events/end": ["succeeded"],
    JOB + "callback/retry": {"afterSeconds": [60, 300]},
    JOB + "callback/timeoutSeconds": 15,
    JOB + "list/filter": [{"by": "$request.query.state", "is": "$job.status", "otherwise": ["working"]}],
    JOB + "limits": {"rate": [{"operations": ["make"], "count": 20, "perSeconds": 10}], "concurrent": {"jobs": 5}},
    JOB + "retention": {"jobSeconds": 3600},
    JOB + "errors/serverError/0/retry": "later",
    CAT + "properties/input/properties/prompt/maxLength": 100,
    "paths/~1health": {"get": {"operationId": "health", "responses": {}}},
    SCHEMA + "allOf": [{"$ref": "#/components/schemas/Made"}],
    SCHEMA + "properties/next": {"$ref": "#/components/schemas/Job"},
    SCHEMA + "properties/tags": {"type": "array", "items": {"type": "string"}, "additionalProperties": False},
    LOOK + "get/parameters": [{"name": "full", "in": "query", "required": True}],
    SCHEMA + "properties/error": {"type": "object", "properties": {"code": {"type": "integer"}}},
}

#: A single change: what is changed, to what, and what it is called, with its grade.
CHANGES: list[tuple[str, Any, str, str]] = [
    # states
    (JOB + "states/running", ["working", "stuck"], "word-added", R),
    (JOB + "states/failed", ["broken", "refused"], "end-word-added", B),
    (JOB + "states/expired", ["forgotten"], "end-word-added", B),
    (JOB + "states/queued", ["waiting"], "word-gone", S),
    (JOB + "states/cancelled", GONE, "word-gone", S),
    (JOB + "states/unknown", "failed", "unknown-words", R),
    # how a job is made
    (JOB + "id", "job_{hex:12}", "id-form", R),
    (JOB + "successCriteria", "$response.body#/ok", "criterion-changed", B),
    (JOB + "create/0/model", "$request.body#/kind", "place-moved", B),
    (JOB + "create/0/input", "$request.body", "place-moved", B),
    (JOB + "create/0/callbackUrl", GONE, "place-moved", B),
    (JOB + "create/0/count", "$request.body#/n", "count-added", S),
    (JOB + "create/0/validates", "late", "validated-elsewhere", R),
    (JOB + "create/0/sync", {}, "create-blocks", R),
    (JOB + "create/1/sync", GONE, "create-blocks-no-more", B),
    (JOB + "create/1/sync", {"maxSeconds": 30}, "wait-limit", R),
    (JOB + "create/1", GONE, "operation-gone", B),
    (JOB + "create/0/reply/http", 201, "http-status", B),
    (JOB + "create/0/reply/headers", GONE, "header-changed", R),
    # what is said of it
    (JOB + "status/reply/body/result", GONE, "member-gone", B),
    (JOB + "status/reply/body/made", "$job.createdAt|epochMs", "member-recoded", B),
    (JOB + "status/reply/body/why", "$job.error.code|omit", "member-changed", B),
    (JOB + "status/reply/body/model", "$job.model", "member-added", S),
    (JOB + "cancel/reply/body/ok", "yes", "literal-changed", R),
    (JOB + "outputs/do", "$output.index", "member-changed", B),
    (JOB + "status/id", "$request.query.id", "id-moved", B),
    (JOB + "status/poll/0/everySeconds", 5, "pace-slower", R),
    (JOB + "status/poll/0/everySeconds", 1, "pace-faster", S),
    (JOB + "status/poll", GONE, "pace-gone", S),
    (JOB + "status/giveUpSeconds", 300, "deadline", R),
    (JOB + "status/notYetVisible", GONE, "visible-at-once", S),
    (JOB + "status/notYetVisible/withinSeconds", 60, "visible-later", R),
    (JOB + "cancel", GONE, "part-gone", B),
    (JOB + "cancel/from", ["queued", "running"], "allowed-state-added", S),
    (JOB + "list/filter/0/otherwise", ["done"], "filter-default", R),
    (JOB + "list/filter", GONE, "filter", B),
    (JOB + "events/scope", "job", "stream-scope", B),
    (JOB + "events/frames/succeeded", GONE, "event-gone", B),
    (JOB + "events/frames/succeeded/0/event", "finished", "event-gone", B),
    (JOB + "events/frames/failed", [{"event": "ended", "data": {"id": "$job.id"}}], "event-added", S),
    (JOB + "events/keepAlive/everySeconds", 60, "keep-alive", R),
    (JOB + "events/end", ["succeeded", "failed"], "stream-end", R),
    # callbacks
    (JOB + "callback", GONE, "part-gone", B),
    (JOB + "callback/trigger", ["succeeded"], "callback-state-gone", B),
    (JOB + "callback/trigger", ["running", "succeeded", "failed"], "callback-state-added", R),
    (JOB + "callback/view/body/id", GONE, "member-gone", B),
    (JOB + "callback/view/body/more", "$job.model", "member-added", S),
    (JOB + "callback/sign", GONE, "signature-gone", B),
    (JOB + "callback/sign/encoding", "base64", "signature", B),
    (JOB + "callback/sign/message", "{$delivery.body}", "signature", B),
    (JOB + "callback/sign/toleranceSeconds", 60, "tolerance", R),
    (JOB + "callback/delivered", "$statusCode == 200", "callback-answer", B),
    (JOB + "callback/timeoutSeconds", 5, "callback-timeout", R),
    (JOB + "callback/timeoutSeconds", 30, "callback-timeout", S),
    (JOB + "callback/retry", GONE, "callback-retry", R),
    (JOB + "callback/retry/afterSeconds", [60, 300, 900], "callback-retry", S),
    (JOB + "callback/headers/X-Attempt", GONE, "header-changed", R),
    # files, errors, money
    (JOB + "assets/lifetimeSeconds", 30, "link-lives-shorter", R),
    (JOB + "assets/lifetimeSeconds", 120, "link-lives-longer", S),
    (JOB + "assets/needsKey", True, "file-needs-key", B),
    (JOB + "assets/url", "https://cdn.acme.test/{$job.id}.{$output.extension}", "file-host", R),
    (JOB + "assets/renew", GONE, "part-gone", B),
    (JOB + "errorTransports", ["body", "http"], "error-transport", B),
    (JOB + "errors/credits/0/http", 403, "error-status", B),
    (JOB + "errors/credits/0/body/error/code", "poor", "member-changed", B),
    (JOB + "errors/credits/0/message", "Money!", "error-text", S),
    (JOB + "errors/credits/0/committed", "unknown", "may-have-made-a-job", B),
    (JOB + "errors/serverError/0/committed", "no", "refused-for-certain", S),
    (JOB + "errors/serverError/0/retry", "never", "passes-no-more", R),
    (JOB + "errors/rateLimited", [{"http": 429}], "error-added", R),
    (JOB + "errors/credits", GONE, "error-gone", S),
    (JOB + "failures/rude/code", 7, "failure-code", B),
    (JOB + "failures/rude/refund", "none", "refund-less", R),
    (JOB + "cancel/refund", "full", "refund-more", S),
    (JOB + "prices/rules/1/per", "$job.input#/n", "price-rule", R),
    (JOB + "failures/late", {"message": "Too late"}, "failure-added", R),
    (JOB + "limits/rate/0/count", 10, "rate-lower", R),
    (JOB + "limits/rate/0/perSeconds", 5, "rate-higher", S),
    (JOB + "limits/concurrent/jobs", 1, "concurrency-lower", R),
    (JOB + "limits/concurrent", GONE, "limit-gone", S),
    (JOB + "prices/rules/1/amount", 2, "price-higher", R),
    (JOB + "prices/rules/1/amount", 0.5, "price-lower", S),
    (JOB + "prices/unit", "credits", "price-unit", B),
    (JOB + "retention/jobSeconds", 60, "kept-shorter", R),
    (JOB + "retention", GONE, "kept-longer", S),
    (JOB + "replies/balance", GONE, "operation-gone", B),
    # what is sent
    (CAT + "required", ["model", "input", "hook"], "member-required", B),
    (CAT + "required", ["model"], "member-optional", S),
    (CAT + "properties/input/properties/prompt/maxLength", 50, "limit-tighter", B),
    (CAT + "properties/input/properties/prompt/maxLength", GONE, "limit-looser", S),
    (CAT + "properties/input/properties/prompt/type", ["string", "null"], "type-wider", S),
    (CAT + "properties/input/properties/prompt/type", "array", "type-changed", B),
    (CAT + "properties/input/properties/prompt/pattern", "^a", "pattern-changed", R),
    (CAT + "properties/input/properties/size/enum", ["small"], "value-gone", B),
    (CAT + "properties/input/properties/size/enum", ["small", "large", "huge"], "value-added", S),
    (CAT + "properties/input/properties/size/default", "large", "default-changed", R),
    (CAT + "properties/input/properties/seed", {"type": "integer"}, "member-added", S),
    (CAT + "properties/input/additionalProperties", False, "others-refused", B),
    (CAT + "properties/hook", GONE, "member-gone", R),
    (POST + "requestBody/content/application~1json/schema/oneOf/1", GONE, "form-gone", B),
    (LOOK + "parameters/0/schema/minLength", 3, "limit-tighter", B),
    (LOOK + "get/parameters/1", {"name": "all", "in": "query", "required": True}, "parameter-required", B),
    (LOOK + "get/parameters/1", {"name": "all", "in": "query"}, "parameter-added", S),
    (LOOK + "get/parameters/0/required", False, "parameter-optional", S),
    (LOOK + "get/parameters", GONE, "parameter-gone", R),
    (
        POST + "requestBody/content/application~1json/schema/oneOf/2",
        {"$ref": "#/components/schemas/Made"},
        "form-added",
        S,
    ),
    (CAT + "properties/hook/enum", ["https://a.test"], "values-listed", B),
    ("paths/~1blocking/post/requestBody/required", True, "body-required", B),
    ("paths/~1links/post/requestBody/content/application~1x-www-form-urlencoded", GONE, "media-type-gone", B),
    ("paths/~1health", GONE, "operation-gone", B),
    (SCHEMA + "allOf/1", {"$ref": "#/components/schemas/Error"}, "limit-tighter", S),
    (SCHEMA + "allOf", GONE, "limit-looser", R),
    (CAT + "properties/input/required", ["prompt", "size"], "member-required", B),
    (POST + "requestBody/content/text~1plain", {}, "media-type-added", S),
    # what is received: the other way round, callbacks as well
    (SCHEMA + "required", ["id"], "member-optional", B),
    (SCHEMA + "required", ["id", "state", "error"], "member-required", S),
    (SCHEMA + "properties/error", GONE, "member-gone", B),
    (SCHEMA + "properties/error/properties/code/type", "number", "type-wider", B),
    (SCHEMA + "properties/error/properties/code/type", ["integer", "null"], "type-wider", B),
    (SCHEMA + "properties/error/properties/code/maximum", 10, "limit-tighter", S),
    (SCHEMA + "properties/state/enum/6", "lost", "value-added", R),
    (SCHEMA + "properties/state/enum", GONE, "values-open", R),
    (SCHEMA + "properties/tags/items/type", "integer", "type-changed", B),
    (SCHEMA + "properties/tags/additionalProperties", GONE, "others-allowed", R),
    (LOOK + "get/responses/200", GONE, "answer-gone", B),
    (LOOK + "get/responses/202", {"description": "Later"}, "answer-added", R),
    # operations
    ("servers/0/url", "https://api.acme.test/v2", "operation-moved", B),
    ("servers/0/url", "https://acme.test/v1", "server-changed", B),
    ("components/securitySchemes/key/name", "X-Other", "key-changed", B),
    ("security", [], "key-added", S),
    ("paths/~1status", {"get": {"operationId": "ping", "responses": {}}}, "operation-added", S),
]


def put(document: Any, path: str, value: Any) -> None:
    """Change one place of a document."""
    *above, last = (part.replace("~1", "/") for part in path.split("/"))
    for part in above:
        document = document[int(part) if isinstance(document, list) else part]
    if value == GONE:
        del document[int(last) if isinstance(document, list) else last]
    elif isinstance(document, list) and int(last) == len(document):
        document.append(value)
    else:
        document[int(last) if isinstance(document, list) else last] = value


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A contract with every part of the format."""
    acme = Acme(tmp_path_factory.mktemp("acme"))
    document = {**acme.openapi, "x-jobs": acme.jobs}
    for path, value in MORE.items():
        put(document, path, value)
    return document


def folder_of(document: Any, root: Path) -> Path:
    folder = root / "contracts" / "acme"
    folder.mkdir(parents=True)
    (folder / "openapi.yaml").write_text(json.dumps(document, indent=1), encoding="utf-8")
    return folder


def changed(base: Any, path: str, value: Any) -> Any:
    document = copy.deepcopy(base)
    put(document, path, value)
    return document


def change(base: Any, root: Path, path: str, value: Any) -> list[tuple[str, str]]:
    """Return the rules and grades of what one change of the base does."""
    old = load_contract(folder_of(base, root / "old"))
    new = load_contract(folder_of(changed(base, path, value), root / "new"))
    return [(found.rule, found.grade) for found in compare(old, new)]


def test_there_are_sixty_changes_at_least() -> None:
    """The table is as long as it was promised to be."""
    assert len(CHANGES) >= 60


@pytest.mark.parametrize(("path", "value", "rule", "grade"), CHANGES, ids=lambda value: str(value)[:60])
def test_a_change_has_its_grade(base: Any, tmp_path: Path, path: str, value: Any, rule: str, grade: str) -> None:
    """Each single change is found, is called by its name, and is graded by what it does to a consumer."""
    found = change(base, tmp_path, path, value)
    assert (rule, grade) in found
    assert found[0][1] == grade, "nothing that is worse is told of it"


# --- what holds for all ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["kie", "oxen", "replicate", "shortapi"])
def test_a_contract_is_what_it_is(name: str) -> None:
    """Nothing has changed in a contract that is compared with itself."""
    contract = load_contract(find_provider(name).contract)
    assert compare(contract, contract) == []


def test_a_change_says_where_it_is(base: Any, tmp_path: Path) -> None:
    """The line is that of the new version, and that of the old one for what is gone from it."""
    old = load_contract(folder_of(base, tmp_path / "old"))
    new = load_contract(folder_of(changed(base, JOB + "status/poll/0/everySeconds", 5), tmp_path / "new"))
    (found,) = compare(old, new)
    assert found.text == "a job may be asked for every 5 seconds, not 3: polling as before is too fast"
    assert found.where == "x-jobs.job.status.poll.0.everySeconds"
    assert Path(found.file).read_text().splitlines()[found.line - 1].strip() == '"everySeconds": 5'
    new = load_contract(folder_of(changed(base, JOB + "cancel", GONE), tmp_path / "newer"))
    (found,) = compare(old, new)
    assert "old" in found.file
    assert Path(found.file).read_text().splitlines()[found.line - 1].strip() == '"cancel": {'


def test_a_member_that_is_new_and_required_is_one_change(base: Any, tmp_path: Path) -> None:
    """It breaks who sends such a body, and is told once."""
    document = changed(base, CAT + "properties/seed", {"type": "integer"})
    put(document, CAT + "required", ["model", "input", "seed"])
    old, new = (load_contract(folder_of(one, tmp_path / name)) for name, one in (("old", base), ("new", document)))
    (found,) = compare(old, new)
    assert (found.rule, found.grade, found.text) == (
        "required-member-added",
        B,
        "the body of make has to have seed",
    )


def test_a_word_that_means_another_state_is_one_change(base: Any, tmp_path: Path) -> None:
    """It is told once, and is worse than a word that comes or goes."""
    document = changed(base, JOB + "states/running", ["working", "done"])
    put(document, JOB + "states/succeeded", ["finished"])
    old, new = (load_contract(folder_of(one, tmp_path / name)) for name, one in (("old", base), ("new", document)))
    found = compare(old, new)
    assert [(change.rule, change.grade) for change in found] == [("word-moved", B), ("end-word-added", B)]
    assert found[0].text == '"done" meant succeeded and means running: a client ends too early, or never'


def test_a_member_that_moves_is_one_change(base: Any, tmp_path: Path) -> None:
    """What is found elsewhere has moved, and is not gone; in however many states it is told once."""
    document = changed(base, JOB + "status/reply/body/id", GONE)
    put(document, JOB + "status/reply/body/data", {"id": "$job.id"})
    old, new = (load_contract(folder_of(one, tmp_path / name)) for name, one in (("old", base), ("new", document)))
    (found,) = compare(old, new)
    assert found.text == "what was at /id is at /data/id: whoever reads it there gets nothing"


def test_a_kind_of_job_can_come_and_go(base: Any, tmp_path: Path) -> None:
    """Each is one change."""
    document = changed(base, "x-jobs/other", base["x-jobs"]["job"])
    del document["x-jobs"]["job"]
    old, new = (load_contract(folder_of(one, tmp_path / name)) for name, one in (("old", base), ("new", document)))
    assert [change.rule for change in compare(old, new)] == ["job-gone", "job-added"]


def test_no_row_of_the_table_is_in_vain(base: Any) -> None:
    """Each row is the first that fits something: none stands behind one that takes all that it would."""
    seen: list[tuple[str, set[str]]] = []
    for rule in RULES:
        for path, kinds in seen:
            covered = fnmatch.fnmatchcase(rule.path, path) and (not kinds or set(rule.kinds.split()) <= kinds != set())
            assert not (covered and (not kinds or rule.kinds)), f"{rule.path} ({rule.kinds}) is never reached"
        seen.append((rule.path, set(rule.kinds.split())))


# --- the command ----------------------------------------------------------------------------------------------------


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(base: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in whose second revision the price of a job was raised."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder_of(base, tmp_path)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    document = changed(base, JOB + "prices/rules/1/amount", 2)
    (tmp_path / "contracts/acme/openapi.yaml").write_text(json.dumps(document, indent=1))
    git(tmp_path, "commit", "-qam", "second")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("HEAD~1", "HEAD"),
        ("HEAD~1", "contracts/acme"),
        ("HEAD~1", "acme"),
        ("HEAD~1:contracts/acme", "contracts/acme/openapi.yaml"),
        ("HEAD~1:contracts/acme/openapi.yaml", "HEAD:contracts/acme"),
    ],
)
def test_versions_can_be_named_in_any_way(
    repository: Path, capsys: pytest.CaptureFixture[str], old: str, new: str
) -> None:
    """A folder, a document, a provider, a revision, or a path in a revision."""
    if new == "HEAD":
        new = "HEAD:contracts/acme"
    assert main(["diff", old, new, "--fail-on", "risky"]) == 1
    assert "it costs 2, and cost 1" in capsys.readouterr().out


def test_what_does_not_exist_is_told(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong name, revision or path is answered with 2, and with what is near."""
    for arguments, text in (
        (["acmee", "acme"], 'there is no provider "acmee"; did you mean "acme"?'),
        (["HEAD~1:contracts/none", "acme"], 'there is no "contracts/none" in the revision "HEAD~1"'),
        (
            ["HEAD~9:contracts/acme", "acme"],
            'There is no git revision "HEAD~9": `git log --all` has those that there are',
        ),
        (["HEAD~9", "acme"], 'there is no provider "HEAD~9"; there is: acme, '),
        (["HEAD~9", "acme"], '\n  There is no git revision "HEAD~9": `git log --all` has those that there are\n'),
    ):
        assert main(["diff", *arguments]) == 2
        assert text in capsys.readouterr().err


def test_a_shallow_clone_lacks_revisions(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where a clone is shallow it is said how to get what it lacks; where there is no repository, that is said."""
    git(repository, "clone", "-q", "--depth", "1", repository.as_uri(), "shallow")
    (repository / "bare/contracts").mkdir(parents=True)
    shutil.copytree(repository / "contracts/acme", repository / "bare/contracts/acme")
    for folder, reason in (
        ("shallow", "this clone is shallow, and `git fetch --unshallow` gets the rest of its history"),
        ("bare", "this is no git repository"),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GIT_CEILING_DIRECTORIES", str(repository))
            patch.chdir(repository / folder)
            assert main(["diff", "HEAD~1", "contracts/acme"]) == 2
            assert capsys.readouterr().err.endswith(f'\n  There is no git revision "HEAD~1": {reason}\n')
            assert main(["diff", "HEAD~1:contracts/acme", "contracts/acme"]) == 2
            assert capsys.readouterr().err == f'There is no git revision "HEAD~1": {reason}\n'


def test_without_git_a_revision_cannot_be_read(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said that git is missing."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="git is not installed"), contract_at("HEAD:contracts/acme", "acme"):
        pass


@pytest.mark.parametrize(("fail_on", "code"), [("breaking", 0), ("risky", 1), ("safe", 1), ("never", 0)])
def test_the_exit_code_tells_how_bad_it_is(repository: Path, fail_on: str, code: int) -> None:
    """A risky change fails where risky ones are to fail."""
    assert main(["diff", "HEAD~1", "acme", "--fail-on", fail_on]) == code


def test_people_see_the_worst_first(base: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Changes stand below their grade, with where they are, and are counted at the end."""
    document = changed(base, JOB + "prices/rules/1/amount", 2)
    put(document, JOB + "cancel", GONE)
    old, new = str(folder_of(base, tmp_path / "old")), str(folder_of(document, tmp_path / "new"))
    assert main(["diff", old, new]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["breaking", "  The operation that cancels is gone"]
    assert lines[3:5] == ["risky", "  it costs 2, and cost 1"]
    assert lines[-1] == "acme: 1 breaking, 1 risky"
    assert main(["diff", old, old]) == 0
    assert capsys.readouterr().out == "acme: nothing has changed for a consumer\n"


def test_programs_get_all_of_it(base: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON, and in the forms of CI, in which a breaking change is an error and a risky one a warning."""
    document = changed(base, JOB + "prices/rules/1/amount", 2)
    old, new = str(folder_of(base, tmp_path / "old")), str(folder_of(document, tmp_path / "new"))
    main(["diff", old, new, "--format", "json"])
    (change,) = json.loads(capsys.readouterr().out)
    assert (change["rule"], change["grade"], change["line"]) == ("price-higher", "risky", change["line"])
    main(["diff", old, new, "--format", "github"])
    assert capsys.readouterr().out.startswith("::warning file=")
