"""What each kind of operation does, once a request has been routed, authenticated and decoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from understudy.bodies import Part
from understudy.call import Backstage, Call, checked
from understudy.contract.conditions import same
from understudy.contract.expressions import first_value
from understudy.contract.validation import Violation
from understudy.creates import create
from understudy.files import EXPIRES, UploadedFile, below_host, moved, query_names, shown
from understudy.lifecycle import Job, Json
from understudy.media import draw, picture
from understudy.mint import mint
from understudy.paging import turn_to
from understudy.signatures import jwk_set
from understudy.stage import replayed
from understudy.store import Play
from understudy.wire import Answered, Outcome, Reply, Stream


def _play_of(call: Call) -> tuple[Play, Job]:
    """Return the job that a request is about, and what is kept of its record."""
    checked(call)
    play = call.play
    job = None if play is None else _kept(call, play)
    if play is None or job is None:
        raise Answered("notFound")
    return play, job


def _kept(call: Call, play: Play) -> Job | None:
    """Return what is kept of the record of a job, where it is this account's."""
    ours = play.account is call.account and play.job_type is call.job_type
    return play.kept(call.now) if ours else None


def status(back: Backstage, call: Call) -> Outcome:
    """Tell how a job is; then count the read."""
    operation = call.job_type.status
    assert operation is not None  # or nobody were routed here
    play, job = _play_of(call)
    if call.now < play.visible_at:
        raise Answered(operation.invisible_error or "notFound")
    record = play.record
    record.poll_after_seconds = play.poll_after(call.now)
    told = play.told if job is record else None
    reply = told or call.reply(operation.reply, job.state, (job.id,), job=shown(play, job, operation.reply, call.scope))
    play.told = reply if operation.reply.steady and job is record else None
    if not record.terminal:
        play.reads += 1
        back.clock.count_read(play.reads, play.told_as)
    back.stage.read(play)
    return reply


def result(back: Backstage, call: Call) -> Outcome:
    """Give what came of a job, or say that nothing has come of it yet."""
    operation = call.job_type.result
    assert operation is not None  # or nobody were routed here
    play, job = _play_of(call)
    return call.reply(operation.reply, job.state, (job.id,), job=shown(play, job, operation.reply, call.scope))


def end(back: Backstage, call: Call) -> Outcome:
    """Stop a job or remove it, whichever the operation does in the state that the job is in."""
    kind = call.job_type
    ways = kind.endings(call.operation.id)
    play, job = _play_of(call)
    way = next((way for way in ways if way.takes(job)), None)
    if way is not None and way is kind.cancel and not job.terminal:
        back.stage.cancel(play)
    view = ways[0].refused if way is None else way.reply
    reply = call.reply(view, job.state, (job.id,), job=job)
    if way is not None and way is kind.delete:
        back.stage.remove(play)
    return reply


def listing(back: Backstage, call: Call) -> Outcome:
    """List the jobs of the account; page by page, where the contract says so."""
    operation = call.job_type.listing
    assert operation is not None  # or nobody were routed here
    checked(call)
    jobs = [job for play in back.plays.values() if (job := _kept(call, play)) is not None]
    for by, place, otherwise in operation.filters:
        wanted = call.value((by,))
        if wanted not in (None, ""):
            jobs = [job for job in jobs if str(first_value(place, {**call.scope, "job": job})) == str(wanted)]
        elif otherwise is not None:
            jobs = [job for job in jobs if _one_of(first_value(place, {**call.scope, "job": job}), otherwise)]
    page = None
    if operation.paging is not None:
        jobs, page = turn_to(operation.paging, jobs, back.plays, call)
    return call.reply(operation.reply, None, tuple(job.id for job in jobs), jobs=jobs, page=page)


def _one_of(value: Json, options: tuple[Json, ...]) -> bool:
    return any(same(value, option) for option in options)


def events(back: Backstage, call: Call) -> Outcome:
    """Open a stream of what happens from now on, and where it is replayed, of what has happened before."""
    operation = call.job_type.events
    assert operation is not None  # or nobody were routed here
    checked(call)
    job_id, ended, missed = None, False, []
    if operation.scope == "job":
        play, job = _play_of(call)
        job_id, ended = job.id, play.job.state in operation.end
        missed = replayed(play, call.view.header.get("last-event-id", "")) if operation.replay else []
    comment = f": {operation.keep_alive_comment}\n\n".encode()
    stream = Stream(
        [("content-type", "text/event-stream"), ("cache-control", "no-cache")],
        operation.keep_alive_seconds,
        comment,
        operation=operation.operation,
        job_id=job_id,
        ended=ended,
    )
    stream.frames.extend(missed)
    streams = call.account.streams
    streams.append(stream)

    def close() -> None:
        stream.close = stream.wake = lambda: None  # or these and the stream hold each other
        streams.remove(stream)

    stream.close = close
    return stream


