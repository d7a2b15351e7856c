"""A journal as a HAR 1.2 (HTTP Archive), which browsers, proxies and load tools read."""

from __future__ import annotations

import base64
import functools
import json
import re
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from http.client import responses
from urllib.parse import parse_qsl, quote, quote_plus

from understudy import __version__
from understudy.contract.codecs import parse_json
from understudy.journal import MAX_BODY_BYTES, Attempt, Entry, Exchange
from understudy.lifecycle import Json

#: What stands in the place of a secret.
REDACTED = "REDACTED"

_quote_all = functools.partial(quote, safe="")

# A URI up to its path, and then what it cannot have there.
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:\[[0-9A-Fa-f:.]+\])?|")
_NOT_IN_A_URI = re.compile(r"%(?![0-9A-Fa-f]{2})|[^!$%&-;=?-Z_a-z~]")


def as_har(journal: Iterable[Entry], url: str, *, secrets: Collection[str] = ()) -> dict[str, Json]:
    """Return what happened as a HAR 1.2.

    Requests and their answers are entries, and so are the attempts to deliver callbacks, which have `_callback` and no
    body. The journal keeps neither headers nor how long an answer took, and of a body its first 16 KiB. Beside what the
    format knows an entry has `_operation`, `_error`, `_account` and `_jobs`, where there are any.

    Args:
        journal: A fake's journal, or some entries of one.
        url: Where the provider is, before the paths, such as `fake.base_url`.
        secrets: Texts that must not be in it, such as a key that a client may have put into a body.

    Example:
        >>> import understudy
        >>> from understudy.export import as_har
        >>> fake = understudy.Fake("kie")
        >>> client = understudy.Client("kie", api_key="key", http=fake.client(), clock=fake.clock)
        >>> job = client.run({"prompt": "a lighthouse"}, model="nano-banana-pro")
        >>> har = as_har(fake.journal, fake.base_url)
        >>> har["log"]["entries"][1]["request"]["url"].partition("=")[0]
        'https://api.kie.ai/api/v1/jobs/recordInfo?taskId'
    """
    hidden, entries = _Hidden(secrets), list[Json]()
    for entry in journal:
        if isinstance(entry, Exchange):
            entries.append(_exchange(entry, url, hidden))
        elif isinstance(entry, Attempt):
            entries.append(_attempt(entry, hidden))
    return {"log": {"version": "1.2", "creator": {"name": "understudy", "version": __version__}, "entries": entries}}


def _exchange(entry: Exchange, url: str, hidden: _Hidden) -> dict[str, Json]:
    query = f"?{entry.query}" if entry.query else ""
    address = f"{url.rstrip('/')}{hidden.text(entry.path + query)}"
    body, reply = hidden.bytes(entry.request_body), hidden.bytes(entry.reply_body)
    sent = {"postData": _post_data(body)} if body else {}
    told = {"_operation": entry.operation, "_error": entry.error, "_account": entry.account, "_jobs": [*entry.jobs]}
    return {
        **_entry(entry.at, _request(entry.method, address, body, sent), entry.status, reply),
        **{name: value for name, value in told.items() if value},
        **({"comment": "there was no answer"} if entry.status is None else {}),
    }


def _attempt(entry: Attempt, hidden: _Hidden) -> dict[str, Json]:
    number = f"callback, attempt {entry.attempt}"
    return {
        **_entry(entry.at, _request("POST", hidden.text(entry.url), b"", {"bodySize": -1}), entry.status, b""),
        "_callback": True,
        "_jobs": [entry.job_id],
        "comment": f"{number}: {hidden.text(entry.note)}" if entry.note else number,
    }


def _entry(at: float, request: Json, status: int | None, body: bytes) -> dict[str, Json]:
    return {
        "startedDateTime": datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds"),
        "time": 0,
        "request": request,
        "response": {
            "status": status or 0,
            "statusText": responses.get(status or 0, ""),
            **_FRAME,
            "content": {"size": len(body), **_content(body)},
            "redirectURL": "",
            "bodySize": len(body),
        },
        "cache": {},
        "timings": {"send": 0, "wait": 0, "receive": 0},
    }


_FRAME: dict[str, Json] = {"httpVersion": "HTTP/1.1", "cookies": [], "headers": [], "headersSize": -1}


def _request(method: str, url: str, body: bytes, more: dict[str, Json]) -> dict[str, Json]:
    pairs = parse_qsl(url.partition("?")[2], keep_blank_values=True)
    query = [{"name": name, "value": value} for name, value in pairs]
    return {"method": method, "url": _uri(url), **_FRAME, "queryString": query, "bodySize": len(body), **more}


def _uri(url: str) -> str:
    """Return an address as a URI, whatever a client has called one."""
    origin = _ORIGIN.match(url)
    begin = origin[0] if origin is not None else ""
    return (begin or "unknown:") + _NOT_IN_A_URI.sub(lambda match: _quote_all(match[0]), url[len(begin) :])


def _content(body: bytes) -> dict[str, Json]:
    """Return a body as text, or as base64 where it is none; its type is told by its looks, since no header is kept."""
    cut = {"comment": "the journal has kept no more of it"} if len(body) == MAX_BODY_BYTES else {}
    try:
        text = body.decode()
    except UnicodeDecodeError:
        encoded = base64.b64encode(body).decode()
        return {"mimeType": "application/octet-stream", "text": encoded, "encoding": "base64", **cut}
    return {"mimeType": "application/json" if _is_json(text) else "text/plain", "text": text, **cut}


def _post_data(body: bytes) -> dict[str, Json]:
    """Return a body that was sent; `postData` knows no encoding, so what is base64 says so in its comment."""
    content = _content(body)
    if content.pop("encoding", None) is not None:
        content["comment"] = "; ".join(filter(None, ("base64", content.get("comment"))))
    return {"params": [], **content}


def _is_json(text: str) -> bool:
    try:
        parse_json(text)
    except ValueError:
        return False
    return True


class _Hidden:
    """Takes secrets out of what was sent: as they are, in JSON, or in a URL."""

    def __init__(self, secrets: Collection[str]) -> None:
        escaped = (json.dumps(secret, ensure_ascii=short)[1:-1] for secret in secrets for short in (True, False))
        quoted = (quoting(secret) for secret in secrets for quoting in (quote, quote_plus, _quote_all))
        texts = {text.encode() for text in (*secrets, *escaped, *quoted) if text}
        self._texts = sorted(texts, key=len, reverse=True)

    def bytes(self, body: bytes) -> bytes:
        for text in self._texts:
            body = body.replace(text, REDACTED.encode())
        return body

    def text(self, text: str) -> str:
        return self.bytes(text.encode()).decode()
