"""The contract of extraction: bytes in, text with its structure out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A structural part of an extracted text: `text[start:end]`. Blocks are in order and do not overlap."""

    start: int
    end: int
    kind: str = "paragraph"
    """heading, paragraph, list, table_row, code, definition (a function, class or method)"""
    heading: str = ""
    """heading path or code symbol that holds the block"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """What an extractor got out of an item."""

    text: str
    blocks: tuple[Block, ...]
    media_type: str
    title: str = ""
    """from the content only, never from the file's name: equal contents must be equal documents"""
    language: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


class Extractor(Protocol):
    """Gets text and structure out of the bytes of some media types. Runs in a worker process under limits."""

    def __call__(self, data: bytes, *, media_type: str, charset: str | None = None) -> Extracted:
        """`charset` is what the transport declared, if anything.

        Raises ItemError with the reason: damaged, encrypted, unsupported, too large."""
        ...


class TokenCounter(Protocol):
    """Counts the embedder's tokens, special tokens not counted."""

    def __call__(self, text: str) -> int: ...
