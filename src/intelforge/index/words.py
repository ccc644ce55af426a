"""Words as stores without an analysis of their own keep them: the terms of a text, folded.

Folding takes away what should not keep a word from being found: case, accents, the plural s of English (Harman, "How
effective is suffixing?", 1991), and words that carry no topic.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from intelforge.index.analysis import KEPT_WORDS, LONGEST_TERM, STOP_WORDS, quoted_phrases, terms

LONGEST_QUERY = 1000
"""words; a longer query is a document, and its first thousand words say what it is about"""


def words(text: str) -> list[str]:
    """The words of a text, in its order and with repeats: of letters, digits, underscores and points."""
    return [word for word in map(folded, terms(text)) if word]


def query_words(query: str) -> list[str]:
    """The words of a query, the first thousand of them."""
    return words(query)[:LONGEST_QUERY]


def query_phrases(query: str) -> list[list[str]]:
    """What the query quotes, each as the words that must follow one another."""
    return [phrase for phrase in map(words, quoted_phrases(query)) if phrase]


def label_key(label: str) -> str:
    """A label as it stands in an index: 16 hexadecimal digits, whatever a principal or tag is called."""
    return hashlib.sha256(label.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def word_keys(found: Iterable[str]) -> str:
    """Words for a server that might take them apart or read them as syntax: letters and digits, between spaces."""
    return " ".join(map(word_key, found))


@lru_cache(1 << 17)
def word_key(word: str) -> str:
    """One such word."""
    return f"w{hashlib.blake2b(word.encode(), digest_size=7).hexdigest()}"


@lru_cache(KEPT_WORDS)
def folded(term: str) -> str:
    """A term without case, accents and plural; empty for one that carries no topic."""
    word = term.lower()
    if not word.isascii():
        word = "".join(filter(_kept, unicodedata.normalize("NFKD", word)))
        word = unicodedata.normalize("NFC", word)[:LONGEST_TERM]
    return "" if word in STOP_WORDS else _singular(word)


def _kept(character: str) -> bool:
    """Marks of Latin, Greek and Cyrillic go; those of other scripts are letters of theirs."""
    mark = unicodedata.category(character).startswith("M")
    return (mark and not "\u0300" <= character <= "\u036f") or character.isalnum() or character in "_."


def _singular(word: str) -> str:
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return f"{word[:-3]}y"
    return word[:-2] if word.endswith(("sses", "shes", "ches", "xes")) else word[:-1]


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """The word without its commonest English endings: `cancellation`, `cancelled` and `cancels` give `cancel`."""
    if len(word) < 4 or not word.isascii() or not word.isalpha():
        return word
    word = re.sub(r"(?<=\w{2})ie[sd]$", "y", word)
    word = re.sub(r"(?<=[^s])s$", "", word)
    word = re.sub(r"(?<=\w{3})(?:ations?|ings?|ed|edly|ly|ments?|ers?|ors?)$", "", word)
    word = re.sub(r"(?<=\w{3}[st])ions?$", "", word)
    word = re.sub(r"([bdfglmnprt])\1$", r"\1", word)
    return re.sub(r"(?<=\w{3})e$", "", word)
