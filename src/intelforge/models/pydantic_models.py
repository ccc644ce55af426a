"""The providers' SDKs, made to use the HTTP client they are given. Slow to import: the gateway does so when needed."""

from typing import Any, Final

import httpx2
from openai import Omit, omit
from pydantic_ai.models import Model
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.openrouter import OpenRouterModel
from pydantic_ai.profiles import ModelProfile, merge_profile
from pydantic_ai.profiles.openai import OpenAIModelProfile, openai_model_profile
from pydantic_ai.providers.deepseek import DeepSeekProvider
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider
from pydantic_ai.providers.openrouter import OpenRouterProvider

from intelforge.core.errors import ConfigError
from intelforge.models.direct_openai import DirectOpenAI
from intelforge.models.key_binding import NO_KEY, bound_client
from intelforge.models.ollama import is_remote
from intelforge.models.providers import Provider
from intelforge.models.targets import Target

_PASSED_ON: Final = ("portkey", "compatible")
"""who may hand a request to OpenAI as it is"""


def open_model(target: Target, client: httpx2.AsyncClient) -> Model[Any]:
    """The pydantic-ai model of a target. Its library has no key: what it sends gets it on the way out.

    Raises ImportError when the provider's SDK is not installed, ConfigError for a name that the provider cannot have.
    """
    bound = bound_client(target, client)
    if target.provider == "anthropic":
        return _anthropic(target, bound)
    sdk = DirectOpenAI(base_url=target.base_url, http_client=bound)
    match target.provider:
        case "openai":
            return OpenAIChatModel(target.wire_name, provider=OpenAIProvider(openai_client=sdk))
        case "ollama":
            return OllamaModel(target.model, provider=OllamaProvider(openai_client=sdk), profile=_ollama(target.model))
        case "openrouter":
            if "/" not in target.model:
                raise ConfigError(
                    f"llm 'openrouter:{target.model}' names no vendor", hint="write it as openrouter:VENDOR/MODEL"
                )
            return OpenRouterModel(target.model, provider=OpenRouterProvider(openai_client=sdk))
        case "deepseek":
            return OpenAIChatModel(target.wire_name, provider=DeepSeekProvider(openai_client=sdk))
    return _compatible(target, sdk)


class _WithoutStreamOptions(OpenAIChatModel):
    """For servers that refuse the field; they send the counts of tokens unasked."""

    def _get_stream_options(self, model_settings: Any) -> Omit:  # type: ignore[override]
        return omit


def _ollama(name: str) -> ModelProfile:
    """Ollama takes no notice of `max_completion_tokens` and writes on: https://github.com/ollama/ollama/issues/7125."""
    profile = OpenAIModelProfile(openai_chat_supports_max_completion_tokens=False)
    if is_remote(name):
        profile["supports_json_schema_output"] = False
    return profile


def _compatible(target: Target, sdk: DirectOpenAI) -> Model[Any]:
    provider = OpenAICompatibleProvider(target.provider, openai_client=sdk)
    known = provider.model_profile(target.wire_name)
    profile = merge_profile(known, _profile(target.facts) if target.facts else None)
    if target.provider in _PASSED_ON and _reasons(target.wire_name):
        profile = merge_profile(profile, OpenAIModelProfile(openai_chat_supports_max_completion_tokens=True))
    kind = OpenAIChatModel if target.facts is None or target.facts.stream_options else _WithoutStreamOptions
    return kind(target.wire_name, provider=provider, profile=profile)


def _profile(facts: Provider) -> ModelProfile:
    profile = OpenAIModelProfile(
        openai_chat_supports_max_completion_tokens=facts.max_completion_tokens, supports_tools=facts.tools
    )
    if not facts.json_schema:
        profile["supports_json_schema_output"] = False
    if facts.call_id_length:
        profile["tool_call_id_length"] = facts.call_id_length
    return profile


def _reasons(name: str) -> bool:
    """Whether it is one of OpenAI's models that refuse `max_tokens`, whoever hands the request to them."""
    return bool(openai_model_profile(name.rpartition("/")[2]).get("openai_supports_reasoning"))


def _anthropic(target: Target, client: httpx2.AsyncClient) -> Model[Any]:
    # The SDK is an extra.
    from anthropic import AsyncAnthropic
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    sdk = AsyncAnthropic(api_key=NO_KEY, base_url=target.base_url, http_client=client, max_retries=0)
    return AnthropicModel(target.model, provider=AnthropicProvider(anthropic_client=sdk))
