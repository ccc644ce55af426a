"""A file that was named on purpose."""

import asyncio
from pathlib import Path

import pytest

from intelforge.collect.file import FileCollector
from intelforge.collect.protocol import Complete, ListingEvent, Present, Skipped
from intelforge.core.errors import InvalidInputError, ItemError, NotFoundError
from intelforge.core.settings import Settings
from intelforge.core.values import ItemRef, Source, SourceKind


def collector(path: Path, cursor: str | None = None) -> FileCollector:
    source = Source(id="s", kind=SourceKind.FILE, uri=str(path), cursor=cursor)
    return FileCollector(source, Settings.model_validate({"max_file_mb": 1}))


async def events(file: FileCollector, *, everything: bool = False) -> list[ListingEvent]:
    return [event async for event in file.list(everything=everything)]


async def test_a_hidden_file_and_a_link_are_read_when_they_are_named(tmp_path: Path) -> None:
    (tmp_path / ".notes.md").write_text("text")
    (tmp_path / "link.md").symlink_to(".notes.md")
    for name in (".notes.md", "link.md"):
        file = collector(tmp_path / name)
        listed, complete = await events(file)
        assert isinstance(listed, Present)
        assert listed.ref.uri == name
        assert complete == Complete(full=True, cursor="there")
        assert (await file.fetch(listed.ref)).data == b"text"


async def test_a_file_that_is_gone_vanishes_after_it_was_there(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "a.txt"
    with pytest.raises(NotFoundError):
        await events(collector(path, cursor="there"))
    path.parent.mkdir()
    with pytest.raises(NotFoundError):
        await events(collector(path))
    for everything in (False, True):
        found = await events(collector(path, cursor="there"), everything=everything)
        assert found == [Complete(full=True, cursor="gone")]
    with pytest.raises(NotFoundError):
        await collector(path).fetch(ItemRef(uri="a.txt"))


async def test_rules_of_size_and_kind_hold(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    assert isinstance((await events(collector(tmp_path / "a.png")))[0], Skipped)
    with pytest.raises(InvalidInputError):
        await events(collector(tmp_path))
    (tmp_path / "f").touch()
    with pytest.raises(ItemError, match="cannot be read"):
        await events(collector(tmp_path / ("x" * 300)))


async def test_fetch_knows_its_own_name_only(tmp_path: Path) -> None:
    (tmp_path / "b.txt").touch()
    with pytest.raises(NotFoundError):
        await collector(tmp_path / "a.txt").fetch(ItemRef(uri="b.txt"))


async def test_watching_wakes_when_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.touch()
    file = collector(path)
    woken = asyncio.Event()

    async def watch() -> None:
        async for _ in file.watch():
            woken.set()

    watching = asyncio.create_task(watch())
    try:
        async with asyncio.timeout(20):
            while not woken.is_set():
                path.write_text("new")
                await asyncio.wait([asyncio.create_task(woken.wait())], timeout=0.5)
    finally:
        await file.close()
        await asyncio.wait_for(watching, 20)
