"""Text to search terms, the same for what is stored and what is asked.

A word gives itself and, when it is an identifier, its parts: `parse_HTTPHeader` gives `parse_HTTPHeader parse HTTP
Header`, so that it is found whole and by part; so does a number with points: `3.11` gives `3.11 3 11`. Writing without
spaces between words (Chinese, Japanese, Thai) gives pairs of characters. Case, accents, word forms and stop words are
left to the store.
"""

import re

WORD = re.compile(r"\w+(?:(?<=\d)\.\d\w*)*")
PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+\d*|[A-Z]+\d*|\d+")
UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|`([^`]+)`")

QUOTED_SHARE = 4
"""one word in so many must be quoted for quotes to be meant to the letter"""
MOST_PHRASES = 8
"""of a query are looked for, the first ones; each may be a search of its own"""
KEPT_WORDS = 1 << 17
"""words whose terms are kept in memory, about 20 MB"""
LONGEST_TERM = 80
"""characters; longer words are cut, they are data and not language"""

STOP_WORDS = frozenset(
    """
    about above after again against all also am an and any are aren as at be because been before being below between
    both but by can cannot could did do does doing down during each either else ever few for from further had has have
    having he her here hers him his how however i if in into is it its itself just let like many may me might more most
    much must my no nor not now of off on once only or other our out over own per please rather same shall she should
    since so some such than that the their them then there these they this those through to too under until up upon us
    very was we were what when where whether which while who whom whose why will with within without would you your
    """.split()  # noqa: SIM905
)
"""English words that carry no topic; they are neither indexed nor searched for."""


def terms(text: str) -> list[str]:
    """The terms of a text, in its order and with repeats."""
    return terms_text(text).split()


def terms_text(text: str) -> str:
    """The terms of a text, joined by spaces."""
    return " ".join(filter(None, map(_joined.__getitem__, WORD.findall(text))))


def quoted_phrases(query: str) -> list[str]:
    """What the query quotes with \"…\", “…” or `…`: to be found word for word.

    In a long text with a few words in quotes the quotes are emphasis, not an order: then there are none.
    """
    phrases = [phrase for groups in QUOTED.findall(query) for phrase in groups if WORD.search(phrase)]
    quoted = sum(len(WORD.findall(phrase)) for phrase in phrases)
    return phrases[:MOST_PHRASES] if quoted * QUOTED_SHARE >= len(WORD.findall(query)) else []


def _terms_of_word(word: str) -> tuple[str, ...]:
    if len(word) == 1:
        return () if word.isascii() and word.isalpha() else (word,)
    if not word.isascii() and UNSPACED.search(word):
        return tuple(_pairs(word))
    if "." in word:
        return (word[:LONGEST_TERM].rstrip("."), *(term for part in word.split(".") for term in _terms_of_word(part)))
    whole = word[:LONGEST_TERM]
    parts = [part for part in PART.findall(whole) if len(part) > 1] if word.isascii() else _underscored(whole)
    return (whole,) if len(parts) < 2 and "_" not in word else (whole, *parts)


def _underscored(word: str) -> list[str]:
    return [part for part in word.split("_") if part]


def _pairs(word: str) -> list[str]:
    found: list[str] = []
    for run in re.split(f"({UNSPACED.pattern})", word):
        if UNSPACED.fullmatch(run):
            found += [run[at : at + 2] for at in range(max(1, len(run) - 1))]
        else:
            found += [term for word in WORD.findall(run) for term in _terms_of_word(word)]
    return found


class _Joined(dict[str, str]):
    """The terms of a word, joined by spaces, made when first asked for."""

    def __missing__(self, word: str) -> str:
        if len(self) >= KEPT_WORDS:
            self.clear()
        joined = self[word] = " ".join(_terms_of_word(word))
        return joined


_joined = _Joined()
