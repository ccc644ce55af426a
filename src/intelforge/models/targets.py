"""What a language model's URL names.

    none:                     no language model
    auto                      the best model of a running Ollama, else none
    ollama:NAME               a model of the Ollama at OLLAMA_HOST
    openai:NAME  anthropic:NAME  gemini:NAME …   a hosted provider, see `providers`
    portkey:@PROVIDER/NAME  portkey:NAME         through Portkey's virtual keys
    http(s)://HOST/v1#NAME    any server with an OpenAI-compatible API
    URL, URL, …               a chain: the next is asked when one fails
Any other scheme is looked for among the plug-ins of the entry-point group `intelforge.language_models`.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

import httpx2

from intelforge.core.errors import ConfigError
from intelforge.core.registry import scheme_of
from intelforge.core.settings import LANGUAGE_MODEL_CHAIN
from intelforge.models.ollama import is_remote, ollama_url
from intelforge.models.providers import COMPATIBLE, COMPATIBLE_KEY, OLLAMA, PROVIDERS, Provider
from intelforge.security.servers import is_loopback, key_variables, server_name

NONE: Final = ("none:", "none")
AUTO: Final = ("auto:", "auto")
ROUTER: Final = "router:"
SCRIPTED: Final = "mock"
"""the one plug-in that surely stays here and costs nothing"""
KNOWN: Final = f"providers: ollama, {', '.join(PROVIDERS)}, or http://HOST/v1#MODEL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A language model's URL, read."""

    url: str
    provider: str
    """its scheme, `compatible`, or the scheme of a plug-in"""
    model: str
    """by which it is known; that of a compatible server begins with the server: `gpu.lan:8000/qwen3`"""
    sent_as: str = ""
    """the model's name in requests, where it is not `model`"""
    facts: Provider | None = None
    """None for a plug-in"""
    base_url: str = ""
    keys: tuple[str, ...] = ()
    """names of the secrets that its key may be in"""
    key: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """sent to the provider's host with each request, beside the key"""
    local: bool = False
    """costs nothing, and what it is asked stays on this machine"""

    @property
    def name(self) -> str:
        return f"{self.provider}:{self.model}"

    @property
    def key_name(self) -> str:
        """That of its secret, as messages tell it; empty when it takes no key."""
        return (self.keys[-1] if self.facts is COMPATIBLE else self.keys[0]) if self.keys else ""

    @property
    def wire_name(self) -> str:
        return self.sent_as or self.model


def split_chain(url: str) -> tuple[str, ...]:
    """The URLs of a chain, in their order. Raises ConfigError when one of several cannot be part of a chain."""
    urls = tuple(part for part in LANGUAGE_MODEL_CHAIN.split(url.strip()) if part)
    if len(urls) > 1 and (odd := [part for part in urls if part in NONE]):
        raise ConfigError(f"{odd[0]!r} cannot be part of a chain", hint="leave it out")
    return urls


def routed_urls(url: str, named: Sequence[str]) -> tuple[str, ...]:
    """The models that a `router:` URL chooses among: those that it names, else those of the settings.

    Raises ConfigError as `split_chain` does.
    """
    others = (split_chain(one) for one in named if not one.startswith(ROUTER))
    return split_chain(url.strip().removeprefix(ROUTER)) or tuple(dict.fromkeys(chain.from_iterable(others)))


def read_target(url: str, *, environment: Mapping[str, str] = os.environ) -> Target:
    """What one URL names, without its key. Raises ConfigError."""
    if url.find(":") < 1:
        raise ConfigError(f"llm {url!r} names no provider", hint=f"write it as PROVIDER:MODEL; {KNOWN}")
    provider, name = scheme_of(url), url.partition(":")[2].strip()
    if provider in ("http", "https"):
        return _compatible(url)
    if provider in ("ollama", *PROVIDERS) and not name:
        raise ConfigError(f"llm {url!r} names no model", hint=f"write it as {provider}:MODEL")
    if provider == "ollama":
        base = f"{ollama_url(environment)}/v1"
        local = not is_remote(name) and is_loopback(httpx2.URL(base).host)
        return Target(url=url, provider=provider, model=name, facts=OLLAMA, base_url=base, local=local)
    if provider in PROVIDERS:
        return _hosted(url, PROVIDERS[provider], name)
    return Target(url=url, provider=provider, model=name, local=provider == SCRIPTED)


def named(model: str) -> str:
    """The name that calls of a model have, which is given by its name or, where it has one, its address.

    Raises ConfigError.
    """
    provider, _, name = (part.strip() for part in model.partition(":"))
    provider = provider.lower()
    if not ((provider and name) or model.startswith(f"{SCRIPTED}:")):
        raise ConfigError(f"{model!r} names no provider", hint=f"write it as PROVIDER:MODEL; {KNOWN}")
    if provider == COMPATIBLE.scheme and "/" not in name:
        raise ConfigError(
            f"{model!r} does not say on which server", hint=f"write it as http://HOST/v1#{name}, as in the setting llm"
        )
    return read_target(model.strip()).name if provider in ("http", "https") else f"{provider}:{name}"


def hosts_of(url: str, *, environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The `host:port` of each model that the user named by this URL, which may be private ones: for egress to allow."""
    return tuple(host for part in split_chain(url.strip().removeprefix(ROUTER)) for host in _host_of(part, environment))


def _host_of(url: str, environment: Mapping[str, str]) -> tuple[str, ...]:
    scheme = url.partition(":")[0].strip().lower()
    if scheme not in ("auto", "ollama", "http", "https"):
        return ()
    place = httpx2.URL(ollama_url(environment)) if scheme in ("auto", "ollama") else _parsed(url)
    host = f"[{place.host}]" if ":" in place.host else place.host
    return (f"{host}:{place.port or (443 if place.scheme == 'https' else 80)}",)


def _hosted(url: str, facts: Provider, name: str) -> Target:
    named = name.startswith("@") and facts.scheme == "portkey"
    provider, _, model = name.partition("/")
    if named and (not model or len(provider) < 2):
        raise ConfigError(f"llm 'portkey:{name}' names no model", hint="write it as portkey:@PROVIDER/MODEL")
    return Target(
        url=url,
        provider=facts.scheme,
        model=name.removeprefix("models/") if facts.scheme == "gemini" else name,  # as Google's list writes it
        sent_as=model if named else "",
        facts=facts,
        base_url=facts.base_url,
        keys=facts.keys,
    )


def _compatible(url: str) -> Target:
    place = _parsed(url)
    if not place.fragment:
        raise ConfigError(f"llm {url!r} names no model", hint="write it as http://HOST/v1#MODEL")
    return Target(
        url=url,
        provider="compatible",
        model=f"{server_name(place)}/{place.fragment}",
        sent_as=place.fragment,
        facts=COMPATIBLE,
        base_url=str(place.copy_with(fragment=None)),
        keys=key_variables(COMPATIBLE_KEY, place),
        local=is_loopback(place.host),
    )


def _parsed(url: str) -> httpx2.URL:
    try:
        place = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise ConfigError("llm is not a valid URL", hint="write it as http://HOST/v1#MODEL") from error
    if not place.host or place.userinfo:
        raise ConfigError(
            "llm must be a URL with a host and without a password",
            hint=f"write it as http://HOST/v1#MODEL and put the key into {COMPATIBLE_KEY}_HOST",
        )
    return place
