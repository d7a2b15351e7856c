"""Tests of what a fake remembers."""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.small import small
from understudy.clock import EPOCH_SECONDS, Entry, VirtualClock
from understudy.contract.build import load_contract
from understudy.contract.model import JobType
from understudy.ledger import Ledger
from understudy.lifecycle import Job, State, Step
from understudy.limits import RateWindows
from understudy.plan import Plan
from understudy.store import Account, Accounts, Play, Plays, account_name
from understudy.wire import Stream


@pytest.fixture(scope="module")
def job_type(tmp_path_factory) -> JobType:
    """Return the kind of job of the small provider."""
    return load_contract(small(tmp_path_factory.mktemp("small")) / "contracts/small").job_type


def opened(name: str) -> Account:
    return Account(name, Ledger(10), RateWindows([]))


def play_of(job_type: JobType, job_id: str, account: Account, *, state: State = State.QUEUED) -> Play:
    job = Job(id=job_id, state=state)
    return Play(job, account, job_type, Plan((Step(state),)), "", "")


# Jobs


@given(st.integers(1, 5), st.lists(st.just("add") | st.integers(0, 4), max_size=30))
def test_jobs_are_bounded_and_the_ended_go_first(job_type: JobType, most: int, story: list[str | int]) -> None:
    """However jobs come and end, no more than allowed are kept: those that ended go first, then the oldest."""
    plays, account, ids = Plays(most), opened("a"), count()
    active: list[str] = []
    ended: list[str] = []
    for move in story:
        if move == "add":
            play = play_of(job_type, str(next(ids)), account)
            account.active += 1
            plays.add(play)
            active.append(play.job.id)
            if len(active) + len(ended) > most:
                (ended or active).pop(0)
        elif isinstance(move, int) and active:
            play = plays[active.pop(move % len(active))]
            play.job.state = State.SUCCEEDED
            account.active -= 1
            plays.ended(play)
            ended.append(play.job.id)
        assert sorted(plays) == sorted(active + ended)
        assert len(plays) == len(active) + len(ended) <= most
        assert account.active == len(active)


def test_a_forgotten_job_does_nothing_more(job_type: JobType) -> None:
    """What was due for a job that is forgotten never happens."""
    clock, plays = VirtualClock(), Plays(1)
    happened: list[str] = []
    for job_id in ("a", "b"):
        play = play_of(job_type, job_id, opened("x"))
        play.due = clock.call_at(EPOCH_SECONDS + 1, partial(happened.append, job_id))
        plays.add(play)
    clock.advance(1)
    assert happened == ["b"]
    plays.clear()
    assert (len(plays), list(plays)) == (0, [])


def test_a_forgotten_job_is_freed_at_once(job_type: JobType) -> None:
    """What was due for a job holds it; once it is forgotten the two do not wait for the garbage collector."""
    plays, account = Plays(1), opened("a")
    play = play_of(job_type, "1", account, state=State.SUCCEEDED)
    due = partial(plays.ended, play)
    play.due = Entry((0.0, 0, due))
    action = weakref.ref(due)
    del due
    plays.add(play)
    plays.ended(play)
    del play
    plays.add(play_of(job_type, "2", account))
    assert action() is None


def test_threads_that_look_at_one_time_all_see_the_result(job_type: JobType) -> None:
    """Nobody sees a record without its result, and nobody waits for who has looked first."""
    play, both_at_it = play_of(job_type, "1", opened("a"), state=State.SUCCEEDED), threading.Barrier(2, timeout=20)

    def make(play: Play) -> None:
        both_at_it.wait()
        play.record.result = "made"

    play.make_result = make
    with ThreadPoolExecutor(2) as pool:
        seen = [pool.submit(lambda: play.job.result) for _ in range(2)]
    assert [one.result() for one in seen] == ["made", "made"]
    assert play.make_result is None


def test_ending_a_forgotten_job_forgets_no_other(job_type: JobType) -> None:
    """A job that ends after it was forgotten takes the place of none that is remembered."""
    plays = Plays(1)
    first, second = (play_of(job_type, job_id, opened("x")) for job_id in ("a", "b"))
    plays.add(first)
    plays.add(second)
    plays.ended(first)
    plays.add(play_of(job_type, "c", opened("x")))
    assert list(plays) == ["c"]


def test_a_job_that_is_removed_leaves_nothing(job_type: JobType) -> None:
    """A job that is removed after its end is not remembered as one that ended, and the next to go is another."""
    plays, account = Plays(2), opened("a")
    for job_id in ("a", "b"):
        plays.add(play_of(job_type, job_id, account, state=State.SUCCEEDED))
        plays.ended(plays[job_id])
    plays.forget(plays["a"])
    for job_id in ("c", "d"):
        plays.add(play_of(job_type, job_id, account))
    assert (list(plays), len(plays._ended)) == (["c", "d"], 0)


# Accounts


@given(st.integers(1, 5), st.lists(st.sampled_from([f"key number {index}" for index in range(8)])))
def test_the_least_recently_used_account_is_forgotten(most: int, keys: list[str]) -> None:
    """However keys are used, no more accounts than allowed are kept, and they are those of the last used keys."""
    accounts = Accounts(opened, most)
    for key in keys:
        assert accounts.of_key(key) is accounts.of_key(key)
    last_used = list(dict.fromkeys(reversed(keys)))[:most]
    assert list(accounts) == [account_name(key) for key in reversed(last_used)]
    assert len(accounts) == len(last_used)
    assert all(accounts[name].name == name for name in accounts)


@given(st.text(min_size=17))
def test_an_account_is_not_named_after_its_key(key: str) -> None:
    """The name of an account holds no piece of its key that is long enough to tell anything."""
    name = account_name(key)
    assert key not in name
    assert not any(key[start : start + 9] in name for start in range(len(key) - 8))
    assert account_name("") == "anonymous"


def test_forgetting_the_accounts_ends_their_streams() -> None:
    """Whoever listens to an account that is forgotten gets to the end of the stream."""
    accounts = Accounts(opened)
    stream = Stream([], None, b"")
    accounts.of_key("a").streams.append(stream)
    accounts.clear()
    assert stream.ended
    assert len(accounts) == 0


def test_an_account_tells_its_balance() -> None:
    """The balance of an account is that of its ledger."""
    account = opened("a")
    account.ledger.charge("job", 4, 0)
    assert account.balance == 6
