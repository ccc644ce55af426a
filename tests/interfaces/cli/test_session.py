"""How commands reach the workspace, and how they end when interrupted."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import pytest

from intelforge.testing.terminal import Terminal
from intelforge.testing.workspace import FakeWorkspace

Sync = Callable[..., Awaitable[object]]


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def replace_sync(monkeypatch: pytest.MonkeyPatch, during: Callable[[FakeWorkspace], Awaitable[None]]) -> None:
    """`sync` awaits `during` before it returns its report."""
    real = FakeWorkspace.sync

    async def sync(self: FakeWorkspace, *sources: str, **options: object) -> object:
        await during(self)
        return await real(self, *sources, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(FakeWorkspace, "sync", sync)


async def until_stopped(workspace: FakeWorkspace) -> None:
    interrupt()
    async with asyncio.timeout(5):
        await workspace.stopping.wait()


async def until_cancelled(workspace: FakeWorkspace) -> None:
    await until_stopped(workspace)
    interrupt()
    async with asyncio.timeout(5):
        await asyncio.Event().wait()


def test_workspace_is_closed_after_use(terminal: Terminal) -> None:
    terminal.run("status")
    assert terminal.workspace.closed == 1


def test_interrupted_sync_stops_cleanly_reports_and_says_how_to_go_on(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_sync(monkeypatch, until_stopped)
    assert terminal.run("sync") == 130
    assert terminal.out.startswith("9 added, 1 failed, ")
    assert terminal.err.splitlines() == [
        "stopping after the running batch; press Ctrl-C again to stop at once",
        "stopped; nothing is lost. Go on with: intelforge sync",
    ]
    assert terminal.workspace.closed == 1


def test_interrupted_sync_prints_its_report_as_json(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_sync(monkeypatch, until_stopped)
    assert terminal.json("sync")["complete"] is False


def test_second_interrupt_ends_at_once_and_says_how_to_go_on(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_sync(monkeypatch, until_cancelled)
    assert terminal.run("-w", "/here", "sync") == 130
    assert terminal.err.endswith("error: interrupted; go on with: intelforge -w /here sync\n")
    assert terminal.workspace.closed == 1


def test_interrupted_question_ends_at_once(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(self: FakeWorkspace, question: str, **options: object) -> None:
        interrupt()
        await asyncio.Event().wait()

    monkeypatch.setattr(FakeWorkspace, "ask", ask)
    assert terminal.run("ask", "why?") == 130
    assert terminal.err == "error: interrupted\n"
    assert terminal.json("ask", "why?")["error"]["code"] == "interrupted"
