"""Every error of the project, and whose fault it says it is.

UnderstudyError
├── ContractInvalid         contract author: a contract or fake file cannot be used
├── UsageError              test author: a name, an argument or an address that cannot be
├── ClientError             what the reference client met
│   ├── Refused             the create was refused for certain: no job, nothing charged
│   ├── OutcomeUnknown      the create may have made a job: do not repeat it blindly
│   ├── ProviderError       another operation answered an error
│   ├── UnreadableReply     the provider's answer is not what its contract says
│   ├── WaitTimeout         the deadline passed and the job is still active
│   └── JobEnded            the job ended without a result
│       ├── JobFailed
│       ├── JobCancelled
│       └── JobExpired
└── SignatureInvalid        a callback that the provider did not sign
ClockExhausted              (a BaseException) code under test waits for what cannot come
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from understudy.lifecycle import Job


# How much alike two words have to be that one is taken for the other; at a half "nope" is taken for "oxen".
_NEAR = 0.6


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """Return the valid name most like `name`, or None when nothing is like it."""
    text, options = str(name), [str(option) for option in valid]
    slips = [option for option in options if _is_slip(text, option)]
    if slips:
        return min(slips, key=lambda option: abs(len(option) - len(text)))
    begun = [option for option in options if len(text) > 3 and option.lower().startswith(text.lower())]
    if begun:
        return min(begun, key=len)
    found = difflib.get_close_matches(text, options, n=1, cutoff=_NEAR)
    return found[0] if found else None


def _is_slip(text: str, option: str) -> bool:
    """Say whether a finger slipped: a letter is missing or too much, or two neighbours are swapped."""
    if len(text) == len(option):
        pairs = range(len(text) - 1)
        return any(text[:at] + text[at + 1] + text[at] + text[at + 2 :] == option for at in pairs) and text != option
    shorter, longer = sorted((text, option), key=len)
    return any(longer[:at] + longer[at + 1 :] == shorter for at in range(len(longer)))


def suggestion(name: str, valid: Iterable[str]) -> str:
    """Return `did you mean "…"?`, or the list of what there is when nothing is like `name`."""
    options = sorted(str(option) for option in valid)
    found = nearest(name, options)
    if found is not None:
        return f'did you mean "{found}"?'
    return f"there is: {', '.join(options)}" if options else "there is none"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong with a file.

    Attributes:
        file: The file, as the user would name it.
        line: Counted from 1.
        text: What is wrong, what was expected, the nearest valid name.
    """

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


class UnderstudyError(Exception):
    """The root of every error raised here."""


class ContractInvalid(UnderstudyError):
    """A contract or fake file cannot be used; it carries every problem found, not the first alone.

    Attributes:
        problems: What is wrong, in the order of files and lines.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


class UsageError(UnderstudyError):
    """A name, an argument or an address that cannot be: the fault of whoever wrote the call."""


def require_number(name: str, number: float | None, least: float) -> None:
    """Raise UsageError where something is given that is no number, or a smaller one."""
    if number is not None and (isinstance(number, bool) or not isinstance(number, int | float) or not number >= least):
        raise UsageError(f"{name} has to be a number from {least:g}, and not {number!r}")


@contextmanager
def writing(place: Path, option: str) -> Iterator[None]:
    """Say of files that cannot be written where they were to go, and by which option that was asked for.

    Raises:
        UsageError: They cannot be written.
    """
    try:
        yield
    except OSError as error:
        where = error.filename or place  # on a full disk no file is named
        raise UsageError(f"{where} cannot be written: {error.strerror}; choose another {option}") from None


class SignatureInvalid(UnderstudyError):
    """A callback whose signature is missing, wrong or stale: it is not the provider's."""


class _Advice(NamedTuple):
    """Whose fault an error is, and what they can do."""

    fault: str
    remedy: str


_YOURS, _PROVIDERS, _NETWORKS = "yours", "the provider's", "the network's, between you and the provider"
_MEND = _Advice(_YOURS, "Mend the request.")
_LATER = _Advice(_PROVIDERS, "Ask again later, or ask its support.")
_REACH = _Advice(_NETWORKS, "See that it can be reached.")

# By named error; where an error has no name that stands here, HTTP's own words name it.
_ADVICE: Mapping[str, _Advice] = {
    "unauthorized": _Advice(_YOURS, "Check the key."),
    "unsupportedMediaType": _MEND,
    "tooLarge": _MEND,
    "malformed": _MEND,
    "unknownModel": _MEND,
    "invalid": _MEND,
    "notFound": _Advice(_YOURS, "Check the id, and that the key is of the same account."),
    "methodNotAllowed": _MEND,
    "unknownPath": _MEND,
    "idTaken": _Advice(_YOURS, "Choose another id."),
    "credits": _Advice(_YOURS, "Top up the account."),
    "rateLimited": _Advice(_YOURS, "Wait {pause}."),
    "expired": _Advice(_YOURS, "Come sooner."),
    "serverError": _LATER,
}
_BY_STATUS: Mapping[int, _Advice] = {
    401: _ADVICE["unauthorized"],
    402: _ADVICE["credits"],
    403: _ADVICE["unauthorized"],
    404: _ADVICE["notFound"],
    408: _REACH,
    409: _Advice(_YOURS, "Look how things are now: they do not allow it."),
    429: _ADVICE["rateLimited"],
}


