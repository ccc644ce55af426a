"""How vectors are searched, chosen from the data: the index by number and size, the partitions read by measured recall.

The index is IVF-RQ: partitions around centres, and in them each vector as one bit a dimension (Gao and Long, "RaBitQ",
2024). So little is read of each vector that a search can afford to read many partitions; the nearest by these bits are
then compared exactly. At 100,000 vectors of 384 dimensions it needs a third of the processor time of IVF with whole
vectors for the same recall, and a tenth of the memory. How many partitions a search must read depends on the vectors,
so it is measured on queries made from some of them, and kept in the metadata of the column: every process sees it with
the version of the table it belongs to. At a million vectors a search takes a hundredth of the time of a scan.
"""

import asyncio
import json
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from intelforge.core.index_reports import Candidate, Tuning
from intelforge.index.protocol import Vectors

if TYPE_CHECKING:
    import pyarrow as pa
    from lancedb.query import AsyncVectorQuery
    from lancedb.table import AsyncTable

ANN_FROM = 50_000
"""vectors from which on an approximate index pays; below, a scan of all is exact and as fast"""
QUANTISED, WHOLE, SCAN = "IVF_RQ", "IVF_FLAT", "scan"
QUANTISED_DIMENSIONS = 128
"""from so many on one bit of each is enough to find candidates by; their number must divide by eight"""
PARTITION_ROWS = 4000
"""vectors of a partition: bits are read so fast that more partitions save little, and making them costs their square"""
TRAINED_WITH = 64
"""vectors for each partition, to find the centres by"""
ITERATIONS = 15
"""of that at most; with four times the vectors and three times the rounds it takes thrice as long, for equal recall"""
OUTGROWN = 4
"""times the vectors there were when the partitions were made: then they are made anew"""
REMEASURED = 1.5
"""times the vectors there were when the recall was measured: then it is measured again"""

SAMPLE = 100
"""queries"""
MIXED = 4
"""stored vectors whose mean is a query: like a question it lies between texts, its nearest spread over many partitions.
Of what was tried (noise, differences, means) this came nearest to what real questions need."""
RECALL_AT = 10
CANDIDATES = 100
"""asked for by each measured search, as a hybrid search does"""
TARGET = 0.99
"""recall on the sample; real questions came out up to .015 below it"""
SHARES = (1 / 64, 1 / 32, 3 / 64, 1 / 16, 3 / 32, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 3 / 4)
"""of the partitions, tried in turn; all of them are tried first"""
REFINED = (300, 500, 1000)
"""vectors compared exactly, tried in turn"""
SCANNED = 5
"""queries that are timed on a scan of all"""
SEED = 7

