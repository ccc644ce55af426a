"""Facets: how many documents of a search's candidates have each value of a field.

Counted are the documents of the best FACETED chunks that hold a word of the query and of those nearest in meaning, as
far as the caller may see them. The places that count are those the caller may see, too.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from intelforge.core.values import Attributes
from intelforge.store.documents import Place

FACETED: Final = 1000
"""chunks found by words whose documents are counted"""
VALUES: Final = 50
"""of one field, at the most"""
_LABELS: Final = {"language": "lang", "type": "type", "tag": "tag"}
"""labels that are facts of the document itself, by the field that asks for them"""


def count_facets(
    places: Mapping[str, Sequence[Place]], attributes: Mapping[str, Attributes]
) -> dict[str, dict[str, int]]:
    """By field of a query, then value: how many of these documents have it, most first. `places` are the visible."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("source", "kind", *_LABELS.values())}
    for document_id, found in places.items():
        counts["source"].update({place.source_uri for place in found})
        counts["kind"].update({place.source_kind for place in found})
        for name, value in _said(attributes.get(document_id, Attributes()).labels):
            counts[name][value] += 1
    return {
        name: dict(sorted(counted.items(), key=lambda entry: (-entry[1], entry[0]))[:VALUES])
        for name, counted in counts.items()
        if counted
    }


def _said(labels: Iterable[str]) -> Iterable[tuple[str, str]]:
    for label in labels:
        name, _, value = label.partition(":")
        if name in _LABELS and value:
            yield _LABELS[name], value
