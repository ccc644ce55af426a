"""What is known of embedding models by name: size of their vectors, how much they read, and the prefixes they want.

The numbers and prefixes are those of the models' own cards.
"""

import re
from dataclasses import dataclass
from typing import Final

from intelforge.index.protocol import TextKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What must be known of a model to use it well."""

    dimensions: int = 0
    """0 when not known: the first reply tells"""
    max_tokens: int = 512
    """longer texts are split; the default is what the smallest of the usual models read"""
    query_prefix: str = ""
    document_prefix: str = ""

    def prefix(self, kind: TextKind) -> str:
        return self.query_prefix if kind is TextKind.QUERY else self.document_prefix


_PASSAGES: Final = "Represent this sentence for searching relevant passages: "
_INSTRUCT: Final = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "


def _e5(dimensions: int) -> ModelFacts:
    return ModelFacts(dimensions=dimensions, query_prefix="query: ", document_prefix="passage: ")


def _bge(dimensions: int) -> ModelFacts:
    return ModelFacts(dimensions=dimensions, query_prefix=_PASSAGES)


def _qwen(dimensions: int) -> ModelFacts:
    return ModelFacts(dimensions=dimensions, max_tokens=32_768, query_prefix=_INSTRUCT.rstrip(" "))


_NOMIC: Final = ModelFacts(
    dimensions=768, max_tokens=2048, query_prefix="search_query: ", document_prefix="search_document: "
)
_GEMMA: Final = ModelFacts(
    dimensions=768,
    max_tokens=2048,
    query_prefix="task: search result | query: ",
    document_prefix="title: none | text: ",
)

_KNOWN: Final = tuple(
    (re.compile(pattern), facts)
    for pattern, facts in (
        (r"text-embedding-3-small", ModelFacts(dimensions=1536, max_tokens=8191)),
        (r"text-embedding-3-large", ModelFacts(dimensions=3072, max_tokens=8191)),
        (r"text-embedding-ada-002", ModelFacts(dimensions=1536, max_tokens=8191)),
        (r"mistral-embed(-\d+)?", ModelFacts(dimensions=1024, max_tokens=8192)),
        (r"codestral-embed(-\d+)?", ModelFacts(dimensions=1536, max_tokens=8192)),
        (r"embed-v4\.0", ModelFacts(dimensions=1536, max_tokens=128_000)),
        (r"embed-(english|multilingual)-v3\.0", ModelFacts(dimensions=1024)),
        (r"embed-(english|multilingual)-light-v3\.0", ModelFacts(dimensions=384)),
        (r"all-minilm(-l(6|12)(-v2)?)?", ModelFacts(dimensions=384, max_tokens=256)),
        (r"all-mpnet-base-v2", ModelFacts(dimensions=768, max_tokens=384)),
        (r"nomic-embed-text(-v1(\.5)?)?", _NOMIC),
        (r"(text-embedding-)?embeddinggemma(-300m)?", _GEMMA),
        (r"mxbai-embed-large(-v1)?", _bge(1024)),
        (r"bge-small-en-v1\.5", _bge(384)),
        (r"bge-base-en-v1\.5", _bge(768)),
        (r"bge-large-en-v1\.5|bge-large", _bge(1024)),
        (r"bge-m3", ModelFacts(dimensions=1024, max_tokens=8192)),
        (r"multilingual-e5-large-instruct", ModelFacts(dimensions=1024, query_prefix=_INSTRUCT)),
        (r"(multilingual-e5-small|e5-small(-v2)?)", _e5(384)),
        (r"(multilingual-e5-base|e5-base(-v2)?)", _e5(768)),
        (r"(multilingual-e5-large|e5-large(-v2)?)", _e5(1024)),
        (r"qwen3-embedding", _qwen(0)),
        (r"qwen3-embedding[-:]0\.6b", _qwen(1024)),
        (r"qwen3-embedding[-:]4b", _qwen(2560)),
        (r"qwen3-embedding[-:]8b", _qwen(4096)),
        (r"snowflake-arctic-embed[-:](s|xs|22m|33m)", _bge(384)),
        (r"snowflake-arctic-embed[-:](m|110m)", _bge(768)),
        (r"snowflake-arctic-embed[-:](l|335m)", _bge(1024)),
        (r"snowflake-arctic-embed", _bge(0)),
        (r"snowflake-arctic-embed2|snowflake-arctic-embed-l-v2\.0", ModelFacts(dimensions=1024, max_tokens=8192)),
    )
)


def facts_of(model: str) -> ModelFacts:
    """What is known of a model, named as its server names it: `BAAI/bge-m3`, `nomic-embed-text:v1.5`, `bge-m3`."""
    name = model.rpartition("/")[2].lower().removesuffix(":latest")
    for candidate in (name, name.partition(":")[0]):
        for pattern, facts in _KNOWN:
            if pattern.fullmatch(candidate):
                return facts
    return ModelFacts()
