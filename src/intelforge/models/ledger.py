"""The ledger of model calls: each one reserves its worst-case cost before it is made and is settled after it."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal, Protocol

from intelforge.core.chat import Accounting, Tokens
from intelforge.core.clock import Clock, NewId, new_id, utc_now
from intelforge.core.errors import ErrorCode, IntelForgeError
from intelforge.core.money import dollars, known_usd, nano_of

Kind = Literal["chat", "completion", "embedding", "reranking", "image"]

LONGEST_NAME: Final = 255
LONGEST_PURPOSE: Final = 64
MOST_TOKENS: Final = 2**31 - 1


class CallState(StrEnum):
    """`reserved` calls are under way, or their process died and nobody has noticed yet."""

    RESERVED = "reserved"
    SETTLED = "settled"
    FAILED = "failed"
    CRASHED = "crashed"
    """its process died: its reservation is taken as spent"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """One row of the ledger."""

    id: str
    model: str
    """`provider:name`"""
    kind: Kind = "chat"
    purpose: str
    user: str = ""
    team: str = ""
    run: str = ""
    local: bool = False
    """costs nothing"""
    state: CallState
    at: datetime
    """when it was reserved"""
    reserved_usd: float = 0.0
    """the most that the call can cost"""
    priced: bool = True
    """False when its price is not known, and with that the most it can cost"""
    cost_usd: float | None = None
    """US dollars; None until settled, and when it is not known: then the reservation is charged"""
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    thinking_tokens: int = 0
    seconds: float = 0.0
    first_token_seconds: float | None = None
    error: str = ""
    """an ErrorCode value when failed"""

    @property
    def provider(self) -> str:
        return self.model.partition(":")[0]

    @property
    def charged_usd(self) -> float:
        """US dollars that budgets count it as."""
        return self.reserved_usd if self.cost_usd is None else self.cost_usd


class LedgerStore(Protocol):
    """Where the rows are kept. What is reserved is durable on return."""

    async def reserve(self, call: ModelCall) -> Sequence[str]:
        """Adds a row before its call is made; raises BudgetError to refuse the call. Gives what the caller should know.

        A local call may be left out until it is settled: nothing is at stake.
        """
        ...

    async def settle(self, call: ModelCall) -> Sequence[str]:
        """Replaces the row with the same id by its settled or failed state. Gives what the caller should know."""
        ...


class MemoryLedgerStore:
    """Keeps the rows of one process, in the order of reservation."""

    def __init__(self) -> None:
        self._calls: dict[str, ModelCall] = {}

    @property
    def calls(self) -> tuple[ModelCall, ...]:
        return tuple(self._calls.values())

    async def reserve(self, call: ModelCall) -> Sequence[str]:
        self._calls[call.id] = call
        return ()

    async def settle(self, call: ModelCall) -> Sequence[str]:
        self._calls[call.id] = call
        return ()


@dataclass(slots=True)
class Usage:
    """What a call took, filled in while it is open. A call that fails after its reply has still cost its tokens."""

    tokens: Tokens = field(default_factory=Tokens)
    cost_usd: float | None = None
    """left at None when it is not known: the reservation is then charged"""
    first_token_seconds: float | None = None
    notes: list[str] = field(default_factory=list)
    """what the caller should know of its budgets: on entry, and some more on exit"""

    @property
    def input_tokens(self) -> int:
        return self.tokens.input

    @input_tokens.setter
    def input_tokens(self, number: int) -> None:
        self.tokens = replace(self.tokens, input=number)

    @property
    def output_tokens(self) -> int:
        return self.tokens.output

    @output_tokens.setter
    def output_tokens(self, number: int) -> None:
        self.tokens = replace(self.tokens, output=number)


@dataclass(frozen=True, slots=True)
class Ledger:
    """Enters calls in a store."""

    store: LedgerStore
    clock: Clock = utc_now
    new_id: NewId = new_id
    timer: Callable[[], float] = time.perf_counter

    @asynccontextmanager
    async def call(
        self,
        model: str,
        *,
        accounting: Accounting,
        kind: Kind = "chat",
        reserve_usd: float | None,
        local: bool = False,
    ) -> AsyncIterator[Usage]:
        """Reserves on entry; settles on exit, or marks the row failed when the call raises or is cancelled.

        `reserve_usd` is the most that the call can cost, or None when its price is not known. What the usage it gives
        says in the end is charged; a cost that was not filled in, and one of nothing at all for a paid call that
        went well, is not known, and the reservation is charged. Raises BudgetError when a hard budget has no room.
        """
        row = self._opened(model, accounting, kind, 0.0 if local else reserve_usd, local)
        usage = Usage()
        usage.notes.extend(await self.store.reserve(row))
        began, error = self.timer(), ""
        try:
            yield usage
        except BaseException as failure:
            error = _code(failure)
            raise
        finally:
            done = _closed(row, usage, error=error, seconds=self.timer() - began)
            usage.notes.extend(_overrun(done))
            usage.notes.extend(await self.store.settle(done))

    def _opened(
        self, model: str, accounting: Accounting, kind: Kind, reserve_usd: float | None, local: bool
    ) -> ModelCall:
        return ModelCall(
            id=self.new_id(),
            model=_name(model),
            kind=kind,
            purpose=_name(accounting.purpose)[:LONGEST_PURPOSE],
            user=_name(accounting.user),
            team=_name(accounting.team),
            run=_name(accounting.run),
            local=local,
            state=CallState.RESERVED,
            at=self.clock(),
            reserved_usd=known_usd(reserve_usd) or 0.0,
            priced=known_usd(reserve_usd) is not None,
        )


def _closed(row: ModelCall, usage: Usage, *, error: str, seconds: float) -> ModelCall:
    tokens = usage.tokens
    cost = 0.0 if row.local else known_usd(usage.cost_usd)
    if not error and row.reserved_usd and cost == 0.0 and tokens == Tokens():
        cost = None
    return replace(
        row,
        state=CallState.FAILED if error else CallState.SETTLED,
        cost_usd=cost,
        input_tokens=_count(tokens.input),
        output_tokens=_count(tokens.output),
        cache_read_tokens=_count(tokens.cache_read),
        cache_write_tokens=_count(tokens.cache_write),
        thinking_tokens=_count(tokens.thinking),
        seconds=seconds,
        first_token_seconds=usage.first_token_seconds,
        error=error,
    )


def _overrun(call: ModelCall) -> Sequence[str]:
    if call.cost_usd is None or not call.priced or nano_of(call.cost_usd) <= nano_of(call.reserved_usd):
        return ()
    spent, reserved = dollars(call.cost_usd), dollars(call.reserved_usd)
    return (f"the call of {call.model} cost {spent}, more than the {reserved} that were reserved for it",)


def _name(text: str) -> str:
    """As every database takes it."""
    return text.replace("\0", "").encode(errors="replace").decode()[:LONGEST_NAME]


def _count(tokens: int) -> int:
    return min(max(tokens, 0), MOST_TOKENS)


def _code(failure: BaseException) -> str:
    if isinstance(failure, IntelForgeError):
        return failure.error_code.value
    return ErrorCode.INTERNAL.value if isinstance(failure, Exception) else ErrorCode.INTERRUPTED.value
