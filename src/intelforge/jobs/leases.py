"""Holding leases: in this process one holder at a time, across processes by the database."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Self

from intelforge.core.errors import StorageError
from intelforge.store.leases import SECONDS, Leases

POLLING_SECONDS = 0.2
RENEWAL_SECONDS = SECONDS / 3


class NotHeldError(Exception):
    """Whoever waited for a lease was stopped before it was free."""


class LeaseHolder:
    """Holds leases for one workspace and keeps them renewed while it is open."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._renewal: asyncio.Task[None] | None = None

    @property
    def owner(self) -> str:
        return self._leases.owner

    async def __aenter__(self) -> Self:
        self._renewal = asyncio.create_task(self._renew(), name="lease renewal")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._renewal:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)

    @asynccontextmanager
    async def hold(
        self,
        name: str,
        *,
        detail: str = "",
        waiting: Callable[[], None] | None = None,
        stopped: Callable[[], bool] | None = None,
    ) -> AsyncIterator[None]:
        """Holds a lease for the block; waits while another holds it, telling so through `waiting` now and then.

        Raises NotHeldError when `stopped` while waiting.
        """
        async with self._locks[name]:
            while not await self._leases.acquire(name, detail=detail):
                if stopped and stopped():
                    raise NotHeldError(name)
                if waiting:
                    waiting()
                await asyncio.sleep(POLLING_SECONDS)
            try:
                yield
            finally:
                await asyncio.shield(self._leases.release(name))

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEWAL_SECONDS)
            with suppress(StorageError):  # whoever works meets the same error; a passing one must not end renewal
                await self._leases.renew()
