import asyncio

import pytest

from intelforge.core.stopping import unless_stopped


async def test_work_that_ends_gives_what_it_has() -> None:
    assert await unless_stopped(asyncio.sleep(0, "done"), asyncio.Event()) == "done"


async def test_work_is_cancelled_and_awaited_when_it_is_stopped() -> None:
    stopping, ended = asyncio.Event(), asyncio.Event()

    async def work() -> bool:
        try:
            stopping.set()
            return await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.set()

    assert await unless_stopped(work(), stopping) is None
    assert ended.is_set()


async def test_nothing_is_begun_once_it_is_stopped() -> None:
    stopping, begun = asyncio.Event(), asyncio.Event()
    stopping.set()

    async def work() -> bool:
        begun.set()
        return True

    assert await unless_stopped(work(), stopping) is None
    assert not begun.is_set()


async def test_its_errors_are_raised() -> None:
    async def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await unless_stopped(work(), asyncio.Event())


async def test_whoever_waits_can_be_cancelled_and_takes_the_work_along() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.create_task(unless_stopped(work(), asyncio.Event()))
    await begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()
