"""A pydantic-ai model behind the LanguageModel contract: entered in the ledger, bounded in time, errors translated."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from pydantic_ai import Agent
from pydantic_ai.exceptions import (
    ModelAuthenticationError,
    ModelConnectionError,
    ModelContextWindowExceededError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelTimeoutError,
    UnexpectedModelBehavior,
    UserError,
)
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage, RunUsage

from intelforge.core.chat import Accounting
from intelforge.core.errors import EgressError, ErrorCode, ModelError
from intelforge.models.ledger import Ledger
from intelforge.models.protocol import Completion

MAX_OUTPUT_TOKENS: Final = 1024
CHARACTERS_PER_TOKEN: Final = 3
"""A low estimate, so that the reservation is not too small."""

_REASONS: Final[tuple[tuple[type[Exception], str, str, ErrorCode], ...]] = (
    (ModelAuthenticationError, "refused the key", "check the key and what it may use", ErrorCode.REFUSED),
    (ModelNotFoundError, "is not there", "check its name, or pull it: ollama pull NAME", ErrorCode.MISSING_MODEL),
    (ModelQuotaExceededError, "has no credit left", "top up the account, or choose another model", ErrorCode.REFUSED),
    (ModelRateLimitError, "is asked too often", "wait a minute, or choose another model", ErrorCode.MODEL_FAILED),
    (ModelContextWindowExceededError, "cannot read so much", "choose a larger context window", ErrorCode.TOO_LARGE),
    (ModelTimeoutError, "took too long to answer", "raise llm_timeout, or choose another", ErrorCode.TIMED_OUT),
    (ModelConnectionError, "cannot be reached", "start it, or check the connection", ErrorCode.UNREACHABLE),
    (UnexpectedModelBehavior, "gave no usable reply", "try again, or choose another", ErrorCode.MODEL_FAILED),
    (UserError, "cannot do what was asked", "choose another model", ErrorCode.MODEL_FAILED),
)
"""What went wrong, by the provider library's error. Its own message is left out: it may repeat a part of the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayModel:
    """A language model of the gateway. No retries are made here: a caller that wants one says so."""

    model: Model[Any]
    name: str
    provider: str
    ledger: Ledger
    timeout: float
    """of one whole call, in seconds"""
    local: bool
    """costs nothing"""

    async def complete(self, prompt: str, *, instructions: str, purpose: str) -> Completion:
        """The reply to a prompt. Raises ModelError, or EgressError when egress refused the connection."""
        most = RequestUsage(
            input_tokens=(len(prompt) + len(instructions)) // CHARACTERS_PER_TOKEN, output_tokens=MAX_OUTPUT_TOKENS
        )
        accounting = Accounting(purpose=purpose)
        async with self.ledger.call(
            self.name, accounting=accounting, reserve_usd=self._price(most), local=self.local
        ) as usage:
            spent = RunUsage()
            try:
                text = await self._reply(prompt, instructions, spent)
            except asyncio.CancelledError:
                # Its server may have done the work.
                spent.input_tokens, spent.output_tokens = most.input_tokens, most.output_tokens
                raise
            finally:
                usage.input_tokens, usage.output_tokens = spent.input_tokens, spent.output_tokens
                usage.cost_usd = self._price(spent)
        return Completion(
            text=text,
            model=self.name,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cost_usd=usage.cost_usd,
        )

    async def _reply(self, prompt: str, instructions: str, spent: RunUsage) -> str:
        settings = ModelSettings(temperature=0.0, max_tokens=MAX_OUTPUT_TOKENS, timeout=self.timeout, max_retries=0)
        agent = Agent(self.model, output_type=str, instructions=instructions, retries=0, model_settings=settings)
        try:
            async with asyncio.timeout(self.timeout):
                text = (await agent.run(prompt, usage=spent)).output.strip()
        except TimeoutError as error:
            raise ModelError(
                f"{self.name} did not answer within {self.timeout:g} s",
                hint="raise llm_timeout, or choose a smaller model",
                code=ErrorCode.TIMED_OUT,
            ) from error
        except Exception as error:  # noqa: BLE001 - the boundary to foreign code: its every error becomes one of ours
            # Without the cause: a traceback of it would show what the provider said, which may repeat the key.
            raise _translated(self.name, error) from None
        if not text:
            raise ModelError(f"{self.name} gave an empty reply", hint="try again, or choose another model")
        return text

    def _price(self, spent: RequestUsage | RunUsage) -> float | None:
        """US dollars by the bundled price list; None when the model is not in it."""
        if self.local:
            return 0.0
        counted = RequestUsage(input_tokens=spent.input_tokens, output_tokens=spent.output_tokens)
        response = ModelResponse(parts=[], usage=counted, model_name=self.model.model_name, provider_name=self.provider)
        try:
            return float(response.cost().total_price)
        except (LookupError, ValueError):
            return None


def _translated(name: str, error: Exception) -> ModelError | EgressError:
    refused = _egress_error(error)
    if refused is not None:
        return refused
    status = f" (HTTP {error.status_code})" if isinstance(error, ModelHTTPError) else ""
    for kind, what, hint, code in _REASONS:
        if isinstance(error, kind):
            return ModelError(f"{name} {what}{status}", hint=hint, code=code)
    return ModelError(f"{name} failed{status}", hint="try again, or choose another model")


def _egress_error(error: BaseException | None) -> EgressError | None:
    """The refusal by egress that the libraries above it have wrapped, if that is what happened."""
    while error is not None:
        if isinstance(error, EgressError):
            return error
        error = error.__cause__ or error.__context__
    return None
