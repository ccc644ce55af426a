"""The look at the models when a server starts."""

import asyncio
import logging
import multiprocessing
from collections.abc import Sequence

import pytest

from intelforge.core.errors import StorageError
from intelforge.core.model_reports import ModelCheck
from intelforge.interfaces.api.start import looking

UNWELL = ModelCheck(name="openai:x", problem="openai:x needs a key", hint="export OPENAI_API_KEY=…")


async def test_each_model_that_is_not_well_has_its_line_and_the_server_does_not_wait(
    caplog: pytest.LogCaptureFixture,
) -> None:
    go, looked = asyncio.Event(), asyncio.Event()

    async def unwell() -> Sequence[ModelCheck]:
        await go.wait()
        looked.set()
        return [UNWELL]

    async with looking(unwell):
        assert not looked.is_set()  # the block runs before anything was found
        go.set()
        await looked.wait()
    assert caplog.messages == ["openai:x needs a key; export OPENAI_API_KEY=…"]


async def test_a_look_that_fails_is_a_line_and_one_that_hangs_ends_with_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked, cancelled = asyncio.Event(), asyncio.Event()

    async def failing() -> Sequence[ModelCheck]:
        asked.set()
        raise StorageError("the disk is gone")

    async def hanging() -> Sequence[ModelCheck]:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return []

    for unwell in (failing, hanging):
        asked.clear()
        async with looking(unwell):
            await asked.wait()
    assert caplog.messages == ["the models cannot be looked at: the disk is gone"]
    assert cancelled.is_set()


async def test_of_several_processes_the_first_looks(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(multiprocessing.current_process(), "name", "SpawnProcess-2")

    async def unwell() -> Sequence[ModelCheck]:
        return [UNWELL]

    async with looking(unwell):
        await asyncio.sleep(0)
    assert caplog.messages == []
