"""The embedding cache: what it keeps, what it lets go, and that nothing that happens to its file is an error."""

import asyncio
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from intelforge.core import cache_file
from intelforge.index.embedders import cache as module
from intelforge.index.embedders.cache import CacheCounts, EmbeddingCache, cache_key
from intelforge.index.protocol import TextKind, Vectors

DIMENSIONS = 64


def key(number: int) -> bytes:
    return cache_key("model", TextKind.DOCUMENT, str(number))


def vector(number: int) -> Vectors:
    return np.random.default_rng(number).normal(size=DIMENSIONS).astype(np.float32)


def some(*numbers: int) -> dict[bytes, Vectors]:
    return {key(number): vector(number) for number in numbers}


async def held(cache: EmbeddingCache, *numbers: int) -> list[int]:
    """The numbers whose vectors are there, each one the vector that was put."""
    found = await cache.get([key(number) for number in numbers])
    here = [number for number in numbers if key(number) in found]
    assert all(np.array_equal(found[key(number)], vector(number)) for number in here)
    return here


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "embeddings.db"


async def test_what_was_put_is_found_to_the_bit_and_counted(path: Path) -> None:
    cache = EmbeddingCache(path)
    assert await held(cache, 1, 2) == []
    assert not path.exists()
    await cache.put(some(1, 2))
    assert await held(cache, 1, 2, 3) == [1, 2]
    assert cache.counts == CacheCounts(hits=2, misses=3)
    await cache.close()


async def test_it_outlives_the_process_that_filled_it(path: Path) -> None:
    first = EmbeddingCache(path)
    await first.put(some(*range(1200)))
    await first.close()
    second = EmbeddingCache(path)
    assert await held(second, *range(1300)) == list(range(1200))
    assert second.counts == CacheCounts(hits=1200, misses=100)
    await second.close()


async def test_memory_answers_without_the_file_and_keeps_to_its_size(path: Path) -> None:
    size = DIMENSIONS * 4
    cache = EmbeddingCache(path, memory_bytes=3 * size)
    await cache.put(some(1, 2, 3))
    await held(cache, 1)
    await cache.put(some(4))
    await cache.close()
    path.unlink()
    assert await held(cache, 1, 2, 3, 4) == [1, 3, 4]


async def test_a_closed_cache_is_opened_again_when_needed(path: Path) -> None:
    cache = EmbeddingCache(path, memory_bytes=0)
    await cache.put(some(1))
    await cache.close()
    await cache.close()
    assert await held(cache, 1) == [1]
    await cache.close()


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as opened:
        return int(opened.execute("SELECT count(*) FROM vectors").fetchone()[0])


async def test_a_full_file_lets_go_what_was_longest_unused(path: Path) -> None:
    now = 0.0
    cache = EmbeddingCache(path, memory_bytes=0, disk_bytes=200_000, clock=lambda: now)
    await cache.put(some(*range(200)))
    now = module.STALE_SECONDS * 2
    assert len(await held(cache, *range(50))) == 50
    before, last = 0, 200
    while rows(path) > before:
        before, last = rows(path), last + 20
        await cache.put(some(*range(last, last + 20)))
    left = await held(cache, *range(last + 20))
    assert [number for number in left if not 50 <= number < 200] == [*range(50), *range(220, last + 20)]
    assert len(left) < last
    await cache.close()
    assert path.stat().st_size < 220_000


async def test_vectors_larger_than_the_whole_file_do_no_harm(path: Path) -> None:
    cache = EmbeddingCache(path, disk_bytes=1)
    await cache.put(some(1))
    assert await held(cache, 1) == [1]
    await cache.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"not a database at all" * 300,
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:4096] + bytes(len(data) - 4096),
        lambda data: data[:100] + b"\xff" * (len(data) - 100),
    ],
    ids=["other", "empty", "half", "zeroes", "ones"],
)
async def test_a_damaged_file_is_begun_again(path: Path, damage: object) -> None:
    cache = EmbeddingCache(path)
    await cache.put(some(*range(500)))
    await cache.close()
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    again = EmbeddingCache(path, memory_bytes=0)
    await held(again, *range(500))
    await again.put(some(*range(1000, 1500)))
    assert await held(again, *range(1000, 1500)) == list(range(1000, 1500))
    await again.close()
    with closing(sqlite3.connect(path)) as opened:
        assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("blob", [b"", b"abc", b"\0" * 260, "text", None], ids=["none", "odd", "sum", "text", "null"])
async def test_a_damaged_vector_is_a_miss(path: Path, blob: object) -> None:
    cache = EmbeddingCache(path, memory_bytes=0)
    await cache.put(some(1, 2))
    with closing(sqlite3.connect(path)) as opened, opened:
        opened.execute("UPDATE vectors SET vector = coalesce(?, x'00') WHERE key = ?", (blob, key(1)))
    assert await held(cache, 1, 2) == [2]
    await cache.close()


async def test_a_table_of_another_version_is_no_error(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as opened:
        opened.execute("CREATE TABLE vectors (other TEXT)")
    cache = EmbeddingCache(path)
    await cache.put(some(1))
    assert await held(cache, 1, 2) == [1]
    await cache.close()


async def test_without_a_place_on_disk_memory_serves(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = EmbeddingCache(tmp_path / "file" / "embeddings.db")
    await cache.put(some(1))
    assert await held(cache, 1, 2) == [1]
    await cache.close()


async def test_a_file_that_another_process_keeps_locked_is_done_without(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_file, "BUSY_SECONDS", 0.01)
    cache = EmbeddingCache(path, memory_bytes=0)
    await cache.put(some(1))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await cache.put(some(2))
        assert await held(cache, 1, 2) == [1]
        other.execute("ROLLBACK")
    await cache.put(some(2))
    assert await held(cache, 1, 2) == [1, 2]
    await cache.close()


async def test_a_caller_that_is_cancelled_leaves_it_whole(path: Path) -> None:
    cache = EmbeddingCache(path, memory_bytes=0)
    tasks = [asyncio.create_task(cache.put(some(*range(at, at + 50)))) for at in range(0, 1000, 50)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(await held(cache, *range(1000))) >= 500
    await cache.put(some(2000))
    assert await held(cache, 2000) == [2000]
    await cache.close()


WRITER = """
import asyncio, sys
from pathlib import Path
import numpy as np
from intelforge.index.embedders.cache import EmbeddingCache, cache_key
from intelforge.index.protocol import TextKind

async def main(path, first):
    cache = EmbeddingCache(path, memory_bytes=0)
    for number in range(first, first + 300):
        key = cache_key("model", TextKind.DOCUMENT, str(number))
        vector = np.random.default_rng(number).normal(size=64).astype(np.float32)
        await cache.put({key: vector})
        assert key in await cache.get([key])
    await cache.close()

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


async def test_two_processes_may_use_it_at_once(path: Path) -> None:
    """They share the numbers from 150 to 299."""
    writers = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, str(path), first) for first in ("0", "150")
    ]
    assert await asyncio.wait_for(asyncio.gather(*(writer.wait() for writer in writers)), 120) == [0, 0]
    cache = EmbeddingCache(path)
    assert await held(cache, *range(450)) == list(range(450))
    await cache.close()


def test_keys_tell_model_kind_and_text_apart() -> None:
    keys = {
        cache_key(name, kind, text)
        for name, text in (("a", "b"), ("ab", ""), ("", "ab"), ("a", "\ud800"), ("a", "?"))
        for kind in TextKind
    }
    assert len(keys) == 10
