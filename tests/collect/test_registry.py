"""Every kind of source has its collector."""

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from intelforge.collect.file import FileCollector
from intelforge.collect.folder import FolderCollector
from intelforge.collect.git import GitCollector
from intelforge.collect.registry import open_collector
from intelforge.collect.web import WebCollector
from intelforge.core.settings import Settings
from intelforge.core.values import Source, SourceKind
from intelforge.security.egress import Egress

DEADLINE = 20
WATCHED = [
    (SourceKind.FOLDER, "{}"),
    (SourceKind.FILE, "{}/a.txt"),
    (SourceKind.GIT, "{}"),
    (SourceKind.WEB, "https://example.com/"),
]


@pytest.mark.parametrize(
    ("kind", "uri", "expected"),
    [
        (SourceKind.FOLDER, "/docs", FolderCollector),
        (SourceKind.FILE, "/docs/a.md", FileCollector),
        (SourceKind.GIT, "https://example.com/x.git", GitCollector),
        (SourceKind.WEB, "https://example.com/", WebCollector),
    ],
)
def test_a_source_is_opened_by_its_kind(tmp_path: Path, kind: SourceKind, uri: str, expected: type) -> None:
    source = Source(id="s", kind=kind, uri=uri)
    settings = Settings.model_validate({})
    assert type(open_collector(source, settings=settings, egress=Egress(), state=tmp_path)) is expected
    assert list(tmp_path.iterdir()) == []


def test_no_kind_is_forgotten() -> None:
    assert set(SourceKind) == {SourceKind.FOLDER, SourceKind.FILE, SourceKind.GIT, SourceKind.WEB}


@contextmanager
def abandoned() -> Iterator[list[object]]:
    """Asynchronous generators that are left to the garbage collector, which ends them by tasks nobody waits for."""
    left: list[object] = []
    before = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(finalizer=left.append)
    try:
        yield left
    finally:
        sys.set_asyncgen_hooks(*before)


async def first_change(watch: AsyncIterator[None], path: Path) -> None:
    """Changes the file until the watch, which may not have begun, has seen it."""
    seen = asyncio.ensure_future(anext(watch))
    async with asyncio.timeout(DEADLINE):
        while not seen.done():
            path.write_text("changed")
            await asyncio.wait([seen], timeout=0.2)
    await seen


@pytest.mark.parametrize(("kind", "uri"), WATCHED)
@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_watch_that_ends_early_leaves_nothing_behind(
    tmp_path: Path, kind: SourceKind, uri: str, cancelled: bool
) -> None:
    (tmp_path / "a.txt").touch()
    source = Source(id="s", kind=kind, uri=uri.format(tmp_path), options={"interval": "0.01"})
    collector = open_collector(source, settings=Settings.model_validate({}), egress=Egress(), state=tmp_path)
    with abandoned() as left:
        watch = collector.watch()
        assert isinstance(watch, AsyncGenerator)
        await first_change(watch, tmp_path / "a.txt")
        if cancelled:
            waiting = asyncio.ensure_future(anext(watch))
            await asyncio.wait([waiting], timeout=0)
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                await waiting
        await watch.aclose()
        await collector.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}
    assert left == []
