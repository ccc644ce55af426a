"""Finds a running Ollama and a model of it that can write answers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from intelforge.core.errors import ConfigError, EgressError

PORT: Final = 11434
PROBE_SECONDS: Final = 0.3
COMFORTABLE: Final = 10e9
"""Parameters up to which a model answers in good time on a laptop."""

_NOT_CHAT: Final = re.compile(r"embed|bge|minilm|e5-|gte-|rerank|guard|ocr|whisper", re.IGNORECASE)
_ENCODERS: Final = frozenset({"bert", "nomic-bert", "xlm-roberta"})
_SPECIAL: Final = re.compile(r"code|coder|vision|llava|vl|math|sql|moondream|base", re.IGNORECASE)
_REMOTE: Final = re.compile(r"[:-]cloud$")


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledModel:
    """A model that an Ollama server has."""

    name: str
    parameters: float = 0.0
    """how many; 0.0 when not told"""
    family: str = ""


def ollama_url(environment: Mapping[str, str]) -> str:
    """Where Ollama listens by OLLAMA_HOST, as Ollama itself reads it: `http://127.0.0.1:11434` unless set."""
    given = environment.get("OLLAMA_HOST", "").strip().rstrip("/")
    scheme, separator, rest = given.partition("://")
    scheme, rest = (scheme, rest) if separator else ("http", given)
    try:
        url = httpx2.URL(f"{scheme}://{'127.0.0.1' if not rest or rest.startswith(':') else ''}{rest}")
    except httpx2.InvalidURL as error:
        raise ConfigError(f"OLLAMA_HOST {given!r} is not an address", hint="write it as host:port") from error
    host = "127.0.0.1" if url.host in ("0.0.0.0", "::") else url.host  # noqa: S104 - where it listens, not where we do
    port = url.port or (PORT if not separator else {"http": 80, "https": 443}.get(scheme, PORT))
    return str(url.copy_with(host=host, port=port)).rstrip("/")


async def installed_models(
    base_url: str, client: httpx2.AsyncClient, *, timeout: float = PROBE_SECONDS
) -> list[InstalledModel] | None:
    """The models of the Ollama server at this URL; None when none answers within `timeout` seconds."""
    try:
        reply = await client.get(f"{base_url}/api/tags", timeout=timeout)
        rows = reply.raise_for_status().json()["models"]
        return [_installed(row) for row in rows]
    except (httpx2.HTTPError, EgressError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _installed(row: Mapping[str, Any]) -> InstalledModel:
    details = row.get("details") or {}
    size = re.fullmatch(r"([\d.]+)\s*([KMBT])", str(details.get("parameter_size", "")).strip().upper())
    scale = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
    return InstalledModel(
        name=str(row["name"]),
        parameters=float(size[1]) * scale[size[2]] if size else 0.0,
        family=str(details.get("family", "")),
    )


def choose_chat_model(models: Sequence[InstalledModel]) -> str | None:
    """The model to write answers with: general ones before specialised ones, then the largest that is comfortable.

    Embedding models are never chosen, nor models that Ollama itself sends elsewhere. The choice does not depend on
    the order of the list.
    """
    able = [
        model
        for model in models
        if not _NOT_CHAT.search(model.name) and model.family not in _ENCODERS and not is_remote(model.name)
    ]
    return min(able, key=_preference).name if able else None


def _preference(model: InstalledModel) -> tuple[bool, bool, float, str]:
    too_large = model.parameters > COMFORTABLE
    size = model.parameters if too_large else -model.parameters
    return bool(_SPECIAL.search(model.name)), too_large, size, model.name


def is_remote(name: str) -> bool:
    """Whether Ollama runs this model not here but in its cloud."""
    return bool(_REMOTE.search(name))
