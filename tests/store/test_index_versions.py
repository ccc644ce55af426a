from datetime import datetime
from typing import Protocol

import pytest

from intelforge.core.errors import BusyError
from intelforge.core.index_reports import BuildReason, IndexState
from intelforge.store.database import Database
from intelforge.store.index_versions import IndexVersions
from intelforge.store.standings import Standings


class Clock(Protocol):
    def __call__(self) -> datetime: ...


@pytest.fixture
def versions(database: Database, clock: Clock) -> IndexVersions:
    return IndexVersions(database, clock=clock)


async def states(versions: IndexVersions) -> list[tuple[int, str]]:
    return [(one.number, one.state.value) for one in await versions.all()]


async def test_the_first_version_is_live_at_once_and_made_once(versions: IndexVersions) -> None:
    first = await versions.first(url="lancedb:index", embedder="none:")
    assert (first.number, first.state, first.reason, first.model) == (1, IndexState.LIVE, BuildReason.FIRST, "")
    assert await versions.first(url="faiss:other", embedder="x:y") == first
    assert await versions.in_state(IndexState.BUILDING) is None


async def test_a_built_version_takes_the_place_of_the_live_one(versions: IndexVersions) -> None:
    first = await versions.first(url="lancedb:index", embedder="a:")
    second = await versions.begin(url="faiss:other", embedder="b:", model="b", reason=BuildReason.SETTINGS)
    assert (second.number, second.live_at) == (2, None)
    assert await versions.in_state(IndexState.LIVE) == first
    live = await versions.go_live(2)
    assert live.live_at is not None
    assert live.live_at > second.created_at
    assert await states(versions) == [(1, "previous"), (2, "live")]


async def test_only_one_version_is_kept_to_go_back_to(versions: IndexVersions) -> None:
    await versions.first(url="u", embedder="e")
    for number in (2, 3):
        await versions.begin(url="u", embedder="e", model="m", reason=BuildReason.REBUILD)
        await versions.go_live(number)
    assert await states(versions) == [(1, "retired"), (2, "previous"), (3, "live")]
    await versions.go_live(2)
    assert await states(versions) == [(1, "retired"), (2, "live"), (3, "previous")]


async def test_numbers_are_not_used_again_while_anything_has_them(versions: IndexVersions, database: Database) -> None:
    await versions.first(url="u", embedder="e")
    await versions.begin(url="u", embedder="e", model="m", reason=BuildReason.REBUILD)
    await versions.retire(2)
    third = await versions.begin(url="u", embedder="e", model="m", reason=BuildReason.REBUILD)
    assert third.number == 3
    await versions.forget(2)
    assert await states(versions) == [(1, "live"), (3, "building")]
    assert await Standings(database, 2).all() == {}


async def test_the_version_before_can_be_gone_on_with(versions: IndexVersions) -> None:
    await versions.first(url="u", embedder="e")
    await versions.begin(url="u", embedder="f", model="f", reason=BuildReason.MIGRATION)
    await versions.go_live(2)
    resumed = await versions.resume(1)
    assert (resumed.state, resumed.reason) == (IndexState.BUILDING, BuildReason.SETTINGS)
    await versions.set_embedder(1, embedder="e2", model="m2")
    found = await versions.in_state(IndexState.BUILDING)
    assert found
    assert (found.embedder, found.model) == ("e2", "m2")


async def test_only_one_version_is_built_at_a_time(versions: IndexVersions) -> None:
    await versions.first(url="u", embedder="e")
    await versions.begin(url="u", embedder="e", model="m", reason=BuildReason.REBUILD)
    with pytest.raises(BusyError, match="began to build"):
        await versions.begin(url="v", embedder="e", model="m", reason=BuildReason.SETTINGS)
    assert await states(versions) == [(1, "live"), (2, "building")]