# --- the rest -------------------------------------------------------------------------------------------------------


def models(back: Backstage, call: Call) -> Outcome:
    """Describe the models, or one of them."""
    entry = next(entry for entry in call.job_type.model_operations if entry.operation == call.operation.id)
    checked(call)
    if entry.model is None:
        return call.reply(entry.reply, None, models=list(call.job_type.models.values()))
    model = call.job_type.models.get(str(call.value(entry.model)))
    if model is None:
        raise Answered("notFound")
    return call.reply(entry.reply, None, model=model)


def renew(back: Backstage, call: Call) -> Outcome:
    """Make a fresh link to a result file."""
    assets = call.job_type.assets
    assert assets is not None  # or nobody were routed here
    assert assets.renew is not None
    checked(call)
    url = str(call.value(assets.renew.url))
    home = moved(assets.url.render({}), call.request.asset_url)
    if not url.startswith(home.removesuffix(below_host(home)) + "/"):
        message = "it is no link to a result of this provider"
        raise Answered("invalid", violation=Violation("body", "url", "/url", "format", None, url, message))
    path, _, query = url.partition("?")
    own = [(name, value) for name, value in parse_qsl(query) if name in query_names(assets)]
    fresh = f"{path}?{urlencode([*own, (EXPIRES, int(back.clock.now() + assets.renew.lifetime_seconds))])}"
    return call.reply(assets.renew.reply, None, asset={"url": fresh})


def upload(back: Backstage, call: Call) -> Outcome:
    """Keep a file; where the request names one that is elsewhere, a picture stands in for it: nothing is fetched."""
    entry = next(entry for entry in call.job_type.uploads if call.operation.id in entry.operations)
    checked(call)
    content = call.value(entry.content) if entry.content else None
    given = call.value(entry.name)
    if isinstance(content, Part):
        name, media_type, data = str(content["name"]), str(content["mediaType"]), content.content
    else:
        stand_in = picture(aspect_ratio="1:1", side=512, format="png", text=str(given or call.operation.id))
        data = content if isinstance(content, bytes) else draw(stand_in)
        name, media_type = f"{mint('{hex:12}', back.random)}.png", "image/png"
    name = str(given) if given else name
    folder = str(call.value(entry.folder) or "").strip("/")
    path = f"{folder}/{name}" if folder else name
    file = UploadedFile(name, path, "", len(data), media_type, back.clock.now(), data)
    url = entry.url.render({**call.scope, "file": replace(file, name=quote(name), path=quote(path))})
    file = replace(file, url=moved(url, call.request.asset_url))
    back.files.keep(urlsplit(url).path, file, call.job_type, entry.lifetime_seconds)
    return call.reply(entry.reply, None, file=file)


def plain(back: Backstage, call: Call) -> Outcome:
    """Answer an operation that is about no job."""
    checked(call)
    return call.reply(call.job_type.replies[call.operation.id], None)


def jwks(back: Backstage, call: Call) -> Outcome:
    """Publish the key that callbacks are verified with."""
    callback = call.job_type.callback
    assert callback is not None  # or nobody were routed here
    assert callback.sign is not None
    checked(call)
    return Reply.of_json(200, [], jwk_set(callback.sign, call.scope), operation=call.operation.id)


def unclaimed(back: Backstage, call: Call) -> Outcome:
    """Answer an operation that the document has and no part of `x-jobs` claims."""
    checked(call)
    raise Answered("unknownPath")


Handler = Callable[[Backstage, Call], Outcome]

#: The part of `x-jobs` that an operation belongs to → what it does.
HANDLERS: Mapping[str, Handler] = {
    "create": create,
    "status": status,
    "result": result,
    "cancel": end,
    "delete": end,
    "list": listing,
    "events": events,
    "models": models,
    "renew": renew,
    "files": upload,
    "replies": plain,
    "jwks": jwks,
}
