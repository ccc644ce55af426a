"""The versions of the index: opens them, and says which one the settings ask to be built.

One version answers. When `index` or `embedder` is set to something else, another is built beside it, answers come from
the old one meanwhile, and in the end the two change places in one step. The one before is kept to go back to.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from intelforge.core.errors import IntelForgeError, ModelError
from intelforge.core.index_reports import BuildReason, IndexState, IndexVersion
from intelforge.core.settings import Settings
from intelforge.core.url_secrets import without_mark, without_secrets
from intelforge.index.embedders.url import NO_EMBEDDER
from intelforge.index.protocol import Embedder, VectorStore
from intelforge.store.database import Database
from intelforge.store.index_versions import IndexVersions
from intelforge.store.leases import Leases
from intelforge.store.standings import Counts, Standings

BUILDING_LEASE: Final = "build"


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A version of the index, with what it takes to search it."""

    version: IndexVersion
    store: VectorStore
    standings: Standings
    embedder: Embedder | None


OpenStore = Callable[[str, int], Awaitable[VectorStore]]
"""Opens the store at a URL for a version; the same one for the same arguments."""
OpenEmbedder = Callable[[str], Embedder | None]
"""Gives the embedder of a URL; None when its weights or its key are not here."""


class Versions:
    """What the settings, the record of versions, and the stores say together."""

    def __init__(
        self,
        database: Database,
        settings: Callable[[], Settings],
        leases: Leases,
        *,
        open_store: OpenStore,
        open_embedder: OpenEmbedder,
    ) -> None:
        self._leases = leases
        self.building = asyncio.Lock()
        """held while this process builds; other processes know by the lease"""
        self.record = IndexVersions(database)
        self._database = database
        self._settings = settings
        self._urls: dict[str, str] = {}
        self._standings: dict[int, Standings] = {}
        self._open_store = open_store
        self._open_embedder = open_embedder

    async def live(self) -> Serving:
        """The version that answers. Raises StorageError when its store cannot be opened."""
        return await self.opened(await self.live_version())

    async def live_version(self) -> IndexVersion:
        """The record of the version that answers; the first, where there is none."""
        url = without_secrets(self._settings().index)
        return await self.record.first(url=url, embedder=self._settings().embedder)

    async def opened(self, version: IndexVersion) -> Serving:
        """A version, ready to be searched. Raises StorageError when its store cannot be opened."""
        embedder, _ = self.embedder_of(version)
        return Serving(
            version=version,
            store=await self.store_of(version),
            standings=self.standings_of(version),
            embedder=embedder,
        )

    async def store_of(self, version: IndexVersion) -> VectorStore:
        """Raises StorageError when it cannot be opened."""
        return await self._open_store(self._url_of(version), version.number)

    def standings_of(self, version: IndexVersion) -> Standings:
        """The same object for the same version: it remembers what was counted a moment ago."""
        return self._standings.setdefault(version.number, Standings(self._database, version.number))

    async def counts(self, version: IndexVersion) -> Counts:
        """How far a version has followed the documents."""
        return await self.standings_of(version).counts()

    async def wanted(self) -> IndexVersion | None:
        """The version that is to be built now; None when the live one is what the settings ask for.

        A version that was being built for other settings is given up. Where the live one has nothing that the new one
        would not have, the new one answers at once.
        """
        live, building = await self.live_version(), await self.record.in_state(IndexState.BUILDING)
        url, embedder = without_secrets(self._settings().index), self._open_embedder(self._settings().embedder)
        model = embedder.name if embedder else live.model
        if url == live.url and model != live.model and not (await self.counts(live)).embedded:
            await self.record.set_embedder(live.number, embedder=self._settings().embedder, model=model)
            live = await self.live_version()
        if (url, model) == (live.url, live.model):
            if building and building.reason is BuildReason.SETTINGS:
                await self.record.retire(building.number)
            return building if building and building.reason is BuildReason.REBUILD else None
        if building and (building.url, building.model) == (url, model):
            return building
        if building:
            await self.record.retire(building.number)
        return await self._begun(live, url, self._settings().embedder if embedder else live.embedder, model)

    async def _begun(self, live: IndexVersion, url: str, embedder: str, model: str) -> IndexVersion | None:
        """A version to build, the one before where it is the same; None when it answers at once."""
        before = await self.record.in_state(IndexState.PREVIOUS)
        if before and (before.url, before.model) == (url, model):
            version = await self.record.resume(before.number)
        else:
            version = await self.record.begin(url=url, embedder=embedder, model=model, reason=BuildReason.SETTINGS)
        if (await self.counts(live)).indexed and await self._opens(live):
            return version
        await self.record.go_live(version.number)
        return None

    async def donor_of(self, version: IndexVersion) -> VectorStore | None:
        """The store with the vectors a new version would otherwise make anew; None when there is none to trust."""
        live = await self.live_version()
        if version.reason is BuildReason.REBUILD or live.model != version.model or not await self._opens(live):
            return None
        return await self.store_of(live)

    async def clear(self) -> None:
        """Empties the stores of retired versions, unless a build is running, which may still write to one.

        What cannot be emptied now stays on record, and is tried again the next time.
        """
        retired = [version for version in await self.record.all() if version.state is IndexState.RETIRED]
        if not retired or self.building.locked():
            return
        async with self.building:
            if not await self._leases.acquire(BUILDING_LEASE, detail="emptying old versions of the index"):
                return
            try:
                for version in retired:
                    with suppress(IntelForgeError):
                        await (await self.store_of(version)).drop()
                        await self.record.forget(version.number)
            finally:
                await self._leases.release(BUILDING_LEASE)

    async def _opens(self, version: IndexVersion) -> bool:
        try:
            await (await self.store_of(version)).count()
        except IntelForgeError:
            return False
        return True

    def embedder_of(self, version: IndexVersion) -> tuple[Embedder | None, str]:
        """The embedder whose vectors a version has, or will have; where it cannot be had, why not."""
        if self._settings().embedder in NO_EMBEDDER:
            return None, ""
        mine = self._open_embedder(self._settings().embedder)
        if mine is None or not version.model or mine.name == version.model:
            return mine, ""
        try:
            before = self._open_embedder(version.embedder)
        except ModelError as error:
            return None, f"the index was made with {version.embedder}, which cannot be opened ({error.message})"
        if before is None or before.name != version.model:
            return None, f"the index was made with {version.model}, which is not here any more; run: intelforge sync"
        return before, ""

    def know(self, url: str) -> None:
        """Remembers a URL as it was typed, for the time this object lives: the record leaves its password out."""
        self._urls[without_secrets(url)] = url

    def _url_of(self, version: IndexVersion) -> str:
        mine = self._settings().index
        known = mine if without_secrets(mine) == version.url else self._urls.get(version.url)
        return known or without_mark(version.url)
