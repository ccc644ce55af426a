"""What an embedder or a reranker is lent by the workspace that opens it."""

import os
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx2


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteCall:
    """One request to a model, before it is made."""

    purpose: str
    """as the ledger has it: `embed` or `rerank`"""
    provider: str
    model: str
    tokens: int
    """about as many as it will take"""
    local: bool
    """costs nothing"""


class Spent(Protocol):
    """What a call took; filled in while the call is open, as far as it is known."""

    input_tokens: int


class Meter(Protocol):
    """Enters a call in the books: before it is made on entry, what it took on exit. May refuse it on entry."""

    def __call__(self, call: RemoteCall, /) -> AbstractAsyncContextManager[Spent]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelContext:
    """Handed to every factory of `intelforge.embedders` as `context`."""

    client: Callable[[], httpx2.AsyncClient]
    """gives the guarded client, whose timeouts are those of a model call; it is not the model's to close"""
    meter: Meter
    ollama_url: Callable[[], str]
    """where Ollama listens, without a slash at the end"""
    root: Path = Path()
    """what relative paths are relative to"""
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    """keys by name: variables, and secrets of the store that the settings name"""
    allow_hosts: Collection[str] = ()
    """hosts of the user's own, which keys may be sent to without encryption"""
