"""What a fake remembers: accounts and the jobs in play, both bounded."""

from __future__ import annotations

import functools
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from understudy.asked import read_again
from understudy.callback import Notice
from understudy.clock import Entry
from understudy.contract.model import AboutAJob, JobType, Result
from understudy.ledger import Ledger
from understudy.lifecycle import Job, State, Step, Timeline
from understudy.limits import RateWindows
from understudy.media import Picture
from understudy.plan import Plan
from understudy.scenario import Scenario
from understudy.trouble import Met
from understudy.wire import Answered, Outcome, Reply, RequestView, Stream

#: Accounts that are remembered; the least recently used go first.
MAX_ACCOUNTS = 1_000

#: Jobs that are remembered; the terminal ones go first, in the order in which they ended.
MAX_JOBS = 10_000


#: Keys of creates that are remembered of an account; the oldest go first.
MAX_KEYS = 1_000


#: What tells a result file from all others: the path of its link, unquoted, and what its query has.
Address = tuple[str, ...]


@dataclass(eq=False, slots=True)
class Once:
    """A create with a key, which makes no second job.

    Attributes:
        asked: A digest of what it asked for.
        until: Until when it is remembered, in unix seconds.
        outcome: What came of it; an error where one has told of a job.
    """

    asked: str
    until: float
    outcome: Outcome | Answered


@dataclass(eq=False, slots=True)
class Account:
    """Everything that belongs to one key.

    Attributes:
        name: A name for the key that tells nothing of it.
        ledger: Its money.
        windows: Its rate windows.
        creates: How many creates it has made.
        active: How many of its jobs are not terminal.
        streams: Who listens to its events.
        met: How many of its requests each fault has met.
        story: The scenario that is played to it; None for that of the provider.
        once: Its creates with a key, by a digest of the key.
    """

    name: str
    ledger: Ledger
    windows: RateWindows
    creates: int = 0
    active: int = 0
    streams: list[Stream] = field(default_factory=list)
    met: Met = field(default_factory=dict)
    story: Scenario | None = None
    once: dict[str, Once] = field(default_factory=dict)

    @property
    def balance(self) -> float:
        """What is left, as `$account.balance` says."""
        return self.ledger.balance


@dataclass(eq=False, slots=True)
class Play:
    """A job in play: the record, and what only the fake knows about it.

    Attributes:
        record: The record, without a result as long as nobody has looked at it; nor with a body and an input, which
            stand in `sent` until then.
        account: Whose it is.
        job_type: Its kind.
        plan: How it goes: with a timeline, and with whatever else is decided.
        at: Which step of it the job is in, from 0.
        reads: Status reads so far.
        told: The reply to a status read, until the job changes; None where it may differ from read to read.
        reads_left: Status reads until the next step, where it goes by reads.
        server_url: The external URL that it was made under.
        asset_url: The external URL that its files are served from.
        make_result: Makes its result, once somebody looks; None where it is made, or where there is none.
        pictures: What its result files look like.
        addresses: Where they are, in the same order; empty where they have no links.
        notices: Callbacks that wait to be sent, the one under way first.
        greeted: Whether the receiver has answered a challenge, or anything at all.
        due: The clock's entry for the next step.
        request: The request that made it, as expressions see it.
        story: The scenario that it was made under, and keeps.
        counts: How many of the requests about it each fault has met; None before the first.
        number: Which job of the stand-in it is, from 1.
        frames: The server-sent events about it so far, each with its id.
        sent: The body of its create as it came, until somebody looks at what is in it; None where it was read.
    """

    record: Job
    account: Account
    job_type: JobType
    plan: Plan
    server_url: str
    asset_url: str
    at: int = 0
    reads_left: int | None = None
    reads: int = 0
    told: Reply | None = None
    make_result: Callable[[Play], None] | None = None
    pictures: tuple[Picture, ...] = ()
    addresses: tuple[Address, ...] = ()
    notices: Sequence[Notice] = ()
    greeted: bool = False
    due: Entry | None = None
    request: RequestView | None = None
    story: Scenario | None = None
    counts: Met | None = None
    number: int = 0
    frames: Sequence[tuple[str, bytes]] = ()
    sent: bytes | None = None

    @property
    def steps(self) -> Timeline:
        """The steps that it goes through."""
        return self.plan.timeline or ()

    @property
    def step(self) -> Step:
        """The step that it is in."""
        return self.steps[self.at]

    @property
    def visible_at(self) -> float:
        """When status reads begin to find it, in unix seconds."""
        return (self.record.created_at or 0.0) + (self.plan.visible_after_seconds or 0.0)

    @property
    def job(self) -> Job:
        """The record, whole: whoever looks first has the rest made, and most are never looked at."""
        record, sent, make = self.record, self.sent, self.make_result
        if sent is not None:
            record.request, record.input = read_again(self.job_type, record.operation, sent)
            self.sent = None
        if make is not None:
            make(self)  # threads that look at one time make the same
            self.make_result = None
        return record

    def set_aside(self, sent: bytes) -> None:
        """Keep the body that made it as it came, which takes half the room, where nothing needs it soon."""
        if self.request is None and self.record.request is not None:
            self.record.request = self.record.input = None
            self.sent = sent

    @property
    def met(self) -> Met:
        """How many of the requests about it each fault has met."""
        if self.counts is None:
            self.counts = {}
        return self.counts

    def told_as(self) -> str:
        """Return what an error calls it."""
        return f"job {self.record.id}, which is still {self.record.worded},"

    def kept(self, now: float) -> Job | None:
        """Return the record as far as it is still kept: whole, without data, as expired, or None where it is gone."""
        job, retention = self.job, self.job_type.retention
        if retention.job_seconds is None and retention.data_seconds is None:
            return job
        age = 0.0 if job.ended_at is None else now - job.ended_at
        if retention.job_seconds is not None and age > retention.job_seconds:
            expired = replace(job.without_data(), state=State.EXPIRED, status=self.job_type.words.shown(State.EXPIRED))
            return expired if retention.expires else None
        return job.without_data() if retention.data_seconds is not None and age > retention.data_seconds else job

    def poll_after(self, now: float) -> float | None:
        """Return how long the provider wants to wait before it is asked for the job again; None once it has ended."""
        status, made = self.job_type.status, self.record.created_at or 0.0
        return None if status is None or self.record.terminal else status.every_seconds(now - made)


