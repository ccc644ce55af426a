"""What every store of replies holds to."""

import asyncio
import importlib.util
from pathlib import Path

import pytest

from intelforge.models.response_cache.disk import DiskReplies
from intelforge.models.response_cache.protocol import Question
from intelforge.testing.reply_store import Clock, OpenStore


def question(key: bytes, text: str = "what?") -> Question:
    return Question(key=key, text=text, vector=b"\0\0\x80?")


async def test_what_was_put_is_there_for_all_who_open_it(open_store: OpenStore) -> None:
    first, second = open_store(), open_store()
    assert await first.get(b"key") is None
    await first.put(b"key", b"value")
    assert await first.get(b"key") == b"value"
    assert await second.get(b"key") == b"value"
    assert await second.count() == 1
    assert not first.trouble


async def test_a_value_is_replaced(open_store: OpenStore) -> None:
    store = open_store()
    await store.put(b"key", b"one")
    await store.put(b"key", b"two")
    assert await store.get(b"key") == b"two"
    assert await store.count() == 1


async def test_the_longest_unused_go_when_there_is_no_room(open_store: OpenStore, clock: Clock) -> None:
    store = open_store(size=120_000)
    for number in range(10):
        clock.now += 100
        await store.put(bytes([number]), bytes(20_000))
        clock.now += 100
        if number < 5:
            assert await store.get(bytes([0])) is not None
    kept = [number for number in range(10) if await store.get(bytes([number])) is not None]
    assert 9 in kept
    assert 0 in kept or 1 not in kept
    assert 1 not in kept
    assert 1 <= len(kept) <= 6


async def test_what_is_larger_than_the_whole_store_is_not_kept(open_store: OpenStore) -> None:
    store = open_store(size=50_000)
    await store.put(b"large", bytes(200_000))
    assert await store.get(b"large") is None
    assert not store.trouble


async def test_questions_are_found_by_their_frame(open_store: OpenStore) -> None:
    store = open_store()
    await store.put(b"1", b"one", question=question(b"1", "wörter?"), frame=b"frame")
    await store.put(b"2", b"two", question=question(b"2"), frame=b"other")
    await store.put(b"3", b"three")
    assert list(await store.questions(b"frame")) == [question(b"1", "wörter?")]
    assert list(await store.questions(b"none")) == []


async def test_clearing_forgets_everything_and_says_how_much(open_store: OpenStore) -> None:
    store = open_store()
    for number in range(3):
        await store.put(bytes([number]), b"value", question=question(bytes([number])), frame=b"frame")
    assert await store.clear() == 3
    assert await store.count() == 0
    assert list(await store.questions(b"frame")) == []


async def test_many_may_write_at_once(open_store: OpenStore) -> None:
    stores = [open_store(), open_store()]
    await asyncio.gather(*(stores[number % 2].put(bytes([number]), bytes([number]) * 100) for number in range(40)))
    assert [await stores[0].get(bytes([number])) for number in range(40)] == [
        bytes([number]) * 100 for number in range(40)
    ]


async def test_a_reply_on_disk_lives_as_long_as_it_is_told(tmp_path: Path, clock: Clock) -> None:
    store = DiskReplies(tmp_path / "responses.db", life=60, clock=clock)
    await store.put(b"key", b"value", question=question(b"key"), frame=b"frame")
    clock.now += 59
    assert await store.get(b"key") == b"value"
    clock.now += 1
    assert await store.get(b"key") is None
    assert list(await store.questions(b"frame")) == []
    assert await store.count() == 0
    await store.close()


async def test_a_damaged_file_is_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "responses.db"
    path.write_bytes(b"this is no database" * 1000)
    store = DiskReplies(path)
    await store.put(b"key", b"value")
    assert await store.get(b"key") == b"value"
    assert not store.trouble
    await store.close()


async def test_a_place_that_cannot_be_written_is_told_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = DiskReplies(tmp_path / "file" / "responses.db")
    await store.put(b"key", b"value")
    assert await store.get(b"key") is None
    assert "cannot be used" in store.trouble
    await store.close()


@pytest.mark.skipif(importlib.util.find_spec("redis") is None, reason="needs the extra redis")
class TestRedis:
    async def test_a_server_that_is_gone_is_told_without_its_password(self) -> None:
        from intelforge.models.response_cache.redis import RedisReplies

        store = RedisReplies("redis://me:hush@127.0.0.1:1/0")
        assert await store.get(b"key") is None
        await store.put(b"key", b"value", question=question(b"key"), frame=b"frame")
        assert await store.count() == 0
        assert await store.clear() == 0
        assert list(await store.questions(b"frame")) == []
        assert "127.0.0.1:1" in store.trouble
        assert "hush" not in store.trouble
        await store.close()

    async def test_a_server_that_stalls_costs_no_more_than_the_time_limit(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from intelforge.models.response_cache import redis as module

        monkeypatch.setattr(module, "TIMEOUT", 0.05)
        entered = asyncio.Event()

        async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            entered.set()
            await reader.read()
            writer.close()

        server = await asyncio.start_server(stall, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        store = module.RedisReplies(f"redis://127.0.0.1:{port}/0")
        assert await asyncio.wait_for(store.get(b"key"), 5) is None
        assert entered.is_set()
        assert "cannot be used" in store.trouble
        await store.close()
        server.close()
        await server.wait_closed()

    @pytest.mark.parametrize("open_store", ["redis"], indirect=True)
    async def test_a_reply_in_redis_expires_by_its_own_clock(self, open_store: OpenStore) -> None:
        store = open_store(life=0.001)
        await store.put(b"key", b"value")
        await asyncio.sleep(0.05)  # the server's clock cannot be passed in
        assert await store.get(b"key") is None
