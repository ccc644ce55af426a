"""A folder is listed by names and stats, within its own borders, and never loses what it could not read."""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from watchfiles import Change

from intelforge.collect.folder import FolderCollector
from intelforge.collect.media import binary_by_name
from intelforge.collect.names import path_of, uri_of
from intelforge.collect.protocol import Complete, ListingEvent, Present, Skipped
from intelforge.core.errors import ErrorCode, IntelForgeError, ItemError, NotFoundError
from intelforge.core.settings import Settings
from intelforge.core.values import ItemRef, Source, SourceKind, Validators


def collector(
    path: Path, *, ignore: tuple[str, ...] = (), max_file_mb: float = 1, cursor: str | None = None
) -> FolderCollector:
    source = Source(id="s", kind=SourceKind.FOLDER, uri=uri_of(os.fsencode(path)), cursor=cursor)
    return FolderCollector(source, Settings.model_validate({"ignore": ignore, "max_file_mb": max_file_mb}))


async def events(path: Path, *, everything: bool = False, **options: Any) -> list[ListingEvent]:
    return [event async for event in collector(path, **options).list(everything=everything)]


async def present(path: Path, **options: Any) -> list[str]:
    return [event.ref.uri for event in await events(path, **options) if isinstance(event, Present)]


async def skipped(path: Path, **options: Any) -> dict[str, Skipped]:
    return {event.uri: event for event in await events(path, **options) if isinstance(event, Skipped)}


def write(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


async def test_files_come_in_a_fixed_order_with_size_and_time(tmp_path: Path) -> None:
    write(tmp_path, "b.txt", "a/z.txt", "a/b/c.txt", "c.txt")
    found = await events(tmp_path)
    refs = [event.ref for event in found if isinstance(event, Present)]
    assert [ref.uri for ref in refs] == ["b.txt", "c.txt", "a/z.txt", "a/b/c.txt"]
    stat = (tmp_path / "b.txt").stat()
    assert refs[0].validators == Validators(size=stat.st_size, mtime_ns=stat.st_mtime_ns)
    assert found[-1] == Complete(full=True, cursor=str(stat.st_dev))
    assert found == await events(tmp_path)


async def test_fetch_gives_bytes_media_type_and_the_same_validators(tmp_path: Path) -> None:
    write(tmp_path, "sub/a.md")
    os.utime(tmp_path / "sub/a.md", ns=(1, 1_000_000_001))
    folder = collector(tmp_path)
    [ref] = [event.ref async for event in folder.list() if isinstance(event, Present)]
    item = await folder.fetch(ref)
    assert (item.uri, item.data, item.media_type) == ("sub/a.md", b"sub/a.md", "text/markdown")
    assert item.validators == ref.validators


async def test_listing_opens_no_file_and_stats_each_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, *(f"{number}/file.txt" for number in range(20)))
    opened: list[object] = []
    real: Callable[..., int] = os.open

    def counted(*args: object, **more: object) -> int:
        opened.append(args)
        return real(*args, **more)

    monkeypatch.setattr(os, "open", counted)
    monkeypatch.setattr("builtins.open", lambda *args, **more: pytest.fail("a file was opened"))
    assert len(await present(tmp_path)) == 20
    assert opened == []


async def test_ten_thousand_files_are_listed_in_well_under_a_second(tmp_path: Path) -> None:
    for number in range(100):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name in range(100):
            (folder / f"{name}.py").touch()
    patterns = "\n".join(f"*.e{number}\nfolder{number}/\n" for number in range(60))
    (tmp_path / ".gitignore").write_text(patterns)
    start = time.process_time()
    assert len(await present(tmp_path)) == 10_000
    assert time.process_time() - start < 1.5


