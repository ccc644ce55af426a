"""Ctrl-C in a real process whose model says nothing any more."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from intelforge.testing.model_server import ModelServer, ServerReply, ServerRequest, chat_reply, stream_reply
from intelforge.workspace import Workspace

SETTINGS = 'embedder = "none:"\nllm = "{url}/v1#slow"\njobs = "memory:"\nworkers = 1\ncache = "none:"\n'
MAIN = "from intelforge.interfaces.cli.entry import main; main()"
AT_ONCE = 3.0
"""times what the process took until its model said nothing any more: on any machine, far from the call's 60 seconds"""
pytestmark = pytest.mark.slow


class StallingServer(ModelServer):
    """Answers the first `answers` requests and says nothing to those that follow."""

    def __init__(self, answers: int = 0) -> None:
        super().__init__(self._answer)
        self.stalled = asyncio.Event()
        """one request waits"""
        self._answers = answers

    def _answer(self, request: ServerRequest) -> ServerReply:
        if "chat" not in request.path:
            return ServerReply(status=404)
        if not self._answers:
            self.stalled.set()
            return ServerReply(hang=True)
        self._answers -= 1
        return stream_reply(["It ", "is."]) if request.json.get("stream") else chat_reply("It is.")


@asynccontextmanager
async def typed(folder: Path, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command line in a process of its own, which does not outlive the block."""
    arguments = ("-c", MAIN, "-w", str(folder), *words)
    piped = asyncio.subprocess.PIPE
    environment = {**os.environ, "COLUMNS": "80"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=piped, stderr=piped, env=environment
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def interrupted(folder: Path, server: StallingServer, *words: str) -> tuple[int | None, str, str, float]:
    """Exit code, both outputs, and how long it took from Ctrl-C to the end, in times of what it took to that point.

    The provider has seen its client leave.
    """
    started = time.perf_counter()
    async with asyncio.timeout(60), typed(folder, *words) as process:
        await server.stalled.wait()
        began = time.perf_counter()
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
        times = (time.perf_counter() - began) / (began - started)
        await server.left.acquire()
    return process.returncode, out.decode(), err.decode(), times


async def workspace(folder: Path, server: ModelServer) -> Path:
    Workspace.init(folder)
    (folder / "intelforge.toml").write_text(SETTINGS.format(url=server.url), encoding="utf-8")
    (folder / "guide.md").write_text("# Guide\n\nA timeout cancels the task that runs.\n", encoding="utf-8")
    async with Workspace.open(folder) as opened:
        await opened.add(folder / "guide.md")
        await opened.sync()
    return folder


async def calls(folder: Path) -> list[Any]:
    async with Workspace.open(folder) as opened:
        return [(row["purpose"], row["user"], row["state"]) for row in await opened._parts.calls.all()]


async def test_a_benchmark_shows_what_was_measured_until_then(tmp_path: Path) -> None:
    async with StallingServer(answers=4) as server:
        folder = await workspace(tmp_path, server)
        name = f"{server.url}/v1#slow"
        code, out, err, times = await interrupted(folder, server, "models", "bench", name, "--json")
    assert code == 130
    assert times < AT_ONCE
    report = json.loads(out)
    assert [(one["calls"], one["failed"]) for one in report["models"]] == [(3, 0)]
    assert [call["streamed"] for call in report["calls"]] == [True, False, True]
    assert "that is what was measured until then" in err


async def test_a_benchmark_that_measured_nothing_says_so(tmp_path: Path) -> None:
    async with StallingServer() as server:
        folder = await workspace(tmp_path, server)
        code, out, _, times = await interrupted(folder, server, "models", "bench", f"{server.url}/v1#slow")
    assert (code, out) == (130, "Nothing was measured.\n")
    assert times < AT_ONCE


@pytest.mark.parametrize(
    ("words", "purpose"), [(("ask", "What does a timeout do?"), "answer"), (("models", "probe", "NAME"), "probe")]
)
async def test_a_question_and_a_probe_end_at_once(tmp_path: Path, words: tuple[str, ...], purpose: str) -> None:
    async with StallingServer() as server:
        folder = await workspace(tmp_path, server)
        named = [word.replace("NAME", f"{server.url}/v1#slow") for word in words]
        code, out, err, times = await interrupted(folder, server, *named, "--user", "ann")
    assert (code, out, err) == (130, "", "error: interrupted\n")
    assert times < AT_ONCE
    assert await calls(folder) == [(purpose, "ann", "failed")]