class Accounts(Mapping[str, Account]):
    """The accounts by key; an unknown key opens one.

    Args:
        open_account: Makes the account of a key, given its name.
        max_accounts: How many are remembered.
    """

    def __init__(self, open_account: Callable[[str], Account], max_accounts: int = MAX_ACCOUNTS) -> None:
        self._open = open_account
        self._max = max_accounts
        self._by_name: OrderedDict[str, Account] = OrderedDict()

    def of_key(self, key: str) -> Account:
        """Return the account of a key."""
        name = account_name(key)
        account = self._by_name.get(name)
        if account is None:
            account = self._by_name[name] = self._open(name)
            if len(self._by_name) > self._max:
                self._by_name.popitem(last=False)
        else:
            self._by_name.move_to_end(name)
        return account

    def __getitem__(self, name: str) -> Account:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._by_name))

    def __len__(self) -> int:
        return len(self._by_name)

    def clear(self) -> None:
        """Forget all of them, and end their streams."""
        for account in self._by_name.values():
            for stream in account.streams:
                stream.end()
        self._by_name.clear()


@functools.lru_cache(maxsize=1024)
def account_name(key: str) -> str:
    """Return a name for a key that does not give it away."""
    return f"account-{hashlib.sha256(key.encode()).hexdigest()[:8]}" if key else "anonymous"


class Plays(Mapping[str, Play]):
    """The jobs in play by id.

    Args:
        max_jobs: How many are remembered.
    """

    def __init__(self, max_jobs: int = MAX_JOBS) -> None:
        self._max = max_jobs
        self._by_id: dict[str, Play] = {}
        # of which the first goes all the time: a dict has to look for it among all that have gone
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._serving: dict[Address, Play] = {}
        self._unseen: dict[str, Play] = {}
        self._added = 0

    def add(self, play: Play) -> None:
        """Number and remember a job, and forget the oldest where there are too many."""
        self._added += 1
        play.number = self._added
        self._by_id[play.record.id] = play
        while len(self._by_id) > self._max:
            self.forget(self._by_id[next(iter(self._ended or self._by_id))])

    def asked_for(self, part: AboutAJob, named: str) -> Play | None:
        """Return the job that a part asks for by its id, or by the id of its result."""
        if isinstance(part, Result) and part.minted is not None:
            return next((play for play in self._by_id.values() if play.job.result_id == named), None)
        return self._by_id.get(named)

    def issue(self, play: Play, addresses: Iterable[Address]) -> None:
        """Note where the result files of a job are, for as long as it is remembered."""
        play.addresses = tuple(addresses)
        self._unseen.pop(play.record.id, None)
        if self._by_id.get(play.record.id) is play:  # or it was forgotten meanwhile
            self._serving.update((address, play) for address in play.addresses)

    def serving(self, address: Address) -> Play | None:
        """Return the job that has a result file at an address."""
        if address not in self._serving:
            for play in tuple(self._unseen.values()):  # links are issued when somebody looks, and may be foreseen
                _ = play.job
        return self._serving.get(address)

    def ended(self, play: Play) -> None:
        """Note that a job is terminal, so that it may be forgotten."""
        job_id = play.record.id
        if self._by_id.get(job_id) is play:  # or it was forgotten meanwhile
            self._ended[job_id] = None
            if play.make_result is not None:
                self._unseen[job_id] = play

    def forget(self, play: Play) -> None:
        """Forget a job, whatever was still to come of it."""
        del self._by_id[play.record.id]
        self._ended.pop(play.record.id, None)
        self._unseen.pop(play.record.id, None)
        for address in play.addresses:
            self._serving.pop(address, None)
        if not play.record.terminal:
            play.account.active -= 1
            if play.due is not None:
                play.due.cancel()
        play.due = None  # it holds the play: the two would wait for the garbage collector

    def clear(self) -> None:
        """Forget all of them."""
        for play in tuple(self._by_id.values()):
            self.forget(play)

    def __getitem__(self, job_id: str) -> Play:
        return self._by_id[job_id]

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._by_id))

    def __len__(self) -> int:
        return len(self._by_id)
