"""The models that search works with: the embedder and the reranker that the settings name, opened by URL."""

from collections.abc import Callable
from dataclasses import fields
from typing import Final

from intelforge.core.errors import ErrorCode, IntelForgeError
from intelforge.core.registry import load_backend
from intelforge.core.settings import Settings
from intelforge.index.embedders.cache import EmbeddingCache
from intelforge.index.embedders.cached import CachedEmbedder
from intelforge.index.embedders.url import NO_EMBEDDER
from intelforge.index.model_context import ModelContext
from intelforge.index.protocol import Embedder
from intelforge.index.rerank import Reranker, TokenEncoder
from intelforge.index.rerankers.context import OpenLanguageModel, RerankerContext
from intelforge.index.rerankers.url import NO_RERANKER

LEFT_OUT: Final = (ErrorCode.MISSING_MODEL, ErrorCode.REFUSED)
"""why search may go on without an embedder or a reranker: its weights are not here, or its key is not"""


class SearchModels:
    """Those of one workspace, each opened when it is first needed, with what they are lent by it."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        *,
        context: Callable[[], ModelContext],
        cache: Callable[[], EmbeddingCache],
        language_model: OpenLanguageModel,
        allow: Callable[[str], None],
    ) -> None:
        """`allow` lets an embedder's URL be reached that the settings named before."""
        self._settings = settings
        self._context = context
        self._cache = cache
        self._language_model = language_model
        self._allow = allow
        self._embedder: tuple[str, Embedder] | None = None
        """with its URL, in one: threads open it, and the settings may name another meanwhile"""
        self._before: dict[str, Embedder] = {}
        self._reranker: Reranker | None = None
        self._reranked_by: Embedder | None = None
        self.embedder_error: IntelForgeError | None = None
        """why there is no embedder although the settings name one"""
        self.reranker_error: IntelForgeError | None = None
        """why there is no reranker although the settings name one"""

    def embedder(self) -> Embedder | None:
        """The embedder, behind the cache; None when the settings want none, or when it lacks its weights or key.

        `embedder_error` then says why.
        """
        url, opened = self._settings().embedder, self._embedder
        if opened is None or opened[0] != url:
            embedder = self._uncached(url)
            self._embedder = opened = (url, CachedEmbedder(embedder, self._cache())) if embedder else None
        return opened[1] if opened else None

    def uncached_embedder(self) -> Embedder | None:
        """A new embedder that computes what it is asked, for those who want to know whether it can."""
        return self._uncached(self._settings().embedder)

    def _uncached(self, url: str) -> Embedder | None:
        try:
            embedder = None if url in NO_EMBEDDER else self._load_embedder(url)
        except IntelForgeError as error:
            if error.error_code not in LEFT_OUT:
                raise
            self.embedder_error = error
            return None
        self.embedder_error = None
        return embedder

    def embedder_at(self, url: str) -> Embedder | None:
        """The embedder of the settings, or one that made an earlier version of the index. Raises ModelError."""
        if url == self._settings().embedder or url in NO_EMBEDDER:
            return self.embedder()
        if url not in self._before:
            self._allow(url)
            self._before[url] = CachedEmbedder(self._load_embedder(url), self._cache())
        return self._before[url]

    def reranker(self, embedder: Embedder | None) -> Reranker | None:
        """What looks closer at the best hits that were found with this embedder.

        None when the settings want nothing, or when it lacks its model or key; `reranker_error` then says why.
        """
        if self._reranker is None or self._reranked_by is not embedder:
            self._reranker, self._reranked_by = self._open_reranker(embedder), embedder
        return self._reranker

    def _load_embedder(self, url: str) -> Embedder:
        embedder: Embedder = load_backend("embedders", url)(url, context=self._context())
        return embedder

    def _open_reranker(self, embedder: Embedder | None) -> Reranker | None:
        url = self._settings().reranker
        if url in NO_RERANKER:
            return None
        encoder = embedder.embedder if isinstance(embedder, CachedEmbedder) else embedder
        lent = self._context()
        context = RerankerContext(
            **{part.name: getattr(lent, part.name) for part in fields(lent)},
            encoder=encoder if isinstance(encoder, TokenEncoder) else None,
            language_model=self._language_model,
        )
        try:
            reranker: Reranker | None = load_backend("rerankers", url)(url, context=context)
        except IntelForgeError as error:
            if error.error_code not in LEFT_OUT:
                raise
            self.reranker_error = error
            return None
        self.reranker_error = None
        return reranker
