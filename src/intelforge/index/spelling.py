"""Words of a query that no text has, and the words of the corpus they are taken for.

Where a store can tell words that are spelt alike (`FuzzyText`), a word without any match gives way to the nearest one:
one edit away for words of four letters, two for words of eight (Damerau and Levenshtein: a letter too many, too few,
changed, or swapped with its neighbour). The first letter holds. What is quoted is never touched.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, Protocol, runtime_checkable

from intelforge.core.errors import StorageError
from intelforge.index.analysis import QUOTED, STOP_WORDS, WORD
from intelforge.index.protocol import Filter, VectorStore
from intelforge.index.words import folded

EDITS: Final = ((8, 2), (4, 1))
"""letters a word has at least, and how many edits away it is still the same word"""
CHECKED: Final = 4
"""words of one query, the longest; each costs a search"""
TRIED: Final = 3
"""words of the corpus that one word may be taken for"""
HOLDING: Final = 20
"""chunks with such a word that are looked at for one that may be seen"""

Seen = Callable[[Collection[str]], Awaitable[bool]]
"""Whether the caller may see any of the documents, by the database's own word."""


@runtime_checkable
class FuzzyText(Protocol):
    """What a vector store may be able to do besides."""

    async def similar(self, word: str, *, where: Filter) -> list[str]:
        """Words of the texts that `where` admits which are spelt like `word`, in lower case, the likeliest first."""
        ...


def doubtful(query: str, said: Iterable[str]) -> list[str]:
    """The words of a query that may be misspelt: no name of code, not quoted, not among the words `said` somewhere."""
    known = {folded(word) for text in said for word in WORD.findall(text)}
    plain = re.findall(r"(?<![\w.:/-])[^\W\d_]{4,}(?![\w.:/(-]*[\w(])", QUOTED.sub(" ", query))
    words = [word for word in dict.fromkeys(plain) if word.islower() or word.istitle()]
    left = [word for word in words if word.lower() not in STOP_WORDS and folded(word) not in known]
    return sorted(left, key=len, reverse=True)[:CHECKED]


def edits_of(word: str) -> int:
    """How many edits away a word may be taken for another."""
    return next((edits for letters, edits in EDITS if len(word) >= letters), 0)


def likeliest(word: str, counts: Mapping[str, int]) -> list[str]:
    """Those of the counted words that are spelt like `word`, the nearest first, then the most frequent."""
    word, most = word.lower(), edits_of(word)
    near = {
        other: edits
        for other in counts
        if other != word and other[:1] == word[:1] and (edits := distance(word, other, most=most)) <= most
    }
    return sorted(near, key=lambda other: (near[other], -counts[other], other))


def corrected(query: str, instead: Mapping[str, str]) -> str:
    """The query with some of its words replaced."""
    if not instead:
        return query
    return re.sub(rf"\b(?:{'|'.join(map(re.escape, instead))})\b", lambda found: instead[found[0]], query)


def distance(one: str, other: str, *, most: int) -> int:
    """Edits between two words (optimal string alignment); anything above `most` is `most` and one."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, start=1):
        before, last, row = row, before, [at]
        for to, against in enumerate(other, start=1):
            cost = min(before[to] + 1, row[to - 1] + 1, before[to - 1] + (letter != against))
            if at > 1 and to > 1 and letter == other[to - 2] and one[at - 2] == against:
                cost = min(cost, last[to - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return min(row[-1], most + 1)


async def respelled(words: Sequence[str], store: VectorStore, *, where: Filter, seen: Seen) -> dict[str, str]:
    """By word that no text has which `where` admits, the word of such a text that it is taken for.

    A word that stands only in what the caller may not see is never among them.
    """
    if not isinstance(store, FuzzyText):
        return {}
    found = await asyncio.gather(*(_instead(word, store, store, where, seen) for word in words))
    return {word: instead for word, instead in zip(words, found, strict=True) if instead}


async def _instead(word: str, store: VectorStore, fuzzy: FuzzyText, where: Filter, seen: Seen) -> str:
    try:
        if await store.search(word, limit=1, where=where):
            return ""
        for near in (await fuzzy.similar(word, where=where))[:TRIED]:
            if await seen({hit.document_id for hit in await store.search(near, limit=HOLDING, where=where)}):
                return near
    except StorageError:
        return ""  # a hint is not worth an error: the search itself says what is wrong
    return ""
