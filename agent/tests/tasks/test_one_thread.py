"""The thread that does what it is given in that order, and what it tells the loop."""

import asyncio
import os
import time
from collections.abc import Callable
from functools import partial

import pytest

from deployx_agent.tasks.one_thread import OneThread


@pytest.fixture(params=["by a descriptor", "by a lock"])
def thread(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> OneThread:
    if request.param == "by a lock":
        monkeypatch.delattr(os, "eventfd")
    return OneThread("test")


async def test_what_is_awaited_comes_back_as_a_result_or_an_error(thread: OneThread) -> None:
    loop = asyncio.get_running_loop()
    assert await asyncio.gather(*(loop.run_in_executor(thread, pow, 2, number) for number in range(50))) == [
        2**number for number in range(50)
    ]
    with pytest.raises(ZeroDivisionError):
        await loop.run_in_executor(thread, divmod, 1, 0)
    thread.shutdown()


async def test_the_loop_hears_in_the_order_in_which_it_was_done(thread: OneThread) -> None:
    heard: list[int] = []
    over = asyncio.Event()

    def job(number: int) -> Callable[[], None]:
        return partial(heard.append, number)

    for number in range(100):
        thread.do(partial(job, number))
    thread.do(lambda: over.set)
    await over.wait()
    assert heard == [*range(100)]
    thread.shutdown()


async def test_one_that_is_not_awaited_any_more_harms_nobody(thread: OneThread) -> None:
    waiting = asyncio.get_running_loop().run_in_executor(thread, time.sleep, 0.05)
    waiting.cancel()
    assert await asyncio.get_running_loop().run_in_executor(thread, int, "7") == 7
    thread.shutdown()


def test_what_was_given_is_done_before_the_end_even_after_the_loop(thread: OneThread) -> None:
    done: list[int] = []

    async def give() -> None:
        for number in range(20):
            asyncio.get_running_loop().run_in_executor(thread, done.append, number)

    asyncio.run(give())
    thread.shutdown()
    assert done == [*range(20)]
