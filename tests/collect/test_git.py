"""A repository is listed by commit, then by what changed; renames keep the document."""

import asyncio
import os
import shutil
import signal
import subprocess
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from intelforge.collect.git import GitCollector
from intelforge.collect.git_command import Git
from intelforge.collect.names import uri_of
from intelforge.collect.protocol import Complete, ListingEvent, Present, Removed, Renamed, Skipped
from intelforge.collect.registry import open_collector
from intelforge.core.errors import (
    BackendError,
    EgressError,
    ErrorCode,
    IntelForgeError,
    InvalidInputError,
    ItemError,
    NotFoundError,
)
from intelforge.core.settings import Settings
from intelforge.core.values import Item, ItemRef, Source, SourceKind, Validators
from intelforge.security.egress import Egress
from intelforge.testing.web_server import Reply, WebServer

pytestmark = pytest.mark.skipif(
    shutil.which("git") is None and not os.environ.get("CI"), reason="git is not installed: these tests use real ones"
)
IDENTITY = {f"GIT_{who}_{what}": "a@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


class Repository:
    """A real repository in a temporary folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> str:
        environment = {**os.environ, **IDENTITY, "GIT_CONFIG_GLOBAL": os.devnull}
        done = subprocess.run(
            ["git", "-C", str(self.path), *arguments], env=environment, check=True, capture_output=True
        )
        return done.stdout.decode("utf-8", "replace").strip()

    def commit(self, *, remove: tuple[str, ...] = (), **files: str) -> str:
        for name in remove:
            (self.path / name).unlink()
        for name, text in files.items():
            self.write(name, text)
        self.git("add", "-A", "-f")
        self.git("commit", "-q", "--allow-empty", "-m", "change")
        return self.git("rev-parse", "HEAD")

    def write(self, name: str, text: str) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    async with Egress(allow_hosts=["127.0.0.1"]) as egress:
        yield egress


class Opened:
    """A collector over a location, and what one listing of it gave."""

    def __init__(
        self, location: Path | str, egress: Egress, *, cursor: str | None = None, state: Path | None = None,
        ignore: tuple[str, ...] = (), **options: str,
    ) -> None:  # fmt: skip
        source = Source(id="s", kind=SourceKind.GIT, uri=str(location), cursor=cursor, options=options)
        settings = Settings.model_validate({"ignore": ignore, "max_file_mb": 0.001})
        found = open_collector(source, settings=settings, egress=egress, state=state or Path("/nonexistent"))
        assert isinstance(found, GitCollector)
        self.collector = found

    async def events(self, *, everything: bool = False) -> list[ListingEvent]:
        try:
            return [event async for event in self.collector.list(everything=everything)]
        finally:
            await self.collector.close()

    async def fetch(self, ref: ItemRef) -> Item:
        try:
            return await self.collector.fetch(ref)
        finally:
            await self.collector.close()


def uris(events: list[ListingEvent]) -> list[str]:
    return [event.ref.uri for event in events if isinstance(event, Present)]


def cursor_of(events: list[ListingEvent]) -> str:
    assert isinstance(events[-1], Complete)
    assert events[-1].cursor
    return events[-1].cursor


async def test_the_first_listing_is_full_with_blob_ids_and_sizes(repository: Repository, egress: Egress) -> None:
    repository.write("sub/b.py", "print()")
    head = repository.commit(a="text")
    events = await Opened(repository.path, egress).events()
    blob = repository.git("rev-parse", "HEAD:sub/b.py")
    assert uris(events) == ["a", "sub/b.py"]
    assert events[1] == Present(ref=ItemRef(uri="sub/b.py", validators=Validators(size=7, revision=blob)))
    assert isinstance(events[-1], Complete)
    assert events[-1].full
    assert cursor_of(events).startswith(head)


async def test_later_listings_tell_what_changed(repository: Repository, egress: Egress) -> None:
    repository.commit(same="same", changed="old", gone="gone", moved="moved text", edited="1\n2\n3\n4\n", typed="x")
    cursor = cursor_of(await Opened(repository.path, egress).events())
    assert await Opened(repository.path, egress, cursor=cursor).events() == [Complete(full=False, cursor=cursor)]
    everything = await Opened(repository.path, egress, cursor=cursor).events(everything=True)
    assert uris(everything) == ["changed", "edited", "gone", "moved", "same", "typed"]
    assert everything[-1] == Complete(full=True, cursor=cursor)
    repository.commit(
        remove=("gone", "moved", "edited", "typed"),
        changed="new",
        elsewhere="moved text",
        edited2="1\n2\n3\n5\n",
        new="n",
    )
    repository.write("typed.md", "x")
    repository.commit()
    events = await Opened(repository.path, egress, cursor=cursor).events()
    assert sorted(uris(events)) == ["changed", "edited2", "new", "typed.md"]
    assert sorted(event.uri for event in events if isinstance(event, Removed)) == ["edited", "gone", "typed"]
    [renamed] = [event for event in events if isinstance(event, Renamed)]
    assert (renamed.old_uri, renamed.ref.uri, renamed.ref.validators.size) == ("moved", "elsewhere", 10)
    assert isinstance(events[-1], Complete)
    assert not events[-1].full


async def test_other_rules_or_a_lost_commit_list_everything_again(repository: Repository, egress: Egress) -> None:
    repository.commit(a="a", b="b")
    cursor = cursor_of(await Opened(repository.path, egress).events())
    events = await Opened(repository.path, egress, cursor=cursor, ignore=("b",)).events()
    assert uris(events) == ["a"]
    assert isinstance(events[-1], Complete)
    assert events[-1].full
    for lost in (f"{'1' * 40}:{cursor.partition(':')[2]}", "--output=x:y", "nonsense"):
        events = await Opened(repository.path, egress, cursor=lost).events()
        assert uris(events) == ["a", "b"]


async def test_what_is_left_out_is_told_once_with_its_reason(repository: Repository, egress: Egress) -> None:
    for name in (".github/a.yml", ".github/b/c.yml", "node_modules/x.js", "logo.png", "ok.txt"):
        repository.write(name, name)
    repository.write("large.txt", "x" * 1001)
    (repository.path / "link").symlink_to("ok.txt")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module")
    repository.git("add", "-f", "link", ".github", "node_modules", "logo.png", "ok.txt", "large.txt")
    repository.git("commit", "-q", "-m", "all")
    events = await Opened(repository.path, egress, ignore=("node_modules/",)).events()
    skipped = {event.uri: event.code for event in events if isinstance(event, Skipped)}
    assert uris(events) == ["ok.txt"]
    assert skipped == {
        ".github/": "ignored",
        "large.txt": "too_large",
        "link": "unsupported",
        "logo.png": "unsupported",
        "module/": "unsupported",
        "node_modules/": "ignored",
    }
    assert len([event for event in events if isinstance(event, Skipped)]) == 6


async def test_changes_of_what_is_left_out_stay_left_out(repository: Repository, egress: Egress) -> None:
    for name in (".github/a.yml", ".old/x", "b.txt", ".c.txt"):
        repository.write(name, f"content of {name}")
    repository.commit()
    cursor = cursor_of(await Opened(repository.path, egress).events())
    repository.git("mv", ".github/a.yml", "a.yml")
    repository.git("mv", "b.txt", ".b.txt")
    repository.git("mv", ".c.txt", "c.txt")
    repository.git("rm", "-q", "-r", ".old")
    repository.write(".github/new.yml", "new")
    repository.write("large.txt", "x" * 1001)
    repository.commit()
    events = await Opened(repository.path, egress, cursor=cursor).events()
    assert sorted(uris(events)) == ["a.yml", "c.txt"]
    assert sorted(event.uri for event in events if isinstance(event, Removed)) == [".c.txt", ".old/", "b.txt"]
    skipped = {event.uri: event.code for event in events if isinstance(event, Skipped)}
    assert skipped == {".b.txt": "ignored", ".github/": "ignored", "large.txt": "too_large"}


async def test_odd_file_names_are_listed_changed_and_fetched(repository: Repository, egress: Egress) -> None:
    names = [b"tab\there", b"new\nline", "caf\u00e9 \u6587".encode(), b"raw\xff", b'quote"s', b"-dash", b":colon", b"*"]
    root = os.fsencode(repository.path)
    for name in names:
        Path(os.fsdecode(root + b"/" + name)).write_bytes(b"=" + name)
    repository.commit()
    opened = Opened(repository.path, egress)
    events = await opened.events()
    assert sorted(uris(events)) == sorted(uri_of(name) for name in names)
    for name in names:
        by_blob = await opened.fetch(
            next(e.ref for e in events if isinstance(e, Present) and e.ref.uri == uri_of(name))
        )
        by_path = await opened.fetch(ItemRef(uri=uri_of(name)))
        assert by_blob.data == by_path.data == b"=" + name
    repository.git("rm", "-q", "-r", ".")
    repository.commit()
    gone = await Opened(repository.path, egress, cursor=cursor_of(events)).events()
    assert sorted(event.uri for event in gone if isinstance(event, Removed)) == sorted(uri_of(name) for name in names)


async def test_fetches_share_a_process_and_survive_errors(repository: Repository, egress: Egress) -> None:
    for number in range(20):
        repository.write(f"f{number}", f"text {number}")
    repository.commit(large="x" * 1001, binary="a\0b")
    opened = Opened(repository.path, egress)
    tree = repository.git("rev-parse", "HEAD^{tree}")
    items = await asyncio.gather(*(opened.collector.fetch(ItemRef(uri=f"f{number}")) for number in range(20)))
    assert [item.data.decode() for item in items] == [f"text {number}" for number in range(20)]
    for uri, revision, code in (
        ("gone", None, ErrorCode.NOT_FOUND),
        ("gone", "1" * 40, ErrorCode.NOT_FOUND),
        ("large", None, ErrorCode.TOO_LARGE),
        ("binary", None, ErrorCode.UNSUPPORTED),
        ("f1", tree, ErrorCode.UNSUPPORTED),
        ("f1", "--help\nx", ErrorCode.INVALID_INPUT),
    ):
        with pytest.raises(IntelForgeError) as caught:
            await opened.collector.fetch(ItemRef(uri=uri, validators=Validators(revision=revision)))
        assert caught.value.error_code is code
        assert (await opened.collector.fetch(ItemRef(uri="f1"))).data == b"text 1"
    await opened.collector.close()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Process]]:
    """Every git process that was started, in order."""
    processes: list[Process] = []
    start = Git.start

    async def noted(self: Git, *arguments: str | bytes, **more: Any) -> Process:
        processes.append(await start(self, *arguments, **more))
        return processes[-1]

    monkeypatch.setattr(Git, "start", noted)
    yield processes
    for process in processes:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)


def ended(processes: list[Process]) -> bool:
    return bool(processes) and all(process.returncode is not None for process in processes)


@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_listing_that_ends_early_ends_its_git(
    repository: Repository, egress: Egress, started: list[Process], cancelled: bool
) -> None:
    for number in range(600):  # more than the pipes hold
        repository.write(f"{'x' * 250}/{'y' * 250}/{number}", "same")
    repository.commit()
    opened = Opened(repository.path, egress)
    listing = opened.collector.list()
    await anext(listing)
    assert started[-1].returncode is None
    if cancelled:
        started[-1].send_signal(signal.SIGSTOP)
        await cancel(asyncio.create_task(exhaust(listing)))
    else:
        await listing.aclose()
    assert ended(started)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def exhaust(listing: AsyncIterator[ListingEvent]) -> None:
    async for _ in listing:
        pass


async def cancel(task: asyncio.Task[Any]) -> None:
    """Cancels a task that waits for what never comes."""
    await asyncio.wait([task], timeout=0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancelled_fetch_ends_its_git(repository: Repository, egress: Egress, started: list[Process]) -> None:
    repository.commit(a="1")
    opened = Opened(repository.path, egress)
    ref = ItemRef(uri="a", validators=Validators(revision=repository.git("rev-parse", "HEAD:a")))
    await opened.collector.fetch(ref)
    started[-1].send_signal(signal.SIGSTOP)
    await cancel(asyncio.create_task(opened.collector.fetch(ref)))
    assert ended(started)
    assert (await opened.fetch(ref)).data == b"1"


async def test_a_close_that_is_cancelled_while_it_waits_for_a_fetch_ends_the_git_of_both(
    repository: Repository, egress: Egress, started: list[Process]
) -> None:
    repository.commit(a="1")
    opened = Opened(repository.path, egress)
    ref = ItemRef(uri="a", validators=Validators(revision=repository.git("rev-parse", "HEAD:a")))
    await opened.collector.fetch(ref)
    started[-1].send_signal(signal.SIGSTOP)
    fetching = asyncio.create_task(opened.collector.fetch(ref))
    await cancel(asyncio.create_task(opened.collector.close()))
    with pytest.raises(ItemError):
        await asyncio.wait_for(fetching, 20)
    assert ended(started)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_empty_bare_and_detached_repositories(repository: Repository, egress: Egress, tmp_path: Path) -> None:
    empty = await Opened(repository.path, egress).events()
    assert isinstance(empty[-1], Complete)
    assert (len(empty), empty[-1].full) == (1, True)
    with pytest.raises(NotFoundError):
        await Opened(repository.path, egress).fetch(ItemRef(uri="a"))
    first = repository.commit(a="1")
    listed = await Opened(repository.path, egress, cursor=cursor_of(empty)).events()
    assert uris(listed) == ["a"]
    repository.git("init", "-q", str(tmp_path / "another"))
    with pytest.raises(EgressError, match="no commits any more"):
        await Opened(tmp_path / "another", egress, cursor=cursor_of(listed)).events()
    repository.commit(b="2")
    repository.git("checkout", "-q", "--detach", first)
    assert uris(await Opened(repository.path, egress).events()) == ["a"]
    assert uris(await Opened(repository.path, egress, ref="main").events()) == ["a", "b"]
    assert uris(await Opened(repository.path, egress, ref=first[:12]).events()) == ["a"]
    repository.git("clone", "-q", "--bare", str(repository.path), str(tmp_path / "bare.git"))
    assert uris(await Opened(tmp_path / "bare.git", egress, ref="main").events()) == ["a", "b"]


async def test_a_missing_repository_or_reference_raises(repository: Repository, egress: Egress, tmp_path: Path) -> None:
    repository.commit(a="a")
    (tmp_path / "plain").mkdir()
    for location, ref in ((tmp_path / "gone", ""), (tmp_path / "plain", ""), (repository.path, "no-branch")):
        with pytest.raises(NotFoundError):
            await Opened(location, egress, ref=ref).events()


@pytest.mark.parametrize("ref", ["--upload-pack=x", "-x", "a b", "a..b", "a:b", "a^", "a\nb", "@{1}", "+a", "a*"])
def test_a_reference_cannot_be_an_option_or_an_expression(ref: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError):
        Opened(tmp_path, Egress(), ref=ref)


@pytest.mark.parametrize(
    "url",
    [
        "--upload-pack=touch /tmp/x", "-u:x", "ext::sh -c touch", "git://example.com/x", "file:///etc",
        "https://a:b@example.com/x", "https:///x", "https://example.com:99999/", "ssh://-oProxyCommand=x@example.com/x",
    ],
)  # fmt: skip
def test_a_url_that_git_must_not_be_given_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError):
        Opened(url, Egress(), state=tmp_path)


async def test_without_git_the_error_says_so(
    repository: Repository, egress: Egress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(BackendError, match="git is not installed"):
        await Opened(repository.path, egress).events()


async def test_hooks_filters_and_settings_of_a_repository_do_not_run(
    repository: Repository, egress: Egress, tmp_path: Path
) -> None:
    repository.write(".gitattributes", "* filter=bad diff=bad\n")
    repository.commit(a="1")
    mark = tmp_path / "ran"
    for name in (
        "core.fsmonitor",
        "core.pager",
        "filter.bad.smudge",
        "diff.bad.textconv",
        "diff.external",
        "core.sshCommand",
    ):
        repository.git("config", name, f"touch {mark}")
    cursor = cursor_of(await Opened(repository.path, egress).events())
    repository.git("-c", "core.fsmonitor=false", "commit", "-q", "--allow-empty", "-m", "x")
    mark.unlink(missing_ok=True)
    opened = Opened(repository.path, egress, cursor=cursor)
    await opened.events()
    assert (await opened.fetch(ItemRef(uri="a"))).data == b"1"
    assert not mark.exists()


class Hosted(WebServer):
    """Serves a copy of a repository, as it was last published."""

    def __init__(self, repository: Repository, root: Path) -> None:
        super().__init__()
        self.repository = repository
        self.root = root

    def publish(self) -> None:
        target = self.root / "x.git"
        shutil.rmtree(target, ignore_errors=True)
        self.repository.git("clone", "-q", "--bare", str(self.repository.path), str(target))
        subprocess.run(["git", "-C", str(target), "update-server-info"], check=True)
        files = [path for path in target.rglob("*") if path.is_file()]
        self.pages = {f"/{file.relative_to(self.root)}": Reply(body=file.read_bytes()) for file in files}


async def test_a_remote_is_cloned_and_followed_over_a_forced_push(
    repository: Repository, egress: Egress, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    first = repository.commit(a="1", b="2")
    async with Hosted(repository, tmp_path / "www") as host:
        host.publish()
        url = f"{host.url}/x.git"
        opened = Opened(url, egress, state=state)
        events = await opened.events()
        assert uris(events) == ["a", "b"]
        assert (await opened.fetch(ItemRef(uri="a"))).data == b"1"
        cursor = cursor_of(events)
        assert await Opened(url, egress, state=state, cursor=cursor).events() == [Complete(full=False, cursor=cursor)]
        repository.git("checkout", "-q", "--orphan", "other")
        repository.git("branch", "-q", "-D", "main")
        repository.commit(remove=("b",), c="3")
        repository.git("branch", "-q", "-m", "main")
        host.publish()
        events = await Opened(url, egress, state=state, cursor=cursor).events()
        assert uris(events) == ["c"]
        assert Removed(uri="b") in events
        shutil.rmtree(state)
        assert uris(await Opened(url, egress, state=state, cursor=cursor).events()) == ["a", "c"]
        with pytest.raises(NotFoundError):
            await Opened(url, egress, state=state, ref="no-branch").events()
    assert first


async def test_failures_of_a_remote_have_their_codes(egress: Egress, tmp_path: Path) -> None:
    async with WebServer({"/secret.git/info/refs": Reply(status=401), "/moved.git/info/refs": Reply(
        status=301, headers={"Location": "http://10.0.0.1/x.git/info/refs"})}) as server:  # fmt: skip
        for path, code in {
            "/gone.git": ErrorCode.NOT_FOUND,
            "/secret.git": ErrorCode.REFUSED,
            "/moved.git": ErrorCode.NOT_FOUND,
        }.items():
            with pytest.raises(EgressError) as caught:
                await Opened(f"{server.url}{path}", egress, state=tmp_path).events()
            assert caught.value.error_code is code, caught.value
        closed = server.url
    with pytest.raises(EgressError) as caught:
        await Opened(f"{closed}/x.git", egress, state=tmp_path).events()
    assert caught.value.error_code is ErrorCode.UNREACHABLE


async def test_a_remote_on_a_private_address_is_refused_before_git_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    async with Egress() as strict:
        for url in ("http://127.0.0.1:1/x.git", "ssh://git@10.0.0.1/x", "git@127.0.0.1:x.git"):
            with pytest.raises(EgressError) as caught:
                await Opened(url, strict, state=tmp_path).events()
            assert caught.value.error_code is ErrorCode.BLOCKED


async def test_watching_looks_at_intervals(repository: Repository, egress: Egress) -> None:
    opened = Opened(repository.path, egress, interval="0.01")
    async with asyncio.timeout(10):
        async for _ in opened.collector.watch():
            await opened.collector.close()
