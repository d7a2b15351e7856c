"""New facts: what was seen and the contract does not know, and a patch with those of them that can be written down."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from understudy.contract.codecs import dump_json
from understudy.contract.loader import file_name
from understudy.contract.model import Contract, JobType
from understudy.contract.templates import fit
from understudy.contract.views import facts_of
from understudy.lifecycle import JobError, Json, State
from understudy.probes import views_of
from understudy.record.recordings import Recording, headers_told
from understudy.record.redaction import Redactor
from understudy.record.sequences import Step, Told

# Headers of HTTP, and of what stands between: they tell nothing of a provider.
_USUAL = re.compile(
    r"accept.*|access-control-.*|age|allow|alt-svc|cache-control|connection|content-.*|cross-origin-.*|date|etag|expires"
    r"|keep-alive|last-modified|link|location|nel|permissions-policy|pragma|referrer-policy|report-to|reporting-endpoints"
    r"|server|server-timing|set-cookie|strict-transport-security|trailer|transfer-encoding|upgrade|vary|via|www-auth.*"
    r"|x-(?:content-type-options|frame-options|powered-by|xss-protection|cache.*|served-by|timer|runtime)|cf-.*|fly-.*"
)
_INDEX = re.compile(r"/\d+(?=/|\)|$)")


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that the contract does not know.

    Attributes:
        text: What.
        at: Where the contract would say it, as keys into the document; None where that is nowhere in particular.
        entry: What would stand there.
    """

    text: str
    at: tuple[str, ...] | None = None
    entry: Json = None


def facts_in(contract: Contract, told: Told, recordings: Iterable[Recording], redactor: Redactor) -> list[Fact]:
    """Return what was seen and the contract does not know, each once.

    Args:
        contract: What is known.
        told: What was seen.
        recordings: The same as recordings, with what the fake does otherwise.
        redactor: Takes out of a fact what may not be told.
    """
    finder = _Finder(contract, told, redactor)
    found = [fact for index, step in enumerate(told.steps) for fact in finder.of(step, told.steps[index + 1 :])]
    found += [Fact(f"no operation has this path: {redactor.text(path)}") for path in told.strangers]
    known = {json.dumps(fact.entry["word"]) for fact in found if fact.at is not None and "word" in fact.entry}
    for recording in recordings:
        for problem in recording.problems:
            text = _INDEX.sub("/…", problem.text)
            if not any(word in text for word in known):  # which is why
                found.append(Fact(text))
    return list({fact.text: fact for fact in found}.values())


class _Finder:
    def __init__(self, contract: Contract, told: Told, redactor: Redactor) -> None:
        self._contract, self._redactor = contract, redactor
        self._made: dict[str, float] = {}
        for step in told.steps:
            if step.at is not None and step.part == "create":
                for job_id in step.ids:
                    self._made.setdefault(job_id, step.at)

    def of(self, step: Step, later: Sequence[Step]) -> Iterator[Fact]:
        kind, known = step.kind, {name.lower() for name in headers_told(step)}
        for name in step.headers if step.part != "callback" else ():
            if name not in known and not _USUAL.fullmatch(name):
                yield Fact(f"a header of an answer: {self._redactor.text(name)}")
        if step.part == "event":
            if step.read is None:
                yield Fact(f"an event: {self._redactor.text(step.event)}")
        elif step.read is not None and step.read.reading:
            yield from self._state(kind, step, later)
        elif step.seen is not None and step.operation is not None:
            rule = kind.errors.recognise(step.operation.id, step.seen.status, step.body).rule
            if rule is None and not (200 <= step.seen.status < 300 and step.read is not None):
                shown = self._redactor.text(dump_json(self._redactor.json(step.body)))[:120]
                yield Fact(f"an answer of {step.operation.id} with status {step.seen.status}: {shown}")
            elif rule is not None and rule.name == "notFound":
                yield from self._hidden(step)
        else:
            yield Fact("a callback that cannot be read")

    def _state(self, kind: JobType, step: Step, later: Sequence[Step]) -> Iterator[Fact]:
        assert step.read is not None
        word, state = step.read.reading.get(("job", "status")), step.read.state
        own = [other for other in later if set(other.ids) & set(step.ids)]
        facts = facts_of(step.read.reading, kind.outputs)
        if state is None and word is not None:
            guess = State.RUNNING if any(_word(other) != word for other in own) else _end(facts)
            shown = self._redactor.json(word)
            yield Fact(f"a word for a state: {json.dumps(shown)}, which may mean {guess}",
                       (*_words_of(kind, step), str(guess)), {"word": shown})  # fmt: skip
        error = facts.get("error")
        if state is State.FAILED and isinstance(error, JobError) and not _is_known(kind, error):
            told = {"code": error.code, "message": error.message}
            entry = {key: self._redactor.json(value) for key, value in told.items() if value is not None}
            name = re.sub(r"[^a-z0-9]+", "-", str(entry.get("message", entry.get("code"))).lower())[:40].strip("-")
            yield Fact(
                f"a failure: {dump_json(entry)}",
                ("x-jobs", kind.name, "failures", name or "unnamed"),
                {**entry, "refund": "none"},
            )
        lasted = self._since(step)
        limit = None if kind.status is None or state is None else kind.status.give_up_seconds
        if limit is not None and lasted > limit:
            yield Fact(f"a job that took longer than the {limit:g} s after which to give up")

    def _hidden(self, step: Step) -> Iterator[Fact]:
        status, since = step.kind.status, self._since(step)
        if since > (0.0 if status is None else status.invisible_seconds):
            yield Fact(f"a job that is not found {since:.1f} s after its create")

    def _since(self, step: Step) -> float:
        began = [self._made[job_id] for job_id in step.ids if job_id in self._made]
        return 0.0 if step.at is None or not began else step.at - min(began)


