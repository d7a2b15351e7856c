"""Clients that get everything right: the reference client in three ways, and three that others wrote."""

from __future__ import annotations

import os
from typing import Any

import httpx

import understudy
from tests.careful import kie_requests, oxen_aiohttp, shortapi_httpx
from tests.faulty_clients import Plain
from understudy.testing import Callback, ClientSuite, Endpoint


class Reference(ClientSuite):
    """The reference client, which polls."""

    provider = "kie"

    def generate(self, endpoint: Endpoint, request: dict[str, Any]) -> Any:
        options = {"api_key": endpoint.api_key, "base_url": endpoint.base_url, "http": endpoint.http}
        client = understudy.Client(self.provider, **options)
        return [output.url for output in client.run(**request).outputs]


class AsyncReference(ClientSuite):
    """The reference client for async code."""

    provider = "kie"

    async def generate(self, endpoint: Endpoint, request: dict[str, Any]) -> Any:
        options = {"api_key": endpoint.api_key, "base_url": endpoint.base_url, "http": endpoint.http}
        client = understudy.AsyncClient(self.provider, **options)
        return [output.url for output in (await client.run(**request)).outputs]


class CalledBack(ClientSuite):
    """The reference client, which takes callbacks and returns files."""

    provider = "kie"

    async def generate(self, endpoint: Endpoint, request: dict[str, Any]) -> Any:
        options = {"api_key": endpoint.api_key, "base_url": endpoint.base_url, "http": endpoint.http}
        client = understudy.AsyncClient(self.provider, **options)
        callback = client.contract.job_type.callback
        secret = endpoint.webhook_secret if callback is not None and callback.sign is not None else None
        self.inbox = understudy.Inbox(client, secret=secret)
        job = await client.submit(**request, callback_url=endpoint.callback_url)
        job = await client.wait(job, inbox=self.inbox)
        return [await client.download(output) for output in job.outputs]

    async def receive(self, callback: Callback) -> Any:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.inbox)) as http:
            reply = await http.post("http://inbox/", headers=callback.headers, content=callback.body)
            return reply.status_code


class CarefulKie(ClientSuite):
    """A client that was written from the provider's documentation, with requests."""

    provider = "kie"

    def generate(self, endpoint: Endpoint, request: dict[str, Any]) -> Any:
        self.callbacks = kie_requests.KieCallbacks(endpoint.webhook_secret or "")
        hook: dict[str, Any] = {"callback_url": endpoint.callback_url, "callbacks": self.callbacks}
        return kie_requests.generate(endpoint.base_url, endpoint.api_key, **request, **hook)

    def receive(self, callback: Callback) -> Any:
        return self.callbacks.receive(callback.headers, callback.body)


class CarefulOxen(ClientSuite):
    """A client that was written from the provider's documentation, with aiohttp."""

    provider = "oxen"

    async def generate(self, endpoint: Endpoint, request: dict[str, Any]) -> Any:
        return await oxen_aiohttp.generate(endpoint.base_url, endpoint.api_key, **request)


class CarefulShortApi(ClientSuite):
    """A client that was written from the provider's documentation, with httpx; it returns files."""

    provider = "shortapi"

    def generate(self, endpoint: Endpoint, request: dict[str, Any]) -> Any:
        return shortapi_httpx.generate(endpoint.base_url, endpoint.api_key, **request)


# Each of the three ways in which a client waits, and each provider, once; all of them in the nightly run.
RIGHT: list[type[ClientSuite]] = [
    type("Reference_shortapi", (Reference,), {"provider": "shortapi"}),
    type("AsyncReference_oxen", (AsyncReference,), {"provider": "oxen"}),
    type("CalledBack_kie", (CalledBack,), {"provider": "kie"}),
    type("CalledBack_replicate", (CalledBack,), {"provider": "replicate"}),
    Plain,
    CarefulKie,
    CarefulOxen,
    CarefulShortApi,
]
if os.environ.get("HYPOTHESIS_PROFILE") == "nightly":
    RIGHT += [
        type(f"{kind.__name__}_{name}", (kind,), {"provider": name})
        for name in ("kie", "oxen", "replicate", "shortapi")
        for kind in (Reference, AsyncReference)
    ]
