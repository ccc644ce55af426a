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
EMPHATIC_NEGATION: Final = re.compile(r"\b(?:NOT|EXCEPT|LEAST)\b")
ALL_OR_NONE: Final = re.compile(r"\b(?:all|none|both|neither) of (?:the|these)\b", re.IGNORECASE)
TRUTH: Final = re.compile(r"(?:true|false|yes|no|right|wrong|not wrong)\b", re.IGNORECASE)
OF_FOLLOWING: Final = re.compile(r"\bwhich (?:one )?of (?:the )?(?:following|these)\b", re.IGNORECASE)
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
    "option_overlap", "all_or_none", "option_words", "shortest_option", "single_words", "option_sentences",
    "option_capitals", "option_beginnings", "truth_options", "options_from_stem", "stem", "stem_sentences",
    "stem_numbers", "of_following", "emphatic_negation", "ends_asking", "ends_in_colon", "ends_in_stop", "who", "what",
    "when", "where", "why", "how_many", "how", "which", "if", "asks_to_write", "asks_to_solve",
)  # fmt: skip


def shape(text: str) -> NDArray[np.float32]:
    """The numbers in the order of NAMES, none far from 0 to 10."""
    if len(text) > READ:
        text = text[: READ // 2] + text[-READ // 2 :]
    words = WORD.findall(text)
    found = list(OPTION.finditer(text))
    stem = (text[: found[0].start()] if found else text).strip()
    values = [*_of_words(text, words), *_of_numbers(text), *_of_form(text)]
    values += [*_of_options([match.group(2).strip() for match in found], text, stem), *_of_stem(stem)]
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


def _of_options(options: list[str], text: str, stem: str) -> list[float]:
    count = len(options)
    if count < 2:
        return [0.0] * 14
    lengths = [len(option) for option in options]
    words = [option.lower().split() for option in options]
    sets = [set(option) for option in words]
    counts = [len(option) for option in words]
    shared = sum(len(one & other) / max(min(len(one), len(other)), 1) for one, other in pairwise(sets))
    of_stem = set(stem.lower().split())
    return [
        float(min(count, 10)),
        math.log1p(sum(lengths) / count),
        math.log1p(max(lengths)) - math.log1p(min(lengths)),
        sum(sum(map(str.isdigit, option)) * 3 >= len(option) for option in options) / count,
        shared / (count - 1),
        float(bool(ALL_OR_NONE.search(text))),
        math.log1p(sum(counts) / count),
        math.log1p(min(counts)),
        float(max(counts) == 1),
        sum(option.endswith(".") for option in options) / count,
        sum(option[0].isupper() for option in options) / count,
        len({option[0] for option in words}) / count,
        float(bool(TRUTH.match(options[0]))),
        len(of_stem & set().union(*sets)) / max(len(of_stem), 1),
    ]


def _of_stem(stem: str) -> list[float]:
    """Of what stands before the options; of all, where there are none."""
    return [
        math.log1p(len(stem)),
        math.log1p(len(SENTENCE_END.findall(stem))),
        math.log1p(len(NUMBER.findall(stem))),
        float(bool(OF_FOLLOWING.search(stem))),
        float(bool(EMPHATIC_NEGATION.search(stem))),
        *(float(stem.endswith(end)) for end in "?:."),
    ]
