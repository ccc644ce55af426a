"""One embedding model of one HTTP API: where it is, how it is asked, how its reply is read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from intelforge.index.embedders.known_models import ModelFacts
from intelforge.index.model_endpoint import ModelEndpoint
from intelforge.index.protocol import TextKind, Vectors


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server gave: vectors in the order of the texts, and the tokens it counted, None when it did not say."""

    vectors: Vectors
    tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(ModelEndpoint):
    """What `RemoteEmbedder` must know of an API."""

    facts: ModelFacts
    body: Callable[[Sequence[str], TextKind], Mapping[str, Any]]
    """the JSON that asks for the vectors of some texts"""
    read: Callable[[Any], Reply]
    """reads the JSON that came; LookupError, TypeError or ValueError when it is not what the API gives"""
    most_texts: int
    """in one request"""
