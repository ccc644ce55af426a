"""What is told of models: whether they are here and can be reached, facts, measurements, and which fits."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """A local embedding model and whether its weights are here."""

    name: str
    dimensions: int
    max_tokens: int
    present: bool
    path: str = ""
    size_bytes: int = 0
    licence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCheck:
    """What was found when a language model was looked at. `null` where it could not be told."""

    name: str
    """`provider:name`"""
    reachable: bool | None = None
    authorised: bool | None = None
    """the key is taken, or none is wanted"""
    present: bool | None = None
    """the provider has this model"""
    local: bool = False
    """on this machine"""
    tools: bool | None = None
    """calls tools by itself; others do in JSON"""
    json_schema: bool | None = None
    """is held to JSON schemas by its provider; others are asked in words, and checked"""
    images: bool | None = None
    seconds: float = 0.0
    problem: str = ""
    hint: str = ""

    @property
    def ok(self) -> bool:
        return not self.problem


class Skill(StrEnum):
    """What a probe tries."""

    SCHEMA = "follows a JSON schema"
    TOOL_CALL = "calls a tool with the right arguments"
    TOOL_RESULT = "uses what a tool gave"
    CITES = "cites passages by number"
    REFUSES = "says so when there is no evidence"
    CONTEXT = "finds a fact in a long prompt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One thing that was tried, some times."""

    skill: Skill
    tries: int
    passed: int
    detail: str = ""
    """why the first failure failed"""

    @property
    def able(self) -> bool:
        """Most tries passed."""
        return self.passed * 2 > self.tries


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What was measured of a model, and when."""

    model: str
    """`provider:name`"""
    at: datetime
    trials: tuple[Trial, ...]
    first_token_seconds: float
    """median"""
    tokens_per_second: float
    """median, while writing; 0.0 when replies were too short to tell"""
    context_usable: int | None = None
    """tokens of the longest prompt in which a fact was found; None when none was"""
    context_lost: int | None = None
    """tokens of the shortest prompt in which it was not; None when it always was"""
    cost_usd: float | None = 0.0
    calls: int = 0
    version: int = 1
    """of the standard set"""

    def able(self, skill: Skill) -> bool | None:
        """Whether the model can; None when it was not tried."""
        return next((trial.able for trial in self.trials if trial.skill is skill), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPrices:
    """US dollars for a million tokens; null where it is not known."""

    input: float | None
    output: float | None
    cache_read: float | None
    cache_write: float | None
    tiered: bool
    """long prompts cost more than this"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What is known of one model; null, or empty, is what is not."""

    name: str
    """`provider:name`"""
    known: bool
    local: bool
    context_window: int | None
    modalities: tuple[str, ...]
    tools: bool | None
    json_schema: bool | None
    images: bool | None
    prices: ModelPrices | None
    quantisation: str
    """of a local model"""
    memory_gb: float | None
    """that a local model takes with a context of 8,192 tokens"""
    licence: str
    origins: tuple[str, ...]
    """where this is from, the first before the others"""
    profile: Profile | None
    """what a probe measured"""


class Preference(StrEnum):
    """What a recommendation is for."""

    SPEED = "speed"
    BALANCE = "balance"
    QUALITY = "quality"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineReport:
    """What this machine has for running models."""

    memory_gb: float
    usable_gb: float
    """for a model, with the rest left for everything else"""
    cores: int
    bandwidth_gb_per_second: float
    """of memory, measured"""
    graphics: tuple[str, ...]
    """cards with their memory"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FittingModel:
    """One model in one quantisation on this machine. Sizes are in GB of 10^9 bytes."""

    model: str
    """in Ollama's library, with the quantisation where it is not the usual one"""
    quantisation: str
    parameters_billion: float
    weights_gb: float
    cache_gb: float
    """keys and values of the context"""
    overhead_gb: float
    memory_gb: float
    """all three"""
    fits: bool
    on_graphics: bool
    """wholly in the memory of the graphics cards"""
    tokens_per_second: float
    """expected, from the speed of memory; 0.0 when a card's speed is not known"""
    quality: float
    """only its order means something"""
    installed: str
    """the name under which Ollama has it"""
    licence: str
    special: str
    """what it is for, when not for everything"""
    source: str
    """where its figures are from"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecommendation:
    """Which local model to run, why, and the table behind it."""

    preference: Preference
    machine: MachineReport
    context: int
    """tokens"""
    chosen: FittingModel | None
    reason: str
    table: tuple[FittingModel, ...]
    """best first, those that do not fit last"""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchCall:
    """One request of a benchmark. Times are in seconds."""

    model: str
    prompt: int
    """its number, from 1"""
    repeat: int
    """from 1"""
    streamed: bool
    first_token: float
    """equal to `total` where the reply came whole"""
    total: float
    input_tokens: int
    output_tokens: int
    tokens_per_second: float
    """while writing: after the first token of a stream, over the whole of it otherwise"""
    context_use: float | None
    """share of the context window; null when that is not known"""
    cost_usd: float | None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSummary:
    """What a benchmark found of one model. Times are in seconds."""

    model: str
    calls: int
    failed: int
    first_token_p50: float | None
    first_token_p95: float | None
    total_p50: float | None
    """of streams"""
    total_p95: float | None
    batch_total_p50: float | None
    """of replies that came whole"""
    tokens_per_second_p50: float | None
    context_use_max: float | None
    memory_gb: float | None
    """of the local server with the model; null when it was not found"""
    memory_of: str
    """what was measured"""
    cost_usd: float | None
    error: str
    """the first one"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchReport:
    """A benchmark of models."""

    models: tuple[BenchSummary, ...]
    calls: tuple[BenchCall, ...]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarityRow:
    """What the response cache would do at one threshold."""

    threshold: float
    false_hits: int
    """questions that would be given the reply of another"""
    false_hit_rate: float
    false_hit_rate_by_vector: float
    """the same without looking at numbers, negations, names and opposites"""
    hit_rate: float | None
    """of questions that are there in other words; null when none is"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarityCheck:
    """How often the response cache would be wrong about similar questions, measured on a file of them."""

    file: str
    questions: int
    embedder: str
    threshold: float
    """of the settings"""
    rows: tuple[SimilarityRow, ...]
    examples: tuple[tuple[str, str], ...]
    """wrong ones at the threshold of the settings, or at the lowest"""
    at: datetime
