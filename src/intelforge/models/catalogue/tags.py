"""Names of local models: what an Ollama tag says."""

import re
from dataclasses import dataclass
from typing import Final

from intelforge.models.catalogue.open_models import OPEN_MODELS, OpenModel
from intelforge.models.catalogue.quantisation import DEFAULT, MXFP4, Quantisation, quantisation_of

_SIZE: Final = re.compile(r"(?:^|[-_:])(e?\d+(?:\.\d+)?[bm])(?=$|[-_:])")
_WORDS: Final = re.compile(r"[^a-z0-9.]+")
DEFAULT_SIZES: Final = {
    "qwen3.5": "9b",
    "qwen3": "8b",
    "qwen3-coder": "30b",
    "qwen2.5-coder": "7b",
    "gemma4": "e4b",
    "gemma3": "4b",
    "llama3.2": "3b",
    "llama3.1": "8b",
    "llama3.3": "70b",
    "ministral-3": "8b",
    "mistral-small3.2": "24b",
    "mistral-nemo": "12b",
    "granite4.1": "8b",
    "phi4-mini": "3.8b",
    "phi4": "14b",
    "gpt-oss": "20b",
    "deepseek-r1": "8b",
}
"""what `latest` means for each family"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalName:
    """A local model's name, read."""

    model: OpenModel | None
    """None when it is not one that is known"""
    quantisation: Quantisation


def read_local(name: str) -> LocalName:
    """What a name says: `qwen3:8b-q8_0`, `llama3.2`, `hf.co/bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M`."""
    plain = name.lower().strip().removeprefix("library/")
    base, _, tag = plain.partition(":")
    model = _tagged(base, tag) or _by_words(plain)
    given = quantisation_of(tag) or quantisation_of(base.rpartition("/")[2])
    own = MXFP4 if model and model.tag.startswith("gpt-oss") else DEFAULT
    return LocalName(model=model, quantisation=given or own)


def _tagged(base: str, tag: str) -> OpenModel | None:
    family = base.rpartition("/")[2]
    size = _SIZE.search(tag)
    wanted = size[1] if size else DEFAULT_SIZES.get(family, "") if tag in ("", "latest") else ""
    return next((model for model in OPEN_MODELS if model.tag == f"{family}:{wanted}"), None)


def _by_words(name: str) -> OpenModel | None:
    """The model whose repository is named in it, the longest such name first: file names of quantised copies."""
    words = "-".join(_WORDS.split(name))
    named = [(model, model.repository.partition("/")[2].lower()) for model in OPEN_MODELS]
    found = [(len(part), model.tag, model) for model, part in named if _within(part, words)]
    return max(found)[2] if found else None


def _within(part: str, words: str) -> bool:
    shortened = re.sub(r"-(?:instruct(?:-\d+)?|it)$", "", part)
    return re.search(rf"(?:^|-){re.escape(shortened)}(?=$|-)", words) is not None
