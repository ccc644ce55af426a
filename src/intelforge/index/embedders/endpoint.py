"""One embedding model of one HTTP API: where it is, how it is asked, how its reply is read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from intelforge.index.embedders.known_models import ModelFacts
from intelforge.index.protocol import TextKind, Vectors


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server gave: vectors in the order of the texts, and the tokens it counted, None when it did not say."""

    vectors: Vectors
    tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What `RemoteEmbedder` must know of an API."""

    name: str
    """of the embedder"""
    provider: str
    """as price lists name it"""
    model: str
    url: str
    facts: ModelFacts
    body: Callable[[Sequence[str], TextKind], Mapping[str, Any]]
    """the JSON that asks for the vectors of some texts"""
    read: Callable[[Any], Reply]
    """reads the JSON that came; LookupError, TypeError or ValueError when it is not what the API gives"""
    most_texts: int
    """in one request"""
    key: str = field(default="", repr=False)
    free: bool = False
    """costs nothing"""
    local: bool = False
    """what it is given stays on this machine"""
