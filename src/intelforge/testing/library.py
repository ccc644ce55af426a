"""A library in memory, for trying and testing answers without a workspace."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from intelforge.core.errors import NotFoundError
from intelforge.core.search import SearchResult
from intelforge.core.values import Chunk, Hit

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class MemoryLibrary:
    """Documents by location; chunks are paragraphs and definitions, found by the words they share with a question."""

    documents: Mapping[str, str]
    private: Collection[str] = ()
    """those that may only go to models on this machine"""

    async def search(self, question: str, *, limit: int) -> SearchResult:
        wanted = set(_WORD.findall(question.lower()))
        hits = [hit for location, text in self.documents.items() for hit in _hits(location, text, wanted)]
        return SearchResult(hits=tuple(sorted(hits, key=lambda hit: -hit.score)[:limit]))

    async def text(self, document_id: str) -> str:
        if document_id not in self.documents:
            raise NotFoundError(f"there is no document {document_id!r}", hint=f"known: {', '.join(self.documents)}")
        return self.documents[document_id]

    async def local_only(self, document_ids: Collection[str]) -> set[str]:
        return set(document_ids) & set(self.private)


def _hits(location: str, text: str, wanted: set[str]) -> list[Hit]:
    hits = []
    for ordinal, paragraph in enumerate(re.finditer(r"\S(?:.|\n(?!\s*\n\S))*", text)):
        chunk = Chunk(
            id=f"{location}:{ordinal}",
            document_id=location,
            ordinal=ordinal,
            start=paragraph.start(),
            end=paragraph.end(),
            text=paragraph[0],
            kind="code" if location.endswith(".py") else "text",
        )
        shared = len(wanted & set(_WORD.findall(chunk.text.lower())))
        if shared:
            hits.append(Hit(chunk=chunk, score=float(shared), location=location))
    return hits
