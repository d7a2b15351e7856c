"""Live: requests asks a server on a socket, which stands on the clock of the test."""

import time

import pictures
import pytest
import requests

pytestmark = pytest.mark.virtual_time

INPUT = {"prompt": "a lighthouse"}


def test_the_links_lead_to_pictures(understudy_server):
    began = time.monotonic()
    [link] = pictures.generate(understudy_server.url_of("kie"), understudy_server.api_key, pictures.MODEL, INPUT)

    assert requests.get(link).content.startswith(b"\x89PNG")
    assert understudy_server.account_of("kie").ledger.spent == 18
    assert 10 < time.monotonic() - began < 20  # Kie's seconds


def test_a_wrong_key_is_told(understudy_server):
    with pytest.raises(pictures.PictureError, match="access permissions"):
        pictures.generate(understudy_server.url_of("kie"), "invalid-key", pictures.MODEL, INPUT)


@pytest.mark.understudy(balance=18)
def test_the_second_picture_cannot_be_paid_for(understudy_server):
    kie = understudy_server.url_of("kie"), understudy_server.api_key
    pictures.generate(*kie, pictures.MODEL, INPUT)

    with pytest.raises(pictures.PictureError, match="Credits insufficient"):
        pictures.generate(*kie, pictures.MODEL, INPUT)
