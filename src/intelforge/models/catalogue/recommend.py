"""Which local model and quantisation fits this machine, and the table behind it.

Memory is that of `memory.py`. A token is written as fast as the weights it needs and the keys and values of half the
context are read: bytes a second by bytes, times what servers reach of it. Quality has no number of its own here: models
are ordered by how they are likely to stand to each other (`standing.py`). Where a model was probed, what it can do is
measured; how good it is on your own questions, only an evaluation tells.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from intelforge.core.model_reports import Preference
from intelforge.models.catalogue.machine import Machine
from intelforge.models.catalogue.memory import Memory, memory_of
from intelforge.models.catalogue.open_models import OPEN_MODELS, OpenModel
from intelforge.models.catalogue.quantisation import F16, MXFP4, Q4_K_M, Q8_0, Quantisation
from intelforge.models.catalogue.standing import doublings
from intelforge.models.catalogue.tags import read_local

REACHED: Final = 0.7
"""share of the bandwidth that llama.cpp reaches when it writes, on processors and cards alike"""
OFFERED: Final = (Q4_K_M, Q8_0, F16)
"""what Ollama's library has of each model"""

FLOORS: Final = {Preference.SPEED: 25.0, Preference.BALANCE: 10.0, Preference.QUALITY: 3.0}
"""tokens a second below which a model is too slow: as fast as one skims, as one reads, as one waits"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One model in one quantisation on this machine."""

    model: OpenModel
    quantisation: Quantisation
    memory: Memory
    fits: bool
    on_graphics: bool
    """wholly in the memory of the graphics cards"""
    tokens_per_second: float
    """expected, while writing; 0.0 when the card's speed is not known"""
    quality: float
    """in doublings of size; only its order means something"""
    installed: str = ""
    """the name under which Ollama has it"""

    @property
    def pull(self) -> str:
        """What Ollama calls it."""
        plain = self.quantisation in (Q4_K_M, MXFP4)
        return self.model.tag if plain else f"{self.model.tag}-{self.quantisation.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """The choice, why, and what else there was."""

    preference: Preference
    machine: Machine
    context: int
    chosen: Candidate | None
    reason: str
    table: tuple[Candidate, ...]
    """the best quantisation of each model that fits, best first; then those that do not"""


def recommend(
    machine: Machine, preference: Preference, *, context: int = 8192, installed: Sequence[str] = ()
) -> Recommendation:
    """The model to run. Installed ones are marked, and preferred among equals."""
    offers = [
        _candidate(model, packed, machine, context, installed) for model in OPEN_MODELS for packed in _offered(model)
    ]
    floor = FLOORS[preference]
    best = [_best(group, floor) for group in _by_model(offers)]
    able = [one for one in best if one.fits and not one.model.special]
    quick = [one for one in able if one.tokens_per_second >= floor]
    chosen = max(quick, key=_by_quality) if quick else max(able, key=_by_speed, default=None)
    table = sorted(best, key=lambda one: (one.fits, one.fits and one.tokens_per_second >= floor, *_by_quality(one)))
    return Recommendation(
        preference=preference,
        machine=machine,
        context=context,
        chosen=chosen,
        reason=_reason(chosen, preference, quick=bool(quick)),
        table=tuple(reversed(table)),
    )


def _offered(model: OpenModel) -> tuple[Quantisation, ...]:
    return (MXFP4,) if model.tag.startswith("gpt-oss") else OFFERED


def _candidate(
    model: OpenModel, packed: Quantisation, machine: Machine, context: int, installed: Sequence[str]
) -> Candidate:
    context = min(context, model.context)
    memory = memory_of(model, packed, context=context)
    on_graphics = 0 < memory.total <= machine.graphics_memory
    bandwidth = min((card.bandwidth for card in machine.graphics), default=0.0) if on_graphics else machine.bandwidth
    read = model.read * packed.bits / 8 + memory_of(model, packed, context=context // 2).cache
    return Candidate(
        model=model,
        quantisation=packed,
        memory=memory,
        fits=on_graphics or memory.total <= machine.usable,
        on_graphics=on_graphics,
        tokens_per_second=REACHED * bandwidth / read,
        quality=doublings(model, packed),
        installed=next((name for name in installed if _is(name, model, packed)), ""),
    )


def _is(name: str, model: OpenModel, packed: Quantisation) -> bool:
    found = read_local(name)
    return found.model is model and found.quantisation == packed


def _by_model(offers: Iterable[Candidate]) -> list[list[Candidate]]:
    groups: dict[str, list[Candidate]] = {}
    for offer in offers:
        groups.setdefault(offer.model.tag, []).append(offer)
    return list(groups.values())


def _best(offers: Sequence[Candidate], floor: float) -> Candidate:
    """The quantisation of one model to show: the best that fits and is quick, else the smallest."""
    quick = [one for one in offers if one.fits and one.tokens_per_second >= floor]
    return max(quick, key=_by_quality) if quick else min(offers, key=lambda one: one.memory.total)


def _by_quality(one: Candidate) -> tuple[float, bool, float]:
    return round(one.quality, 1), bool(one.installed), one.tokens_per_second


def _by_speed(one: Candidate) -> tuple[float, float]:
    return one.tokens_per_second, one.quality


def _reason(chosen: Candidate | None, preference: Preference, *, quick: bool) -> str:
    if chosen is None:
        return "none of the known models fits this machine's memory"
    speed = f"about {chosen.tokens_per_second:.0f} tokens a second"
    if not quick:
        return f"no model that fits writes {FLOORS[preference]:g} tokens a second here; it is the fastest, with {speed}"
    return (
        f"it is the largest and newest of the models that fit and write at least {FLOORS[preference]:g} tokens "
        f"a second here: it takes {chosen.memory.total / 1e9:.1f} GB, {speed}"
    )
