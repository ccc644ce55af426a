"""The documents of a workspace that one caller may see, as answering needs them."""

from collections.abc import Collection

from intelforge.core.errors import NotFoundError
from intelforge.core.search import SearchResult
from intelforge.index.hits import Retriever, Scope
from intelforge.store.documents import Documents


class ScopedLibrary:
    """A Library over the index and the database, for one scope."""

    def __init__(
        self, retriever: Retriever, documents: Documents, scope: Scope, *, rerank_seconds: float = 0.0
    ) -> None:
        self._rerank_seconds = rerank_seconds
        self._retriever = retriever
        self._documents = documents
        self._scope = scope

    async def search(self, question: str, *, limit: int) -> SearchResult:
        return await self._retriever.search(
            question, limit=limit, scope=self._scope, rerank_seconds=self._rerank_seconds
        )

    async def text(self, document_id: str) -> str:
        """Raises NotFoundError when the document was purged since the search."""
        text = await self._documents.text(document_id)
        if text is None:
            raise NotFoundError(f"the document {document_id} is gone", hint="ask again")
        return text

    async def local_only(self, document_ids: Collection[str]) -> set[str]:
        """By what is said now of the sources that have them, in the caller's scope or not."""
        return await self._documents.local_only(document_ids)
