"""The stage: moves jobs along their timelines, and does what follows from each move.

A move has consequences in a fixed order: the record changes, the journal notes it, money comes back, subscribers are
told, a callback is planned. Everything is due on the clock; nothing here waits.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from understudy.behaviour import Behaviour
from understudy.callback import Delivery, Done, Notice, challenged, compose
from understudy.clock import Clock
from understudy.contract.codecs import as_text, dump_json
from understudy.contract.expressions import first_value
from understudy.contract.frames import Events
from understudy.contract.model import Callback
from understudy.faults.fault import Shipment
from understudy.files import address_of, moved
from understudy.journal import Attempt, Journal, Transition
from understudy.lifecycle import TERMINAL, JobError, Json, Output, State, Step
from understudy.mint import mint, new_id
from understudy.reach import NOT_SENT, shown_url
from understudy.store import Play, Plays
from understudy.trouble import Trouble

#: Sends a delivery, and calls back with the status of the answer (None for none) and a note.
Send = Callable[[Delivery, Done], None]


_CANCELLED = (Step(State.CANCELLED),)


class Stage:
    """Plays jobs.

    Args:
        clock: When things are due.
        behaviour: How results look, and the secrets.
        journal: Where transitions and deliveries are noted.
        plays: The jobs.
        send: Sends a delivery, and calls back with the status of the answer (None for none) and a note.
        lock: Held while anything changes, and not while a delivery is on its way.
        trouble: What goes wrong with deliveries.
        callback_url: Where callbacks go of jobs whose create names no address, where the contract has such.
    """

    def __init__(
        self,
        clock: Clock,
        behaviour: Behaviour,
        journal: Journal,
        plays: Plays,
        send: Send,
        lock: threading.RLock,
        trouble: Trouble,
        callback_url: str | None = None,
    ) -> None:
        self._clock = clock
        self._behaviour = behaviour
        self._journal = journal
        self._plays = plays
        self._send = send
        self._trouble = trouble
        self._lock = lock
        self._callback_url = callback_url
        self._deliveries = 0
        self._result_maker, self._go_on = self._make_result, self._step_over  # one for all jobs

    def begin(self, play: Play) -> None:
        """Put a new job into the first state of its timeline."""
        self._plays.add(play)
        play.account.active += 1
        self._enter(play, new=True)

    def read(self, play: Play) -> None:
        """Count a status read that has been answered; it may have been the last of a step."""
        if play.reads_left is not None:
            play.reads_left -= 1
            if play.reads_left <= 0:
                self._next(play)

    def cancel(self, play: Play) -> None:
        """Cancel an active job."""
        if play.due is not None:
            play.due.cancel()
        play.reads_left = play.due = None
        play.plan, play.at = play.plan._replace(timeline=_CANCELLED), 0
        self._enter(play)

    def remove(self, play: Play) -> None:
        """Forget a job, whatever was still to come of it; the streams of that one job end."""
        for stream in play.account.streams:
            if stream.job_id == play.job.id:
                stream.end()
        self._plays.forget(play)

    def skip_reads(self, play: Play) -> None:
        """Treat the steps that wait for reads as done: nobody reads a job whose create blocks."""
        while play.reads_left is not None:
            self._next(play)

    def _step_over(self, play: Play) -> None:
        """Go on from a step whose time is over, unless the job was cancelled or forgotten in that very moment."""
        with self._lock:
            if play.due is not None:
                self._next(play)

    def _next(self, play: Play) -> None:
        play.reads_left = play.due = None
        play.at += 1
        self._enter(play)

    def _enter(self, play: Play, *, new: bool = False) -> None:
        step, now = play.step, self._clock.now()
        job, kind, state = play.record, play.job_type, step.state
        before = None if new else job.state
        play.told = None
        status = step.status if step.status is not None else kind.words.shown(state)
        if state is State.SUCCEEDED:
            play.make_result = self._result_maker
        elif state is State.FAILED:
            self._fail(play, now)
        elif state is State.CANCELLED and kind.cancel is not None:
            self._refund(play, kind.cancel.refund, now)
        job.enter(state, status=status, now=now)
        if step.progress is not None:
            job.progress = step.progress
        self._journal.add(Transition(now, job.id, state, status, before, job.error.name if job.error else None))
        if step.seconds is not None:
            play.due = self._clock.call_at(now + step.seconds, self._go_on, play)
        play.reads_left = step.reads
        if state in TERMINAL:
            play.account.active -= 1
            self._plays.ended(play)
        if kind.events is not None:
            self._tell_streams(play, kind.events)
        if kind.callback is not None:
            self._plan_callback(play, kind.callback)
        if play.request is not None:
            self._let_go(play)

    def _make_result(self, play: Play) -> None:
        job, assets = play.record, play.job_type.assets
        given = play.job_type.with_defaults(job.model, job.input)
        subject = job if given == job.input else replace(job, input=given)
        picture = self._behaviour.pictures.of(subject)
        play.pictures = (picture,) * self._behaviour.pictures.count_of(subject)
        outputs, addresses = [], []
        for index, drawn in enumerate(play.pictures):
            about = (None, index, drawn.media_type, drawn.extension, drawn.width, drawn.height)
            output = Output(None, *about)
            if assets is not None:
                url = assets.url.render({"job": job, "output": output})
                addresses.append(address_of(url, assets))
                output = Output(moved(url, play.asset_url), *about)
            outputs.append(output)
        job.outputs = tuple(outputs)
        self._plays.issue(play, addresses)
        result = play.job_type.result
        if result is not None and result.minted is not None:
            job.result_id = mint(result.minted, random.Random(job.id))
        if play.job_type.outputs is not None:
            job.result = play.job_type.outputs.render({"job": job})

    def _fail(self, play: Play, now: float) -> None:
        job = play.record
        failure = play.job_type.failures.get(play.plan.failure or "")
        if failure is None:
            job.error = JobError(message=play.plan.message or "the job failed")
            return
        message = play.plan.message or failure.message.render({"job": play.job})
        job.error = JobError(failure.name, failure.code, message, failure.http, failure.headers)
        self._refund(play, failure.refund, now)

    def _refund(self, play: Play, share: float, now: float) -> None:
        job = play.record
        if job.cost and share:
            job.spent = play.account.ledger.refund(job.id, job.cost, now, share=share)
            job.refunded = True

    # --- what subscribers and receivers are told ---

    def _tell_streams(self, play: Play, events: Events) -> None:
        frames = frames_of(events, play)
        for stream in tuple(play.account.streams):  # a carrier may close one of them meanwhile
            if stream.operation == events.operation and stream.job_id in (None, play.job.id):
                for frame in frames:
                    stream.send(frame)
                if stream.job_id is not None and play.job.state in events.end:
                    stream.end()

    def _plan_callback(self, play: Play, callback: Callback) -> None:
        if play.record.state not in callback.trigger or self._address(play, callback) is None:
            return
        wanted = first_value(callback.only, {"request": play.request})
        if isinstance(wanted, list) and callback.trigger[play.job.state] not in wanted:
            return
        self._deliveries += 1
        job = play.job if play.job.terminal else replace(play.job)  # one that goes on is told of as it is now
        notice = Notice(f"delivery-{self._deliveries}", job, callback.trigger[job.state])
        play.notices = (*play.notices, notice)
        if len(play.notices) == 1:  # first in, first out: the next one waits until this one is over
            self._attempt(play, 1)

    def _address(self, play: Play, callback: Callback) -> str | None:
        return play.record.callback_url or (self._callback_url if callback.account else None)

    def _composed(
        self,
        play: Play,
        notice: Notice,
        attempt: int,
        *,
        age_seconds: float = 0.0,
        forged: bool = False,
        strange: bool = False,
    ) -> Delivery:
        callback = play.job_type.callback
        assert callback is not None  # or there were no notice
        scope = {
            "now": self._clock.now() - age_seconds,
            "secret": self._behaviour.secrets,
            "forged": forged,
            "server": {"url": play.server_url},
            "account": play.account,
            "request": play.request,
        }
        if strange:
            another = new_id(play.job_type, random.Random(notice.id), play.request)
            notice = notice._replace(job=replace(notice.job, id=another))
        made = compose(callback, notice, url=self._address(play, callback) or "", attempt=attempt, scope=scope)
        if callback.handshake is None or play.greeted:
            return made
        return challenged(callback.handshake, made, mint("{hex:32}", random.Random(f"{notice.id} {attempt}")))

    def _attempt(self, play: Play, attempt: int) -> None:
        make = partial(self._composed, play, play.notices[0], attempt)
        delivery = make()
        rules = () if play.story is None else play.story.faults
        faults = self._trouble.striking(
            rules, "callback", play.met, {"job": play.job, "request": play.request}, play.job.id
        )
        shipments: Sequence[Shipment] = (Shipment(delivery),)
        for fault in faults:
            shipments = [one.after(other) for other in shipments for one in fault.ship(other.delivery, make)]
        for shipment in shipments:
            self._ship(play, shipment)
        if all(shipment.beside for shipment in shipments):  # the provider believes that it was delivered
            self._next_notice(play)

    def _attempt_again(self, play: Play, attempt: int) -> None:
        with self._lock:
            self._attempt(play, attempt)

    def _ship(self, play: Play, shipment: Shipment) -> None:
        delivery = shipment.delivery

        def send() -> None:
            if self._plays.get(play.record.id) is play:
                self._send(delivery, done)

        def done(status: int | None, note: str) -> None:
            with self._lock:
                # or it was forgotten meanwhile: neither told nor tried again
                if self._plays.get(play.record.id) is play:
                    self._attempted(play, shipment, status, note)

        # on the agenda, and so without the lock: sending takes its time
        self._clock.call_at(self._clock.now() + shipment.after_seconds, send)

    def _attempted(self, play: Play, shipment: Shipment, status: int | None, note: str) -> None:
        callback, delivery = play.job_type.callback, shipment.delivery
        assert callback is not None  # or there were no delivery
        delivered = status is not None and (
            200 <= status < 300 if callback.delivered is None else callback.delivered.holds({"statusCode": status})
        )
        play.greeted = play.greeted or status is not None
        self._journal.add(
            Attempt(
                at=self._clock.now(),
                job_id=delivery.job_id,
                url=shown_url(delivery.url),
                attempt=delivery.attempt,
                status=status,
                delivered=delivered,
                note=note,
                signed=delivery.signed,
            )
        )
        if shipment.beside:
            return
        schedule = callback.retry_after_seconds
        if not delivered and not note.startswith(NOT_SENT) and delivery.attempt <= len(schedule):
            again = self._clock.now() + schedule[delivery.attempt - 1]
            self._clock.call_at(again, self._attempt_again, play, delivery.attempt + 1)
            return
        self._next_notice(play)

    def _next_notice(self, play: Play) -> None:
        play.notices = play.notices[1:]
        if play.notices:
            self._attempt(play, 1)
        self._let_go(play)

    def _let_go(self, play: Play) -> None:
        """Forget the request that made a job when nobody is to be told of it any more."""
        callback = play.job_type.callback
        if callback is None or self._address(play, callback) is None or (play.record.terminal and not play.notices):
            play.request = None


def frames_of(events: Events, play: Play) -> list[bytes]:
    """Return the frames that are sent for the state that a job is in, and note them with the job."""
    made = []
    for frame in events.frames.get(play.job.state, ()):
        scope = {"job": play.job}
        for data in [frame.data.render(scope)] if frame.each is None else frame.each.render(scope):
            numbered = {**scope, "event": {"name": frame.event, "number": len(play.frames) + 1}}
            own = None if frame.id is None else as_text(frame.id.render(numbered))
            made.append(sse_frame(frame.event, data, id=own, retry_seconds=frame.retry_seconds))
            play.frames = (*play.frames, (own or "", made[-1]))
    return made


def replayed(play: Play, last_id: str) -> list[bytes]:
    """Return the frames about a job so far: those after the one with an id, or where none has it, all."""
    ids = [own for own, _ in play.frames]
    seen = ids.index(last_id) + 1 if last_id and last_id in ids else 0
    return [frame for _, frame in play.frames[seen:]]


def sse_frame(
    event: str | None,
    data: Json,
    *,
    id: str | None = None,  # as the standard calls it
    retry_seconds: float | None = None,
) -> bytes:
    """Return one server-sent event (HTML standard, section 9.2); what is no text is JSON."""
    text = data if isinstance(data, str) else dump_json(data)
    fields = [("data", line) for line in re.split("\r\n|\r|\n", text)]
    retry = None if retry_seconds is None else round(retry_seconds * 1000)
    head = [(name, value) for name, value in (("event", event), ("id", id), ("retry", retry)) if value is not None]
    return ("".join(f"{name}: {value}\n" for name, value in (*head, *fields)) + "\n").encode()