async def test_hidden_entries_are_told_once_with_the_reason(tmp_path: Path) -> None:
    write(tmp_path, ".env", ".cache/a", ".cache/b/c", "a.txt")
    found = await skipped(tmp_path)
    assert {uri: event.code for uri, event in found.items()} == {".env": "ignored", ".cache/": "ignored"}
    assert "hidden" in found[".cache/"].reason


async def test_ignore_files_nest_and_the_nearest_decides(tmp_path: Path) -> None:
    write(tmp_path, "a.log", "keep/a.log", "keep/b.log", "build/x.txt", "keep/build/y.txt", "a.txt")
    (tmp_path / ".gitignore").write_text("*.log\n/build/\n")
    (tmp_path / "keep" / ".gitignore").write_text("!a.log\n")
    assert await present(tmp_path) == ["a.txt", "keep/a.log", "keep/build/y.txt"]
    reasons = await skipped(tmp_path)
    assert reasons["build/"].reason == "ignored by .gitignore (pattern /build/)"
    assert reasons["keep/b.log"].code == "ignored"


async def test_the_workspace_list_decides_before_any_file(tmp_path: Path) -> None:
    write(tmp_path, "a.log", "b.log", "node_modules/x/y.js")
    (tmp_path / ".gitignore").write_text("*.log\n!a.log\n")
    assert await present(tmp_path, ignore=("a.log", "!b.log", "node_modules/")) == ["b.log"]
    assert "the setting ignore" in (await skipped(tmp_path, ignore=("node_modules/",)))["node_modules/"].reason


@pytest.mark.skipif(shutil.which("git") is None and not os.environ.get("CI"), reason="git is not installed")
async def test_a_folder_in_a_repository_follows_the_files_above_it(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".git/info/exclude").write_text("*.tmp\n")
    (tmp_path / ".gitignore").write_text("/docs/private/\n*.log\nout/\n")
    write(tmp_path, "docs/a.txt", "docs/b.log", "docs/c.tmp", "docs/private/d.txt", "out/e.txt", "out/f.log")
    assert await present(tmp_path / "docs") == ["a.txt"]
    assert await present(tmp_path) == ["docs/a.txt"]
    # A folder that is ignored itself was named on purpose.
    assert await present(tmp_path / "out") == ["e.txt", "f.log"]


async def test_an_ignore_file_that_is_a_link_or_too_large_is_told(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "patterns")
    (tmp_path / "sub").mkdir()
    (tmp_path / ".gitignore").symlink_to("patterns")
    with (tmp_path / "sub" / ".gitignore").open("wb") as file:
        file.truncate(2_000_000)
    found = await events(tmp_path)
    codes = {event.uri: event.code for event in found if isinstance(event, Skipped) and event.code != "ignored"}
    assert codes == {".gitignore": "unreadable", "sub/.gitignore": "too_large"}


async def test_large_and_binary_files_are_left_out_by_stat_and_name(tmp_path: Path) -> None:
    write(tmp_path, "a.png", "ok.txt")
    with (tmp_path / "huge.txt").open("wb") as file:
        file.truncate(10 * 10**9)
    found = await skipped(tmp_path)
    assert (found["huge.txt"].code, found["a.png"].code) == ("too_large", "unsupported")
    assert "max_file_mb" in found["huge.txt"].reason


