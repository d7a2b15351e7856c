"""Everything else: the suite puts a client into each situation that it knows to happen."""

import httpx
import pictures

from understudy.testing import ClientSuite


class TestGenerate(ClientSuite):
    """The client that uses requests, and returns links."""

    provider = "kie"
    models = (pictures.MODEL,)

    def generate(self, endpoint, request):
        return pictures.generate(endpoint.base_url, endpoint.api_key, **request)


class TestMakePictureAsync(ClientSuite):
    """The async client that uses httpx, and returns a file."""

    provider = "kie"
    models = (pictures.MODEL,)

    async def generate(self, endpoint, request):
        headers = {"Authorization": f"Bearer {endpoint.api_key}"}
        async with httpx.AsyncClient(base_url=endpoint.base_url, headers=headers, timeout=60, trust_env=False) as http:
            return await pictures.make_picture_async(request["input"]["prompt"], http=http)
