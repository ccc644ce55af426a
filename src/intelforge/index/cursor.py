"""Pages of a search that stay in step with each other although documents are added and removed between them.

Scores move with every write: BM25 counts all texts, and scaling depends on the candidates. So a page is not known by a
score but by what was shown before it: a cursor carries a short hash of every hit so far, and the next page is the best
of all others. No hit comes twice, and none is skipped. A cursor says nothing that its holder has not been shown, and
names no document: what the next page holds is searched for anew, for whoever asks.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Self

from intelforge.core.errors import InvalidInputError

_VERSION: Final = b"\x01"
_SHORT: Final = 6
"""bytes of a hash: two chunks in a thousand million million pairs have the same"""
_CHECK: Final = 4
_TIME: Final = 5
_LAST: Final = 253_402_300_799
"""the end of the year 9999: no later time is one"""
_HEAD: Final = len(_VERSION) + _SHORT + _TIME


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page: of what question, asked when first, and what was shown before it."""

    question: bytes
    """hash of all that decides the ranking"""
    at: int
    """seconds since the epoch at which the first page was asked for: `7d` ago is counted from then"""
    seen: tuple[bytes, ...] = ()

    @classmethod
    def first(cls, question: str, *, at: float) -> Self:
        return cls(question=_hash(question), at=int(at))

    def after(self, chunk_ids: Iterable[str]) -> "Page":
        """The page that follows this one, which shows these chunks."""
        return replace(self, seen=(*self.seen, *map(_hash, chunk_ids)))

    def unseen(self, chunk_ids: Iterable[str]) -> set[str]:
        """Those that no page before this one has shown."""
        seen = set(self.seen)
        return {chunk_id for chunk_id in chunk_ids if _hash(chunk_id) not in seen}

    @property
    def cursor(self) -> str:
        """The page as text that is safe in URLs and shells."""
        body = _VERSION + self.question + self.at.to_bytes(_TIME, "big") + b"".join(self.seen)
        return base64.urlsafe_b64encode(body + _check(body)).decode().rstrip("=")


def read_cursor(cursor: str, question: str) -> Page:
    """The page a cursor asks for. Raises InvalidInputError for one of another question and for what is none."""
    try:
        data = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _unreadable() from error
    body, check = data[:-_CHECK], data[-_CHECK:]
    hashes = body[_HEAD:]
    if len(body) < _HEAD or body[:1] != _VERSION or len(hashes) % _SHORT or check != _check(body):
        raise _unreadable()
    if body[1 : 1 + _SHORT] != _hash(question):
        raise InvalidInputError(
            "the cursor is of another search", hint="give it with the query and options of the page it came with"
        )
    at = int.from_bytes(body[1 + _SHORT : _HEAD], "big")
    if at > _LAST:
        raise _unreadable()
    return Page(
        question=body[1 : 1 + _SHORT],
        at=at,
        seen=tuple(hashes[start : start + _SHORT] for start in range(0, len(hashes), _SHORT)),
    )


def _unreadable() -> InvalidInputError:
    return InvalidInputError("the cursor cannot be read", hint="copy all of it, or search again without it")


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_SHORT).digest()


def _check(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECK, person=b"cursor").digest()
