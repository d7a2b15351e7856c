"""Redaction: take out what may not be written down, wherever it stands, so that what is left still holds together.

What is known to be secret (the keys that were sent) goes in every form that it may have. What looks like a secret goes
as well: a long random text, an e-mail address, what a link says beside where it leads, the value of a member that is
called like one. It is replaced, and the same by the same: a job keeps its id, though not the one that it had.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote_plus, urlencode, urlsplit, urlunsplit

from understudy.contract.codecs import dump_json, parse_json
from understudy.lifecycle import Json
from understudy.reach import SHORTEST_IN_TEXT

#: What stands for a secret, where nothing has to be told apart.
ELIDED = "elided"

#: What stands for an e-mail address.
ADDRESS = "someone@example.com"

#: A shorter secret may as well be a word of the file itself: `callback`, as a key for a fake.
SHORTEST_OWN = 16

# How long a text must be, to be taken for a random one: where letters, digits and cases take turns, and in any case.
_MIXED, _ENDLESS = 16, 24
_TURNS = 4

_EMAIL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+")
_LINK = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s\"'<>\\]+")
_DATA = re.compile(r"data:[^,\s]*;base64,[A-Za-z0-9+/=_%-]*")
_AUTHORITY = re.compile(r"\b(bearer|basic|token|key)\s+[^\s\"',;]+", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_RUN = re.compile(r"[A-Za-z0-9_~+/=-]{16,}")
_PIECE = re.compile(r"[A-Za-z0-9]+")
_TURN = re.compile(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[A-Z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/_-]{4}){2,}(?:[A-Za-z0-9+/_-]{2,3}=*)?")
_SECRET_NAME = re.compile(
    r"pass(?:word|wd|phrase)|secret|credential|authori[sz]ation|cookie|session|signature|key$|(?:^|[^a-z])(?:tok|auth)"
    r"|(?:access|refresh|id|auth).?token",
    re.IGNORECASE,
)


class Redactor:
    """Takes out secrets.

    Args:
        secrets: What is known to be one, such as the keys that were sent.
        known: Texts that are public, such as those of the contract: they are left where they are no secret.
        texts: Text → what stands for it, such as an address.
    """

    def __init__(
        self, secrets: Iterable[str], known: Iterable[str] = (), texts: Mapping[str, str] | None = None
    ) -> None:
        self._known = frozenset(known)
        self._stands: dict[str, str] = {}
        self._count = 0
        secrets = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
        self._forms = sorted({form for secret in secrets for form in forms_of(secret)}, key=len, reverse=True)
        self._secret = _any_of(self._forms)
        self._no_word = _any_of(form for form in self._forms if len(form) >= SHORTEST_OWN)
        self._texts = dict(sorted((texts or {}).items(), key=lambda pair: len(pair[0]), reverse=True))
        self._ids: re.Pattern[str] | None = None

    def name_ids(self, ids: Iterable[str]) -> None:
        """Replace these ids from now on, whatever they look like."""
        found = dict.fromkeys(ids)
        for job_id in found:
            self._stand_in(job_id)
        # a shorter one is replaced where it is all of a text
        long = (job_id for job_id in found if len(job_id) >= SHORTEST_IN_TEXT)
        self._ids = _any_of(sorted(long, key=len, reverse=True))

    def json(self, value: Json) -> Json:
        """Return a JSON value without secrets, in its keys as well."""
        if isinstance(value, Mapping):
            return {self.text(key): self._member(key, item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.json(item) for item in value]
        return self.text(value) if isinstance(value, str) else value

    def text(self, text: str) -> str:
        """Return a text without secrets: JSON, base64 and links in it are looked into."""
        if text in self._texts:
            return self._texts[text]
        if text in self._stands:
            return self._stands[text]
        return self._scrubbed(self._secret.sub(ELIDED, text) if self._secret is not None else text)

    def leaks(self, text: str) -> bool:
        """Say whether a text has a secret in it that was known from the start, and is no word."""
        return self._no_word is not None and self._no_word.search(text) is not None

    # --- by what it is --------------------------------------------------------------------------------------------

    def _member(self, key: str, value: Json) -> Json:
        if isinstance(value, str) and value and _SECRET_NAME.search(key) and value not in self._known:
            return self._stands.get(value, ELIDED)
        return self.json(value)

    def _scrubbed(self, text: str) -> str:
        if text in self._known:
            return text
        inner = _json_in(text)
        if inner is not None:
            return dump_json(self.json(inner))
        decoded = _base64_in(text)
        if decoded is not None:
            return self._as_base64(text, decoded)
        for whole, stands in self._texts.items():
            text = text.replace(whole, stands)
        text = _DATA.sub(lambda found: f"{found[0].partition(',')[0]},{_ELIDED_BYTES}", text)
        pieces, end = [], 0
        for link in _LINK.finditer(text):
            pieces += [self._plain(text[end : link.start()]), self._link(link[0])]
            end = link.end()
        return "".join([*pieces, self._plain(text[end:])])

    def _plain(self, text: str) -> str:
        """Return a text in which no link is."""
        text = _EMAIL.sub(ADDRESS, text)
        text = _AUTHORITY.sub(
            lambda found: f"{found[1]} {ELIDED}" if _is_random(found[0].split()[-1]) else found[0], text
        )
        if self._ids is not None:
            text = self._ids.sub(lambda found: self._stands[found[0]], text)
        text = _UUID.sub(lambda found: self._stand_in(found[0]), text)
        return _RUN.sub(self._token, text)

    def _token(self, found: re.Match[str]) -> str:
        text = found[0]
        public = text in self._known or text in self._stands.values()
        return text if public or not _is_random(text) else self._stand_in(text)

    def _link(self, url: str) -> str:
        """Return a link without its user, and without what it says beside where it leads."""
        try:
            scheme, place, path, query, _ = urlsplit(url)
        except ValueError:
            return ELIDED
        place = self._plain(place.rpartition("@")[2])
        path = "/".join(self._segment(part) for part in path.split("/"))
        pairs = [(self._plain(name), ELIDED) for name, _ in parse_qsl(query, keep_blank_values=True)]
        return urlunsplit((scheme, place, path, urlencode(pairs), ""))

    def _segment(self, segment: str) -> str:
        plain = unquote_plus(segment)
        decoded = _base64_in(plain)
        clean = self._plain(plain) if decoded is None else self._as_base64(plain, decoded)
        return segment if clean == plain else quote(clean)

    def _as_base64(self, text: str, decoded: str | bytes) -> str:
        """Return base64 without the secrets in it; of what is no text, nothing is left."""
        if isinstance(decoded, bytes):
            return _ELIDED_BYTES
        clean = self.text(decoded)
        return text if clean == decoded else base64.b64encode(clean.encode()).decode()

    def _stand_in(self, text: str) -> str:
        if text not in self._stands:
            self._count += 1
            self._stands[text] = (
                f"00000000-0000-4000-8000-{self._count:012}" if _UUID.fullmatch(text) else f"id-{self._count:04}"
            )
        return self._stands[text]


_ELIDED_BYTES = base64.b64encode(ELIDED.encode()).decode()


def forms_of(secret: str) -> Iterator[str]:
    """Yield the forms in which a text may stand in another: plain, percent-encoded, in JSON, as or within base64."""
    for text in dict.fromkeys((secret, unquote_plus(secret))):
        if len(text) < SHORTEST_IN_TEXT:
            continue
        yield from (text, quote(text, safe=""), quote(text), quote_plus(text), dump_json(text)[1:-1])
        data = text.encode()
        yield from (data.hex(), data.hex().upper())
        for shift in range(3):  # within a longer text it may begin at any of three places
            whole = base64.b64encode(b"\0" * shift + data)[(0, 2, 3)[shift] :].rstrip(b"=").decode()
            whole = whole[: len(whole) - (1 if (shift + len(data)) % 3 else 0)]
            yield from (whole, whole.replace("+", "-").replace("/", "_"))


def _any_of(texts: Iterable[str]) -> re.Pattern[str] | None:
    found = [re.escape(text) for text in texts]
    return re.compile("|".join(found)) if found else None


def _json_in(text: str) -> Any:
    """Return the object or list that a text is, or None."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        value = parse_json(text)
    except ValueError:
        return None
    return value if isinstance(value, dict | list) else None


def _base64_in(text: str) -> str | bytes | None:
    """Return what a text stands for as base64: text, or bytes; None where it is none, or as well a word."""
    if not _BASE64.fullmatch(text):
        return None
    padded = text.rstrip("=").replace("-", "+").replace("_", "/")
    data = base64.b64decode(padded + "=" * (-len(padded) % 4))
    try:
        decoded = data.decode()
    except UnicodeDecodeError:
        return data if len(text) >= 64 and ("+" in text or "/" in text) and _is_random(text) else None
    return decoded if decoded.isprintable() else None


def _is_random(text: str) -> bool:
    """Say whether a text looks drawn and not written: letters, digits and cases take turns, or it has no end."""
    pieces = _PIECE.findall(text)
    turns = sum(len(_TURN.findall(piece)) for piece in pieces)
    return (
        (len(text) >= _MIXED and turns >= _TURNS)
        or any(len(piece) >= _ENDLESS for piece in pieces)
        or (len(text) >= _ENDLESS and turns >= 3 and any(character.isdigit() for character in text))
    )
