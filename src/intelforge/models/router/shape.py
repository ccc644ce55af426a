"""What a request looks like, as numbers: length, words, digits, options, code, the form of the question, script.

Nothing here reads more than `READ` characters, and nobody is called.
"""

import math
import re
from collections import Counter
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

READ: Final = 6000
"""characters: the first and the last of a longer text"""

OPTION: Final = re.compile(r"(?m)^[ \t]*\(?([A-J]|[1-9])[.):][ \t]+(\S.*)$")
WORD: Final = re.compile(r"[^\W\d_]+")
NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*")
SENTENCE_END: Final = re.compile(r"[.!?](?:\s|$)")
NEGATION: Final = re.compile(r"\b(?:except|not|never|least|incorrect|false|none)\b", re.IGNORECASE)
ALL_OR_NONE: Final = re.compile(r"\b(?:all|none|both|neither) of (?:the|these)\b", re.IGNORECASE)
ASKS: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\bwho(?:se|m)?\b",
        r"\bwhat\b",
        r"\bwhen\b",
        r"\bwhere\b",
        r"\bwhy\b",
        r"\bhow (?:many|much|long|far|old|often)\b",
        r"\bhow\b(?! (?:many|much|long|far|old|often))",
        r"\bwhich\b",
        r"\bif\b",
        r"^\W*(?:write|create|implement|generate|make|design|complete|translate|summari[sz]e|rewrite|explain)\b",
        r"^\W*(?:find|calculate|compute|determine|solve|evaluate|simplify|prove|suppose|let|consider)\b",
    )
)
CODE: Final = re.compile(
    r"\b(?:def|class|return|import|function|const|var|void|SELECT|elif)\b|[{};]\s*$|=>|==|\)\s*:", re.MULTILINE
)
MATHS: Final = re.compile(r"\\[a-zA-Z]+|[\^=<>≤≥∑∫√π±×÷⊃≡∨∧→∃∀]|\$[^$\n]+\$|\b(?:sin|cos|log|ln|mod|sqrt)\b")
WORKED: Final = re.compile(
    r"\b(?:each|per|total|twice|times|half|every|percent|left|more than|less than|altogether|average|remaining)\b"
    r"|%|\$\d",
    re.IGNORECASE,
)
NAMED: Final = re.compile(
    r"\b(?:according to|refers to|known as|defined as|called|term|theory|principle|law)\b", re.IGNORECASE
)
VAGUE: Final = re.compile(
    r"\b(?:most likely|best|primary|main|usually|generally|typically|probably|often)\b", re.IGNORECASE
)
BLANK: Final = re.compile(r"_{2,}|\.{4,}|\[blank\]", re.IGNORECASE)
STATEMENTS: Final = re.compile(r"\bStatement (?:1|I)\b|\(i+\)|\b(?:I|II|III) (?:only|and)\b")

NAMES: Final = (
    "characters", "words", "lines", "sentences", "word_length", "long_words", "longest_word", "distinct_words",
    "entropy", "capitals", "capital_words", "punctuation", "beyond_ascii", "beyond_latin", "digits", "numbers",
    "largest_number", "decimals", "word_problem", "maths", "code", "question_marks", "quotes", "negation", "blank",
    "statements", "named_idea", "vague", "options", "option_length", "option_spread", "numeric_options",
    "option_overlap", "all_or_none", "stem", "ends_open", "who", "what", "when", "where", "why", "how_many", "how",
    "which", "if", "asks_to_write", "asks_to_solve",
)  # fmt: skip


def shape(text: str) -> NDArray[np.float32]:
    """The numbers in the order of NAMES, none far from 0 to 10."""
    if len(text) > READ:
        text = text[: READ // 2] + text[-READ // 2 :]
    words = WORD.findall(text)
    values = [*_of_words(text, words), *_of_numbers(text), *_of_form(text), *_of_options(text)]
    values += [float(bool(pattern.search(text))) for pattern in ASKS]
    return np.asarray(values, np.float32)


def _of_words(text: str, words: list[str]) -> list[float]:
    size, count = max(len(text), 1), max(len(words), 1)
    lengths = [len(word) for word in words] or [0]
    letters = Counter(text.lower())
    entropy = -sum(times / size * math.log2(times / size) for times in letters.values())
    marks = sum(times for letter, times in letters.items() if not letter.isalnum() and not letter.isspace())
    return [
        math.log1p(len(text)),
        math.log1p(len(words)),
        math.log1p(text.count("\n")),
        math.log1p(len(SENTENCE_END.findall(text))),
        sum(lengths) / count,
        10 * sum(length >= 8 for length in lengths) / count,
        max(lengths) / 4,
        10 * len({word.lower() for word in words}) / count / 2,
        entropy,
        20 * sum(letter.isupper() for letter in text) / size,
        5 * sum(word[0].isupper() for word in words) / count,
        20 * marks / size,
        10 * sum(times for letter, times in letters.items() if letter > "\x7f") / size,
        10 * sum(times for letter, times in letters.items() if letter > "\u024f") / size,
    ]


def _of_numbers(text: str) -> list[float]:
    numbers = NUMBER.findall(text)
    digits = sum(map(len, numbers))
    largest = max((float(number.replace(",", "")[:12].split(".")[0]) for number in numbers), default=0.0)
    return [
        20 * digits / max(len(text), 1),
        math.log1p(len(numbers)),
        math.log1p(largest) / 2,
        math.log1p(sum("." in number for number in numbers)),
        math.log1p(len(WORKED.findall(text))),
    ]


def _of_form(text: str) -> list[float]:
    return [
        math.log1p(len(MATHS.findall(text))),
        math.log1p(len(CODE.findall(text))),
        math.log1p(text.count("?")),
        math.log1p(text.count('"') + text.count("“") + text.count("'")),
        float(bool(NEGATION.search(text))),
        float(bool(BLANK.search(text))),
        float(bool(STATEMENTS.search(text))),
        float(bool(NAMED.search(text))),
        float(bool(VAGUE.search(text))),
    ]


def _of_options(text: str) -> list[float]:
    found = list(OPTION.finditer(text))
    options = [match.group(2).strip() for match in found]
    stem = text[: found[0].start()] if found else text
    open_end = float(not stem.rstrip().endswith(("?", ".", "!", ":")))
    if len(options) < 2:
        return [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, math.log1p(len(stem)), open_end]
    lengths = [len(option) for option in options]
    words = [set(option.lower().split()) for option in options]
    shared = sum(len(one & other) / max(min(len(one), len(other)), 1) for one, other in pairwise(words))
    return [
        float(min(len(options), 10)),
        math.log1p(sum(lengths) / len(lengths)),
        math.log1p(max(lengths)) - math.log1p(min(lengths)),
        sum(sum(map(str.isdigit, option)) * 3 >= len(option) for option in options) / len(options),
        shared / (len(options) - 1),
        float(bool(ALL_OR_NONE.search(text))),
        math.log1p(len(stem)),
        open_end,
    ]