def _advice(name: str | None, status: int | None) -> _Advice:
    """Return whose fault an error of that name, or of that HTTP status, is; without either nothing was answered."""
    if status is None:
        return _ADVICE.get(name or "", _REACH)
    by_status = _BY_STATUS.get(status, _MEND if 400 <= status < 500 else _LATER)
    return _ADVICE.get(name or "", by_status)


class ClientError(UnderstudyError):
    """What the reference client met.

    Attributes:
        what: What happened, in one sentence.
        operation: The operation that it happened in, such as `createTask`.
        name: The contract's name of the error (`credits`), where it has one.
        status_code: The HTTP status of the answer, where there was one.
        provider_message: The provider's own text.
        job: The job as last seen, where there is one.
        retry_after_seconds: What the provider asked to wait, in seconds.
        fault: Whose it is: yours, the provider's, or that of the network between.
        remedy: Whether a job may exist, and what to do.
    """

    fault = ""  # where the kind of error does not tell, its name and status do
    remedy = ""
    _advised = False  # whether they tell what to do, too

    def __init__(
        self,
        what: str,
        *,
        operation: str = "",
        name: str | None = None,
        status_code: int | None = None,
        provider_message: str | None = None,
        job: Job | None = None,
        retry_after_seconds: float | None = None,
        meant_status: int | None = None,  # what the contract gives to the error, whatever it came with
        unit: str = "",  # of what jobs cost
    ) -> None:
        self.what = what
        self.operation = operation
        self.name = name
        self.status_code = status_code
        self.provider_message = provider_message
        self.job = job
        self.retry_after_seconds = retry_after_seconds
        self._unit = unit
        self._blame(_advice(name, status_code if meant_status is None else meant_status))
        super().__init__(self._text())

    def _blame(self, advice: _Advice) -> None:
        self.fault = self.fault or advice.fault
        if self._advised:
            pause = "a while" if self.retry_after_seconds is None else f"{self.retry_after_seconds:g} seconds"
            self.remedy = f"{advice.remedy.format(pause=pause)} {self.remedy}"

    def _text(self) -> str:
        where = [f"in {self.operation}"] if self.operation else []
        if self.job is not None:
            where.append(f"job {self.job.id} is {self.job.worded}")
            cost = self.job.spent if self.job.spent is not None else self.job.cost
            where += [f"cost: {cost:.10g} {self._unit}".rstrip()] if cost is not None else []
        got = [f"HTTP {self.status_code}"] if self.status_code is not None else []
        got += [self.name] if self.name else []
        got += [f'"{self.provider_message}"'] if self.provider_message else []
        blame = f"The fault is {self.fault}. {self.remedy}".rstrip()
        lines = [self.what, ", ".join(where), f"got: {' · '.join(got)}" if got else "", blame]
        return "\n  ".join(" ".join(line.splitlines()) for line in lines if line)


class Refused(ClientError):
    """The create was refused for certain: there is no job and nothing was charged."""

    remedy = "No job was made and nothing was charged."
    _advised = True


class OutcomeUnknown(ClientError):
    """The create may have made a job and charged for it; the provider's answer does not tell."""

    remedy = "A job may exist and may have been charged: look at the provider's log before you repeat the request."


class ProviderError(ClientError):
    """An operation other than a create answered an error."""

    remedy = "It made no job and ended none."
    _advised = True


class UnreadableReply(ClientError):
    """The provider's answer is not what its contract says."""

    fault = "the provider's, or the network's"
    remedy = (
        "Either the contract is out of date or something between you and the provider answered instead; "
        "a job that you have goes on."
    )


class WaitTimeout(ClientError):
    """The deadline passed and the job is still active."""

    fault = "the provider's, if the deadline was long enough"
    remedy = "The job goes on at the provider: wait again with a later deadline, or cancel it."


class JobEnded(ClientError):
    """The job ended without a result; `job` says how."""

    fault = "yours or the provider's"
    remedy = "The job has ended."


class JobFailed(JobEnded):
    """The job failed; `job.error` has the provider's code and text."""

    remedy = "The job has ended: if it is the input that its text speaks of, mend that before you make another."


class JobCancelled(JobEnded):
    """The job was cancelled."""

    remedy = "The job has ended: if it was not you who cancelled it, make another."


class JobExpired(JobEnded):
    """The job, or its result, is no longer kept."""

    remedy = "The job has ended, and what came of it is gone: ask sooner the next time."


class ClockExhausted(BaseException):
    """Code under test waits for something that can never come.

    It is a BaseException so that a loop with `except Exception` ends, too.
    """
