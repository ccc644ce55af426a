"""Patterns of paths: `*` and `?` stay within a folder, `**` does not. Matched in a time linear in the path.

A pattern is an automaton whose states are the bits of a number, one for each of its signs: no pattern makes it go back.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from intelforge.core.errors import InvalidInputError

LONGEST_PATTERN: Final = 500
"""characters"""
MOST_WILDCARDS: Final = 40
MOST_PATTERNS: Final = 20
"""of one query"""
REMEMBERED: Final = 10_000
"""steps of one pattern"""

_FOLDERS, _ACROSS, _WITHIN, _ONE = "**/", "**", "*", "?"
_SIGN: Final = re.compile(r"(?:(?<=/)|^)\*\*/|\*\*|\*|\?|.", re.DOTALL)


class PathPattern:
    """A pattern that may begin at any folder of a path and end at any. Raises InvalidInputError for one too long."""

    def __init__(self, glob: str) -> None:
        signs = _signs(glob)
        self._chars: dict[str, int] = {}
        self._across = self._within = self._one = self._folders = 0
        for at, sign in enumerate(signs):
            bit = 1 << at
            if sign == _FOLDERS:
                self._folders |= bit
            elif sign == _ACROSS:
                self._across |= bit
            elif sign == _WITHIN:
                self._within |= bit
            elif sign == _ONE:
                self._one |= bit
            else:
                self._chars[sign] = self._chars.get(sign, 0) | bit
        self._end = 1 << len(signs)
        self._start = self._reached(1)
        self._steps: dict[tuple[int, str], int] = {}

    def matches(self, path: str) -> bool:
        """Whether the pattern is that of some folders of the path, or of the path."""
        state = self._start
        for char in path:
            if char == "/" and state & self._end:
                return True
            state = self._after(state, char)
        return bool(state & self._end)

    def _after(self, state: int, char: str) -> int:
        found = self._steps.get((state, char))
        if found is None:
            within, one = (self._within, self._one) if char != "/" else (0, 0)
            passed = state & (self._chars.get(char, 0) | one)
            found = self._reached(state & (self._across | within) | passed << 1)
            if len(self._steps) < REMEMBERED:
                self._steps[state, char] = found
        return found

    def _reached(self, state: int) -> int:
        """With the states behind wildcards that stand for nothing."""
        nothing = self._folders | self._across | self._within
        while True:
            more = state | (state & nothing) << 1 | (state & self._folders) << 3
            if more == state:
                return state
            state = more


def along(paths: Iterable[tuple[str, str]], wanted: Sequence[str], unwanted: Sequence[str]) -> frozenset[str]:
    """Of ids and paths, the ids with a path that any wanted pattern fits, if there are any, and no unwanted one.

    Raises InvalidInputError for a pattern too long, and for too many.
    """
    if len(wanted) + len(unwanted) > MOST_PATTERNS:
        raise InvalidInputError(
            f"the query has {len(wanted) + len(unwanted)} path: patterns", hint=f"give {MOST_PATTERNS} or fewer"
        )
    admitting, refusing = [PathPattern(glob) for glob in wanted], [PathPattern(glob) for glob in unwanted]
    return frozenset(
        name
        for name, path in paths
        if (not admitting or any(pattern.matches(path) for pattern in admitting))
        and not any(pattern.matches(path) for pattern in refusing)
    )


def _signs(glob: str) -> list[str]:
    """What stands for itself, and wildcards, runs of which are one; it begins at any folder."""
    glob = re.sub(r"\*{2,}", "**", glob.strip("/"))
    glob = re.sub(r"(?:(?<=/)|^)(?:\*\*/)+", "**/", glob)
    if len(glob) > LONGEST_PATTERN:
        raise InvalidInputError(
            f"the pattern path:{glob[:40]}… has {len(glob):,} characters",
            hint=f"give one of {LONGEST_PATTERN} or fewer; it may begin at any folder",
        )
    wildcards = sum(sign in (_FOLDERS, _ACROSS, _WITHIN, _ONE) for sign in _SIGN.findall(glob))
    if wildcards > MOST_WILDCARDS:
        raise InvalidInputError(
            f"the pattern path:{glob[:40]} has {wildcards} wildcards", hint=f"give one with {MOST_WILDCARDS} or fewer"
        )
    entered = (_FOLDERS, _ACROSS, "/")  # a `**/` is nothing at all, or anything and its slash
    return [part for sign in _SIGN.findall(f"{_FOLDERS}{glob}") for part in (entered if sign == _FOLDERS else (sign,))]
