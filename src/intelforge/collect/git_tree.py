"""What a commit holds, and what changed between two commits, as listing events."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from intelforge.collect.git_command import Git
from intelforge.collect.media import extension_of
from intelforge.collect.names import path_of, uri_of
from intelforge.collect.protocol import ListingEvent, Present, Removed, Renamed, Skipped
from intelforge.collect.rules import Rules
from intelforge.core.errors import ErrorCode
from intelforge.core.values import ItemRef, Validators

_LINK, _SUBMODULE = b"120000", b"160000"
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of a tree; `size` is None until it was asked for."""

    path: bytes
    mode: bytes
    blob: str
    size: int = 0


class TreeListing:
    """Lists with the same rules as a folder. A folder that is left out is told once in a listing."""

    def __init__(self, git: Git, rules: Rules) -> None:
        self._git = git
        self._rules = rules
        self._folders: dict[bytes, Skipped | None] = {}
        self._told: set[str] = set()

    async def everything(self, commit: str) -> AsyncGenerator[ListingEvent]:
        async with self._git.process("ls-tree", "-r", "-z", "--long", "--full-tree", commit) as running:
            if running.stdout:
                async with aclosing(_records(running.stdout)) as records:
                    async for record in records:
                        event = self._event(_tree_entry(record))
                        if event:
                            yield event
            _, said = await running.communicate()
            if running.returncode:
                raise self._git.failure(said.decode("utf-8", "replace"))

    async def changes(self, old: str, new: str) -> AsyncGenerator[ListingEvent]:
        """Only a rename that kept every byte and the kind of file is told as one: the document stays as it is."""
        raw = await self._git.output("diff-tree", "-r", "-z", "--raw", "--no-abbrev", "-M100%", old, new, "--")
        changes = _parse_changes(raw)
        sizes = await self._sizes([change.blob for _, _, change in changes if change.mode[:2] == b"10"])
        for status, old_path, entry in changes:
            sized = Entry(path=entry.path, mode=entry.mode, blob=entry.blob, size=sizes.get(entry.blob, 0))
            for event in self._change(status, old_path, sized):
                yield event
        for uri in sorted({skipped.uri for skipped in self._folders.values() if skipped} - self._told):
            if not await self._git.output("ls-tree", "-d", "-z", "--full-tree", new, "--", path_of(uri[:-1])):
                yield Removed(uri=uri)

    def _change(self, status: bytes, old_path: bytes, entry: Entry) -> list[ListingEvent]:
        if status == b"D":
            return [] if self._skipped_folder(old_path) else [Removed(uri=uri_of(old_path))]
        event = self._event(entry)
        found = [event] if event else []
        if status[:1] != b"R" or self._skipped_folder(old_path):
            return found
        same_kind = extension_of(uri_of(old_path)) == extension_of(uri_of(entry.path))
        if isinstance(event, Present) and same_kind and not self._rules.skip_name(old_path, is_folder=False):
            return [Renamed(old_uri=uri_of(old_path), ref=event.ref)]
        return [Removed(uri=uri_of(old_path)), *found]

    def _event(self, entry: Entry) -> ListingEvent | None:
        """None for what is in a folder that was told to be left out."""
        uri = uri_of(entry.path)
        folder = self._skipped_folder(entry.path)
        if folder:
            return self._once(folder)
        if entry.mode == _SUBMODULE:
            return _skip(f"{uri}/", ErrorCode.UNSUPPORTED, "a submodule: add its repository as a source of its own")
        if entry.mode == _LINK:
            return _skip(uri, ErrorCode.UNSUPPORTED, "a symbolic link: what it leads to is collected by its own name")
        skipped = self._rules.skip_name(entry.path, is_folder=False) or self._rules.skip_file(uri, entry.size)
        return skipped or Present(ref=ItemRef(uri=uri, validators=Validators(size=entry.size, revision=entry.blob)))

    def _once(self, skipped: Skipped) -> Skipped | None:
        if skipped.uri in self._told:
            return None
        self._told.add(skipped.uri)
        return skipped

    def _skipped_folder(self, path: bytes) -> Skipped | None:
        """The outermost folder above the path that is left out by rule."""
        folder = path.rpartition(b"/")[0]
        if not folder:
            return None
        if folder not in self._folders:
            self._folders[folder] = self._skipped_folder(folder) or self._rules.skip_name(folder, is_folder=True)
        return self._folders[folder]

    async def _sizes(self, blobs: list[str]) -> dict[str, int]:
        """The sizes of blobs in bytes, in one go."""
        wanted = sorted(set(blobs))
        if not wanted:
            return {}
        async with self._git.process("cat-file", "--batch-check=%(objectname) %(objectsize)") as running:
            output, _ = await running.communicate("".join(f"{blob}\n" for blob in wanted).encode("ascii"))
        rows = (line.split() for line in output.decode("ascii", "replace").splitlines())
        return {row[0]: int(row[1]) for row in rows if row[1].isdigit()}


async def _records(stream: asyncio.StreamReader) -> AsyncGenerator[bytes]:
    """The parts of a stream that end with NUL."""
    rest = b""
    while part := await stream.read(_PIECE):
        *whole, rest = (rest + part).split(b"\0")
        for record in whole:
            yield record


def _tree_entry(record: bytes) -> Entry:
    """`<mode> <type> <object> <size>TAB<path>`, as `ls-tree --long` writes it."""
    facts, _, path = record.partition(b"\t")
    mode, _, blob, size = facts.split()
    return Entry(path=path, mode=mode, blob=blob.decode("ascii"), size=int(size) if size.isdigit() else 0)


def _parse_changes(raw: bytes) -> list[tuple[bytes, bytes, Entry]]:
    """Status, old path and new entry of each `:<mode> <mode> <object> <object> <status>NUL<path>NUL[<path>NUL]`."""
    fields = iter(raw.split(b"\0")[:-1])
    changes: list[tuple[bytes, bytes, Entry]] = []
    for facts in fields:
        _, mode, _, blob, status = facts.split()
        old_path = next(fields)
        path = next(fields) if status[:1] in b"RC" else old_path
        changes.append((status, old_path, Entry(path=path, mode=mode, blob=blob.decode("ascii"))))
    return changes


def _skip(uri: str, code: ErrorCode, reason: str) -> Skipped:
    return Skipped(uri=uri, code=code.value, reason=reason)