async def test_binary_content_is_found_at_the_fetch(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_bytes(b"a\x00b")
    with pytest.raises(ItemError) as caught:
        await collector(tmp_path).fetch(ItemRef(uri="data.txt"))
    assert caught.value.error_code is ErrorCode.UNSUPPORTED


async def test_pipes_and_sockets_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        found = await skipped(tmp_path)
        assert {uri: event.code for uri, event in found.items()} == {"pipe": "unsupported", "socket": "unsupported"}
        with pytest.raises(ItemError):
            await asyncio.wait_for(collector(tmp_path).fetch(ItemRef(uri="pipe")), 5)


async def test_links_stay_inside_and_are_followed_once(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(tmp_path, "root/real/a.txt", "root/.hidden/h.txt", "outside.txt", "root/node/pkg/p.txt")
    (root / "file").symlink_to("real/a.txt")
    (root / "again").symlink_to("real")
    (root / "pkg").symlink_to("node/pkg")
    (root / "pkg2").symlink_to("node/pkg")
    (root / "real" / "loop").symlink_to("..")
    (root / "self").symlink_to("self")
    (root / "escape").symlink_to(tmp_path / "outside.txt")
    (root / "up").symlink_to("../..")
    (root / "broken").symlink_to("nothing")
    (root / "secret").symlink_to(".hidden/h.txt")
    (root / "pipe").symlink_to("/dev/null")
    found = await events(root, ignore=("node/",))
    assert [event.ref.uri for event in found if isinstance(event, Present)] == ["file", "real/a.txt", "pkg/p.txt"]
    codes = {event.uri: (event.code, event.reason) for event in found if isinstance(event, Skipped)}
    assert {uri: code for uri, (code, _) in codes.items()} == {
        ".hidden/": "ignored",
        "again/": "ignored",
        "broken": "not_found",
        "escape": "blocked",
        "node/": "ignored",
        "pipe": "blocked",
        "pkg2/": "ignored",
        "real/loop/": "ignored",
        "secret": "ignored",
        "self": "unreadable",
        "up": "blocked",
    }
    assert "real/" in codes["again/"][1]
    assert "leads out" in codes["escape"][1]


async def test_fetch_refuses_what_leads_out_even_if_it_was_listed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(tmp_path, "root/sub/a.txt", "outside/a.txt")
    (root / "inside").symlink_to("sub")
    folder = collector(root)
    assert (await folder.fetch(ItemRef(uri="inside/a.txt"))).data == b"root/sub/a.txt"
    (root / "inside").unlink()
    (root / "inside").symlink_to(tmp_path / "outside")
    with pytest.raises(ItemError) as caught:
        await folder.fetch(ItemRef(uri="inside/a.txt"))
    assert caught.value.error_code is ErrorCode.BLOCKED


@pytest.mark.parametrize("uri", ["../outside.txt", "/etc/passwd", "", "a//b", "./a", "a/../../outside.txt", ".."])
async def test_fetch_takes_only_names_of_items(tmp_path: Path, uri: str) -> None:
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "outside.txt").touch()
    with pytest.raises(IntelForgeError) as caught:
        await collector(tmp_path / "root").fetch(ItemRef(uri=uri))
    assert caught.value.error_code is ErrorCode.INVALID_INPUT


async def test_fetch_of_what_is_gone_or_a_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    folder = collector(tmp_path)
    with pytest.raises(NotFoundError):
        await folder.fetch(ItemRef(uri="gone.txt"))
    with pytest.raises(ItemError):
        await folder.fetch(ItemRef(uri="sub"))


async def test_an_unreadable_folder_says_nothing_about_its_items(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "open/a.txt", "shut/b.txt")
    real = os.scandir

    def scandir(path: bytes) -> object:
        if path.endswith(b"shut/"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr("intelforge.collect.walk.os.scandir", scandir)
    found = await events(tmp_path)
    assert Skipped(uri="shut/", code="unreadable", reason="cannot be read: Permission denied") in found
    complete = found[-1]
    assert isinstance(complete, Complete)
    assert (complete.full, complete.unread) == (True, ("shut/",))


async def test_a_folder_that_vanishes_during_the_walk_is_simply_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "a/b.txt")
    real = os.scandir

    def scandir(path: bytes) -> object:
        if path.endswith(b"a/"):
            raise FileNotFoundError(2, "No such file or directory")
        return real(path)

    monkeypatch.setattr("intelforge.collect.walk.os.scandir", scandir)
    found = await events(tmp_path)
    assert [type(event) for event in found] == [Complete]
    assert isinstance(found[-1], Complete)
    assert found[-1].unread == ()


async def test_a_missing_root_raises_and_nothing_is_complete(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="not there"):
        await events(tmp_path / "gone")
    (tmp_path / "file").touch()
    with pytest.raises(NotFoundError, match="not a folder"):
        await events(tmp_path / "file")


async def test_an_unreadable_root_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: bytes) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("intelforge.collect.walk.os.scandir", denied)
    with pytest.raises(ItemError) as caught:
        await events(tmp_path)
    assert caught.value.error_code is ErrorCode.UNREADABLE


