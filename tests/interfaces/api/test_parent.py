"""A server and the process that started it; killed for good in tests/interfaces/cli/test_serving.py."""

import asyncio
import multiprocessing
import signal
import threading

import pytest

from intelforge.interfaces.api.parent import stop_with_parent


class Parent:
    """A process that ends when it is told to."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def join(self) -> None:
        self.ended.wait(timeout=30)


async def test_a_server_is_asked_to_stop_once_its_parent_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    parent, asked = Parent(), asyncio.Event()
    raised: list[int] = []

    def stop(number: int) -> None:
        raised.append(number)
        asked.set()

    monkeypatch.setattr(multiprocessing, "parent_process", lambda: parent)
    monkeypatch.setattr(signal, "raise_signal", stop)
    stop_with_parent()
    await asyncio.sleep(0)
    assert raised == []
    parent.ended.set()
    async with asyncio.timeout(30):
        await asked.wait()
    assert raised == [signal.SIGTERM]


async def test_a_server_that_is_alone_goes_on() -> None:
    before = threading.active_count()
    stop_with_parent()
    assert threading.active_count() == before