_KEY = "intelforge.tuning"
_COLUMN = "vector"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What is kept with a table."""

    kind: str
    partitions: int
    built_rows: int
    """vectors when the partitions were made"""
    probes: int
    refine: int
    recall: float
    milliseconds: float
    sample: int
    measured_rows: int
    measured_at: str

    def applied(self, search: "AsyncVectorQuery", *, limit: int, filtered: bool) -> "AsyncVectorQuery":
        """The search with these parameters.

        What a filter admits may lie in any partition: a filtered search reads all of them, skipping what it rejects.
        Lance splits partitions that grow, so there may be more than were made; before there are so many more, all are
        made anew.
        """
        search = search.nprobes(self.partitions * OUTGROWN if filtered else self.probes)
        return search.refine_factor(math.ceil(self.refine / limit)) if self.refine else search


def plan(rows: int, dimensions: int) -> tuple[str, int]:
    """The kind of index for so many vectors, and its number of partitions; a scan has none."""
    if rows < ANN_FROM:
        return SCAN, 0
    quantised = dimensions >= QUANTISED_DIMENSIONS and dimensions % 8 == 0
    return QUANTISED if quantised else WHOLE, rows // PARTITION_ROWS


async def tuned(table: "AsyncTable") -> Tuned | None:
    """What is kept with the table; None before there was anything to measure."""
    kept = ((await table.schema()).field(_COLUMN).metadata or {}).get(_KEY.encode())
    return Tuned(**json.loads(kept)) if kept else None


async def maintain_vectors(table: "AsyncTable") -> None:
    """Makes the index, makes it anew when the vectors have outgrown it, and measures again when there are many more."""
    rows, known = await table.count_rows(), await tuned(table)
    if rows < ANN_FROM:
        return
    if known is None or await _stale(table, known, rows):
        known = await _build(table, rows)
    if rows > REMEASURED * known.measured_rows:
        measured, _ = await _measure(table, known)
        await _keep(table, measured)


async def tuning_of(table: "AsyncTable") -> Tuning:
    """What is in use."""
    rows, known = await table.count_rows(), await tuned(table)
    if known is None or rows < ANN_FROM:
        return await _scanning(table, rows)
    return await _report(table, known, rows, ())


async def tune(table: "AsyncTable", *, apply: bool) -> Tuning:
    """Measures now. With `apply` an index that is missing or outgrown is made first, and what is found is kept."""
    rows, known = await table.count_rows(), await tuned(table)
    if rows < ANN_FROM or (known is None and not apply):
        return await _scanning(table, rows)
    if known is None or (apply and await _stale(table, known, rows)):
        known = await _build(table, rows)
    measured, candidates = await _measure(table, known)
    if apply:
        await _keep(table, measured)
    return await _report(table, measured, rows, candidates)


async def _stale(table: "AsyncTable", known: Tuned, rows: int) -> bool:
    there = any(_COLUMN in entry.columns for entry in await table.list_indices())
    kind, _ = plan(rows, await _dimensions(table))
    return not there or kind != known.kind or rows > OUTGROWN * known.built_rows


async def _build(table: "AsyncTable", rows: int) -> Tuned:
    """Searches go on with the old index, or a scan, until the new one is committed."""
    from lancedb.index import IvfFlat, IvfRq

    kind, partitions = plan(rows, await _dimensions(table))
    made = IvfRq if kind == QUANTISED else IvfFlat
    config = made(
        distance_type="cosine", num_partitions=partitions, sample_rate=TRAINED_WITH, max_iterations=ITERATIONS
    )
    await table.create_index(_COLUMN, config=config)
    unmeasured = Tuned(
        kind=kind,
        partitions=partitions,
        built_rows=rows,
        probes=partitions,
        refine=REFINED[0] if kind == QUANTISED else 0,
        recall=0.0,
        milliseconds=0.0,
        sample=0,
        measured_rows=0,
        measured_at="",
    )
    await _keep(table, unmeasured)
    return unmeasured


async def _keep(table: "AsyncTable", what: Tuned) -> None:
    await table.update_field_metadata({"path": _COLUMN, "metadata": {_KEY: json.dumps(asdict(what))}})


async def _measure(table: "AsyncTable", known: Tuned) -> tuple[Tuned, tuple[Candidate, ...]]:
    """The cheapest parameters that reach the target, else the best; and all that were tried."""
    rows, queries = await table.count_rows(), await _sample(table)
    exact = await _nearest(table, queries)
    known = replace(known, partitions=max(known.partitions, rows // PARTITION_ROWS))  # Lance splits those that grow
    tried: list[tuple[Tuned, Candidate]] = []

    async def reaches(probes: int, refine: int) -> bool:
        now = replace(known, probes=probes, refine=refine)
        tried.append((now, await _tried(table, now, queries, exact)))
        return tried[-1][1].recall >= TARGET

    for refine in REFINED if known.kind == QUANTISED else (0,):
        if await reaches(known.partitions, refine):  # else more must be compared, however much is read
            for probes in sorted({math.ceil(share * known.partitions) for share in SHARES} - {known.partitions}):
                if await reaches(probes, refine):
                    break
            break
    tried.sort(key=lambda one: (one[0].refine, one[0].probes))
    parameters, best = max(tried, key=lambda one: min(one[1].recall, TARGET))
    measured = replace(
        parameters,
        recall=best.recall,
        milliseconds=best.milliseconds,
        sample=len(queries),
        measured_rows=rows,
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return measured, (*(candidate for _, candidate in tried), await _scan(table, queries[:SCANNED]))


async def _sample(table: "AsyncTable") -> Vectors:
    """Queries made of stored vectors, unit length, shape (SAMPLE, dimensions)."""
    chance = np.random.default_rng(SEED)
    rows = await table.count_rows()
    places = chance.choice(rows, size=min(rows, SAMPLE * MIXED), replace=False)
    stored = _matrix(await table.take_offsets(np.sort(places).tolist()).select([_COLUMN]).to_arrow())
    mixed = stored[chance.integers(len(stored), size=(SAMPLE, MIXED))].mean(axis=1)
    return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), np.float32)


async def _nearest(table: "AsyncTable", queries: Vectors) -> list[set[str]]:
    """The ids of the nearest of each query, of one pass over all vectors."""
    scores = np.full((len(queries), RECALL_AT), -np.inf, np.float32)
    ids = np.full((len(queries), RECALL_AT), "", object)
    async for batch in await table.query().select(["id", _COLUMN]).to_batches():
        scores, ids = await asyncio.to_thread(_joined, scores, ids, batch, queries)
    return [set(row) for row in ids]


def _joined(
    scores: Vectors, ids: NDArray[np.object_], batch: "pa.RecordBatch", queries: Vectors
) -> tuple[Vectors, NDArray[np.object_]]:
    """The best so far and those of a batch, of which the best are left."""
    matrix = _matrix(batch)
    found = queries @ (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).T
    names = np.asarray(batch.column("id").to_pylist(), object)
    scores = np.concatenate([scores, found], axis=1)
    ids = np.concatenate([ids, np.broadcast_to(names, found.shape)], axis=1)
    best = np.argpartition(-scores, RECALL_AT - 1, axis=1)[:, :RECALL_AT]
    return np.take_along_axis(scores, best, axis=1), np.take_along_axis(ids, best, axis=1)


async def _tried(table: "AsyncTable", what: Tuned, queries: Vectors, exact: Sequence[set[str]]) -> Candidate:
    shares, seconds = [], []
    for query, nearest in zip(queries, exact, strict=True):
        began = time.perf_counter()
        search = what.applied(_near(table, query), limit=CANDIDATES, filtered=False)
        rows = await search.select(["id", "_distance"]).limit(CANDIDATES).to_list()
        seconds.append(time.perf_counter() - began)
        shares.append(len(nearest & {row["id"] for row in rows[:RECALL_AT]}) / RECALL_AT)
    return Candidate(
        kind=what.kind,
        probes=what.probes,
        refine=what.refine,
        recall=round(statistics.fmean(shares), 4),
        milliseconds=statistics.median(seconds) * 1000,
    )


async def _scan(table: "AsyncTable", queries: Vectors) -> Candidate:
    seconds = []
    for query in queries:
        began = time.perf_counter()
        await _near(table, query).bypass_vector_index().select(["id", "_distance"]).limit(CANDIDATES).to_list()
        seconds.append(time.perf_counter() - began)
    return Candidate(kind=SCAN, recall=1.0, milliseconds=statistics.median(seconds) * 1000)


def _near(table: "AsyncTable", query: Vectors) -> "AsyncVectorQuery":
    return table.query().nearest_to(query.astype(np.float16)).distance_type("cosine")


async def _scanning(table: "AsyncTable", rows: int) -> Tuning:
    dimensions = await _dimensions(table)
    kind, partitions = plan(rows, dimensions)
    scan = await _scan(table, (await _sample(table))[:SCANNED]) if rows else None
    return Tuning(
        rows=rows,
        dimensions=dimensions,
        unindexed=rows,
        recall=1.0,
        milliseconds=scan.milliseconds if scan else None,
        sample=SCANNED if scan else 0,
        candidates=(scan,) if scan else (),
        reason=f"below {ANN_FROM:,} vectors a scan of all is exact and as fast as an index"
        if kind == SCAN
        else f"the next maintenance makes {kind} of {partitions} partitions; until then every vector is read",
    )


async def _report(table: "AsyncTable", known: Tuned, rows: int, candidates: tuple[Candidate, ...]) -> Tuning:
    unindexed = sum(entry.num_unindexed_rows or 0 for entry in await table.list_indices() if _COLUMN in entry.columns)
    dimensions = await _dimensions(table)
    return Tuning(
        rows=rows,
        dimensions=dimensions,
        unindexed=unindexed,
        kind=known.kind,
        partitions=known.partitions,
        probes=known.probes,
        refine=known.refine,
        recall=known.recall if known.sample else None,
        milliseconds=known.milliseconds if known.sample else None,
        sample=known.sample,
        measured_rows=known.measured_rows,
        measured_at=datetime.fromisoformat(known.measured_at) if known.sample else None,
        candidates=candidates,
        reason=_reason(known, dimensions),
    )


def _reason(known: Tuned, dimensions: int) -> str:
    kept = (
        f"{dimensions} dimensions can be searched by one bit each, and the nearest {known.refine} compared exactly"
        if known.kind == QUANTISED
        else f"{dimensions} dimensions are too few, or no multiple of eight, to be searched by one bit each"
    )
    reached = "are the fewest that reach" if known.recall >= TARGET else "come nearest to"
    return f"{kept}; {known.probes} of {known.partitions} partitions {reached} a recall of {TARGET:g} on the sample"


async def _dimensions(table: "AsyncTable") -> int:
    return int((await table.schema()).field(_COLUMN).type.list_size)


def _matrix(rows: Any) -> Vectors:
    """The vectors of a table or batch, shape (n, dimensions)."""
    column = rows.column(_COLUMN)
    flat = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    return np.asarray(flat.flatten().to_numpy(zero_copy_only=False), np.float32).reshape(-1, flat.type.list_size)
