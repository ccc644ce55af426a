"""Embedder URLs, read.

    PROVIDER:MODEL[?OPTIONS]            openai, together, mistral, cohere, ollama
    tei:http(s)://HOST[?OPTIONS][#MODEL]
    http(s)://HOST/v1[?OPTIONS]#MODEL   any server with an OpenAI-compatible API
Options: `dimensions`, `max_tokens`, `query_prefix`, `document_prefix`. They replace what is known of the model.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qsl

from intelforge.core.errors import ConfigError
from intelforge.core.registry import scheme_of
from intelforge.index.embedders.known_models import ModelFacts, facts_of
from intelforge.index.model_url import ModelSetting, shown
from intelforge.security.servers import is_loopback

NO_EMBEDDER: Final = ("none:", "none")
"""values of the setting"""
OTHER_KEY: Final = "INTELFORGE_EMBEDDER_API_KEY"
SETTING: Final = ModelSetting(name="embedder", server_key=OTHER_KEY, form="http://HOST/v1#MODEL")
LONGEST_NAME: Final = 200
"""characters of a name that are kept; the database keeps 255"""
_NUMBERS: Final = ("dimensions", "max_tokens")
_TEXTS: Final = ("query_prefix", "document_prefix")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An embedder's URL, read."""

    provider: str
    model: str
    facts: ModelFacts
    base_url: str = ""
    """of the server, without a slash at the end; empty when the provider decides"""
    dimensions: int = 0
    """asked for; 0 leaves it to the model"""
    local: bool = False
    """on this machine"""
    name: str
    """of model and server, with a digest of whatever else its vectors depend on"""


def read_model(url: str) -> Target:
    """What `PROVIDER:MODEL?OPTIONS` names. Raises ConfigError."""
    provider, rest = scheme_of(url), url.partition(":")[2]
    model, _, query = rest.partition("?")
    if not model.strip():
        raise ConfigError(f"embedder {url!r} names no model", hint=f"write it as {provider}:MODEL")
    return _target(provider, model.strip(), query, name=f"{provider}:{model.strip()}")


def read_server(url: str, *, provider: str, needs_model: bool) -> Target:
    """What `http(s)://HOST/PATH?OPTIONS#MODEL` names. Raises ConfigError."""
    place = SETTING.place(url)
    if needs_model and not place.fragment:
        raise ConfigError(f"embedder {shown(place)!r} names no model", hint="write it as http://HOST/v1#MODEL")
    base = shown(place)
    name = "".join(("tei:" if provider == "tei" else "", base, "#" if place.fragment else "", place.fragment))
    target = _target(provider, place.fragment, place.query.decode(), name=name)
    return replace(target, base_url=base, local=is_loopback(place.host))


def hosts_of(url: str, *, ollama_url: Callable[[], str]) -> tuple[str, ...]:
    """The `host:port` that the user named by an embedder's URL, which may be a private one: for egress to allow."""
    scheme = url.partition(":")[0].strip().lower()
    if scheme not in ("ollama", "tei", "http", "https"):
        return ()
    return (SETTING.host(ollama_url() if scheme == "ollama" else url.strip().removeprefix("tei:")),)


def _target(provider: str, model: str, query: str, *, name: str) -> Target:
    given = dict(parse_qsl(query, keep_blank_values=True))
    numbers = {key: _number(key, given[key]) for key in _NUMBERS if key in given}
    texts = {key: given[key] for key in _TEXTS if key in given}
    if unknown := given.keys() - {*_NUMBERS, *_TEXTS}:
        raise ConfigError(
            f"embedder {name!r} has the unknown option {min(unknown)!r}", hint=f"known: {', '.join(_NUMBERS + _TEXTS)}"
        )
    asked = numbers.get("dimensions", 0)
    facts = replace(facts_of(model), **numbers, **texts)  # type: ignore[arg-type]
    name = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}~{_hash(name)}"
    return Target(provider=provider, model=model, facts=facts, dimensions=asked, name=name + _digest(facts, asked))


def _number(name: str, text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 1_000_000:
        raise ConfigError(f"the embedder's {name} is {text[:20]!r}", hint=f"write it as {name}=512")
    return int(text)


def _digest(facts: ModelFacts, asked: int) -> str:
    """What else the vectors depend on, or nothing: how many dimensions were asked for, and the prefixes."""
    if not (asked or facts.query_prefix or facts.document_prefix):
        return ""
    parts = "\0".join((str(asked), facts.query_prefix, facts.document_prefix))
    return f"?{_hash(parts)}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
