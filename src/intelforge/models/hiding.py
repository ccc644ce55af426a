"""Secrets kept out of what is written down or told."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from intelforge.models.providers import PORTKEY_VIRTUAL_KEY, PROVIDERS
from intelforge.security.secrets import Secrets

HIDDEN: Final = "***"
SHORTEST_SECRET: Final = 8
"""characters: a shorter one may stand in any text by chance"""
NO_SECRETS: Final = frozenset({"none", "empty", "ollama", "lm-studio", "not-needed", "sk-no-key-required"})
"""what the manuals of Ollama, vLLM, LM Studio, llama.cpp and LocalAI have given as a key where none is wanted"""
_KEY: Final = "_API_KEY"
"""in the names of most variables that hold keys, those of single servers among them"""


class Hiding:
    """Puts `***` for the keys of a workspace: all that can be told by their names, and whatever was looked up since."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        """Looks each up once, which reads files or asks the store of the operating system."""
        self._secrets = secrets
        self._listed = secrets_of(secrets)

    def __call__(self, value: Any) -> Any:
        since = self._secrets.resolved if isinstance(self._secrets, Secrets) else ()
        return hidden(value, _longest_first((*self._listed, *since)))


def secrets_of(secrets: Mapping[str, str]) -> tuple[str, ...]:
    """The values of all names that stand for keys, the longest first."""
    listed = [name for name in secrets if _KEY in name.upper()]
    known = [key for provider in PROVIDERS.values() for key in provider.keys]
    return _longest_first(secrets.get(name, "").strip() for name in (*listed, *known, PORTKEY_VIRTUAL_KEY))


def looked_up(secrets: Mapping[str, str]) -> tuple[str, ...]:
    """The values that may have been sent to someone: of an environment alone, all that stand for keys."""
    return secrets.resolved if isinstance(secrets, Secrets) else secrets_of(secrets)


def stands_in(text: str, secrets: Iterable[str]) -> bool:
    """Whether one of them does; a short one as a word of its own, for it may be a part of others by chance."""
    return any(
        secret in text and (len(secret) >= SHORTEST_SECRET or re.search(rf"(?<!\w){re.escape(secret)}(?!\w)", text))
        for secret in secrets
        if secret.lower() not in NO_SECRETS
    )


def hidden(value: Any, secrets: Iterable[str]) -> Any:
    """JSON values in which no secret stands."""
    secrets = tuple(secrets)
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, HIDDEN)
        return value
    if isinstance(value, Mapping):
        return {hidden(name, secrets): hidden(item, secrets) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [hidden(item, secrets) for item in value]
    return value


def _longest_first(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({value for value in values if len(value) >= SHORTEST_SECRET}, key=len, reverse=True))
