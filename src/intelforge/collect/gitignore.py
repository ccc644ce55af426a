"""Patterns as git reads them in .gitignore: the last one that matches decides.

All patterns of a file become a few regular expressions, so that asking costs a match or two and not one per pattern.
Paths are bytes, as in git, where `?` stands for one byte. A repetition that another one follows is atomic, so that no
pattern can make matching slow. Method: gitignore(5) and the wildmatch of git.

Not by pathspec (1.1): a walk asks about folders, and there it leaves out what `*` `!*/` `!*.py` and `public/**`
`!public/index.html` keep; and its expressions backtrack, so that a pattern of four stars holds up one long name for
seconds.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_STAR = rb"[^/]*"
_FOLDERS = rb"(?:.*/)?"
_LONGEST = 4096
"""bytes of a line: no path is longer, and a longer pattern is there to be slow"""
_TOGETHER = 100
"""patterns in one regular expression: its groups cost the square of their number"""
_POSIX: dict[bytes, bytes] = {
    b"alnum": rb"[0-9A-Za-z]",
    b"alpha": rb"[A-Za-z]",
    b"blank": rb"[ \t]",
    b"cntrl": rb"[\x00-\x1f\x7f]",
    b"digit": rb"[0-9]",
    b"graph": rb"[\x21-\x7e]",
    b"lower": rb"[a-z]",
    b"print": rb"[\x20-\x7e]",
    b"punct": rb"[!-/:-@\[-`{-~]",
    b"space": rb"[ \t\n\r\x0b\x0c]",
    b"upper": rb"[A-Z]",
    b"xdigit": rb"[0-9A-Fa-f]",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One line of an ignore file. `regex` matches a whole path when `anchored`, else a base name."""

    text: str
    regex: bytes
    negated: bool
    folders_only: bool
    anchored: bool


class IgnoreFile:
    """The patterns of one ignore file; paths are relative to the folder the file speaks for."""

    def __init__(self, origin: str, lines: Iterable[bytes]) -> None:
        """`origin` names the file in reasons."""
        self.origin = origin
        self._patterns = [pattern for line in lines if (pattern := parse_pattern(line))]
        everything = range(len(self._patterns))
        plain = [index for index in everything if not self._patterns[index].folders_only]
        self._of_folders = self._compiled(everything)
        self._of_files = self._compiled(plain)

    @classmethod
    def parse(cls, origin: str, data: bytes) -> "IgnoreFile":
        lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        return cls(origin, [line.removesuffix(b"\r") for line in lines])

    def decide(self, path: bytes, *, is_folder: bool) -> Pattern | None:
        """The pattern that decides about the path itself (not about the folders above it), if one does."""
        names, paths = self._of_folders if is_folder else self._of_files
        last = max(names.last_match(path.rpartition(b"/")[2]), paths.last_match(path))
        return self._patterns[last] if last >= 0 else None

    def _compiled(self, chosen: Sequence[int]) -> "tuple[_Alternatives, _Alternatives]":
        names = [index for index in chosen if not self._patterns[index].anchored]
        paths = [index for index in chosen if self._patterns[index].anchored]
        return _Alternatives(self._patterns, names), _Alternatives(self._patterns, paths)


class _Alternatives:
    """Some patterns as regular expressions, the last first: the group that matched names the pattern."""

    def __init__(self, patterns: Sequence[Pattern], chosen: Sequence[int]) -> None:
        order = list(reversed(chosen))
        parts = [order[start : start + _TOGETHER] for start in range(0, len(order), _TOGETHER)]
        self._parts = [(part, _one_of([patterns[index].regex for index in part])) for part in parts]

    def last_match(self, text: bytes) -> int:
        for order, regex in self._parts:
            found = regex.fullmatch(text)
            if found and found.lastindex:
                return order[found.lastindex - 1]
        return -1


def _one_of(regexes: Iterable[bytes]) -> re.Pattern[bytes]:
    return re.compile(b"|".join(b"(" + regex + b")" for regex in regexes), re.DOTALL)


def parse_pattern(line: bytes) -> Pattern | None:
    """The pattern of one line without its line end; None for blanks, comments and what can never match."""
    if line.startswith(b"#") or len(line) > _LONGEST:
        return None
    text = _without_trailing_spaces(line)
    negated = text.startswith(b"!")
    body = text[1:] if negated else text
    folders_only = body.endswith(b"/")
    body = body[:-1] if folders_only else body
    anchored = b"/" in body
    regex = _translate(body.removeprefix(b"/") if anchored else body, anchored=anchored)
    if regex is None:
        return None
    shown = text.decode("utf-8", "replace")
    return Pattern(text=shown, regex=regex, negated=negated, folders_only=folders_only, anchored=anchored)


