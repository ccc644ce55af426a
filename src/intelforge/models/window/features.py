"""What a text is made of, as far as tokenizers differ about it."""

import re
from dataclasses import astuple, dataclass
from typing import Final

from intelforge.models.window.o200k import count_o200k

_EAST_ASIAN: Final = re.compile(
    "[\u1100-\u11ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
)
_DIGIT: Final = re.compile("[0-9]")
_SPACES: Final = re.compile(r"\s{2,}")
_MARK: Final = re.compile(r"[!-/:-@\[-`{-~]")
_LATIN: Final = re.compile("[\u0080-\u024f\u1e00-\u1eff]")
_GREEK_CYRILLIC: Final = re.compile("[\u0370-\u052f]")
_HEBREW_ARABIC: Final = re.compile("[\u0590-\u08ff]")
_INDIC: Final = re.compile("[\u0900-\u10ff]")
_BEYOND_ASCII: Final = (_EAST_ASIAN, _LATIN, _GREEK_CYRILLIC, _HEBREW_ARABIC, _INDIC)


@dataclass(frozen=True, slots=True)
class Features:
    """Counts over one text."""

    o200k: int
    """tokens of o200k_base"""
    digits: int
    spaces: int
    """runs of two and more"""
    marks: int
    """ASCII punctuation"""
    east_asian: int = 0
    """Chinese, Japanese and Korean characters"""
    latin: int = 0
    """Latin letters with accents"""
    greek_cyrillic: int = 0
    hebrew_arabic: int = 0
    indic: int = 0
    """letters of India, Thailand and their neighbours"""

    def values(self) -> tuple[int, ...]:
        return astuple(self)


def features_of(text: str) -> Features:
    """The features of a text."""
    beyond = () if text.isascii() else tuple(len(pattern.findall(text)) for pattern in _BEYOND_ASCII)
    return Features(
        count_o200k(text),
        len(_DIGIT.findall(text)),
        len(_SPACES.findall(text)),
        len(_MARK.findall(text)),
        *beyond,
    )
