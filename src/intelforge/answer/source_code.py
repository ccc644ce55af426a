"""Finds the words in source code: docstrings, comments, long strings and signatures, each with its symbol."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from intelforge.answer.prose import Span, lines_of

_PYTHON_TOKEN: Final = re.compile(
    r"""(?P<comment>\#[^\n]*)
    |(?P<prefix>[rRbBuUfF]{0,2})(?P<quote>\"{3}|'{3})(?P<body>(?:\\.|(?!(?P=quote)).)*+)(?P=quote)
    |(?P<string>[rRbBuUfF]{0,2}(?:"(?:\\.|[^"\\\n])*+"|'(?:\\.|[^'\\\n])*+'))
    |(?P<signature>^[ \t]*(?:async[ ]+def|def|class)[ ]+\w+(?:\[[^\]\n]*\])?
        (?:\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))?(?:[ ]*->[^\n]*?)?(?=\s*:))""",
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_BRACE_TOKEN: Final = re.compile(
    r"""(?P<comment>//[^\n]*)
    |/\*(?P<body>.*?)\*/
    |(?P<string>"(?:\\.|[^"\\\n])*+"|'(?:\\.|[^'\\\n])*+'|`(?:\\.|[^`\\])*+`)
    |(?P<signature>^[ \t]*(?:(?:export|default|public|private|protected|internal|static|final|abstract|async
        |pub(?:\(\w+\))?|unsafe|extern|virtual|inline)[ ]+)*
        (?:function|func|fn|class|interface|struct|enum|trait|impl|type)\b[^\n{;]*)""",
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_HASH_TOKEN: Final = re.compile(
    r"(?P<comment>(?:^|(?<=\s))\#[^\n]*)|(?P<string>\"(?:\\.|[^\"\\\n])*+\"|'(?:\\.|[^'\\\n])*+')"
    r"|(?P<signature>^[ \t]*(?:def|class|module|function)[ ]+[^\n{;]*)",
    re.MULTILINE,
)
_MARGIN: Final = re.compile(r"[ \t]*(?:\#+!?:?|//[/!]?|\*(?!/)|/\*+!?)?[ \t]?")
_STRING_MARGIN: Final = re.compile(r"[ \t]*")
_NAME: Final = re.compile(
    r"(?:def|class|function|func|fn|interface|struct|enum|trait|impl|type|module)\s+(?:\([^)]*\)\s*)?(\w+)"
)

PYTHON: Final = "python"
BRACES: Final = "braces"
HASHES: Final = "hashes"
_TOKENS: Final = {PYTHON: _PYTHON_TOKEN, BRACES: _BRACE_TOKEN, HASHES: _HASH_TOKEN}


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRegion:
    """Words in source code: the spans of their lines without margins. `kind`: docstring, comment or signature."""

    kind: str
    lines: tuple[Span, ...]
    symbol: str = ""


@dataclass(frozen=True, slots=True)
class _Words:
    """Words as found, before they are told which symbol they are about."""

    kind: str
    start: int
    end: int
    indent: int
    lines: tuple[Span, ...]


def code_regions(text: str, family: str) -> Iterator[CodeRegion]:
    """The words of a source text in order.

    `family` tells how it marks them: PYTHON, BRACES (C, Java, Go, Rust, …) or HASHES (shell, YAML, …).
    """
    found = list(_grouped(text, list(_words(text, family))))
    scopes: list[tuple[int, str]] = []
    for place, words in enumerate(found):
        scopes = [scope for scope in scopes if scope[0] < words.indent] if words.kind != "comment" else scopes
        if words.kind == "signature":
            scopes.append((words.indent, _name(text[words.start : words.end])))
        outer = [name for indent, name in scopes if indent < words.indent or words.kind == "signature"]
        if family == BRACES and words.kind != "signature":
            outer += _symbol_after(text, found, place)
        yield CodeRegion(kind=words.kind, lines=words.lines, symbol=".".join(outer))


def _symbol_after(text: str, found: list[_Words], place: int) -> list[str]:
    """The name of the definition that directly follows a comment."""
    if place + 1 == len(found) or found[place + 1].kind != "signature":
        return []
    between = text[found[place].end : found[place + 1].start]
    return [] if between.count("\n") > 2 else [_name(text[found[place + 1].start : found[place + 1].end])]


def _words(text: str, family: str) -> Iterator[_Words]:
    for token in _TOKENS[family].finditer(text):
        start, end = token.span()
        line = text.rfind("\n", 0, start) + 1
        before = text[line:start]
        if token["signature"] is not None:
            start += len(token[0]) - len(token[0].lstrip())
            yield _Words("signature", start, end, start - line, tuple(_stripped(text, lines_of(text, start, end))))
        elif token["comment"] is not None:
            yield _Words("comment", start, end, start - line, _without_margin(text, start, end, _MARGIN))
        elif family != HASHES and token["body"] is not None:
            margin = _MARGIN if family == BRACES else _STRING_MARGIN
            spans = _without_margin(text, *token.span("body"), margin)
            yield _Words("docstring", start, end, len(before) - len(before.lstrip()), spans)
        elif family == PYTHON and not before.strip() and text[:line].endswith(":\n"):
            body = start + len(token[0]) - len(token[0].lstrip("rRbBuUfF")) + 1
            yield _Words("docstring", start, end, start - line, ((body, end - 1),))


def _grouped(text: str, words: list[_Words]) -> Iterator[_Words]:
    """Comments on lines that follow each other, at the same indentation, are one."""
    run: list[_Words] = []
    for each in words:
        if run and run[-1].kind == each.kind == "comment" and _follows(text, run[-1], each):
            run.append(each)
            continue
        if run:
            yield _joined(run)
        run = [each]
    if run:
        yield _joined(run)


def _joined(run: list[_Words]) -> _Words:
    lines = tuple(span for words in run for span in words.lines)
    return _Words(run[0].kind, run[0].start, run[-1].end, run[0].indent, lines)


def _follows(text: str, last: _Words, each: _Words) -> bool:
    return (
        last.indent == each.indent
        and not text[last.end + 1 : each.start].strip()
        and (text.count("\n", last.end, each.start) == 1)
    )


def _without_margin(text: str, start: int, end: int, margin: re.Pattern[str]) -> tuple[Span, ...]:
    spans = []
    for line_start, line_end in lines_of(text, start, end):
        matched = margin.match(text, line_start, line_end)
        spans.append((matched.end() if matched else line_start, line_end))
    return tuple(spans)


def _stripped(text: str, lines: Iterator[Span]) -> Iterator[Span]:
    for start, end in lines:
        content = text[start:end]
        yield end - len(content.lstrip()), start + len(content.rstrip()) if content.strip() else end


def _name(signature: str) -> str:
    found = _NAME.search(signature)
    return found[1] if found else ""
