"""What a change of an entry of `x-jobs` does to a consumer: a table, of which the first row that fits counts."""

# ruff: noqa: E501 # a table is read by its rows

from __future__ import annotations

import fnmatch
from typing import NamedTuple

from understudy.diff.changes import Difference, Grade, said


class Rule(NamedTuple):
    """A row: where, what happened there, and what it does.

    Attributes:
        path: A pattern of the path in the tree; `*` stands for anything.
        kinds: What happened, several divided by blanks; empty for anything.
        grade: How bad it is.
        name: What it is called.
        text: What it does to a consumer; `{name}`, `{old}` and `{new}` stand for what is different.
    """

    path: str
    kinds: str
    grade: Grade
    name: str
    text: str


_ENDS = ("succeeded", "failed", "cancelled", "expired")

#: How parts that come and go as a whole are called.
_PARTS = {
    "status": "the operation that tells how a job is",
    "result": "the operation that gives the result",
    "cancel": "the operation that cancels",
    "delete": "the operation that deletes",
    "list": "the operation that lists jobs",
    "events": "the stream of events",
    "callback": "the callback",
    "assets": "result files with links",
    "assets.renew": "the operation that renews a link",
    "models.list": "the operation that lists models",
    "models.details": "the operation that describes a model",
}

#: What a body shows: under the bodies of views, frames, results and errors alike.
_BODIES: tuple[tuple[str, Grade, str, str], ...] = (
    ("removed", "breaking", "member-gone", "{name} is gone: whoever reads it gets nothing"),
    ("moved", "breaking", "member-moved", "what was at {old} is at {new}: whoever reads it there gets nothing"),
    ("recoded", "breaking", "member-recoded", "{name} is written another way: it was {old}, and is {new}"),
    ("changed", "breaking", "member-changed", "{name} means something else: it was {old}, and is {new}"),
    ("added", "safe", "member-added", "{name} is new; a client that does not know it goes on as before"),
)

