"""The contracts of language models: what callers see, what a provider's client does, and what a gateway may be lent."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from intelforge.core.chat import Attempt, ChatRequest, ChatResponse, StreamEvent, Tokens


class LanguageModel(Protocol):
    """Replies to requests. Every attempt is entered in the ledger."""

    @property
    def name(self) -> str:
        """`provider:name`, for example `ollama:qwen3:8b`; several, separated by commas, for a chain."""
        ...

    @property
    def local(self) -> bool:
        """What it is asked stays on this machine: of a chain, whichever of its models is asked."""
        ...

    async def respond(self, request: ChatRequest) -> ChatResponse:
        """The whole reply.

        Raises ModelError with the reason (refused, missing, timed out, unreachable, empty reply), EgressError when
        the way out is closed, and what the ledger raises when the budget is spent.
        """
        ...

    def stream(self, request: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
        """The reply as it comes, and `Done` at its end. Raises as `respond` does, also after a part of the reply.

        A caller that leaves early closes it (`contextlib.aclosing`): then the provider stops and the call is settled.
        """
        ...

    async def complete(
        self,
        prompt: str,
        *,
        instructions: str,
        purpose: str,
        local_only: bool = False,
        principals: Sequence[str] = (),
    ) -> ChatResponse:
        """The reply to a prompt. `purpose` says in one word what the call is for (`answer`), for the ledger.

        `local_only` and `principals` are those of the request.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What a model can do by itself. What it cannot do is done around it."""

    tools: bool = True
    json_schema: bool = True
    """holds to a JSON schema that it is given"""
    images: bool = True


class ModelClient(Protocol):
    """One model at one provider. It has no policy: no retries, no ledger."""

    @property
    def abilities(self) -> Abilities: ...

    def send(self, request: ChatRequest, *, stream: bool, timeout: float) -> AsyncGenerator[StreamEvent, None]:
        """The events of one exchange, the last one `Done`; nothing but that one unless `stream`.

        Only parts, finish reason, notes and tokens of its response are read; tokens that the provider did not tell are
        marked as estimated. Raises ProviderError. Closing the iterator closes the connection.
        """
        ...


@runtime_checkable
class Redacting(Protocol):
    """A ModelClient that compares requests with what was written down without its secrets."""

    def redact_with(self, hide: Callable[[Any], Any]) -> None:
        """Takes what hides the secrets of the workspace in JSON values."""
        ...


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request on its way through the gateway."""

    request: ChatRequest
    stream: bool
    deadline: float
    """on the gateway's timer"""
    attempts: list[Attempt] = field(default_factory=list)
    """those made so far, by whichever model"""


class Responder(Protocol):
    """A model with its ledger, prices and time limits, as the chain asks it."""

    @property
    def name(self) -> str: ...

    @property
    def local(self) -> bool: ...

    @property
    def abilities(self) -> Abilities: ...

    def run(self, exchange: Exchange) -> AsyncGenerator[StreamEvent, None]:
        """The events of a reply. Adds each attempt to the exchange, whatever becomes of it."""
        ...


class Prices(Protocol):
    """What models cost."""

    def cost(self, provider: str, model: str, tokens: Tokens) -> float | None:
        """US dollars; None when the price is not known."""
        ...


class Profiles(Protocol):
    """What models were measured to be able to do."""

    def abilities(self, model: str) -> Abilities | None:
        """Of a model by name; None when it was not measured."""
        ...


class Window(Protocol):
    """Makes requests fit the context windows of models."""

    async def fit(self, request: ChatRequest, *, model: str) -> tuple[ChatRequest, Sequence[str]]:
        """A request that fits, and what the caller should know about it. ModelError (too_large) when none does."""
        ...


class Cache(Protocol):
    """Keeps responses."""

    @property
    def trouble(self) -> str:
        """Why it did nothing when it was last asked; empty when it worked."""
        ...

    async def find(self, request: ChatRequest, *, model: str) -> ChatResponse | None:
        """The response kept for this request to this model, marked as cached and costing nothing."""
        ...

    async def keep(
        self, request: ChatRequest, response: ChatResponse, *, model: str, notes: Sequence[str] = ()
    ) -> None:
        """Keeps a response, and of its notes these, which are true whenever it is given."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """In which order a router would ask its models."""

    order: tuple[str, ...]
    """URLs, best first"""
    decision: Mapping[str, Any]
    """the reason, as JSON"""


class Router(Protocol):
    """Chooses a model for each request, and learns from what became of it."""

    @property
    def trouble(self) -> str:
        """Why it did not learn when it last tried; empty when it did."""
        ...

    def candidates(self, url: str) -> tuple[str, ...]:
        """The URLs of the models that a `router:` URL chooses among."""
        ...

    async def route(self, request: ChatRequest, *, url: str, among: Sequence[str] = ()) -> Route:
        """In which order to ask the models of a `router:` URL, or those of them that are there to be asked.

        Raises InvalidInputError when none of them can take the request.
        """
        ...

    def learn(
        self,
        request: ChatRequest,
        route: Route,
        outcome: ChatResponse | Exception,
        attempts: Sequence[Attempt] = (),
    ) -> None:
        """Takes in what came of a request, and the attempts at it; returns at once, what is to be learned is later."""
        ...
