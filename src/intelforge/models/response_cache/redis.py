"""Replies in Redis, for several machines: redis://HOST:6379/0. Its client is the extra `redis`.

Under one prefix: each reply a string that expires, one sorted set of keys by last use, one hash of their sizes with the
total, and for each frame a hash of its questions. What is more than one command is a script, which Redis runs whole.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import redis.asyncio as client
from redis.exceptions import RedisError

from intelforge.core.url_secrets import without_secrets
from intelforge.models.response_cache.protocol import Question

Result = TypeVar("Result")

PREFIX: Final = "intelforge:replies:1:"
SIZE_BYTES: Final = 256 << 20
LIFE_SECONDS: Final = 7 * 86_400.0
QUESTIONS: Final = 500
TIMEOUT: Final = 1.0
"""seconds: a cache that is slower than that is none"""
_KEY: Final = 32
_SIZE: Final = 4

_PUT: Final = """
local used, sizes, prefix = KEYS[1], KEYS[2], ARGV[1]
local function forget(key)
  redis.call('DEL', prefix .. 'r:' .. key)
  redis.call('ZREM', used, key)
  local size = redis.call('HGET', sizes, key)
  if size then redis.call('HDEL', sizes, key); redis.call('HINCRBY', sizes, 'total', -tonumber(size)) end
end
local key, value, life, now, most = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
forget(key)
redis.call('SET', prefix .. 'r:' .. key, value, 'PX', life)
redis.call('ZADD', used, now, key)
redis.call('HSET', sizes, key, #value)
local total = redis.call('HINCRBY', sizes, 'total', #value)
while total > most do
  local oldest = redis.call('ZRANGE', used, 0, 0)[1]
  if not oldest then break end
  forget(oldest)
  total = tonumber(redis.call('HGET', sizes, 'total'))
end
if ARGV[7] ~= '' then
  local frame = prefix .. 'q:' .. ARGV[7]
  redis.call('HSET', frame, key, ARGV[8])
  redis.call('PEXPIRE', frame, life)
  if redis.call('HLEN', frame) > tonumber(ARGV[9]) then
    for _, old in ipairs(redis.call('HKEYS', frame)) do
      if redis.call('EXISTS', prefix .. 'r:' .. old) == 0 then redis.call('HDEL', frame, old) end
    end
    local keys = redis.call('HKEYS', frame)
    for place = 1, #keys - tonumber(ARGV[9]) do redis.call('HDEL', frame, keys[place]) end
  end
end
return total
"""


class RedisReplies:
    """Replies in Redis. A server that is gone costs `TIMEOUT`, and is told by `trouble`."""

    def __init__(
        self,
        url: str,
        *,
        life: float = LIFE_SECONDS,
        size: int = SIZE_BYTES,
        prefix: str = PREFIX,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`life` is in seconds and `size` in bytes."""
        self._shown = without_secrets(url)
        self._client: Any = client.Redis.from_url(
            url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, retry=None, decode_responses=False
        )
        self._put: Any = self._client.register_script(_PUT)
        self._life = max(1, round(life * 1000))
        self._size = size
        self._prefix = prefix
        self._clock = clock
        self.trouble = ""

    async def get(self, key: bytes) -> bytes | None:
        async def get() -> bytes | None:
            value = await self._client.get(self._name("r:", key))
            if value is not None:
                await self._client.zadd(f"{self._prefix}used", {key.hex(): self._clock()}, xx=True)
            return value if isinstance(value, bytes) else None

        return await self._tried(get, None)

    async def put(self, key: bytes, value: bytes, *, question: Question | None = None, frame: bytes = b"") -> None:
        async def put() -> None:
            asked = _packed(question) if question else b""
            await self._put(
                keys=[f"{self._prefix}used", f"{self._prefix}sizes"],
                args=[
                    self._prefix,
                    key.hex(),
                    value,
                    self._life,
                    self._clock(),
                    self._size,
                    frame.hex() if question else "",
                    asked,
                    QUESTIONS,
                ],
            )

        await self._tried(put, None)

    async def questions(self, frame: bytes) -> Sequence[Question]:
        async def questions() -> Sequence[Question]:
            found = await self._client.hgetall(self._name("q:", frame))
            return [_unpacked(bytes.fromhex(key.decode()), value) for key, value in found.items()]

        return await self._tried(questions, [])

    async def clear(self) -> int:
        async def clear() -> int:
            replies = 0
            async for name in self._client.scan_iter(match=f"{self._prefix}*", count=500):
                replies += name.startswith(f"{self._prefix}r:".encode()) and await self._client.unlink(name)
                await self._client.unlink(name)
            return replies

        return await self._tried(clear, 0)

    async def count(self) -> int:
        async def count() -> int:
            return sum([1 async for _ in self._client.scan_iter(match=f"{self._prefix}r:*", count=500)])

        return await self._tried(count, 0)

    async def close(self) -> None:
        await self._client.aclose()

    def _name(self, kind: str, key: bytes) -> str:
        return f"{self._prefix}{kind}{key.hex()}"

    async def _tried(self, act: Callable[[], Awaitable[Result]], otherwise: Result) -> Result:
        try:
            result = await act()
        except (RedisError, OSError, TimeoutError, ValueError) as error:
            self.trouble = f"the response cache at {self._shown} cannot be used: {type(error).__name__}"
            return otherwise
        self.trouble = ""
        return result


def _packed(question: Question) -> bytes:
    text = question.text.encode("utf-8", "surrogatepass")
    return len(text).to_bytes(_SIZE, "big") + text + question.vector


def _unpacked(key: bytes, data: bytes) -> Question:
    end = _SIZE + int.from_bytes(data[:_SIZE], "big")
    return Question(key=key, text=data[_SIZE:end].decode("utf-8", "surrogatepass"), vector=data[end:])