async def test_an_empty_folder_on_another_device_is_taken_for_an_unmounted_drive(tmp_path: Path) -> None:
    for everything in (False, True):
        with pytest.raises(NotFoundError, match="another device"):
            await events(tmp_path, cursor="another", everything=everything)
    assert await events(tmp_path, cursor=str(tmp_path.stat().st_dev))
    write(tmp_path, "a.txt")
    assert await present(tmp_path, cursor="another") == ["a.txt"]


async def test_a_root_that_is_replaced_during_the_walk_raises(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for number in range(1100):
        write(root, f"{number}.txt")
    listing = collector(root).list()
    await anext(listing)
    root.rename(tmp_path / "old")
    root.mkdir()
    with pytest.raises(NotFoundError, match="replaced"):
        _ = [event async for event in listing]


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=8))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_file_name_can_be_listed_and_fetched(tmp_path: Path, names: list[bytes]) -> None:
    clean = {b"f" + name.replace(b"/", b"_").replace(b"\0", b"_") for name in names}
    root = tmp_path / os.urandom(8).hex()
    root.mkdir()
    for name in clean:
        (root / os.fsdecode(name)).write_bytes(b"=")

    async def fetch_all() -> set[bytes]:
        folder = collector(root)
        refs = [event.ref async for event in folder.list() if isinstance(event, Present)]
        items = [await folder.fetch(ref) for ref in refs]
        return {path_of(item.uri) for item in items if item.data == b"="}

    assert asyncio.run(fetch_all()) == {name for name in clean if not binary_by_name(uri_of(name))}


async def test_the_event_loop_is_served_while_a_folder_is_listed(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / str(number)).touch()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    assert len(await present(tmp_path)) == 3000
    counting.cancel()
    assert turns > 3


async def test_watching_wakes_for_items_and_not_for_what_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, "a.txt")
    (tmp_path / ".gitignore").write_text("*.log\n")
    folder = collector(tmp_path, ignore=("node_modules/",))
    woken = asyncio.Event()

    async def watch() -> None:
        async for _ in folder.watch():
            woken.set()

    watching = asyncio.create_task(watch())
    try:
        async with asyncio.timeout(20):
            while not woken.is_set():
                # Until the watch has begun a change goes unseen.
                write(tmp_path, "a.txt")
                await asyncio.wait([asyncio.create_task(woken.wait())], timeout=0.5)
        changed = ("a.txt", ".gitignore", "b.log", "node_modules/x.js")
        wakes = [folder._wanted(Change.modified, str(tmp_path / name)) for name in changed]
        assert wakes == [True, True, False, False]
    finally:
        await folder.close()
        await asyncio.wait_for(watching, 20)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("a.txt", True),
        ("sub/new.md", True),
        (".gitignore", True),
        ("a.log", False),
        (".git/index", False),
        ("node_modules/x.js", False),
        ("build/deep/x.txt", False),
        ("", True),
        ("/elsewhere", False),
    ],
)
def test_a_change_counts_unless_it_is_left_out(tmp_path: Path, path: str, wanted: bool) -> None:
    (tmp_path / ".gitignore").write_text("*.log\nbuild/\n")
    folder = collector(tmp_path, ignore=("node_modules/",))
    assert folder._wanted(Change.modified, str(tmp_path / path)) is wanted


async def test_watching_a_missing_folder_raises(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        _ = [None async for _ in collector(tmp_path / "gone").watch()]
