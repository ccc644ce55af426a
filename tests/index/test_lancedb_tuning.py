import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intelforge.core.index_reports import Tuning
from intelforge.core.values import Attributes
from intelforge.index import lancedb_tuning
from intelforge.index.lancedb import VECTORS, LanceStore, open_store
from intelforge.index.lancedb_tuning import plan
from intelforge.index.memory import MemoryStore
from intelforge.index.protocol import Filter, Tunable, Vectors

DIMENSIONS = 128
LIMIT = 10
RARE = Filter(any_of=(frozenset({"rare"}),))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index of some hundred vectors, so that the tests are quick."""
    monkeypatch.setattr(lancedb_tuning, "ANN_FROM", 400)
    monkeypatch.setattr(lancedb_tuning, "PARTITION_ROWS", 50)
    monkeypatch.setattr(lancedb_tuning, "SAMPLE", 20)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LanceStore]:
    async with open_store("lancedb:index", root=tmp_path) as opened:
        yield opened


def vectors(number: int, *, dimensions: int = DIMENSIONS, seed: int = 1) -> Vectors:
    """Unit vectors in clouds, as texts of a few subjects give them."""
    chance = np.random.default_rng(seed)
    centers = chance.normal(size=(12, dimensions))
    made = centers[chance.integers(12, size=number)] + chance.normal(size=(number, dimensions))
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


def names(number: int, *, start: int = 0) -> list[str]:
    return [f"d{row}:0" for row in range(start, start + number)]


async def fill(store: LanceStore, number: int, *, start: int = 0, dimensions: int = DIMENSIONS) -> Vectors:
    made = vectors(number, dimensions=dimensions, seed=start + 1)
    about = {f"d{row}": Attributes(labels=frozenset({"rare"} if row % 20 == 0 else {"usual"})) for row in range(9999)}
    await store.add_vectors(names(number, start=start), made, about)
    return made


def index_of(tuning: Tuning) -> tuple[Any, ...]:
    return tuning.kind, tuning.partitions, tuning.measured_rows


@pytest.mark.parametrize(
    ("rows", "dimensions", "expected"),
    [
        (49_999, 384, ("scan", 0)),
        (50_000, 384, ("IVF_RQ", 12)),
        (1_000_000, 384, ("IVF_RQ", 250)),
        (100_000, 64, ("IVF_FLAT", 25)),
        (100_000, 300, ("IVF_FLAT", 25)),
    ],
)
def test_the_index_follows_from_number_and_dimensions(
    rows: int, dimensions: int, expected: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    assert plan(rows, dimensions) == expected


def test_lancedb_can_be_tuned_and_the_reference_cannot(tmp_path: Path) -> None:
    assert isinstance(open_store("lancedb:index", root=tmp_path), Tunable)
    assert not isinstance(MemoryStore(), Tunable)


async def test_without_vectors_there_is_nothing_to_tune(store: LanceStore) -> None:
    for tuning in (await store.tuning(), await store.tune(apply=True)):
        assert (tuning.rows, tuning.kind, tuning.recall, tuning.candidates) == (0, "scan", None, ())


async def test_few_vectors_are_scanned_which_is_exact(store: LanceStore) -> None:
    await fill(store, 100)
    await store.maintain()
    tuning = await store.tune(apply=True)
    assert (tuning.rows, tuning.dimensions, tuning.kind, tuning.recall) == (100, DIMENSIONS, "scan", 1.0)
    assert tuning.milliseconds
    assert "scan" in tuning.reason


@pytest.mark.parametrize(("dimensions", "kind"), [(DIMENSIONS, "IVF_RQ"), (12, "IVF_FLAT")])
async def test_maintenance_makes_an_index_and_measures_it(store: LanceStore, dimensions: int, kind: str) -> None:
    await fill(store, 1000, dimensions=dimensions)
    assert (await store.tuning()).unindexed == 1000
    await store.maintain()
    tuning = await store.tuning()
    assert index_of(tuning) == (kind, 20, 1000)
    assert tuning.recall
    assert tuning.recall >= lancedb_tuning.TARGET
    assert tuning.unindexed == 0
    assert tuning.sample > 0
    assert tuning.measured_at
    assert 0 < tuning.probes <= tuning.partitions


async def test_the_fewest_partitions_that_reach_the_target_are_chosen(store: LanceStore) -> None:
    await fill(store, 1000)
    await store.maintain()
    tuning = await store.tune(apply=False)
    *tried, scan = tuning.candidates
    assert [one.probes for one in tried] == sorted({one.probes for one in tried})
    reached = [one for one in tried if one.recall >= lancedb_tuning.TARGET]
    assert (tuning.probes, tuning.recall) == (reached[0].probes, reached[0].recall)
    assert reached[-1].probes == tuning.partitions
    assert (scan.kind, scan.recall) == ("scan", 1.0)


async def test_more_is_compared_exactly_where_reading_everything_is_not_enough(
    store: LanceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lancedb_tuning, "REFINED", (10, 300))
    monkeypatch.setattr(lancedb_tuning, "CANDIDATES", 10)
    await fill(store, 4000, dimensions=128)
    await store.maintain()
    tuning = await store.tune(apply=False)
    few, *more, _ = tuning.candidates
    assert (few.refine, few.probes) == (10, tuning.partitions)
    assert few.recall < lancedb_tuning.TARGET
    assert {one.refine for one in more} == {tuning.refine} == {300}


async def test_a_dry_run_changes_nothing(store: LanceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(store, 1000)
    await store.maintain()
    before = await store.tuning()
    monkeypatch.setattr(lancedb_tuning, "TARGET", 0.2)
    tried = await store.tune(apply=False)
    assert tried.probes < before.probes
    after = await store.tuning()
    assert (after.probes, after.recall, after.milliseconds) == (before.probes, before.recall, before.milliseconds)
    await store.tune(apply=True)
    assert (await store.tuning()).probes == tried.probes


async def test_a_dry_run_without_an_index_says_what_would_be_made(store: LanceStore) -> None:
    await fill(store, 1000)
    tuning = await store.tune(apply=False)
    assert tuning.kind == "scan"
    assert "IVF_RQ of 20 partitions" in tuning.reason
    assert (await store.tune(apply=True)).kind == "IVF_RQ"


async def test_other_processes_search_with_what_was_chosen(store: LanceStore, tmp_path: Path) -> None:
    made = await fill(store, 1000)
    async with open_store("lancedb:index", root=tmp_path) as other:
        assert (await other.search(made[3], limit=1))[0].chunk_id == "d3:0"
        await store.maintain()
        assert await other.tuning() == await store.tuning()
        assert (await other.search(made[3], limit=1))[0].chunk_id == "d3:0"


async def test_recall_is_measured_again_when_there_are_half_as_many_more(store: LanceStore) -> None:
    for start, number, measured in ((0, 500, 500), (500, 200, 500), (700, 200, 900)):
        await fill(store, number, start=start)
        await store.maintain()
        tuning = await store.tuning()
        assert index_of(tuning) == ("IVF_RQ", measured // 50, measured)
        assert tuning.unindexed == 0


async def test_partitions_are_made_anew_when_outgrown(store: LanceStore) -> None:
    await fill(store, 400)
    await store.maintain()
    assert index_of(await store.tuning()) == ("IVF_RQ", 8, 400)
    await fill(store, 1300, start=400)
    await store.maintain()
    assert index_of(await store.tuning()) == ("IVF_RQ", 34, 1700)


async def test_an_index_of_an_earlier_kind_is_replaced(store: LanceStore) -> None:
    from lancedb.index import IvfFlat

    await fill(store, 1000)
    table = await store._table(VECTORS)
    assert table
    await table.create_index("vector", config=IvfFlat(distance_type="cosine", num_partitions=4))
    await store.maintain()
    assert index_of(await store.tuning()) == ("IVF_RQ", 20, 1000)
    assert [entry.index_type for entry in await table.list_indices() if "vector" in entry.columns] == ["IvfRq"]


async def test_vectors_of_another_size_start_anew(store: LanceStore, tmp_path: Path) -> None:
    await fill(store, 1000)
    await store.maintain()
    await store.delete([f"d{row}" for row in range(1000)])
    async with open_store("lancedb:index", root=tmp_path) as other:
        made = await fill(other, 30, dimensions=16)
        assert (await other.tuning()).kind == "scan"
        assert (await other.search(made[3], limit=1))[0].chunk_id == "d3:0"


async def test_a_filter_costs_no_recall(store: LanceStore) -> None:
    made = await fill(store, 2000)
    await store.maintain()
    assert (await store.tuning()).kind == "IVF_RQ"
    rare = np.arange(0, 2000, 20)
    for query in vectors(10, seed=99):
        expected = {f"d{row}:0" for row in rare[np.argsort(-(made[rare] @ query))[:LIMIT]]}
        found = {hit.chunk_id for hit in await store.search(query, limit=LIMIT, where=RARE)}
        assert len(found & expected) >= LIMIT - 1  # half precision may swap the last two


async def test_searches_go_on_while_the_index_is_maintained(store: LanceStore, tmp_path: Path) -> None:
    made = await fill(store, 2000)
    seconds: list[float] = []
    async with open_store("lancedb:index", root=tmp_path) as other:

        async def ask(number: int) -> None:
            began = time.perf_counter()
            for reader in (store, other):
                assert (await reader.search(made[number], limit=1))[0].chunk_id == f"d{number}:0"
            seconds.append(time.perf_counter() - began)

        for number in range(10):
            await ask(number)
        idle = max(seconds)
        for start in (2000, 12_000):  # makes the index, then makes it anew
            maintaining = asyncio.create_task(store.maintain())
            seconds.clear()
            while not maintaining.done():
                await ask(len(seconds))
            await maintaining
            assert len(seconds) > 1
            assert max(seconds) < max(2.0, 50 * idle)
            await fill(store, 7000 if start == 2000 else 1, start=start)
