"""What was seen as a HAR, and recordings of it, for the tests of `record`."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from understudy.record.run import record
from understudy.record.tape import Seen, Tape


def har_of(tape: Tape) -> dict[str, Any]:
    """Return what was seen as a browser would save it."""

    def named(headers: Any) -> list[dict[str, str]]:
        return [{"name": name.title(), "value": value} for name, value in headers.items()]

    entries = []
    for seen in tape:
        assert isinstance(seen, Seen)
        data = b"".join(frame + b"\n\n" for _, frame in seen.frames) or seen.answer
        form = "application/x-www-form-urlencoded"
        posted = {"postData": {"mimeType": form, "text": seen.body.decode()}} if seen.body else {}
        entries.append(
            {
                "startedDateTime": datetime.fromtimestamp(seen.at, UTC).isoformat(),
                "time": 0,
                "request": {"method": seen.method, "url": seen.url, "headers": named(seen.headers), **posted},
                "response": {
                    "status": seen.status,
                    "headers": named(seen.answered),
                    "content": {"size": len(data), "text": base64.b64encode(data).decode(), "encoding": "base64"},
                },
            }
        )
    return {"log": {"version": "1.2", "entries": entries}}


def told_of(contract: Path, tape: Tape, tmp_path: Path, **more: Any) -> None:
    """Record a HAR of what was seen."""
    data = har_of(tape)
    for entry, seen in zip(data["log"]["entries"], tape, strict=True):
        assert isinstance(seen, Seen)
        entry["time"] = (seen.at - 1.8e9) * 1000  # when it was answered counts
        entry["startedDateTime"] = "2027-01-15T08:00:00Z"
    (tmp_path / "seen.har").write_text(json.dumps(data), encoding="utf-8")
    out = contract / "recordings"
    assert record(str(contract), out, har=tmp_path / "seen.har", until=lambda _: None, **more) == 0
