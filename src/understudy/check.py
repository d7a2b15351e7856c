"""`understudy check`: prove a contract usable, and name everything that is wrong, doubtful or guessed in it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from understudy import consistency, mentions
from understudy.behaviour import Behaviour, load_behaviour
from understudy.contract.build import load_contract, load_document
from understudy.contract.closed import check_closed
from understudy.contract.loader import Document, file_name, load
from understudy.contract.model import Contract
from understudy.errors import ContractInvalid, Problem, UsageError, suggestion
from understudy.folders import Folders, find_provider, provider_names
from understudy.outputs import WRITERS, Case, Finding
from understudy.playback import Playback, play
from understudy.probes import sample_body, sample_parameters
from understudy.proofs import Proof
from understudy.rehearsal import rehearse
from understudy.walk import walk

#: The formats in which it is told what was found.
FORMATS = ("text", "json", *WRITERS)


@dataclass(frozen=True, slots=True, order=True)
class Guess:
    """A mark `guessed`: where it stands, the pointer to what it is on, and what it says."""

    file: str
    line: int
    pointer: str
    source: str


@dataclass(slots=True)
class CheckReport:
    """What was found out about a provider.

    Attributes:
        name: The provider.
        problems: What is wrong.
        notes: What is worth knowing and not wrong.
        guesses: What is only guessed.
        recordings: The recordings by name, and what came of each; None for one that could not be played.
        operations: How many the document has.
        models: How many there are.
        scenarios: How many the fake has.
        files: All that was looked at.
        documented: How many marks say so.
        observed: How many marks say so.
    """

    name: str
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    guesses: list[Guess] = field(default_factory=list)
    recordings: dict[str, Playback | None] = field(default_factory=dict)
    operations: int = 0
    models: int = 0
    scenarios: int = 0
    files: tuple[str, ...] = ()
    documented: int = 0
    observed: int = 0

    @property
    def reproduced(self) -> int:
        """How many recordings the fake reproduces."""
        return sum(playback is not None and playback.reproduced for playback in self.recordings.values())


def check_provider(folders: Folders) -> CheckReport:
    """Check a provider.

    Args:
        folders: Its two folders.

    Returns:
        Everything that was found out; nothing is raised for a file that is wrong.
    """
    report = CheckReport(folders.contract.name)
    found = (*sorted(folders.contract.rglob("*.*")), *sorted(folders.fake.rglob("*.*")))
    report.files = tuple(file_name(path) for path in found if path.is_file())
    recordings = _read(folders.contract / "recordings", "recording", report)
    report.guesses += [
        Guess(*document.where(("source", "mark")), "/source", str(document.data["source"]["document"]))
        for document in recordings.values()
        if document.data["source"]["mark"] == "guessed"
    ]
    scenarios = _read(folders.fake / "scenarios", "scenario", report)
    behaviours = _read(folders.fake, "behaviour", report)
    report.recordings.update((path.stem, None) for path in sorted(folders.contract.glob("recordings/*.yaml")))
    report.scenarios = len(list(folders.fake.glob("scenarios/*.yaml")))
    fake = {**scenarios, "": behaviours.get("behaviour", Document(folders.fake / "behaviour.yaml", {}))}
    contract = _contract(folders, report)
    behaviour = _behaviour(folders, contract, report)
    holds = contract is not None and _holds(contract, behaviour, fake, report)
    if contract is not None and behaviour is not None and holds:
        _play(contract, behaviour, recordings, fake, report)
    for document in (*recordings.values(), *fake.values(), *([contract.document] if contract is not None else ())):
        report.problems += document.problems
    report.problems, report.notes = sorted(set(report.problems)), sorted(set(report.notes))
    return report


def _read(folder: Path, schema: str, report: CheckReport) -> dict[str, Document]:
    """Read the files of a folder, hold each to its schema, and return by name those that can be looked at further."""
    found = {}
    for path in sorted(folder.glob("*")):
        known = path.suffix == ".yaml" and (schema != "behaviour" or path.stem == "behaviour")
        if path.name.startswith(".") or (schema == "behaviour" and path.name == "scenarios"):
            continue
        try:
            if not known:
                names = ("behaviour.yaml", "scenarios") if schema == "behaviour" else (f"{path.stem}.yaml",)
                text = f'"{path.name}" is not read; {suggestion(path.name, names)}'
                raise ContractInvalid([Problem(file_name(path), 1, text)])
            document = load(path)
            usable = check_closed(document, schema)
            report.problems += document.problems
            if usable and not document.problems:
                found[path.stem] = document
        except ContractInvalid as error:
            report.problems += error.problems
    return found


def _contract(folders: Folders, report: CheckReport) -> Contract | None:
    """Load the contract; its marks are counted, and its extensions looked at, even where it cannot be used."""
    contract = None
    try:
        contract = load_contract(folders.contract)
        document = contract.document
    except ContractInvalid as error:
        report.problems += error.problems
        try:
            document = load_document(folders.contract)
        except ContractInvalid:
            return None
    if contract is not None or check_closed(document, "openapi"):
        consistency.check_schemas(document)
    consistency.check_extensions(document)
    report.problems += document.problems
    marks = consistency.evidence(document)
    report.guesses += [Guess(where.file, where.line, pointer, where.text) for where, pointer in marks["guessed"]]
    report.documented += len(marks["documented"])
    report.observed += len(marks["observed"])
    return contract


def _behaviour(folders: Folders, contract: Contract | None, report: CheckReport) -> Behaviour | None:
    try:
        return None if contract is None else load_behaviour(folders.fake, contract)
    except ContractInvalid as error:
        report.problems += error.problems
        return None


def _holds(contract: Contract, behaviour: Behaviour | None, fake: dict[str, Document], report: CheckReport) -> bool:
    """Look at names and views; say whether the names are right, since what contradicts itself cannot be played."""
    report.operations = len(contract.operations)
    report.models = len({model for job_type in contract.job_types.values() for model in job_type.models})
    consistency.check_contract(contract)
    for document in fake.values():
        mentions.check_names(contract, contract.job_type, document, ())
    if behaviour is not None:
        mentions.check_secrets(contract, behaviour.secrets, fake[""].name)
    if contract.document.problems or any(document.problems for document in fake.values()):
        return False
    for job_type in contract.job_types.values():
        proof = Proof(contract, job_type)
        proof.run()
        report.notes += proof.notes
    return True


def _play(
    contract: Contract,
    behaviour: Behaviour,
    recordings: dict[str, Document],
    fake: dict[str, Document],
    report: CheckReport,
) -> None:
    for name, document in recordings.items():
        consistency.check_recording(contract, behaviour, document)
        if document.problems:
            continue
        playback = report.recordings[name] = play(contract, behaviour, document)
        if playback.added:
            report.notes.append(Problem(document.name, 1, f"the fake says more than was recorded: {_added(playback)}"))
    operation = contract.operations[contract.job_type.creates[0].operations[0]]
    requests = [
        exchange.get("request", {}) for document in recordings.values() for exchange in document.data["exchanges"]
    ]
    recorded = [
        request["body"] for request in requests if request.get("operation") == operation.id and "body" in request
    ]
    body = sample_body(contract, operation, recorded)
    if body is None and operation.body is not None:
        text = f"no body that {operation.id} takes is known, so no scenario was played: give an example or a recording"
        report.notes.append(Problem(contract.document.name, 1, text))
        return
    given = {**sample_parameters(contract, operation), **({} if body is None else {"body": body})}
    rehearse(contract, behaviour, given, fake)
    if not any(document.problems for document in fake.values()):  # or the same would be said once more
        report.notes += walk(contract, behaviour)


def _added(playback: Playback) -> str:
    """Return the pointers to what was added, those below one place together."""
    below: dict[str, list[str]] = {}
    for pointer in playback.added:
        above, _, name = pointer.rpartition("/")
        below.setdefault(above, []).append(name)
    return "; ".join(f"{above}: {', '.join(names)}" for above, names in below.items())


# --- telling --------------------------------------------------------------------------------------------------------


def run(names: Sequence[str], *, format: str = "text") -> int:
    """Check providers and print what was found.

    Args:
        names: Providers, or paths to contract folders; none for all that are found.
        format: `text`, `json` for one object, or one of `outputs`.

    Returns:
        The exit code: 0 when nothing is wrong, 1 when something is, 2 when the question was.
    """
    try:
        if format not in FORMATS:
            raise UsageError(f'there is no format "{format}"; {suggestion(format, FORMATS)}')
        reports = [check_provider(find_provider(name)) for name in names or provider_names()]
    except UsageError as error:
        sys.stderr.write(f"understudy check: {error}\n")
        return 2
    if format == "json":
        sys.stdout.write(json.dumps({"providers": [as_json(report) for report in reports]}, indent=2) + "\n")
    elif format in WRITERS:
        sys.stdout.write(WRITERS[format]("check", as_cases(reports)))
    else:
        sys.stdout.write(as_text(reports))
    return 1 if any(report.problems for report in reports) else 0


def as_text(reports: Sequence[CheckReport]) -> str:
    """Return reports for people: the problems of all first."""
    problems = [str(problem) for report in reports for problem in report.problems]
    return "".join(f"{line}\n" for line in (*problems, *(line for report in reports for line in _summary(report))))


def _summary(report: CheckReport) -> Iterator[str]:
    yield f"{report.name}: {_counted(len(report.problems), 'problem') if report.problems else 'fine'}"
    yield (
        f"  {_counted(report.operations, 'operation')}, {_counted(report.models, 'model')},"
        f" {_counted(report.scenarios, 'scenario')},"
        f" {report.reproduced} of {_counted(len(report.recordings), 'recording')} reproduced"
    )
    yield f"  {report.documented} documented, {report.observed} observed, {len(report.guesses)} guessed"
    yield from (f"  guess {guess.file}:{guess.line}: {guess.pointer}: {guess.source}" for guess in report.guesses)
    yield from (f"  note {note}" for note in report.notes)


def as_json(report: CheckReport) -> dict[str, object]:
    """Return a report for programs."""
    return {
        **{key: value for key, value in asdict(report).items() if key != "recordings"},
        "recordings": {
            name: {
                "reproduced": playback is not None and playback.reproduced,
                "added": playback.added if playback else (),
            }
            for name, playback in report.recordings.items()
        },
    }


def as_cases(reports: Iterable[CheckReport]) -> list[Case]:
    """Return reports for CI: each file is a case."""
    cases = []
    for report in reports:
        told = [Finding("contract", "error", problem.text, problem.file, problem.line) for problem in report.problems]
        told += [Finding("note", "note", note.text, note.file, note.line) for note in report.notes]
        told += [Finding("guess", "note", guess.source, guess.file, guess.line) for guess in report.guesses]
        for name in dict.fromkeys((*report.files, *(finding.file or report.name for finding in told))):
            cases.append(Case(report.name, name, tuple(finding for finding in told if finding.file == name)))
    return cases


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