def _without_trailing_spaces(line: bytes) -> bytes:
    kept = line.rstrip(b" ")
    backslashes = len(kept) - len(kept.rstrip(b"\\"))
    return line[: len(kept) + 1] if backslashes % 2 and len(kept) < len(line) else kept


def _translate(glob: bytes, *, anchored: bool) -> bytes | None:
    tokens = _tokens(glob, anchored=anchored)
    if not tokens:
        return None
    *heads, last = _split(tokens, _FOLDERS)
    if not heads:
        return _within_folder(last)
    # Between two runs of folders the first fit is as good as any: what follows takes up the difference.
    middle = b"".join(rb"(?>(?:.*?/)??" + _within_folder(part) + b")" for part in heads[1:])
    return _within_folder(heads[0]) + middle + _FOLDERS + _within_folder(last)


def _within_folder(tokens: Sequence[bytes]) -> bytes:
    *heads, last = _split(tokens, _STAR)
    if not heads:
        return b"".join(last)
    middle = b"".join(rb"(?>[^/]*?" + b"".join(part) + b")" for part in heads[1:])
    return b"".join(heads[0]) + middle + _STAR + b"".join(last)


def _split(tokens: Sequence[bytes], separator: bytes) -> list[list[bytes]]:
    parts: list[list[bytes]] = [[]]
    for token in tokens:
        if token == separator:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _tokens(glob: bytes, *, anchored: bool) -> list[bytes] | None:
    """Regular expressions that follow each other; None for a pattern that can never match."""
    tokens: list[bytes] = []
    at = 0
    while at < len(glob):
        char = glob[at : at + 1]
        if char == b"*":
            token, at = _stars(glob, at, anchored=anchored)
        elif char == b"[":
            bracket = _bracket(glob, at)
            if bracket is None:
                return None
            token, at = bracket
        elif char == b"?":
            token, at = rb"[^/]", at + 1
        elif char == b"\\":
            if at + 1 == len(glob):
                return None
            token, at = re.escape(glob[at + 1 : at + 2]), at + 2
        else:
            token, at = re.escape(char), at + 1
        tokens.append(token)
    return tokens


def _stars(glob: bytes, start: int, *, anchored: bool) -> tuple[bytes, int]:
    end = start
    while glob[end : end + 1] == b"*":
        end += 1
    # Git takes off the literal beginning before it looks at the stars, so these too stand alone.
    alone = not re.search(rb"[*?\[\\]", glob[:start]) or glob[start - 1 : start] == b"/"
    if anchored and end - start > 1 and alone:
        if end == len(glob):
            return rb".*", end
        if glob[end : end + 1] == b"/":
            return _FOLDERS, end + 1
    return _STAR, end


def _bracket(glob: bytes, start: int) -> tuple[bytes, int] | None:
    """The class that begins at `start`, and where it ends; None if it does not end or names an unknown class."""
    at = start + 1
    negated = glob[at : at + 1] in {b"!", b"^"}
    at += negated
    first = at
    members: set[int] = set()
    previous: int | None = None
    while at < len(glob) and (glob[at] != 0x5D or at == first):
        if glob[at : at + 2] == b"[:" and (close := glob.find(b"]", at + 2)) > 0 and glob[close - 1] == 0x3A:
            name = glob[at + 2 : close - 1] if close - 1 >= at + 2 else None
            if name is not None:
                if name not in _POSIX:
                    return None
                members |= {byte for byte in range(256) if re.fullmatch(_POSIX[name], bytes([byte]))}
                at, previous = close + 1, None
                continue
        if glob[at] == 0x2D and previous is not None and glob[at + 1 : at + 2] not in {b"", b"]"}:
            at += 2 if glob[at + 1] == 0x5C else 1
            if at >= len(glob):
                return None
            members |= set(range(previous, glob[at] + 1))
            at, previous = at + 1, None
            continue
        at += glob[at] == 0x5C
        if at >= len(glob):
            return None
        previous = glob[at]
        members.add(previous)
        at += 1
    if at >= len(glob):
        return None
    chosen = (set(range(256)) - members if negated else members) - {0x2F}
    return b"[" + b"".join(b"\\x%02x" % byte for byte in sorted(chosen)) + b"]" if chosen else rb"(?!)", at + 1
