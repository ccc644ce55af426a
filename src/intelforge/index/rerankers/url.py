"""Reranker URLs, read.

PROVIDER:MODEL                    cohere, jina, voyage
http(s)://HOST/v1[#MODEL]         any server that reranks as Jina and Cohere do
tei:http(s)://HOST
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from intelforge.core.errors import ConfigError
from intelforge.index.model_url import ModelSetting, shown
from intelforge.security.servers import is_loopback

SETTING: Final = ModelSetting(
    name="reranker", server_key="INTELFORGE_RERANKER_API_KEY", form="http://HOST/v1 or http://HOST/v1#MODEL"
)
PATH: Final = "/rerank"
NO_RERANKER: Final = ("none:", "none")
"""values of the setting"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server of one's own."""

    url: str
    """where it reranks"""
    model: str
    called: str
    """in the ledger"""
    local: bool
    """on this machine"""


def read_model(url: str) -> str:
    """The model that `PROVIDER:MODEL` names. Raises ConfigError."""
    provider, _, model = url.partition(":")
    if not model.strip():
        raise ConfigError(f"reranker {url!r} names no model", hint=f"write it as {provider}:MODEL")
    if "?" in model:
        raise ConfigError(f"reranker {url!r} has options, and there are none", hint=f"write it as {provider}:MODEL")
    return model.strip()


def read_server(url: str) -> Server:
    """What `http(s)://HOST/PATH#MODEL` names, with or without `/rerank` at the end. Raises ConfigError."""
    place = SETTING.place(url.strip())
    if place.query:
        raise ConfigError(f"reranker {shown(place)!r} has options, and there are none", hint="leave out what follows ?")
    base = shown(place).removesuffix(PATH)
    return Server(
        url=base + PATH,
        model=place.fragment,
        called=SETTING.called(base, place.fragment),
        local=is_loopback(place.host),
    )


def hosts_of(url: str, *, language_model_hosts: Callable[[str], tuple[str, ...]]) -> tuple[str, ...]:
    """The `host:port` that the user named by a reranker's URL, which may be a private one: for egress to allow."""
    scheme, _, rest = url.strip().partition(":")
    match scheme.lower():
        case "judge":
            return language_model_hosts(rest)
        case "tei":
            return (SETTING.host(rest),)
        case "http" | "https":
            return (SETTING.host(url.strip()),)
    return ()
