"""Async: `asyncio.sleep` and the deadlines of the loop are on the clock of the fake."""

import asyncio

import pictures
import pytest

pytestmark = pytest.mark.virtual_time


def test_five_pictures_at_once_take_the_time_of_one(kie):
    async def five():
        async with kie.async_client() as http:
            prompts = [f"{number} lighthouses" for number in range(5)]
            return await asyncio.gather(*(pictures.make_picture_async(prompt, http=http) for prompt in prompts))

    began = kie.clock.now()
    assert len(set(asyncio.run(five()))) == 5
    assert kie.clock.now() - began < 30
    assert kie.ledger.spent == 5 * 18


def test_who_has_no_time_is_let_go(kie):
    async def hurried():
        async with kie.async_client() as http, asyncio.timeout(10):
            await pictures.make_picture_async("a lighthouse", http=http)

    with pytest.raises(TimeoutError):
        asyncio.run(hurried())


def test_one_failure_of_three_is_one_failure(kie):
    kie.next_job(failure="upstream-error")

    async def three():
        async with kie.async_client() as http:
            work = [pictures.make_picture_async("a lighthouse", http=http) for _ in range(3)]
            return await asyncio.gather(*work, return_exceptions=True)

    assert [type(one).__name__ for one in asyncio.run(three())].count("PictureError") == 1
