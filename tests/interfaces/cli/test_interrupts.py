"""Ctrl-C, as a real signal to this process."""

import asyncio
import os
import signal

import pytest

from intelforge.interfaces.cli.interrupts import Interrupts


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


async def test_first_interrupt_asks_for_a_clean_stop() -> None:
    stopped, said = asyncio.Event(), list[str]()
    interrupts = Interrupts(stop=stopped.set, say=said.append)
    with interrupts.watching():
        interrupt()
        async with asyncio.timeout(5):
            await stopped.wait()
    assert interrupts.stopped
    assert said == ["stopping after the running batch; press Ctrl-C again to stop at once"]


async def test_second_interrupt_cancels() -> None:
    stopped = asyncio.Event()
    interrupts = Interrupts(stop=stopped.set, say=lambda message: None)

    async def work() -> None:
        with interrupts.watching():
            interrupt()
            await stopped.wait()
            interrupt()
            await asyncio.Event().wait()

    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(5):
            await asyncio.create_task(work())


async def test_without_a_clean_stop_the_first_one_cancels() -> None:
    interrupts = Interrupts(say=lambda message: None)

    async def work() -> None:
        with interrupts.watching():
            interrupt()
            await asyncio.Event().wait()

    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(5):
            await asyncio.create_task(work())
    assert not interrupts.stopped


async def test_signal_is_given_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupts(say=lambda message: None).watching():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
