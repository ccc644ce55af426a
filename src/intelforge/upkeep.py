"""What can be done with the index as a whole: its versions, moving it, checking it, carrying it away."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from intelforge.core.errors import (
    ConfigError,
    ErrorCode,
    IntelForgeError,
    InvalidInputError,
    NotFoundError,
    StorageError,
)
from intelforge.core.index_reports import (
    BuildReason,
    BuildReport,
    IndexState,
    IndexStats,
    IndexVersion,
    Transfer,
    Tuning,
    Verification,
    VersionStatus,
)
from intelforge.core.registry import load_backend
from intelforge.core.reports import Progress
from intelforge.core.url_secrets import HIDDEN, without_secrets
from intelforge.index.protocol import Tunable
from intelforge.parts import Parts

if TYPE_CHECKING:
    from intelforge.ingest.build import Built
    from intelforge.ingest.transfer import Held
    from intelforge.jobs.leases import LeaseHolder

SLOW_SHOWN = 10
Report = Callable[[Progress], None]


class WritableSettings(Protocol):
    """The settings of the workspace's file."""

    def check(self, name: str) -> None:
        """Raises ConfigError when a setting comes from elsewhere, so that writing it would change nothing."""
        ...

    def write(self, name: str, value: str) -> None:
        """Writes one setting, and uses it from now on. Raises ConfigError, StorageError."""
        ...


