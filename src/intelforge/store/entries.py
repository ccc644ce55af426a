"""What is entered in the ledger: a call that is to be made, one that was made, or both at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from intelforge.core.errors import BudgetError


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A call that is to be made."""

    row: Mapping[str, Any]
    """as in the table, but for the counters that hold it"""
    priced: bool
    """whether its reservation is the most it can cost"""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A call that cost nothing and was not reserved."""

    row: Mapping[str, Any]


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
