"""The facts of one model, and what it can do."""

from dataclasses import dataclass
from enum import StrEnum

from intelforge.models.catalogue.open_models import OpenModel
from intelforge.models.catalogue.quantisation import Quantisation


class Modality(StrEnum):
    """What a model reads."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """In nano-dollars for a million tokens: whole numbers, however small the price. None is not known."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    tiered: bool = False
    """long prompts cost more than this"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What a model can do by itself; None is not known. What it cannot do is done around it."""

    tools: bool | None = None
    json_schema: bool | None = None
    """holds to a JSON schema that it is given"""
    images: bool | None = None
    origin: str = ""
    """where this is known from: `measured 2026-01-31`, `catalogue`, or a file"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What is known of a model; None, or nothing, is what is not."""

    name: str
    """`provider:name`"""
    known: bool
    """whether anything is"""
    local: bool = False
    """runs on this machine and costs nothing"""
    context_window: int | None = None
    modalities: tuple[Modality, ...] = ()
    abilities: Abilities = Abilities()
    prices: Prices | None = None
    open_model: OpenModel | None = None
    """how it is built, for models whose weights are open"""
    quantisation: Quantisation | None = None
    """of a local one, by its tag"""
    origins: tuple[str, ...] = ()
    """where these facts are from, the first before the others"""
