"""Reach: which addresses may be called, what is shown of them and of a key, and the TLS that they are called with."""

from __future__ import annotations

import functools
import ipaddress
import re
import ssl
from urllib.parse import urlsplit

#: How the note of a delivery begins that was not even tried, and so is not tried again.
NOT_SENT = "not sent"

#: The note of a delivery whose receiver did not answer the challenge before it.
NOT_MET = f"{NOT_SENT}: the challenge was not answered"

#: What is shorter may as well be a part of any word.
SHORTEST_IN_TEXT = 6


def refusal(url: str, allowed_hosts: frozenset[str] = frozenset()) -> str | None:
    """Say why a callback may not be sent to a URL, or return None when it may.

    Args:
        url: Where to.
        allowed_hosts: Hosts that the user has allowed beside loopback.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return "not a URL"
    if parts.scheme not in ("http", "https") or not host:
        return "not an http or https URL"
    if host.lower() in allowed_hosts or is_loopback(host):
        return None
    return f"{host} is not loopback and was not allowed"


def is_loopback(host: str) -> bool:
    """Say whether a host name or address is this machine."""
    if host.lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def host_of(url: str) -> str:
    """Return the host of a URL, in lower case and without its port; empty where there is none."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def shown_url(url: str) -> str:
    """Return a URL without its user and its query, where keys are put."""
    scheme, _, rest = url.partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}" if rest else scheme


def without_key(text: str, key: str) -> str:
    """Return a text without a key; a short one is taken out where it stands as a word of its own."""
    if len(key) >= SHORTEST_IN_TEXT:
        return text.replace(key, "[key]")
    return re.sub(rf"(?<!\w){re.escape(key)}(?!\w)", "[key]", text) if key else text


@functools.cache
def tls() -> ssl.SSLContext:
    """Return the one TLS context of this process: making one costs more than a hundred callbacks."""
    return ssl.create_default_context()
