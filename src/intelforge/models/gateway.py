"""Opens the language model that a URL names. All its traffic goes through the HTTP client it is given.

    none:                     no language model
    auto                      the best model of a running Ollama, else none
    ollama:NAME               a model of the Ollama at OLLAMA_HOST
    openai:NAME  anthropic:NAME  openrouter:NAME
    http(s)://HOST/v1#NAME    any server with an OpenAI-compatible API
Any other scheme is looked for among the plug-ins of the entry-point group `intelforge.language_models`, whose
factories take the URL and give a pydantic-ai model.
"""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx2

from intelforge.core.errors import BackendError, ConfigError, ErrorCode, ModelError
from intelforge.core.registry import load_backend, scheme_of
from intelforge.models.ledger import Ledger
from intelforge.models.ollama import PROBE_SECONDS, choose_chat_model, installed_models, is_remote, ollama_url
from intelforge.models.protocol import LanguageModel

if TYPE_CHECKING:
    from pydantic_ai.models import Model

KEYS: Final = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY", "openrouter": "OPENROUTER_API_KEY"}
"""The environment variable that holds each provider's key."""
COMPATIBLE_KEY: Final = "INTELFORGE_LLM_API_KEY"
"""The environment variable that holds the key of an OpenAI-compatible server, if it wants one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A language model's URL, read."""

    url: str
    provider: str
    """`openai`, `anthropic`, `openrouter`, `ollama`, `compatible` or the scheme of a plug-in"""
    model: str
    base_url: str = ""
    key: str = field(default="", repr=False)
    local: bool = False
    """costs nothing"""

    @property
    def name(self) -> str:
        return f"{self.provider}:{self.model}"


async def open_model(
    url: str,
    *,
    client: httpx2.AsyncClient,
    ledger: Ledger,
    timeout: float = 120.0,
    probe_timeout: float = PROBE_SECONDS,
    environment: Mapping[str, str] = os.environ,
) -> LanguageModel | None:
    """The language model named by the URL, or None for `none:` and for `auto` when no Ollama with a model runs.

    `timeout` is for one whole call and `probe_timeout` for looking whether an Ollama runs, in seconds. The client is
    the caller's to close. Raises ConfigError for a URL that makes no sense, BackendError when the provider's package is
    not installed, ModelError when its key is missing.
    """
    url = url.strip()
    if url in ("none:", "none"):
        return None
    if url in ("auto:", "auto"):
        models = await installed_models(ollama_url(environment), client, timeout=probe_timeout)
        chosen = choose_chat_model(models or [])
        if chosen is None:
            return None
        url = f"ollama:{chosen}"
    return _opened(read_target(url, environment=environment), client, ledger, timeout)


def read_target(url: str, *, environment: Mapping[str, str] = os.environ) -> Target:
    """What the URL names, with base URL and key. Raises ConfigError, and ModelError when the key is missing."""
    provider, name = scheme_of(url), url.partition(":")[2].strip()
    if provider in ("http", "https"):
        return _compatible(url, environment)
    if provider in ("ollama", *KEYS) and not name:
        raise ConfigError(f"llm {url!r} names no model", hint=f"write it as {provider}:MODEL")
    if provider == "ollama":
        base = f"{ollama_url(environment)}/v1"
        return Target(url=url, provider=provider, model=name, base_url=base, local=not is_remote(name))
    if provider in KEYS:
        return Target(url=url, provider=provider, model=name, key=_key(provider, environment))
    return Target(url=url, provider=provider, model=name, local=True)


def hosts_of(url: str, *, environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The `host:port` that the user named by this URL, which may be a private one: for egress to allow."""
    scheme = url.partition(":")[0].strip().lower()
    if scheme not in ("auto", "ollama", "http", "https"):
        return ()
    place = httpx2.URL(ollama_url(environment)) if scheme in ("auto", "ollama") else _parsed(url)
    host = f"[{place.host}]" if ":" in place.host else place.host
    return (f"{host}:{place.port or (443 if place.scheme == 'https' else 80)}",)


def _compatible(url: str, environment: Mapping[str, str]) -> Target:
    place = _parsed(url)
    if not place.fragment:
        raise ConfigError(f"llm {url!r} names no model", hint="write it as http://HOST/v1#MODEL")
    return Target(
        url=url,
        provider="compatible",
        model=place.fragment,
        base_url=str(place.copy_with(fragment=None)),
        key=environment.get(COMPATIBLE_KEY, ""),
        local=_is_loopback(place.host),
    )


def _parsed(url: str) -> httpx2.URL:
    try:
        place = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise ConfigError("llm is not a valid URL", hint="write it as http://HOST/v1#MODEL") from error
    if not place.host or place.userinfo:
        raise ConfigError(
            "llm must be a URL with a host and without a password",
            hint=f"write it as http://HOST/v1#MODEL and put the key into {COMPATIBLE_KEY}",
        )
    return place


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _key(provider: str, environment: Mapping[str, str]) -> str:
    key = environment.get(KEYS[provider], "").strip()
    if not key:
        raise ModelError(
            f"the language model provider {provider!r} needs a key, and {KEYS[provider]} is not set",
            hint=f"export {KEYS[provider]}=…, or run: intelforge config set llm none:",
            code=ErrorCode.REFUSED,
        )
    return key


def _opened(target: Target, client: httpx2.AsyncClient, ledger: Ledger, timeout: float) -> LanguageModel:
    # Imported late because the SDKs below take two seconds to import, and most commands need none of them.
    try:
        from intelforge.models.gateway_model import GatewayModel
        from intelforge.models.providers import BUILDERS

        model: Model[Any]
        if target.provider in BUILDERS:
            model = BUILDERS[target.provider](target.model, target.base_url, target.key, client)
        else:
            model = load_backend("language_models", target.url)(target.url)
    except ImportError as error:
        raise BackendError(
            f"the language model {target.name} needs a package that is not installed",
            hint=f"pip install 'pydantic-ai-slim[{target.provider}]'",
        ) from error
    return GatewayModel(
        model=model, name=target.name, ledger=ledger, timeout=timeout, local=target.local, provider=target.provider
    )
