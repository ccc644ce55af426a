"""A vector store beside an SQLite file of words: for those whose own search in words is none, or ranks otherwise."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType
from typing import Self

from intelforge.core.values import Chunk
from intelforge.index.protocol import EVERYTHING, NOTHING_KNOWN, About, Filter, Held, Scored, Vectors, VectorStore
from intelforge.index.sqlite_text import TextIndex
from intelforge.index.store_rules import admits_nothing, check_limit, held_by_document, ranked


class WordsBeside:
    """Gives chunks to the file and vectors to the store, and both what is said of documents."""

    def __init__(self, text: TextIndex, store: VectorStore) -> None:
        self._text = text
        self._store = store

    async def __aenter__(self) -> Self:
        await self._store.__aenter__()
        try:
            await asyncio.to_thread(self._text.open)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._store.__aexit__(kind, error, trace)
        self._text.close()

    async def add(self, chunks: Sequence[Chunk], about: About = NOTHING_KNOWN) -> None:
        if chunks:
            await asyncio.to_thread(self._text.add, chunks, about)

    async def add_vectors(self, chunk_ids: Sequence[str], vectors: Vectors, about: About = NOTHING_KNOWN) -> None:
        await self._store.add_vectors(chunk_ids, vectors, about)

    async def describe(self, about: About) -> None:
        if about:
            await asyncio.to_thread(self._text.describe, about)
            await self._store.describe(about)

    async def delete(self, document_ids: Collection[str]) -> None:
        if document_ids:
            await asyncio.to_thread(self._text.delete, document_ids)
            await self._store.delete(document_ids)

    async def search(self, query: "str | Vectors", *, limit: int, where: Filter = EVERYTHING) -> list[Scored]:
        if not isinstance(query, str):
            return await self._store.search(query, limit=limit, where=where)
        check_limit(limit)
        if admits_nothing(where):
            return []
        return ranked(await asyncio.to_thread(self._text.search, query, limit=limit, where=where), limit)

    async def vectors(self, chunk_ids: Collection[str]) -> Mapping[str, Vectors]:
        return await self._store.vectors(chunk_ids)

    async def similar(self, word: str, *, where: Filter) -> list[str]:
        """As `spelling.FuzzyText` says."""
        return await asyncio.to_thread(self._text.similar, word, where=where)

    async def count(self) -> Held:
        return Held(await asyncio.to_thread(self._text.count), (await self._store.count()).vectors)

    async def inventory(self) -> Mapping[str, Held]:
        held = await self._store.inventory()
        chunks = await asyncio.to_thread(self._text.inventory)
        return held_by_document(chunks, {key: one.vectors for key, one in held.items() if one.vectors})

    async def maintain(self) -> None:
        await asyncio.to_thread(self._text.maintain)
        await self._store.maintain()

    async def drop(self) -> None:
        await asyncio.to_thread(self._text.empty)
        await self._store.drop()
