"""Why a search came out as it did: its plan, and what each part gave a hit."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from intelforge.core.search import SearchPlan
from intelforge.core.values import Hit, PartScore
from intelforge.index.protocol import Filter
from intelforge.index.rerank import RERANKED, WEIGHT
from intelforge.index.search import Found, Index

SHOWN: Final = 200
"""characters of a query"""
LABELS_SHOWN: Final = 10


def plan_of(query: str, where: Filter, found: Found, index: Index) -> SearchPlan:
    """The plan, but for the store's URL, which the caller knows."""
    return SearchPlan(
        query=query if len(query) <= SHOWN else f"{query[: SHOWN - 1]}…",
        where=readable(where),
        store="",
        candidates={part: len(hits) for part, hits in found.candidates.items()},
        vector_weight=found.weighing.vector,
        weighed=found.weighing.why,
        embedded=float(index.embedded >= 1),
        center=index.center.share if index.center else 0.0,
    )


def readable(where: Filter) -> str:
    """The filter in words."""
    said = [_listed(group) for group in where.any_of]
    if where.none_of:
        said.append(f"not {_listed(where.none_of)}")
    if where.documents is not None:
        said.append(f"{len(where.documents):,} documents by path" if where.documents else "no document")
    if where.since is not None:
        said.append(f"since {_instant(where.since)}")
    if where.until is not None:
        said.append(f"until {_instant(where.until)}")
    if where.least_quality:
        said.append(f"quality {where.least_quality:g} or better")
    return ", ".join(said)


def weighed(parts: Sequence[PartScore], share: float, own: PartScore) -> tuple[PartScore, ...]:
    """The parts of a score that now have `share` of it, and one more."""
    return (*(replace(part, weight=part.weight * share) for part in parts), own)


def with_rerank(before: Sequence[Hit], after: Sequence[Hit]) -> list[Hit]:
    """The hits after a closer look, with what it gave each in their explanation."""
    scores = {hit.chunk.id: hit.score for hit in before}
    share = 1 / (1 + WEIGHT)
    return [
        replace(
            hit,
            explanation=weighed(
                hit.explanation,
                share,
                PartScore(
                    part=RERANKED,
                    score=hit.scores[RERANKED],
                    scaled=(hit.score - share * scores[hit.chunk.id]) / (1 - share),
                    weight=1 - share,
                ),
            ),
        )
        if RERANKED in hit.scores
        else hit
        for hit in after
    ]


def _listed(labels: frozenset[str]) -> str:
    shown = " or ".join(sorted(labels)[:LABELS_SHOWN])
    return shown if len(labels) <= LABELS_SHOWN else f"{shown} or {len(labels) - LABELS_SHOWN} more"


def _instant(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="minutes")
    except (OverflowError, ValueError, OSError):
        return f"{seconds:g} s"
