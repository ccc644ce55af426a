"""The ledger of model calls: each one is reserved before it is made and settled or failed after it."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from intelforge.core.clock import Clock, NewId, new_id, utc_now
from intelforge.core.errors import ErrorCode, IntelForgeError


class CallState(StrEnum):
    """`reserved` calls are under way, or their process died: their cost is taken as spent until settled."""

    RESERVED = "reserved"
    SETTLED = "settled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """One row of the ledger."""

    id: str
    model: str
    purpose: str
    state: CallState
    at: datetime
    """when it was reserved"""
    reserved_usd: float = 0.0
    """the most that the call was expected to cost"""
    cost_usd: float | None = None
    """US dollars; None until settled, and when the price is not known"""
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    error: str = ""
    """an ErrorCode value when failed"""


class LedgerStore(Protocol):
    """Where the rows are kept. Both writes are durable on return."""

    async def reserve(self, call: ModelCall) -> None:
        """Adds a row before its call is made; raises IntelForgeError to refuse the call."""
        ...

    async def settle(self, call: ModelCall) -> None:
        """Replaces the row with the same id by its settled or failed state."""
        ...


class MemoryLedgerStore:
    """Keeps the rows of one process, in the order of reservation."""

    def __init__(self) -> None:
        self._calls: dict[str, ModelCall] = {}

    @property
    def calls(self) -> tuple[ModelCall, ...]:
        return tuple(self._calls.values())

    async def reserve(self, call: ModelCall) -> None:
        self._calls[call.id] = call

    async def settle(self, call: ModelCall) -> None:
        self._calls[call.id] = call


@dataclass(slots=True)
class Usage:
    """What a call took, filled in while it is open. A call that fails after its reply has still cost its tokens."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """Enters calls in a store."""

    store: LedgerStore
    clock: Clock = utc_now
    new_id: NewId = new_id
    timer: Callable[[], float] = time.perf_counter

    @asynccontextmanager
    async def call(self, model: str, *, purpose: str, reserve_usd: float = 0.0) -> AsyncIterator[Usage]:
        """Reserves on entry; settles on exit, or marks the row failed when the call raises or is cancelled."""
        row = ModelCall(
            id=self.new_id(),
            model=model,
            purpose=purpose,
            state=CallState.RESERVED,
            at=self.clock(),
            reserved_usd=reserve_usd,
        )
        await self.store.reserve(row)
        began, usage, error = self.timer(), Usage(), ""
        try:
            yield usage
        except BaseException as failure:
            error = _code(failure)
            raise
        finally:
            done = replace(
                row,
                state=CallState.FAILED if error else CallState.SETTLED,
                cost_usd=usage.cost_usd,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                seconds=self.timer() - began,
                error=error,
            )
            await self.store.settle(done)


def _code(failure: BaseException) -> str:
    if isinstance(failure, IntelForgeError):
        return failure.error_code.value
    return ErrorCode.INTERNAL.value if isinstance(failure, Exception) else ErrorCode.INTERRUPTED.value