def _word(step: Step) -> Json:
    return None if step.read is None else step.read.reading.get(("job", "status"))


def _end(facts: Mapping[str, object]) -> State:
    """Return what a state is most likely after which nothing came."""
    return State.SUCCEEDED if facts.get("result") is not None or facts.get("outputs") else State.FAILED


def _is_known(kind: JobType, error: JobError) -> bool:
    return not (error.code or error.message) or any(
        error.code in (None, failure.code) and fit(failure.message, error.message) for failure in kind.failures.values()
    )


def _words_of(kind: JobType, step: Step) -> tuple[str, ...]:
    """Return where the words are that count for what was seen."""
    asked = "" if step.operation is None else step.operation.id
    views = [view for name, view in views_of(kind) if name == asked]
    if step.part == "callback" and kind.callback is not None:
        views = [kind.callback.view]
    own = next((view for view in views if view.own_words), None)
    return ("x-jobs", kind.name, *(own.name.split(".") if own is not None else ()), "states")


# --- the patch ------------------------------------------------------------------------------------------------------

_FLOW = re.compile(r"^(\s*[\w-]+:\s*(?:&\w+\s+)?\[)(.*)(\]\s*(?:#.*)?)$")


def patch_of(contract: Contract, facts: Iterable[Fact], source: str, date: str) -> str:
    """Return a unified diff that adds to the contract what can be added; empty where nothing can.

    Args:
        contract: What is known.
        facts: What is to be added.
        source: Where it was seen.
        date: When: YYYY-MM-DD.
    """
    evidence = {"mark": "observed", "source": source, "date": date}
    lines: dict[str, list[str]] = {}
    changed: dict[str, list[str]] = {}
    for fact in facts:
        if fact.at is None:
            continue
        *above, name = fact.at
        file, line = contract.document.where(above)
        if file not in lines:
            lines[file] = Path(file).read_text(encoding="utf-8").splitlines(keepends=True)
            changed[file] = [*lines[file]]
        node = contract.document.data
        for part in above:
            node = node.get(part, {})
        written = _flow({**fact.entry, "x-evidence": evidence})
        text = changed[file]
        if not node or not text[line - 1].rstrip().endswith(":"):
            continue  # it is not there, or written in a way that is better changed by hand
        inner = " " * _indent(text[line])
        if name not in node:
            text[line - 1] += f"{inner}{name}: {written if 'word' not in fact.entry else f'[{written}]'}\n"
            continue
        own = contract.document.where(fact.at)[1] - 1
        found = _FLOW.match(text[own].rstrip("\n"))
        if found is not None:
            text[own] = f"{found[1]}{found[2]}, {written}{found[3]}\n"
        elif text[own].rstrip().endswith(":"):
            text[own] += f"{' ' * _indent(text[own + 1])}- {written}\n"
    return "".join(
        line
        for file, before in lines.items()
        for line in difflib.unified_diff(
            before, "".join(changed[file]).splitlines(keepends=True), f"a/{_named(file)}", f"b/{_named(file)}"
        )
    )


def _named(file: str) -> str:
    return file_name(Path(file)).lstrip("/")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _flow(value: Mapping[str, Json]) -> str:
    """Return an object as YAML on one line."""
    return json.dumps(value, ensure_ascii=False)
