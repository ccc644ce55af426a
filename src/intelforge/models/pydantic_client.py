"""A pydantic-ai model as a `ModelClient`: one exchange, translated both ways."""

import functools
import sys
import warnings
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import httpx2
from pydantic_ai import UsageExtractionFailedWarning
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings, ToolChoice

from intelforge.core.chat import ChatRequest, ChatResponse, Done, Message, Role, StreamEvent
from intelforge.core.errors import IntelForgeError
from intelforge.models.key_binding import SENDING
from intelforge.models.protocol import Abilities
from intelforge.models.pydantic_errors import translated
from intelforge.models.pydantic_messages import (
    events_from,
    finish_from,
    messages_of,
    parameters_of,
    parts_from,
    sendable,
    tokens_from,
)

# Counts that cannot be are dealt with by the endpoint, which tells the caller.
warnings.filterwarnings("ignore", category=UsageExtractionFailedWarning)
# A model that reasons has no temperature: those who ask for 0 want the same reply each time, and it does what it can.
warnings.filterwarnings("ignore", message="Sampling parameters .* not supported", category=UserWarning)


@dataclass(frozen=True, kw_only=True)
class PydanticClient:
    """Asks the model directly, without an agent. The SDK's own retries are off: the gateway makes them."""

    name: str
    model: Model[Any]
    connect: float
    """seconds to connect"""
    key: str = ""
    """the name of the secret that its key is in, for messages"""
    secrets: Callable[[], Collection[str]] = field(default=tuple, repr=False)
    """those that no message may repeat"""
    seed: str = "seed"
    tried_once: bool = False
    """its SDK was made by us: without retries, over a transport that says what it sends"""

    @functools.cached_property
    def abilities(self) -> Abilities:
        profile = self.model.profile
        return Abilities(
            tools=profile.get("supports_tools", True),
            json_schema=profile.get("supports_json_schema_output", False),
            images=profile.get("supports_image_input", True),
        )

    async def send(self, request: ChatRequest, *, stream: bool, timeout: float) -> AsyncGenerator[StreamEvent, None]:
        """See ModelClient."""
        problem: IntelForgeError | None = None
        before = sys.exception()
        sent: list[str] = []
        SENDING.set(sent)
        parameters = parameters_of(request)
        settings = self._settings(request, timeout)
        try:
            messages = self._messages(request, parameters)
            if stream:
                async with self.model.request_stream(messages, settings, parameters) as opened:
                    async with aclosing(events_from(opened)) as events:
                        async for event in events:
                            yield event
                    response = opened.get()
            else:
                response = await self.model.request(messages, settings, parameters)
        except IntelForgeError as error:
            problem = error
        except Exception as error:  # noqa: BLE001 - the boundary to foreign code: its every error becomes one of ours
            unsent = self.tried_once and not sent
            problem = translated(
                self.name,
                error,
                key=self.key,
                asked=request,
                secrets=self.secrets(),
                unsent=unsent,
                before=before,
            )
        if problem is not None:
            # Outside of the handler, so that no trace holds what the provider said, which may repeat a key.
            raise problem
        yield Done(self._response(response))

    def _response(self, response: ModelResponse) -> ChatResponse:
        return ChatResponse(
            parts=parts_from(response.parts),
            model=self.name,
            finish_reason=finish_from(response),
            tokens=tokens_from(response.usage),
        )

    def _messages(self, request: ChatRequest, parameters: ModelRequestParameters) -> list[ModelMessage]:
        messages = messages_of(request.messages)
        plain = self.model.profile.get("supports_inline_system_prompts", False) or not _later_system(request.messages)
        if plain and not self.model.profile.get("tool_call_id_length"):
            return messages
        return self.model.prepare_messages(messages, parameters)

    def _settings(self, request: ChatRequest, timeout: float) -> ModelSettings:
        limit: Any = httpx2.Timeout(timeout, connect=min(self.connect, timeout))  # declared as the older library's
        settings = ModelSettings(timeout=limit) if self.tried_once else ModelSettings(timeout=limit, max_retries=0)
        if request.max_tokens is not None:
            settings["max_tokens"] = request.max_tokens
        if request.temperature is not None:
            settings["temperature"] = request.temperature
        if request.top_p is not None:
            settings["top_p"] = request.top_p
        if request.stop:
            settings["stop_sequences"] = [sendable(one) for one in request.stop]
        if request.seed is not None:
            if self.seed == "seed":
                settings["seed"] = request.seed
            else:
                settings["extra_body"] = {self.seed: request.seed}
        if request.tools:
            settings["tool_choice"] = _choice(request.tool_choice)
        return settings


def _choice(given: str) -> ToolChoice:
    match given:
        case "auto" | "none" | "required":
            return given
        case _:
            return [given]


def _later_system(messages: tuple[Message, ...]) -> bool:
    """Whether a system message follows another's."""
    others = False
    for message in messages:
        if message.role is Role.SYSTEM and others:
            return True
        others = others or message.role is not Role.SYSTEM
    return False
