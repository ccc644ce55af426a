"""What a query says beside its words: `-word`, `field:value` and `-field:value`. Pure functions over text.

    source:notes kind:git lang:python type:text/markdown tag:draft path:src/**/*.py since:2026-01-31 until:7d
    quality:0.5

Values with spaces are quoted. Fields of one name are alternatives, as are labels joined by commas (`lang:python,go`);
fields of different names must all hold. A word with a colon that is no field is a word: `std::move` is searched for.
"""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from intelforge.core.errors import InvalidInputError
from intelforge.index.protocol import Filter

LABELS: Final = {"lang": "language", "language": "language", "type": "type", "tag": "tag"}
"""fields that are labels of a document"""
EXAMPLES: Final = {
    "kind": "git",
    "lang": "python",
    "language": "python",
    "type": "text/markdown",
    "tag": "draft",
    "source": "notes",
    "path": "src/**/*.py",
    "since": "2026-01-31",
    "until": "7d",
    "quality": "0.5",
}
FIELDS: Final = tuple(EXAMPLES)
NEAR: Final = 0.8
"""so near to a field's name, a word before a colon is a slip"""

LONGEST: Final = 10_000
"""characters of a query; a longer one is a document, and its beginning says what it is about"""

_ILLEGIBLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_KNOWN: Final = rf"(?i:({'|'.join(FIELDS)})):(?!:)(\"[^\"]*\"|[^\s\"]*)"
_WORD: Final = r'(?:([A-Za-z]+):(?=[^\s:/]))?("[^"]+"|[^\s"]+)'
_TERM: Final = re.compile(rf"(?<!\S)(-?)(?:{_KNOWN}|{_WORD})(?!\S)")
"""a field with its value, perhaps an empty one, or a word, perhaps with what looks like a field's name"""
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


def legible(query: str) -> str:
    """The query without control characters and without what is no text."""
    return _ILLEGIBLE.sub(" ", query).strip()


def parse_query(query: str, *, alone: bool = False) -> Query:
    """The parts of a query. Raises InvalidInputError for a misspelt field and for filters without words.

    With `alone` it is the other way round: the filters stand alone, and words are refused.
    """
    excluded: list[str] = []
    fields: list[Field] = []

    def taken(match: re.Match[str]) -> str:
        minus, name, value, unknown, word = match.groups(default="")
        if name:
            fields.append(Field(name=name.lower(), value=_given(name.lower(), value), negative=bool(minus)))
        elif unknown:
            _refuse_slip(unknown.lower(), match[0])
            return match[0]
        elif minus and (word[0].isalpha() or word.startswith('"')):
            excluded.append(word.strip('"'))
        else:
            return match[0]
        return ""

    text = " ".join(_TERM.sub(taken, query).split())
    if alone and text:
        raise InvalidInputError(
            f"there are words to search for ({text[:40]!r}) and a document to be like",
            hint="give one of the two; fields and -words may stand beside it",
        )
    if (excluded or fields) and not text and not alone:
        raise InvalidInputError("the query has filters but no words", hint='add some, for example: retry "back off"')
    return Query(text=text, excluded=tuple(excluded), fields=tuple(fields))


def filter_of(query: Query, *, now: datetime) -> Filter:
    """What the fields ask for, but for `source`, `kind` and `path`, which the database resolves.

    Raises InvalidInputError.
    """
    groups: dict[str, set[str]] = {}
    none_of: set[str] = set()
    for field in query.fields:
        if field.name in LABELS:
            (none_of if field.negative else groups.setdefault(LABELS[field.name], set())).update(
                f"{LABELS[field.name]}:{value}" for value in alternatives(field.value)
            )
        elif field.negative and field.name in ("since", "until", "quality"):
            raise InvalidInputError(f"-{field.name}: has no meaning", hint="leave the minus out")
    return Filter(
        any_of=tuple(frozenset(group) for group in groups.values()),
        none_of=frozenset(none_of),
        since=max((_instant(value, now) for value in query.values("since")), default=None),
        until=min((_instant(value, now) for value in query.values("until")), default=None),
        least_quality=max(map(_share, query.values("quality")), default=0.0),
    )


def alternatives(value: str) -> list[str]:
    """The labels that a value of several, joined by commas, allows."""
    return [label for one in value.split(",") if (label := one.strip().casefold())]


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


def _either(choose: Callable[[list[float]], float], *bounds: float | None) -> float | None:
    there = [bound for bound in bounds if bound is not None]
    return choose(there) if there else None


def _given(name: str, value: str) -> str:
    value = value.strip('"')
    if not value.strip(" ,"):
        raise InvalidInputError(
            f"{name}: has no value", hint=f'write {name}:{EXAMPLES[name]}, or, to search for the word, "{name}:"'
        )
    return value


def _refuse_slip(name: str, term: str) -> None:
    near = difflib.get_close_matches(name, FIELDS, n=1, cutoff=NEAR)
    if near:
        raise InvalidInputError(f"there is no field {name!r}", hint=f'write {near[0]}: or, to search for it, "{term}"')


def _instant(value: str, now: datetime) -> float:
    """`2026-01-31`, `2026-01-31T12:00`, or so long ago: `12h`, `7d`, `2w`, `3m`, `1y`."""
    try:
        if ago := _AGO.fullmatch(value.lower()):
            return (now - timedelta(days=int(ago[1]) * _DAYS[ago[2]])).timestamp()
        when = datetime.fromisoformat(value)
    except (ValueError, OverflowError) as error:
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
