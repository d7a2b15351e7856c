"""In process: the client under test is given an httpx client that asks a fake, and no request leaves the process."""

import pictures
import pytest

pytestmark = pytest.mark.virtual_time


def test_a_picture_is_made_and_paid_for(kie):
    picture = pictures.make_picture("a lighthouse", http=kie.client())

    assert picture.startswith(b"\x89PNG")
    assert kie.ledger.spent == 18  # credits


def test_a_failure_is_told_and_costs_nothing(kie):
    kie.next_job(failure="content-policy")

    with pytest.raises(pictures.PictureError, match="prohibited content"):
        pictures.make_picture("something rude", http=kie.client())
    assert kie.ledger.spent == 0


@pytest.mark.understudy(balance=17)
def test_too_little_money_is_told(kie):
    with pytest.raises(pictures.PictureError, match="Credits insufficient"):
        pictures.make_picture("a lighthouse", http=kie.client())
    assert not kie.jobs


def test_a_create_whose_answer_was_lost_is_not_repeated(kie):
    kie.fault("answer-lost")

    with pytest.raises(pictures.PictureError, match="not known whether"):
        pictures.make_picture("a lighthouse", http=kie.client())
    assert len(kie.jobs) == 1


@pytest.mark.understudy(scenario="stuck-in-queue")
def test_a_job_that_never_ends_is_given_up(kie):
    began = kie.clock.now()

    with pytest.raises(pictures.PictureError, match=r"takes too long; .* queuing"):
        pictures.make_picture("a lighthouse", http=kie.client())
    assert 800 < kie.clock.now() - began <= 900


def test_the_program_saves_a_picture(kie, monkeypatch, tmp_path):
    monkeypatch.setenv("KIE_API_KEY", "my-key")

    with kie.mock():  # the program makes an httpx client of its own
        pictures.main("a lighthouse", str(tmp_path / "lighthouse.png"))

    assert (tmp_path / "lighthouse.png").read_bytes().startswith(b"\x89PNG")
    assert kie.ledger_of("my-key").spent == 18
