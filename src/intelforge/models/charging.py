"""Where attempts of the gateway meet the ledger: the one place that knows how it is called."""

from contextlib import AbstractAsyncContextManager

from intelforge.models.chat import Accounting, Tokens
from intelforge.models.ledger import Ledger, Usage


def entered(
    ledger: Ledger, model: str, *, accounting: Accounting, reserve_usd: float | None, local: bool
) -> AbstractAsyncContextManager[Usage]:
    """The entry of one attempt, open. `reserve_usd` is None when the price is not known."""
    return ledger.call(model, purpose=accounting.purpose, reserve_usd=0.0 if local else reserve_usd or 0.0)


def charge(usage: Usage, *, tokens: Tokens, cost_usd: float | None, first_token_seconds: float | None) -> None:
    """Fills in what the attempt took, while its entry is open."""
    usage.input_tokens, usage.output_tokens, usage.cost_usd = tokens.input, tokens.output, cost_usd


def notes_of(usage: Usage) -> tuple[str, ...]:
    """What the caller should know of the budgets, once the entry is closed."""
    return ()
