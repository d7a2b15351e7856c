"""Tests of what is taken out of a recording before it is written."""

from __future__ import annotations

import base64
import json
import string
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from understudy.bodies import encode_body
from understudy.folders import find_provider
from understudy.library import load_provider
from understudy.record.recordings import recordings_of, redactor_of, write
from understudy.record.redaction import ADDRESS, ELIDED, Redactor
from understudy.record.sequences import tell
from understudy.record.tape import Called, Seen, Tape

KIE = "https://api.kie.ai/api/v1/jobs"
UPLOAD = "https://kieai.redpandaai.co/api/file-stream-upload"

WORDS = string.ascii_letters + string.digits
KEYS = st.text(string.ascii_letters + string.digits + "-_.~+/=!*'()%&?#@:,;<>{}[]|^`$ü", min_size=8, max_size=40)
RANDOM = st.text(WORDS, min_size=24, max_size=48)
SHORT = st.text(WORDS, min_size=9, max_size=20).map("Zq9{}".format)  # no word of a recording
ID = "281e5b0f39b9"


def packed(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


#: Where a secret may be put that is known, or that looks like one.
WRAPPINGS: dict[str, Callable[[str], Any]] = {
    "plain": lambda secret: secret,
    "in words": lambda secret: f"see {secret} there",
    "a key": lambda secret: {secret: 1},
    "in a list": lambda secret: [[secret]],
    "in JSON in a text": lambda secret: json.dumps({"a": {"b": [secret, json.dumps({"c": secret})]}}),
    "in base64": packed,
    "in JSON in base64": lambda secret: packed(json.dumps({"a": secret})),
    "in base64 in JSON in base64": lambda secret: packed(json.dumps([packed(f"it is {secret}")])),
    "in a query": lambda secret: "https://example.com/?" + urlencode({"a": secret, secret: "b"}),
    "in a path": lambda secret: f"https://example.com/{quote(secret, safe='')}/x.png",
    "in front of a host": lambda secret: f"https://{quote(secret, safe='')}:x@example.com/x",
    "in a header in a text": lambda secret: f"Authorization: Bearer {secret}",
    "as data": lambda secret: f"data:text/plain;base64,{packed(secret)}",
}

#: The same for what is a secret because of where it stands.
STANDS: dict[str, Callable[[str], Any]] = {
    "a password": lambda secret: {"password": secret, "apiKey": secret, "client_secret": secret},
    "a signature": lambda secret: f"https://files.example.com/1.png?signature={secret}&expires={secret}&x={secret}",
    "a user": lambda secret: f"https://{secret}:{secret}@example.com/1.png",
    "a link in a text": lambda secret: json.dumps({"urls": [f"see https://example.com/1.png?token={secret}."]}),
}


def tape_of(key: str, planted: Any, header: str, name: str) -> Tape:
    """Return a job in which something is planted wherever anything may be."""
    headers = {"authorization": f"Bearer {key}", "cookie": f"sid={header}", "x-own": header}
    answered = {"content-type": "application/json", "set-cookie": f"sid={header}; Path=/", "x-trace": header}
    task = {"model": "nano-banana-pro", "input": {"prompt": "a", "more": planted}, "extra": planted}
    task["callBackUrl"] = f"https://{name}:{name}@example.org/{name}?token={name}"
    record = {"taskId": ID, "state": "success", "param": json.dumps(task), "more": planted, "failMsg": planted}
    content_type, form = encode_body("multipart/form-data", {"file": b"\x89PNG", "uploadPath": planted, "n": name})

    def seen(at: float, method: str, url: str, body: Any, answer: Any, **more: str) -> Seen:
        sent = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        said = json.dumps(answer).encode()
        return Seen(at, method, url, {**headers, **more}, sent, 200, answered, said, len(said))

    made = {"code": 200, "msg": "success", "data": {"taskId": ID}}
    query = urlencode({"taskId": ID, "more": json.dumps(planted), "token": name})
    kept = {"success": True, "code": 200, "msg": planted, "data": {"fileName": planted}}
    return [
        seen(1e9, "POST", f"{KIE}/createTask", task, made),
        seen(1e9 + 3, "GET", f"{KIE}/recordInfo?{query}", None, {"code": 200, "msg": "success", "data": record}),
        Called(1e9 + 4, headers, json.dumps({"code": 200, "msg": planted, "data": record}).encode()),
        seen(1e9 + 5, "POST", UPLOAD, form, kept, **{"content-type": content_type}),
        seen(1e9 + 6, "POST", f"{KIE}/createTask", planted, {"code": 599, "msg": planted}),
    ]


def written(tape: Tape) -> str:
    """Return all files that come of a tape."""
    contract, _ = load_provider(find_provider("kie"))
    told = tell(contract, tape, None)
    redactor = redactor_of(contract, told)
    recordings = recordings_of(contract, told, redactor, None, "capture of api.kie.ai")
    with TemporaryDirectory() as folder:
        paths = write(recordings, Path(folder), redactor)
        return "".join(path.name + path.read_text(encoding="utf-8") for path in paths)


def shows(text: str, secret: str) -> bool:
    """Say whether a text has a secret in it, in any of the forms that it was planted in."""
    forms = {secret, quote(secret, safe=""), quote(secret), packed(secret), json.dumps(secret)[1:-1]}
    return any(form in text or form in text.replace("''", "'") for form in forms)


@cache
def bare() -> str:
    """Return what is in all files, with no secret in what came: words that a key may happen to be."""
    return written(tape_of("", [[], []], "", ""))


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@settings(max_examples=6)
@given(KEYS, RANDOM, SHORT)
def test_no_secret_is_written(wrapping: str, key: str, token: str, name: str):
    """A key that was sent, and a random text, are in no file, wherever they were and however they were packed."""
    assume(not shows(bare(), key))
    planted = [WRAPPINGS[wrapping](key), WRAPPINGS[wrapping](token)]
    text = written(tape_of(key, planted, token, name))

    assert "job-0001" in text
    for secret in (key, token, name):
        assert not shows(text, secret)


@pytest.mark.parametrize("key", ["exchanges", "callback", "createTask"])
def test_a_key_that_is_a_word_of_the_file_spoils_nothing(key: str):
    """A recording is written all the same, and the key is taken out of what came."""
    text = written(tape_of(key, [key, [key]], "header", "somebody1"))
    assert "exchanges:" in text
    assert text.count(key) <= bare().count(key)


@pytest.mark.parametrize("place", STANDS)
@settings(max_examples=6)
@given(SHORT)
@example("123456789")
def test_what_stands_where_secrets_do_is_not_written(place: str, secret: str):
    """Passwords, what links say beside where they lead, and users are in no file, however they look."""
    assert not shows(written(tape_of("a-key", STANDS[place](secret), "header", "somebody1")), secret)


@settings(max_examples=20)
@given(st.emails(domains=st.sampled_from(["example.org", "mail.test"])))
def test_no_address_is_written(address: str):
    """An e-mail address is in no text, alone, among words, in a link or in base64."""
    redactor = Redactor(())
    for text in (address, f"by <{address}>", f"https://x.test/a?by={quote(address)}", packed(f"by {address}")):
        assert address not in redactor.text(text)
        assert packed(f"by {address}") != redactor.text(text)
    assert redactor.text("me@mail.test") == ADDRESS


def test_a_sequence_holds_together():
    """The same id is replaced by the same, a UUID by a UUID, within texts and links as well."""
    redactor = Redactor(())
    redactor.name_ids(["job-17", "0b8f5eb7-361e-4e13-ab73-67457bc8057e", "job-17"])

    assert redactor.json({"id": "job-17", "url": "https://x.test/job-17/1.png", "same": "job-17"}) == {
        "id": "id-0001",
        "url": "https://x.test/id-0001/1.png",
        "same": "id-0001",
    }
    assert redactor.text("0b8f5eb7-361e-4e13-ab73-67457bc8057e") == "00000000-0000-4000-8000-000000000002"


@pytest.mark.parametrize(
    "text",
    [
        "a lighthouse in the evening",
        "bytedance/seedream-v4-text-to-image",
        "https://example.com/images/one/image.png",
        "2026-11-21T16:00:00.000Z",
        "task_google_1765178615729",
        "password",
        "",
        "Getting model response error: 500 - Internal Server Error",
        "[not JSON",
    ],
)
def test_what_is_written_by_people_stays(text: str):
    """Words, names of models, times and plain links are left as they are."""
    assert Redactor(()).text(text) == text


def test_what_is_public_stays():
    """A text of the contract is left as it is, however random, unless it is the key that was sent."""
    public = "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa"
    assert Redactor((), [public]).text(public) == public
    assert Redactor((), [public]).json({"token": public}) == {"token": public}
    assert public not in Redactor([public], [public]).text(f"see {public}")


def test_a_picture_is_not_written():
    """Bytes in base64 are replaced by others, so that what reads them still can."""
    picture = packed_bytes(bytes(range(256)))
    assert base64.b64decode(Redactor(()).text(picture)) == ELIDED.encode()
    assert Redactor(()).text(f"data:image/png;base64,{picture}") == f"data:image/png;base64,{packed(ELIDED)}"


def test_a_link_that_is_none_goes():
    """What begins like a link and is none is not looked into, and goes."""
    assert Redactor(()).text("see http://[half") == f"see {ELIDED}"


def packed_bytes(data: bytes) -> str:
    return base64.b64encode(data).decode()