# fmt: off
RULES: tuple[Rule, ...] = (
    # --- states
    Rule("states", "moved", "breaking", "word-moved", "{name} meant {old} and means {new}: a client ends too early, or never"),
    *(
        Rule(path, "added", "breaking", "end-word-added", "a job can end as {name}: a client that does not know the word polls on")
        for end in _ENDS
        for path in (f"states.{end}", f"states.{end}.*")
    ),
    Rule("states.unknown", "", "risky", "unknown-words", "words that are not listed mean something else: {old} became {new}"),
    Rule("states.*", "added", "risky", "word-added", "a job that goes on can say {name}: a client that takes it for an end stops early"),
    Rule("states.*", "removed", "safe", "word-gone", "{name} does not come any more"),
    Rule("states.*", "changed", "risky", "word-condition", "when {name} has this meaning is decided by something else: {new}"),
    Rule("*.states*", "", "breaking", "view-words", "the words of this view are others: {name} was {old}, and is {new}"),
    Rule("id", "", "risky", "id-form", "ids look different: {new}, not {old}; columns and patterns for them may not fit"),
    Rule("successCriteria", "", "breaking", "criterion-changed", "what makes an answer a success is {new}, and was {old}"),
    Rule("*.successCriteria", "", "breaking", "criterion-changed", "what makes this answer a success is {new}, and was {old}"),
    # --- create
    Rule("create.*.sync.maxSeconds", "", "risky", "wait-limit", "a create that blocks answers after {new} seconds, not {old}"),
    Rule("create.*.sync.*", "", "breaking", "wait-condition", "a create blocks when {new}, and did when {old}"),
    Rule("create.*.sync", "added", "risky", "create-blocks", "the create blocks until the job ends: a short timeout gives up on it"),
    Rule("create.*.sync", "removed", "breaking", "create-blocks-no-more", "the create answers at once: the job has not ended then"),
    Rule("create.*.idempotency.seconds", "lowered", "risky", "replay-shorter", "a repeated create is recognised for {new} seconds, not {old}"),
    Rule("create.*.idempotency.seconds", "raised", "safe", "replay-longer", "a repeated create is recognised for {new} seconds"),
    Rule("create.*.idempotency", "added", "safe", "idempotency-added", "a repeated create can be recognised"),
    Rule("create.*.idempotency*", "", "breaking", "idempotency", "a repeated create is not recognised as before: {name} was {old}, and is {new}"),
    Rule("create.*.callbackUrl", "added", "safe", "callback-url-added", "a create takes a callback URL at {new}"),
    Rule("create.*.model", "added", "risky", "model-added", "a create takes a model at {new}"),
    Rule("create.*.count", "added", "safe", "count-added", "a create takes a number of jobs at {new}"),
    *(
        Rule(f"create.*.{key}", "", "breaking", "place-moved", f"a create takes its {what} at {{new}}, not at {{old}}")
        for key, what in {"model": "model", "input": "input", "count": "number of jobs", "callbackUrl": "callback URL"}.items()
    ),
    Rule("create.*.claims*", "", "risky", "claims", "{name} changed sides between the input and what stands beside it"),
    Rule("create.*.validates", "", "risky", "validated-elsewhere", "a bad input shows itself elsewhere: {new}, not {old}"),
    # --- views
    *(Rule(f"{place}.{rest}", *row) for place in ("*.body", "outputs", "*.data") for rest in ("*",) for row in _BODIES),
    Rule("errors.*.body.*", "reworded", "breaking", "error-code", "{name} is {new}, and was {old}: who tells errors apart by it does not find it"),
    Rule("*.body.*", "reworded", "risky", "literal-changed", "{name} always says {new}, and said {old}"),
    Rule("outputs.*", "reworded", "risky", "literal-changed", "{name} always says {new}, and said {old}"),
    Rule("*.data.*", "reworded", "risky", "literal-changed", "{name} always says {new}, and said {old}"),
    Rule("*.special*", "", "risky", "condition-of-a-view", "what is shown when {name} is another: {new}, not {old}"),
    Rule("*.status.*", "", "breaking", "http-status", "the HTTP status of a job that is {name} is {new}, and was {old}"),
    Rule("*.mediaType", "", "breaking", "media-type", "the body is {new}, and was {old}"),
    # --- callback, before the headers of views
    Rule("callback.sign", "added", "safe", "signature-added", "callbacks are signed; who does not look is not disturbed"),
    Rule("callback.sign", "removed", "breaking", "signature-gone", "callbacks are not signed any more: who verifies refuses them"),
    Rule("callback.sign.toleranceSeconds", "raised", "safe", "tolerance", "a signature is good for {new} seconds, not {old}"),
    Rule("callback.sign.toleranceSeconds", "", "risky", "tolerance", "a signature is good for {new} seconds, not {old}"),
    Rule("callback.sign.*", "", "breaking", "signature", "callbacks are signed another way ({name}): who verifies as before refuses them"),
    Rule("callback.trigger.*", "added", "risky", "callback-state-added", "a callback comes for jobs that are {name}, too: it is no end to wait for"),
    Rule("callback.trigger.*", "removed", "breaking", "callback-state-gone", "no callback comes for jobs that are {name}: who waits for it waits for ever"),
    Rule("callback.trigger.*", "", "breaking", "event-name", "the event of jobs that are {name} is called {new}, and was {old}"),
    Rule("callback.only", "added", "safe", "callback-filter", "a create can choose its events at {new}"),
    Rule("callback.only", "removed", "risky", "callback-filter", "a create cannot choose its events any more: all of them come"),
    Rule("callback.only", "", "breaking", "callback-filter", "a create chooses its events at {new}, not at {old}"),
    Rule("callback.timeoutSeconds", "lowered", "risky", "callback-timeout", "a receiver has {new} seconds to answer, not {old}; later counts as lost"),
    Rule("callback.timeoutSeconds", "raised", "safe", "callback-timeout", "a receiver has {new} seconds to answer, not {old}"),
    Rule("callback.delivered", "removed", "safe", "callback-answer", "any 2xx of a receiver is good"),
    Rule("callback.delivered", "", "breaking", "callback-answer", "a receiver has to answer so that {new}; anything else counts as lost"),
    Rule("callback.retry", "added", "risky", "callback-retry", "a callback that was not taken comes again: it may come twice"),
    Rule("callback.retry", "removed", "risky", "callback-retry", "a callback that was not taken does not come again"),
    Rule("callback.retry.*attempts", "lowered", "risky", "callback-retry", "a callback is tried {new} more times, not {old}"),
    Rule("callback.retry.*attempts", "raised", "safe", "callback-retry", "a callback is tried {new} more times, not {old}"),
    Rule("callback.retry.*", "", "safe", "callback-pauses", "the pauses between tries are {new}, and were {old}"),
    Rule("callback.handshake", "removed", "safe", "handshake-gone", "a receiver has no challenge to answer any more"),
    Rule("callback.handshake*", "", "breaking", "handshake", "a receiver has to answer a challenge before anything is sent: {new}"),
    Rule("*.headers.*", "added", "safe", "header-added", "the header {name} is new"),
    Rule("*.headers*", "", "risky", "header-changed", "the header {name} was {old}, and is {new}"),
    # --- status
    Rule("status.poll.*.everySeconds", "raised", "risky", "pace-slower", "a job may be asked for every {new} seconds, not {old}: polling as before is too fast"),
    Rule("status.poll.*.everySeconds", "lowered", "safe", "pace-faster", "a job may be asked for every {new} seconds, not {old}"),
    Rule("status.poll", "removed", "safe", "pace-gone", "no pace of polling is documented any more"),
    Rule("status.poll*", "", "risky", "pace", "the documented pace of polling is another: {name} was {old}, and is {new}"),
    Rule("status.giveUpSeconds", "removed", "safe", "deadline-gone", "the provider names no time after which to stop asking"),
    Rule("status.giveUpSeconds", "", "risky", "deadline", "the provider says to stop asking after {new} seconds, not {old}"),
    Rule("status.notYetVisible", "added", "risky", "not-yet-visible", "a new job may not be found at first, which is no end: {new}"),
    Rule("status.notYetVisible", "removed", "safe", "visible-at-once", "a new job is found at once"),
    Rule("status.notYetVisible.withinSeconds", "lowered", "safe", "visible-sooner", "a new job is found within {new} seconds, not {old}"),
    Rule("status.notYetVisible.withinSeconds", "raised", "risky", "visible-later", "a new job may not be found for {new} seconds, not {old}"),
    Rule("status.notYetVisible.error", "", "breaking", "not-yet-visible", "a job that is not found yet is answered with {new}, not {old}"),
    # --- cancel, delete, list, events
    Rule("*.from.*", "added", "safe", "allowed-state-added", "it works for jobs that are {name}, too"),
    Rule("*.from.*", "removed", "breaking", "allowed-state-gone", "it is refused for jobs that are {name}"),
    Rule("*.refused", "", "risky", "refusal", "the answer is another when it does not work"),
    Rule("list.filter.*.otherwise*", "", "risky", "filter-default", "a list shows other jobs when nothing is asked for: {name}"),
    Rule("list.filter.*", "added", "safe", "filter-added", "a list can be filtered by {name}"),
    Rule("list.filter*", "", "breaking", "filter", "a list is not filtered by {name} as before"),
    Rule("list.page", "removed", "risky", "pages-gone", "a list comes whole, however long it is"),
    Rule("list.page*", "", "breaking", "pages", "a list comes in pages, or in others: {name} was {old}, and is {new}"),
    Rule("events.scope", "", "breaking", "stream-scope", "the stream is of {new}, and was of {old}"),
    Rule("events.frames.*", "added", "safe", "event-added", "the event {name} is new"),
    Rule("events.frames.*", "removed", "breaking", "event-gone", "the event {name} does not come any more: who waits for it waits for ever"),
    Rule("events.keepAlive.everySeconds", "lowered", "safe", "keep-alive", "a stream is silent for {new} seconds at most, not {old}"),
    Rule("events.keepAlive", "added", "safe", "keep-alive", "a silent stream sends comments"),
    Rule("events.keepAlive*", "", "risky", "keep-alive", "a stream may be silent for longer: {name} was {old}, and is {new}"),
    Rule("events.end*", "", "risky", "stream-end", "when a stream closes is another: {name}"),
    Rule("*.operation", "", "breaking", "operation-changed", "another operation does it: {new}, not {old}"),
    Rule("*.id", "", "breaking", "id-moved", "the id of the job goes to {new}, not to {old}"),
    Rule("*.link", "added", "safe", "link-added", "the create's answer says where to ask: {new}"),
    Rule("*.link", "", "breaking", "link", "where to ask stands at {new}, not at {old}"),
    # --- result files
    Rule("assets.needsKey", "added", "breaking", "file-needs-key", "a result file is not given without the key"),
    Rule("assets.needsKey", "removed", "safe", "file-needs-no-key", "a result file is given without the key"),
    Rule("*.lifetimeSeconds", "raised removed", "safe", "link-lives-longer", "a link is good for {new} seconds, and was for {old}"),
    Rule("*.lifetimeSeconds", "", "risky", "link-lives-shorter", "a link is good for {new} seconds, and was for {old}: fetch at once"),
    Rule("assets.url", "", "risky", "file-host", "result files are at {new}, and were at {old}; lists of allowed hosts may not fit"),
    Rule("assets.expired", "", "risky", "expired-error", "an expired link is answered with {new}, and was with {old}"),
    # --- what goes wrong
    Rule("errorTransports.default", "", "breaking", "error-transport", "errors come by {new}, and came by {old}"),
    Rule("errorTransports*", "", "risky", "error-transport", "the ways in which errors may come are others: {name}"),
    Rule("errors.*.http", "", "breaking", "error-status", "the HTTP status of this error is {new}, and was {old}"),
    Rule("errors.*.transport", "", "breaking", "error-transport", "this error comes by {new}, and came by {old}"),
    Rule("errors.*.committed", "removed", "safe", "refused-for-certain", "a create that gets this error has made no job, for certain"),
    Rule("errors.*.committed", "", "breaking", "may-have-made-a-job", "a create that gets this error may have made a job, and cost money: do not repeat it"),
    Rule("errors.*.retry", "added", "safe", "passes", "this error may pass"),
    Rule("errors.*.retry", "", "risky", "passes-no-more", "this error does not pass: to repeat the request is in vain"),
    Rule("errors.*.message*", "", "safe", "error-text", "the text of this error is another"),
    Rule("errors.*", "removed", "safe", "error-gone", "this error does not come any more: {name}"),
    Rule("errors.*", "added", "risky", "error-added", "a request can be answered with {name}"),
    Rule("failures.*.code", "", "breaking", "failure-code", "the code of this failure is {new}, and was {old}"),
    Rule("failures.*.http", "", "breaking", "failure-status", "the result of a job that fails so has HTTP {new}, and had {old}"),
    Rule("*.refund", "raised added", "safe", "refund-more", "more of the money comes back: {new}, not {old}"),
    Rule("*.refund", "", "risky", "refund-less", "another share of the money comes back: {new}, not {old}"),
    Rule("failures.*.message", "", "safe", "failure-text", "the text of this failure is another"),
    Rule("failures*", "removed", "safe", "failure-gone", "no job fails like this any more: {name}"),
    Rule("failures*", "added", "risky", "failure-added", "a job can fail in a new way: {name}"),
    # --- how much, and for how much
    Rule("limits.*.count", "raised", "safe", "rate-higher", "{new} requests are taken, not {old}"),
    Rule("limits.*.count", "lowered", "risky", "rate-lower", "{new} requests are taken, not {old}; more get an error"),
    Rule("limits.*.perSeconds", "lowered", "safe", "rate-higher", "they are counted over {new} seconds, not {old}"),
    Rule("limits.*.perSeconds", "raised", "risky", "rate-lower", "they are counted over {new} seconds, not {old}"),
    Rule("limits.*.jobs", "raised", "safe", "concurrency-higher", "{new} jobs may run at one time, not {old}"),
    Rule("limits.*.jobs", "lowered", "risky", "concurrency-lower", "{new} jobs may run at one time, not {old}; more get an error"),
    Rule("limits*", "removed", "safe", "limit-gone", "a limit is gone: {name}"),
    Rule("limits*", "added", "risky", "limit-added", "there is a limit: {name}, {new}"),
    Rule("prices.unit", "", "breaking", "price-unit", "prices are in {new}, and were in {old}"),
    Rule("prices.*", "lowered", "safe", "price-lower", "it costs {new}, and cost {old}"),
    Rule("prices.*", "raised", "risky", "price-higher", "it costs {new}, and cost {old}"),
    Rule("prices*", "", "risky", "price-rule", "what a job costs is decided by something else: {name}"),
    Rule("retention*", "raised removed", "safe", "kept-longer", "{name} is {new}, and was {old}"),
    Rule("retention*", "", "risky", "kept-shorter", "{name} is {new}, and was {old}: fetch what you need sooner"),
    # --- whole parts
    *(Rule(path, "added", "safe", "part-added", f"there is {what}") for path, what in _PARTS.items()),
    *(Rule(path, "removed", "breaking", "part-gone", f"{what[0].upper()}{what[1:]} is gone") for path, what in _PARTS.items()),
    *(
        rule
        for path in ("create.*", "files.*", "replies.*")
        for rule in (
            Rule(path, "added", "safe", "operation-added", "the operation {name} is new"),
            Rule(path, "removed", "breaking", "operation-gone", "the operation {name} is gone"),
        )
    ),
    Rule("*", "", "risky", "changed", "{name} was {old}, and is {new}"),
)
# fmt: on


def rule_of(difference: Difference) -> Rule:
    """Return the row that fits a difference."""
    path = ".".join(difference.path)
    return next(
        rule
        for rule in RULES
        if fnmatch.fnmatchcase(path, rule.path) and (not rule.kinds or difference.kind in rule.kinds.split())
    )


def sentence(rule: Rule, difference: Difference) -> str:
    """Return what a difference does to a consumer."""
    return rule.text.format(name=difference.name, old=said(difference.old), new=said(difference.new))
