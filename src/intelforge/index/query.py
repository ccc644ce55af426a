"""What a query says beside its words: `-word`, `field:value` and `-field:value`. Pure functions over text.

    source:notes kind:git lang:python type:text/markdown tag:draft path:src/**/*.py since:2026-01-31 until:7d
    quality:0.5

Values with spaces are quoted. Fields of one name are alternatives, fields of different names must all hold. A word with
a colon that is no field is a word: `std::move` is searched for.
"""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from intelforge.core.errors import InvalidInputError
from intelforge.index.protocol import Filter

LABELS: Final = {"kind": "kind", "lang": "language", "language": "language", "type": "type", "tag": "tag"}
"""fields that are labels of a document"""
FIELDS: Final = (*LABELS, "source", "path", "since", "until", "quality")
NEAR: Final = 0.8
"""so near to a field's name, a word before a colon is a slip"""

_TERM: Final = re.compile(r'(?<!\S)(-?)(?:([A-Za-z]+):(?=[^\s:/]))?("[^"]+"|[^\s"]+)(?!\S)')
_AGO: Final = re.compile(r"(\d{1,4})([hdwmy])")
_DAYS: Final = {"h": 1 / 24, "d": 1, "w": 7, "m": 30, "y": 365}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """`name:value`, or `-name:value` when negative."""

    name: str
    value: str
    negative: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query taken apart."""

    text: str
    """what is searched for, phrases in their quotes"""
    excluded: tuple[str, ...] = ()
    """words and phrases a hit must not hold"""
    fields: tuple[Field, ...] = ()

    def values(self, name: str, *, negative: bool = False) -> list[str]:
        return [field.value for field in self.fields if (field.name, field.negative) == (name, negative)]


EVERYWHERE: Final = Query(text="")


def parse_query(query: str) -> Query:
    """The parts of a query. Raises InvalidInputError for a misspelt field and for filters without words."""
    excluded: list[str] = []
    fields: list[Field] = []

    def taken(match: re.Match[str]) -> str:
        minus, name, value = match[1], (match[2] or "").lower(), match[3].strip('"')
        if name and name not in FIELDS:
            _refuse_slip(name, match[0])
            return match[0]
        if name:
            fields.append(Field(name=name, value=value, negative=bool(minus)))
        elif minus and (value[0].isalpha() or match[3].startswith('"')):
            excluded.append(value)
        else:
            return match[0]
        return ""

    text = " ".join(_TERM.sub(taken, query).split())
    if (excluded or fields) and not text:
        raise InvalidInputError("the query has filters but no words", hint='add some, for example: retry "back off"')
    return Query(text=text, excluded=tuple(excluded), fields=tuple(fields))


def filter_of(query: Query, *, now: datetime) -> Filter:
    """What the fields ask for, but for `source` and `path`, which the database resolves. Raises InvalidInputError."""
    groups: dict[str, set[str]] = {}
    none_of: set[str] = set()
    for field in query.fields:
        if field.name in LABELS:
            label = f"{LABELS[field.name]}:{field.value.casefold()}"
            none_of.add(label) if field.negative else groups.setdefault(LABELS[field.name], set()).add(label)
        elif field.negative and field.name in ("since", "until", "quality"):
            raise InvalidInputError(f"-{field.name}: has no meaning", hint="leave the minus out")
    return Filter(
        any_of=tuple(frozenset(group) for group in groups.values()),
        none_of=frozenset(none_of),
        since=max((_instant(value, now) for value in query.values("since")), default=None),
        until=min((_instant(value, now) for value in query.values("until")), default=None),
        least_quality=max(map(_share, query.values("quality")), default=0.0),
    )


def joined(left: Filter, right: Filter) -> Filter:
    """What both admit."""
    documents = [one for one in (left.documents, right.documents) if one is not None]
    return Filter(
        any_of=(*left.any_of, *right.any_of),
        none_of=left.none_of | right.none_of,
        documents=frozenset.intersection(*documents) if documents else None,
        since=_either(max, left.since, right.since),
        until=_either(min, left.until, right.until),
        least_quality=max(left.least_quality, right.least_quality),
    )


def path_pattern(glob: str) -> re.Pattern[str]:
    """`*` and `?` stay within a folder, `**` does not; without a slash the pattern is for the name alone.

    It is to be searched for in `/` and the path: a pattern may begin at any folder.
    """
    steps = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", glob.strip("/"))
    return re.compile("/" + "".join(steps.get(part) or re.escape(part) for part in parts) + "(?:/|$)")


def _either(choose: Callable[[list[float]], float], *bounds: float | None) -> float | None:
    there = [bound for bound in bounds if bound is not None]
    return choose(there) if there else None


def _refuse_slip(name: str, term: str) -> None:
    near = difflib.get_close_matches(name, FIELDS, n=1, cutoff=NEAR)
    if near:
        raise InvalidInputError(f"there is no field {name!r}", hint=f'write {near[0]}: or, to search for it, "{term}"')


def _instant(value: str, now: datetime) -> float:
    """`2026-01-31`, `2026-01-31T12:00`, or so long ago: `12h`, `7d`, `2w`, `3m`, `1y`."""
    if ago := _AGO.fullmatch(value.lower()):
        return (now - timedelta(days=int(ago[1]) * _DAYS[ago[2]])).timestamp()
    try:
        when = datetime.fromisoformat(value)
    except ValueError as error:
        raise InvalidInputError(f"{value!r} is no date", hint="write it as 2026-01-31, or 7d for a week ago") from error
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _share(value: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise InvalidInputError(f"{value!r} is no quality", hint="give a number from 0 to 1, for example quality:0.5")
    return share
