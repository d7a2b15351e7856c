"""The variables by which programs find the proxy, and trust it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from understudy.errors import UsageError

# What is on this machine is not asked for through the proxy.
_DIRECTLY = "localhost,127.0.0.1,::1"

_BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")


def variables(url: str, bundle: Path) -> dict[str, str]:
    """Return the variables of a proxy.

    Args:
        url: Where it listens.
        bundle: The file with the authorities that are to be trusted.
    """
    addresses = {"HTTPS_PROXY": url, "HTTP_PROXY": url, "ALL_PROXY": url, "NO_PROXY": _DIRECTLY}
    preload = str(Path(__file__).with_name("node_preload.cjs")).replace("\\", "\\\\")
    return {
        **addresses,
        **{name.lower(): value for name, value in addresses.items()},
        **dict.fromkeys(_BUNDLES, str(bundle)),
        "NODE_USE_ENV_PROXY": "1",
        "NODE_OPTIONS": f'--require "{preload}"',
    }


def merged(environment: Mapping[str, str], base: Mapping[str, str]) -> dict[str, str]:
    """Return an environment with the proxy's variables in it; the options of Node that it has are kept.

    Args:
        environment: The proxy's variables.
        base: The environment.
    """
    ours, theirs = environment["NODE_OPTIONS"], base.get("NODE_OPTIONS", "")
    return {**base, **environment, "NODE_OPTIONS": theirs if ours in theirs else f"{theirs} {ours}".strip()}


def variables_of(url: str) -> dict[str, str]:
    """Return the variables of a proxy that runs elsewhere on this machine.

    Args:
        url: Where it listens.

    Raises:
        UsageError: There is none.
    """
    import httpx

    try:
        reply = httpx.get(url, trust_env=False, headers={"host": "localhost"})
        found: dict[str, str] = reply.json()["environment"]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError):
        raise UsageError(
            f"no proxy answers at {url}.\n"
            f"  `understudy serve --proxy` starts one, and prints its address for `understudy env --proxy URL`."
        ) from None
    return found
