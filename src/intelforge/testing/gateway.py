"""What a gateway is made of, with doubles where a provider, a price list or a nap would be."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2

from intelforge.core.chat import ChatRequest, Message, Role, Tokens
from intelforge.models.endpoint import Endpoint, Limits
from intelforge.models.gateway import Gateway, Options
from intelforge.models.gateway_model import Behaviour, Candidate, GatewayModel, Lent
from intelforge.models.ledger import Ledger, MemoryLedgerStore
from intelforge.models.protocol import LanguageModel, ModelClient, Prices
from intelforge.models.resilience import CircuitBreaker, RetryPolicy
from intelforge.models.structured import Adapted
from intelforge.testing.mock_model import MockModel, Rule

READ_USD = 1e-6
WRITTEN_USD = 2e-6


@dataclass(frozen=True, slots=True)
class FlatPrices:
    """A millionth of a dollar for each token read, two for each written; not known for models named `unpriced`."""

    def cost(self, provider: str, model: str, tokens: Tokens) -> float | None:
        return None if model == "unpriced" else tokens.input * READ_USD + tokens.output * WRITTEN_USD


@dataclass(slots=True, kw_only=True)
class GatewayBench:
    """Builds language models; naps are noted and not slept."""

    client: httpx2.AsyncClient
    store: MemoryLedgerStore
    limits: Limits = field(
        default_factory=lambda: Limits(total=30, first_token=10, token=10, connect=5, max_tokens=100)
    )
    retry: RetryPolicy = field(default_factory=lambda: RetryPolicy(jitter=lambda: 1.0))
    prices: Prices = field(default_factory=FlatPrices)
    lent: Lent = field(default_factory=Lent)
    hedge_seconds: float = 0.0
    timer: Callable[[], float] = time.perf_counter
    naps: list[float] = field(default_factory=list)
    breakers: dict[str, CircuitBreaker] = field(default_factory=dict)

    def chain(
        self, *models: tuple[str, ModelClient | Sequence[Rule]], local: bool = False, routed: str = ""
    ) -> GatewayModel:
        """A chain of models by name, each a client or the rules of a mock. They cost unless they are local.

        With `routed`, a `router:` URL, the router that is lent chooses among them.
        """
        return GatewayModel(
            name=", ".join(name for name, _ in models),
            candidates=tuple(self._candidate(name, client, local) for name, client in models),
            behaviour=Behaviour(
                timeout=self.limits.total,
                retry=self.retry,
                hedge_seconds=self.hedge_seconds,
                timer=self.timer,
                sleep=self._nap,
            ),
            lent=self.lent,
            routed=routed,
        )

    async def open(self, url: str, **environment: str) -> LanguageModel:
        """The model that a URL names, through a gateway."""
        options = Options(limits=self.limits, retry=self.retry, hedge_seconds=self.hedge_seconds, probe_timeout=30)
        gateway = Gateway(
            client=self.client,
            ledger=Ledger(self.store),
            options=options,
            prices=self.prices,
            lent=self.lent,
            environment=environment,
        )
        model = await gateway.model(url)
        if not isinstance(model, GatewayModel):
            raise LookupError(url)
        return replace(model, behaviour=replace(model.behaviour, sleep=self._nap))

    def _candidate(self, name: str, client: ModelClient | Sequence[Rule], local: bool) -> Candidate:
        provider, _, model = name.partition(":")
        endpoint = Endpoint(
            name=name,
            provider=provider,
            model=model,
            local=local,
            client=MockModel(client) if isinstance(client, Sequence) else client,
            ledger=Ledger(self.store),
            prices=self.prices,
            limits=self.limits,
            timer=self.timer,
        )
        breaker = self.breakers.setdefault(name, CircuitBreaker(name=name))
        return Candidate(name, Adapted(endpoint, self.lent.profiles), breaker)

    async def _nap(self, seconds: float) -> None:
        self.naps.append(seconds)


def ask(text: str = "What?", **fields: Any) -> ChatRequest:
    """A request of one turn."""
    return ChatRequest(messages=(Message.of(Role.USER, text),), **fields)
