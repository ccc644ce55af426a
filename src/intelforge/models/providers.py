"""The providers' SDKs, made to use the HTTP client they are given. Slow to import: the gateway does so when needed."""

from collections.abc import Callable
from typing import Any, Final

import httpx2
from pydantic_ai.models import Model
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.openrouter import OpenRouterModel
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider
from pydantic_ai.providers.openrouter import OpenRouterProvider

Builder = Callable[[str, str, str, httpx2.AsyncClient], Model[Any]]
"""Takes model name, base URL, key and HTTP client."""

NO_KEY: Final = "none"
"""The SDK insists on a key; servers that want none ignore it."""
OPENAI_URL: Final = "https://api.openai.com/v1"


def _openai(name: str, base_url: str, key: str, client: httpx2.AsyncClient) -> Model[Any]:
    return OpenAIChatModel(
        name, provider=OpenAIProvider(base_url=base_url or OPENAI_URL, api_key=key, http_client=client)
    )


def _openrouter(name: str, base_url: str, key: str, client: httpx2.AsyncClient) -> Model[Any]:
    return OpenRouterModel(name, provider=OpenRouterProvider(api_key=key, http_client=client))


def _ollama(name: str, base_url: str, key: str, client: httpx2.AsyncClient) -> Model[Any]:
    return OllamaModel(name, provider=OllamaProvider(base_url=base_url, api_key=key or NO_KEY, http_client=client))


def _compatible(name: str, base_url: str, key: str, client: httpx2.AsyncClient) -> Model[Any]:
    provider = OpenAICompatibleProvider("compatible", base_url=base_url, api_key=key or NO_KEY, http_client=client)
    return OpenAIChatModel(name, provider=provider)


def _anthropic(name: str, base_url: str, key: str, client: httpx2.AsyncClient) -> Model[Any]:
    # The SDK is an extra.
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    return AnthropicModel(name, provider=AnthropicProvider(api_key=key, http_client=client))


BUILDERS: Final[dict[str, Builder]] = {
    "openai": _openai,
    "openrouter": _openrouter,
    "ollama": _ollama,
    "compatible": _compatible,
    "anthropic": _anthropic,
}
