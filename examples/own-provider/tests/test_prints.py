"""The provider has a fixture by its name, as the bundled ones do, and all else works with it, too."""

from pathlib import Path

import httpx
import pytest

import understudy
from understudy.testing import ClientSuite

ROOT = Path(__file__).parents[1]  # where contracts/ is, wherever pytest is started


def client_of(prints):
    return understudy.Client(prints.contract, api_key="my-key", http=prints.client(), clock=prints.clock)


def test_an_order_is_printed_and_paid_for(prints):
    client = client_of(prints)
    order = client.run({"motif": "a lighthouse", "copies": 2})

    assert [client.download(proof)[:4] for proof in order.outputs] == [b"\x89PNG"] * 2
    assert prints.ledger_of("my-key").spent == 2.5  # USD


@pytest.mark.understudy(scenario="paper-jam")
def test_a_paper_jam_costs_nothing(prints):
    with pytest.raises(understudy.JobFailed, match="The paper got stuck"):
        client_of(prints).run({"motif": "a lighthouse"})
    assert prints.ledger_of("my-key").spent == 0


@pytest.mark.understudy(balance=1)
def test_an_empty_account_is_told_in_the_body(prints):
    reply = prints.client().post("/v2/orders", json={"motif": "a lighthouse"})

    assert (reply.status_code, reply.json()["problem"]["name"]) == (200, "credits")
    with pytest.raises(understudy.Refused, match="The account is empty"):
        client_of(prints).submit({"motif": "a lighthouse"})


def test_a_callback_is_signed(prints):
    with understudy.Receiver() as receiver:
        client = client_of(prints)
        order = client.submit({"motif": "a lighthouse"}, callback_url=receiver.url)
        prints.clock.sleep(60)

        [callback] = receiver.received
        assert client.read_callback(callback.headers, callback.body, secret="prints-secret").id == order.id
        with pytest.raises(understudy.SignatureInvalid):
            client.read_callback(callback.headers, callback.body + b" ", secret="prints-secret")


class TestReferenceClient(ClientSuite):
    """The reference client, which takes callbacks."""

    provider = "prints"

    async def generate(self, endpoint, request):
        options = {"api_key": endpoint.api_key, "base_url": endpoint.base_url, "http": endpoint.http}
        client = understudy.AsyncClient("prints", paths=[ROOT], **options)
        self.inbox = understudy.Inbox(client, secret=endpoint.webhook_secret)
        order = await client.submit(**request, callback_url=endpoint.callback_url)
        order = await client.wait(order, inbox=self.inbox)
        return [proof.url for proof in order.outputs]

    async def receive(self, callback):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.inbox)) as http:
            return (await http.post("http://inbox/", headers=callback.headers, content=callback.body)).status_code
