"""The providers: their addresses, the variables that hold their keys, and what their interfaces leave out.

All but Anthropic are asked through their OpenAI-compatible interface, which the default install covers.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """The facts of one provider. Its key is sent to the host of `base_url` and to no other."""

    scheme: str
    title: str
    base_url: str
    keys: tuple[str, ...]
    """names of secrets, the first that is there counts"""
    header: str = "authorization"
    """that carries the key"""
    bearer: bool = True
    max_completion_tokens: bool = False
    """takes OpenAI's newer name of max_tokens"""
    stream_options: bool = True
    """takes the wish for token counts at the end of a stream; those that refuse it send them unasked"""
    seed: str = "seed"
    """its name for the seed of sampling"""
    tools: bool = True
    json_schema: bool = True
    call_id_length: int = 0
    """of the ids of tool calls, where only one length is taken; ids of other models' calls are made to fit"""
    prices: str = ""
    """its id in the price list, where it is not the scheme"""
    models: str = "/models"
    """where it lists its models; empty when it does not, from the host's root when it begins with two slashes"""
    authorises: bool = True
    """asks for the key when it lists them"""
    key_path: str = ""
    """where it tells about the key, when it does not"""
    extra: str = ""
    """of this package that its SDK is in"""


_ALL: Final = (
    Provider(
        scheme="openai",
        title="OpenAI",
        base_url="https://api.openai.com/v1",
        keys=("OPENAI_API_KEY",),
        max_completion_tokens=True,
    ),
    Provider(
        scheme="anthropic",
        title="Anthropic",
        base_url="https://api.anthropic.com",
        keys=("ANTHROPIC_API_KEY",),
        header="x-api-key",
        bearer=False,
        models="/v1/models",
        extra="anthropic",
    ),
    Provider(
        scheme="gemini",
        title="Google Gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        keys=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        prices="google",
    ),
    Provider(
        scheme="mistral",
        title="Mistral",
        base_url="https://api.mistral.ai/v1",
        keys=("MISTRAL_API_KEY",),
        stream_options=False,
        seed="random_seed",
        call_id_length=9,
    ),
    Provider(scheme="groq", title="Groq", base_url="https://api.groq.com/openai/v1", keys=("GROQ_API_KEY",)),
    Provider(
        scheme="deepseek",
        title="DeepSeek",
        base_url="https://api.deepseek.com",
        keys=("DEEPSEEK_API_KEY",),
        json_schema=False,
    ),
    Provider(scheme="xai", title="xAI", base_url="https://api.x.ai/v1", keys=("XAI_API_KEY",), prices="x-ai"),
    Provider(
        scheme="cohere",
        title="Cohere",
        base_url="https://api.cohere.ai/compatibility/v1",
        keys=("COHERE_API_KEY", "CO_API_KEY"),
        stream_options=False,
        models="//v1/models",
    ),
    Provider(
        scheme="openrouter",
        title="OpenRouter",
        base_url="https://openrouter.ai/api/v1",
        keys=("OPENROUTER_API_KEY",),
        authorises=False,
        key_path="/key",
    ),
    Provider(
        scheme="together",
        title="Together",
        base_url="https://api.together.xyz/v1",
        keys=("TOGETHER_API_KEY",),
    ),
    Provider(
        scheme="perplexity",
        title="Perplexity",
        base_url="https://api.perplexity.ai",
        keys=("PERPLEXITY_API_KEY",),
        tools=False,
        models="",
    ),
    Provider(
        scheme="huggingface",
        title="Hugging Face",
        base_url="https://router.huggingface.co/v1",
        keys=("HF_TOKEN",),
        authorises=False,
    ),
    Provider(
        scheme="portkey",
        title="Portkey",
        base_url="https://api.portkey.ai/v1",
        keys=("PORTKEY_API_KEY",),
        header="x-portkey-api-key",
        bearer=False,
    ),
)
PROVIDERS: Final = {provider.scheme: provider for provider in _ALL}
COMPATIBLE: Final = Provider(scheme="compatible", title="OpenAI-compatible server", base_url="", keys=())
COMPATIBLE_KEY: Final = "INTELFORGE_LLM_API_KEY"
"""what the names of the keys of such servers begin with; the host follows"""
OLLAMA: Final = Provider(scheme="ollama", title="Ollama", base_url="", keys=())
PORTKEY_VIRTUAL_KEY: Final = "PORTKEY_VIRTUAL_KEY"
"""names the virtual key that Portkey spends, for a URL that names none"""
