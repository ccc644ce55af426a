"""What is entered in the ledger: a call that is to be made, one that was made, or both at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol, Self

from intelforge.core.errors import BudgetError, ErrorCode
from intelforge.core.money import nano_of

_UNKNOWN: Final = {
    "input_tokens": 0,
    "output_tokens": 0,
    "cache_read_tokens": 0,
    "cache_write_tokens": 0,
    "thinking_tokens": 0,
    "seconds": 0.0,
    "first_token_seconds": None,
}
"""of a call that did not come to its end"""
_TAKEN: Final = (*_UNKNOWN, "state", "error")
_NAMED: Final = ("id", "kind", "model", "provider", "purpose", "user", "team", "run", "at")
_HOUR: Final = 3600


class Call(Protocol):
    """A ledger entry, as `models` has it. Columns of the table that are not here are attributes too, by their names."""

    @property
    def id(self) -> str: ...

    @property
    def at(self) -> datetime: ...

    @property
    def local(self) -> bool: ...

    @property
    def reserved_usd(self) -> float: ...

    @property
    def priced(self) -> bool: ...

    @property
    def cost_usd(self) -> float | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A call that is to be made."""

    row: Mapping[str, Any]
    """as in the table, but for the counters that hold it"""
    priced: bool
    """whether its reservation is the most it can cost"""

    @classmethod
    def of(cls, call: Call, *, owner: str) -> Self:
        return cls(row={**_row(call, owner), "reserved_nano": nano_of(call.reserved_usd)}, priced=call.priced)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """A call that was made, was given up, or whose process died."""

    id: str
    at: datetime
    cost: int | None
    """in nano-dollars; None when it is not known"""
    row: Mapping[str, Any]
    """what changes in the table, but for the money"""
    crashed: bool = False
    tries: int = 0
    """to write it, that failed for no reason known to pass"""

    @classmethod
    def of(cls, call: Call, *, at: datetime) -> Self:
        cost = None if call.cost_usd is None else nano_of(call.cost_usd)
        return cls(id=call.id, at=at, cost=cost, row={name: getattr(call, name) for name in _TAKEN})

    @classmethod
    def of_never_made(cls, call_id: str, *, at: datetime) -> Self:
        return cls(id=call_id, at=at, cost=0, row=_given_up("failed"))

    @classmethod
    def of_crashed(cls, call_id: str, *, at: datetime) -> Self:
        return cls(id=call_id, at=at, cost=None, row=_given_up("crashed"), crashed=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A call that cost nothing and was not reserved."""

    row: Mapping[str, Any]

    @classmethod
    def of(cls, call: Call, *, owner: str) -> Self:
        return cls(row={**_row(call, owner), "reserved_nano": 0, "cost_nano": 0, "held": []})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """How it went."""

    notes: Sequence[str] = ()
    """what the caller should know"""
    near: bool = False
    """whether closing this call may bring one of its budgets to a threshold"""


Entry = Opening | Closing | Whole
Outcome = Entered | BudgetError
"""a BudgetError for a call that is not to be made"""


def _row(call: Call, owner: str) -> dict[str, Any]:
    row = {name: getattr(call, name) for name in (*_NAMED, *_TAKEN)}
    hour = int(call.at.timestamp()) // _HOUR
    return {**row, "owner": owner, "hour": hour, "cost_nano": None, "charged_nano": 0}


def _given_up(state: str) -> Mapping[str, Any]:
    return {**_UNKNOWN, "state": state, "error": ErrorCode.INTERRUPTED.value}
