"""The ledger's side of embedding and reranking: each request is a call like any other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from intelforge.core.accounting import accounting_for
from intelforge.core.chat import Tokens
from intelforge.core.errors import ModelError
from intelforge.models.ledger import Kind, Ledger, Usage
from intelforge.models.prices import ListPrices
from intelforge.models.protocol import Prices

MILLION: Final = 1_000_000
MOST_PER_ESTIMATED: Final = 4
"""tokens: the estimate takes one more than there are times two and a half bytes, a token is at least a byte, and each
text has a few marks"""
KINDS: Final[dict[str, Kind]] = {"embed": "embedding", "rerank": "reranking"}


class RemoteCall(Protocol):
    """A request, as `index` has it."""

    @property
    def purpose(self) -> str: ...

    @property
    def provider(self) -> str: ...

    @property
    def model(self) -> str: ...

    @property
    def tokens(self) -> int:
        """about as many as it will take"""
        ...

    @property
    def local(self) -> bool:
        """costs nothing"""
        ...


@dataclass(frozen=True, slots=True)
class ModelMeter:
    """Enters calls that cost by what they read in the ledger, for whomever the task works that makes them.

    A call that is given up on its way is taken as spent, for its server may have done the work; so is one whose server
    does not say what it read, or says more than was reserved for.
    """

    ledger: Ledger
    prices: Prices = field(default_factory=ListPrices)

    def _per_token(self, provider: str, model: str) -> float | None:
        million = self.prices.cost(provider, model, Tokens(input=MILLION))
        return None if million is None else million / MILLION

    @asynccontextmanager
    async def __call__(self, call: RemoteCall, /) -> AsyncIterator[Usage]:
        """Reserves on entry and settles on exit; `input_tokens` of what it gives are to be filled in."""
        price = 0.0 if call.local else await asyncio.to_thread(self._per_token, call.provider, call.model)
        most = call.tokens * MOST_PER_ESTIMATED
        async with self.ledger.call(
            f"{call.provider}:{call.model}",
            accounting=accounting_for(call.purpose),
            kind=KINDS.get(call.purpose, "embedding"),
            reserve_usd=None if price is None else most * price,
            local=call.local,
        ) as usage:
            free = False
            try:
                yield usage
            except Exception as error:
                free = not (isinstance(error, ModelError) and error.may_cost)
                raise
            finally:
                known = free or (type(usage.input_tokens) is int and 0 < usage.input_tokens <= most)
                usage.cost_usd = usage.input_tokens * price if known and price is not None else None
                usage.input_tokens = usage.input_tokens if known else call.tokens
