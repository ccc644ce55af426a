"""Whether two questions may have the same answer, by what similar vectors do not tell.

Vectors of `how many in 2023` and `how many in 2024` are nearly equal, and so are those of a question and its negation.
Each difference below refuses the reply of the other question, however similar the two are.
"""

import re
from collections.abc import Callable
from typing import Final

_NUMBER: Final = re.compile(r"\d+(?:[.,:/]\d+)*")
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_NAME: Final = re.compile(
    r"(?<![.!?]\s)(?<!^)\b[^\W\d_a-zß-ÿ][\w.\-]*|\b\w*[_/\\.@#]\w[\w./\\@#]*|\b\w*[a-z]\w*[A-Z]\w*"
)
_NO_NAMES: Final = ("i", "i'm", "i've", "i'd")
_WORDS_OF_ONE: Final = ("a", "A", "i", "I", "o", "y", "e", "à", "é")
_QUOTED: Final = re.compile(r"\"([^\"]+)\"|“([^”]+)”|`([^`]+)`|«([^»]+)»")
_CODE: Final = re.compile(r"[^\w\s.,;:!?'\"’“”«»`()-]")

_NEGATIVE: Final = """
no not never none neither nor without except cannot nobody nothing nowhere unless kein keine keinen nicht ohne nie non
pas jamais sans sin nunca ni
"""
_SPELT: Final = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen twenty
"""
NEGATIONS: Final = frozenset(_NEGATIVE.split())
_LARGE: Final = {"hundred": "100", "thousand": "1000", "million": "1000000", "half": "0.5", "second": "2nd"}
NUMBERS: Final = {word: str(number) for number, word in enumerate(_SPELT.split())} | _LARGE
POLES: Final = (
    "before after",
    "more less fewer",
    "most least fewest",
    "first last",
    "max maximum min minimum",
    "maximal minimal",
    "largest biggest greatest highest smallest lowest",
    "larger bigger greater higher smaller lower",
    "above below over under",
    "increase increases increased raise rise rises decrease decreases decreased reduce reduces fall falls drop",
    "up down",
    "in out",
    "on off",
    "open opens opened close closes closed",
    "add adds added remove removes removed delete deletes deleted",
    "start starts begin begins stop stops end ends",
    "enable enables enabled disable disables disabled",
    "import imports export exports",
    "read reads write writes",
    "encode encodes decode decodes",
    "encrypt decrypt",
    "compress decompress",
    "upload download",
    "push pull",
    "buy buys sell sells",
    "from to",
    "left right",
    "north south east west",
    "old new",
    "oldest newest latest earliest",
    "good best bad worst",
    "cause causes effect effects",
    "advantage advantages disadvantage disadvantages",
    "pros cons",
    "true false",
    "all any some",
    "who what when where why how which",
    "today yesterday tomorrow",
    "ascending descending",
    "row rows column columns",
    "client server",
    "input output",
    "parent child",
    "if only both either",
    "necessary sufficient",
    "always sometimes",
)
_POLAR: Final = frozenset(word for group in POLES for word in group.split())


LONGEST: Final = 500
"""characters: long questions differ in a few words. Nor are texts of several lines compared, which are lists, code or
quotations more often than questions."""


def difference(first: str, second: str) -> str:
    """What keeps two questions from having the same answer, in one word; empty when nothing is seen to."""
    if first == second:
        return ""
    if max(len(first), len(second)) > LONGEST:
        return "length"
    if "\n" in first.strip() or "\n" in second.strip():
        return "lines"
    return next((name for name, tell in _TOLD.items() if tell(first) != tell(second)), "")


def _numbers(text: str) -> list[str]:
    spelt = [NUMBERS[word] for word in _words(text) if word in NUMBERS]
    return sorted([*(found.replace(",", "") for found in _NUMBER.findall(text)), *spelt])


def _negations(text: str) -> int:
    return sum(word in NEGATIONS or word.endswith(("n't", "n’t")) for word in _words(text)) % 2


def _names(text: str) -> list[str]:
    """In their order: `A beats B` is not `B beats A`."""
    found = (name.rstrip(".-").casefold() for name in _NAME.findall(text))
    return [name for name in found if name not in _NO_NAMES]


def _quoted(text: str) -> list[str]:
    return ["".join(found) for found in _QUOTED.findall(text)]


def _poles(text: str) -> list[str]:
    return sorted({word for word in _words(text) if word in _POLAR})


def _signs(text: str) -> list[str]:
    return _CODE.findall(text)


def _symbols(text: str) -> list[str]:
    """Single letters, which stand for things, in their order."""
    return [word for word in _WORD.findall(text) if len(word) == 1 and word not in _WORDS_OF_ONE]


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


_TOLD: Final[dict[str, Callable[[str], object]]] = {
    "numbers": _numbers,
    "negation": _negations,
    "names": _names,
    "quotes": _quoted,
    "opposites": _poles,
    "signs": _signs,
    "symbols": _symbols,
}
