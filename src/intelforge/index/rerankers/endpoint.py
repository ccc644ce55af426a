"""One reranking model of one HTTP API: where it is, how it is asked, how its reply is read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from intelforge.index.model_endpoint import ModelEndpoint
from intelforge.index.rerank import MOST


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server gave: scores by the place of their text, in any order, and the tokens it counted, if it did."""

    scores: Sequence[tuple[int, float]]
    tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(ModelEndpoint):
    """What `RemoteReranker` must know of an API."""

    body: Callable[[str, Sequence[str]], Mapping[str, Any]]
    """the JSON that asks for the scores of some texts against a query"""
    read: Callable[[Any], Reply]
    """reads the JSON that came; LookupError, TypeError or ValueError when it is not what the API gives"""
    most_texts: int = MOST
    """in one request"""


def ask(model: str, query: str, texts: Sequence[str]) -> Mapping[str, Any]:
    """The request that most APIs have in common."""
    named = {"model": model} if model else {}
    return {**named, "query": query, "documents": list(texts)}


def read_results(reply: Any) -> Reply:
    """`{"results": [{"index": 0, "relevance_score": 0.9}], "usage": {"total_tokens": 8}}`; not all of them count."""
    tokens = (reply.get("usage") or {}).get("total_tokens")
    return Reply([(row["index"], row["relevance_score"]) for row in reply["results"]], tokens)