class IndexUpkeep:
    """The index of one workspace."""

    def __init__(self, parts: Parts, stopping: asyncio.Event, settings: WritableSettings) -> None:
        self._parts = parts
        self._stopping = stopping
        self._settings = settings

    async def versions(self) -> list[VersionStatus]:
        """Every version, oldest first."""
        await self._parts.versions.live_version()
        return [await self._status(version) for version in await self._parts.versions.record.all()]

    async def building(self) -> VersionStatus | None:
        """The version that is being built beside the one that answers."""
        version = await self._parts.versions.record.in_state(IndexState.BUILDING)
        return await self._status(version) if version else None

    async def rollback(self) -> IndexVersion:
        """Lets the version before answer again, at once, and sets `index` and `embedder` back to what they were.

        What changed since is brought in by the next sync. Raises NotFoundError when there is none.
        """
        versions = self._parts.versions
        before = await versions.record.in_state(IndexState.PREVIOUS)
        if before is None:
            raise NotFoundError("there is no version to go back to", hint="see: intelforge index versions")
        live = await versions.live_version()
        changed = {
            **({"index": before.url} if before.url != without_secrets(self._parts.settings.index) else {}),
            **({"embedder": before.embedder} if before.model != live.model else {}),
        }
        if HIDDEN in changed.get("index", ""):
            raise ConfigError(
                f"the password of {before.url} is not kept",
                hint="run: intelforge config set index URL (with its password), then: intelforge sync",
            )
        for name in changed:
            self._settings.check(name)
        for name, value in changed.items():  # before the swap: what is killed between them is gone on with by a sync
            self._settings.write(name, value)
        if building := await versions.record.in_state(IndexState.BUILDING):
            await versions.record.retire(building.number)
        return await versions.record.go_live(before.number)

    async def drop(self, number: int, *, dry_run: bool = False) -> IndexVersion:
        """Deletes a version that does not answer, with all it holds. Raises NotFoundError, InvalidInputError."""
        found = next((one for one in await self._parts.versions.record.all() if one.number == number), None)
        if found is None:
            raise NotFoundError(f"there is no version {number}", hint="see: intelforge index versions")
        if found.state is IndexState.LIVE:
            raise InvalidInputError(
                f"version {number} is the one that answers", hint="to make it anew: intelforge index rebuild"
            )
        if not dry_run:
            await self._parts.versions.record.retire(number)
            await self._parts.versions.clear()
        return found

    async def rebuild(self, *, report: Report | None = None) -> BuildReport:
        """Builds the index anew from the database, beside the one that answers, and lets it take its place."""
        live = await self._parts.versions.live_version()
        return await self._build(BuildReason.REBUILD, url=live.url, report=report)

    async def migrate(self, to: str, *, report: Report | None = None) -> BuildReport:
        """Moves the index to the store at another URL: text from the database, vectors from the store they are in.

        Every vector is held against its original before the new store answers; then the setting `index` is changed.
        Raises BackendError, ConfigError or InvalidInputError for a URL that cannot be used.
        """
        self._settings.check("index")
        load_backend("vector_stores", to)(to, root=self._parts.root)
        live = await self._parts.versions.live_version()
        if without_secrets(to) == live.url:
            raise InvalidInputError(f"the index is at {live.url} already", hint="give another URL")
        self._parts.versions.know(to)
        return await self._build(
            BuildReason.MIGRATION,
            url=without_secrets(to),
            report=report,
            before_swap=lambda: self._settings.write("index", to),
        )

    async def verify(self, *, dry_run: bool = False) -> Verification:
        """Holds the index against the database and, unless `dry_run`, repairs it; vectors are made by the next sync."""
        from intelforge import writing

        serving = await self._parts.versions.live()
        async with self._holder() as holder:
            indexer = writing.indexer(self._parts, serving, holder)
            found = await indexer.repair(dry_run=dry_run)
            behind = 0 if dry_run else await indexer.follow()
            counts = await serving.standings.counts()
        return Verification(
            missing=found.missing,
            superfluous=found.superfluous,
            without_vectors=found.vectors,
            followed=behind,
            repaired=not dry_run,
            chunks=counts.chunks,
            indexed=counts.indexed,
            embedded=counts.embedded,
        )

    async def tune(self, *, apply: bool = True) -> Tuning:
        """Measures the vector search of the store on a sample, and chooses its parameters by that.

        Raises StorageError UNSUPPORTED for a store that searches exactly or chooses by itself.
        """
        serving = await self._parts.versions.live()
        if not isinstance(serving.store, Tunable):
            raise StorageError(
                f"the index {serving.version.url} has nothing to tune: it searches exactly, or its server chooses",
                hint="see its own settings, or: intelforge index stats",
                code=ErrorCode.UNSUPPORTED,
            )
        return await serving.store.tune(apply=apply)

    async def stats(self) -> IndexStats:
        """How far the version that answers has come, how fresh, how fast and how exact it is."""
        serving = await self._parts.versions.live()
        held = await serving.store.count()
        synced = [one.last_sync for one in await self._parts.sources.statuses()]
        return IndexStats(
            status=await self._status(serving.version),
            held_chunks=held.chunks,
            held_vectors=held.vectors,
            undescribed=len(await serving.standings.undescribed(limit=1000)),
            synced_at=min((at for at in synced if at), default=None) if all(synced) else None,
            tuning=await serving.store.tuning() if isinstance(serving.store, Tunable) else None,
            latencies=await self._parts.recorded_searches.latencies(),
            slow=tuple(await self._parts.recorded_searches.slow(SLOW_SHOWN)),
        )

    async def export(self, path: Path, *, report: Report | None = None) -> Transfer:
        """Writes the index to a Parquet file, text and vectors."""
        from intelforge.ingest.transfer import export_index

        self._stopping.clear()
        held = await self._held()
        return await export_index(path, held, report=report or _unreported, stopped=self._stopping.is_set)

    async def load(self, path: Path, *, dry_run: bool = False, report: Report | None = None) -> Transfer:
        """Takes vectors from such a file for chunks that are here and have none yet."""
        from intelforge.ingest.transfer import import_index

        self._stopping.clear()
        held, versions = await self._held(), self._parts.versions
        if not held.model and (embedder := (await versions.live()).embedder):
            held = replace(held, model=embedder.name)
        async with self._holder() as holder:
            done = await import_index(
                path, held, holder, dry_run=dry_run, report=report or _unreported, stopped=self._stopping.is_set
            )
        if done.vectors and not dry_run:
            live = await versions.live_version()
            if not live.model:
                embedder_url = self._parts.settings.embedder
                await versions.record.set_embedder(live.number, embedder=embedder_url, model=done.model)
        return done

    def stop(self) -> None:
        """Asks whatever of this runs to end soon, with what is done so far kept."""
        self._stopping.set()

    async def catch_up(self, number: int) -> None:
        """Brings what a sync read into the version that answers, when that is another than it wrote to by now."""
        serving = await self._parts.versions.live()
        if serving.version.number != number:
            from intelforge import writing

            async with self._holder() as holder:
                await writing.indexer(self._parts, serving, holder).follow()
        await self._parts.versions.clear()

    async def _build(
        self,
        reason: BuildReason,
        *,
        url: str,
        report: Report | None,
        before_swap: Callable[[], None] = lambda: None,
    ) -> BuildReport:
        from intelforge import writing

        self._stopping.clear()
        versions = self._parts.versions
        live = await versions.live_version()
        building = await versions.record.in_state(IndexState.BUILDING)
        if building and (building.reason, building.url) != (reason, url):
            raise InvalidInputError(
                f"version {building.number} is being built at {building.url}",
                hint=f"let it finish: intelforge sync; or give it up: intelforge index drop {building.number}",
            )
        begun = building or await versions.record.begin(
            url=url, embedder=live.embedder, model=live.model, reason=reason
        )
        try:
            async with self._holder() as holder:
                build = await writing.build(self._parts, begun, holder, before_swap=before_swap)
                built = await build.run(report=report or _unreported, stopped=self._stopping.is_set)
        except IntelForgeError:
            if building is None and not (await versions.counts(begun)).indexed:
                await versions.record.forget(begun.number)
            raise
        await versions.clear()
        return await self._told(begun, built)

    async def _told(self, version: IndexVersion, built: "Built") -> BuildReport:
        now = next((one for one in await self._parts.versions.record.all() if one.number == version.number), version)
        return BuildReport(
            status=await self._status(now),
            embedded=built.embedded,
            compared=built.compared,
            complete=now.state is IndexState.LIVE,
        )

    async def _status(self, version: IndexVersion) -> VersionStatus:
        counts = await self._parts.versions.counts(version)
        return VersionStatus(version=version, chunks=counts.indexed, embedded=counts.embedded, wanted=counts.chunks)

    async def _held(self) -> "Held":
        from intelforge.ingest.transfer import Held

        serving = await self._parts.versions.live()
        model = serving.version.model if (await serving.standings.counts()).embedded else ""
        return Held(documents=self._parts.documents, standings=serving.standings, store=serving.store, model=model)

    @asynccontextmanager
    async def _holder(self) -> "AsyncIterator[LeaseHolder]":
        from intelforge.jobs.leases import LeaseHolder

        async with LeaseHolder(self._parts.leases) as holder:
            yield holder


def _unreported(progress: Progress) -> None:
    """Reports to no one."""
