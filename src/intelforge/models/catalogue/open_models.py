"""Open models that run on one machine: how each is built, as far as memory and speed depend on it.

Each figure is from the model's own page: parameters and context from the card at `https://huggingface.co/REPOSITORY`,
layers, heads and windows from `config.json` there (`text_config` where it has one). Only layers that keep keys and
values are counted: of Qwen 3.5 a quarter (the others have a state of fixed size), of Gemma 4's E models those that do
not share another's. `active` is what one token reads: the experts it is sent to, or the parameters without embeddings
that are looked up and not multiplied.
"""

from dataclasses import dataclass
from typing import Final

BILLION: Final = 1e9
APACHE: Final = "Apache-2.0"
GEMMA: Final = "Gemma"
LLAMA_31: Final = "Llama 3.1 Community"
LLAMA_32: Final = "Llama 3.2 Community"
LLAMA_33: Final = "Llama 3.3 Community"
LONG: Final = 262_144
MIDDLE: Final = 131_072


@dataclass(frozen=True, slots=True)
class Attention:
    """Layers that keep keys and values."""

    layers: int
    kv_heads: int
    head_dimensions: int
    window: int = 0
    """tokens they look back; 0 is all"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenModel:
    """One size of one family."""

    tag: str
    """in Ollama's library"""
    repository: str
    """on Hugging Face: where the figures are from"""
    parameters: float
    attention: tuple[Attention, ...]
    context: int
    """tokens it was made for"""
    released: float
    """year, with the month as a fraction"""
    active: float = 0.0
    """parameters that one token reads; 0 is all"""
    licence: str = APACHE
    tools: bool = True
    images: bool = False
    special: str = ""
    """what it is for, when not for everything"""

    @property
    def read(self) -> float:
        """Parameters that one token reads."""
        return self.active or self.parameters


def _plain(layers: int, kv_heads: int, head_dimensions: int) -> tuple[Attention, ...]:
    return (Attention(layers, kv_heads, head_dimensions),)


def _qwen(tag: str, repository: str, parameters: float, attention: tuple[Attention, ...], **more: float) -> OpenModel:
    return OpenModel(
        tag=tag,
        repository=f"Qwen/{repository}",
        parameters=parameters * BILLION,
        active=more.get("active", 0.0) * BILLION,
        attention=attention,
        context=int(more.get("context", LONG)),
        released=more.get("released", 2026.17),
        images=repository.startswith("Qwen3.5"),
    )


OPEN_MODELS: Final = (
    _qwen("qwen3.5:0.8b", "Qwen3.5-0.8B", 0.87, _plain(6, 2, 256)),
    _qwen("qwen3.5:2b", "Qwen3.5-2B", 2.27, _plain(6, 2, 256)),
    _qwen("qwen3.5:4b", "Qwen3.5-4B", 4.66, _plain(8, 4, 256)),
    _qwen("qwen3.5:9b", "Qwen3.5-9B", 9.65, _plain(8, 4, 256)),
    _qwen("qwen3.5:27b", "Qwen3.5-27B", 27.8, _plain(16, 4, 256)),
    _qwen("qwen3.5:35b", "Qwen3.5-35B-A3B", 35.95, _plain(10, 2, 256), active=3.0),
    _qwen("qwen3:0.6b", "Qwen3-0.6B", 0.75, _plain(28, 8, 128), context=40_960, released=2025.33),
    _qwen("qwen3:1.7b", "Qwen3-1.7B", 2.03, _plain(28, 8, 128), context=40_960, released=2025.33),
    _qwen("qwen3:4b", "Qwen3-4B", 4.02, _plain(36, 8, 128), context=40_960, released=2025.33),
    _qwen("qwen3:8b", "Qwen3-8B", 8.19, _plain(36, 8, 128), context=40_960, released=2025.33),
    _qwen("qwen3:14b", "Qwen3-14B", 14.77, _plain(40, 8, 128), context=40_960, released=2025.33),
    _qwen("qwen3:32b", "Qwen3-32B", 32.76, _plain(64, 8, 128), context=40_960, released=2025.33),
    _qwen("qwen3:30b", "Qwen3-30B-A3B", 30.53, _plain(48, 4, 128), active=3.3, context=40_960, released=2025.33),
    OpenModel(
        tag="qwen3-coder:30b",
        repository="Qwen/Qwen3-Coder-30B-A3B-Instruct",
        parameters=30.53 * BILLION,
        active=3.3 * BILLION,
        attention=_plain(48, 4, 128),
        context=LONG,
        released=2025.58,
        special="code",
    ),
    OpenModel(
        tag="qwen2.5-coder:7b",
        repository="Qwen/Qwen2.5-Coder-7B-Instruct",
        parameters=7.62 * BILLION,
        attention=_plain(28, 4, 128),
        context=32_768,
        released=2024.75,
        special="code",
    ),
    OpenModel(
        tag="gemma4:e2b",
        repository="google/gemma-4-E2B-it",
        parameters=5.12 * BILLION,
        active=2.3 * BILLION,
        attention=(Attention(3, 1, 512), Attention(12, 1, 256, 512)),
        context=MIDDLE,
        released=2026.25,
        images=True,
    ),
    OpenModel(
        tag="gemma4:e4b",
        repository="google/gemma-4-E4B-it",
        parameters=8.0 * BILLION,
        active=4.5 * BILLION,
        attention=(Attention(4, 2, 512), Attention(20, 2, 256, 512)),
        context=MIDDLE,
        released=2026.25,
        images=True,
    ),
    OpenModel(
        tag="gemma4:26b",
        repository="google/gemma-4-26B-A4B-it",
        parameters=25.8 * BILLION,
        active=3.8 * BILLION,
        attention=(Attention(5, 2, 512), Attention(25, 8, 256, 1024)),
        context=LONG,
        released=2026.25,
        images=True,
    ),
    OpenModel(
        tag="gemma4:31b",
        repository="google/gemma-4-31B-it",
        parameters=31.3 * BILLION,
        attention=(Attention(10, 4, 512), Attention(50, 16, 256, 1024)),
        context=LONG,
        released=2026.25,
        images=True,
    ),
    OpenModel(
        tag="gemma3:1b",
        repository="google/gemma-3-1b-it",
        parameters=1.0 * BILLION,
        attention=(Attention(4, 1, 256), Attention(22, 1, 256, 512)),
        context=32_768,
        released=2025.17,
        licence=GEMMA,
        tools=False,
    ),
    OpenModel(
        tag="gemma3:4b",
        repository="google/gemma-3-4b-it",
        parameters=4.3 * BILLION,
        attention=(Attention(5, 4, 256), Attention(29, 4, 256, 1024)),
        context=MIDDLE,
        released=2025.17,
        licence=GEMMA,
        tools=False,
        images=True,
    ),
    OpenModel(
        tag="gemma3:12b",
        repository="google/gemma-3-12b-it",
        parameters=12.19 * BILLION,
        attention=(Attention(8, 8, 256), Attention(40, 8, 256, 1024)),
        context=MIDDLE,
        released=2025.17,
        licence=GEMMA,
        tools=False,
        images=True,
    ),
    OpenModel(
        tag="gemma3:27b",
        repository="google/gemma-3-27b-it",
        parameters=27.43 * BILLION,
        attention=(Attention(10, 16, 128), Attention(52, 16, 128, 1024)),
        context=MIDDLE,
        released=2025.17,
        licence=GEMMA,
        tools=False,
        images=True,
    ),
    OpenModel(
        tag="llama3.2:1b",
        repository="meta-llama/Llama-3.2-1B-Instruct",
        parameters=1.24 * BILLION,
        attention=_plain(16, 8, 64),
        context=MIDDLE,
        released=2024.67,
        licence=LLAMA_32,
    ),
    OpenModel(
        tag="llama3.2:3b",
        repository="meta-llama/Llama-3.2-3B-Instruct",
        parameters=3.21 * BILLION,
        attention=_plain(28, 8, 128),
        context=MIDDLE,
        released=2024.67,
        licence=LLAMA_32,
    ),
    OpenModel(
        tag="llama3.1:8b",
        repository="meta-llama/Llama-3.1-8B-Instruct",
        parameters=8.03 * BILLION,
        attention=_plain(32, 8, 128),
        context=MIDDLE,
        released=2024.5,
        licence=LLAMA_31,
    ),
    OpenModel(
        tag="llama3.3:70b",
        repository="meta-llama/Llama-3.3-70B-Instruct",
        parameters=70.55 * BILLION,
        attention=_plain(80, 8, 128),
        context=MIDDLE,
        released=2024.92,
        licence=LLAMA_33,
    ),
    OpenModel(
        tag="ministral-3:3b",
        repository="mistralai/Ministral-3-3B-Instruct-2512",
        parameters=3.85 * BILLION,
        attention=_plain(26, 8, 128),
        context=LONG,
        released=2025.92,
        images=True,
    ),
    OpenModel(
        tag="ministral-3:8b",
        repository="mistralai/Ministral-3-8B-Instruct-2512",
        parameters=8.92 * BILLION,
        attention=_plain(34, 8, 128),
        context=LONG,
        released=2025.92,
        images=True,
    ),
    OpenModel(
        tag="ministral-3:14b",
        repository="mistralai/Ministral-3-14B-Instruct-2512",
        parameters=13.95 * BILLION,
        attention=_plain(40, 8, 128),
        context=LONG,
        released=2025.92,
        images=True,
    ),
    OpenModel(
        tag="mistral-small3.2:24b",
        repository="mistralai/Mistral-Small-3.2-24B-Instruct-2506",
        parameters=24.0 * BILLION,
        attention=_plain(40, 8, 128),
        context=MIDDLE,
        released=2025.42,
        images=True,
    ),
    OpenModel(
        tag="mistral-nemo:12b",
        repository="mistralai/Mistral-Nemo-Instruct-2407",
        parameters=12.25 * BILLION,
        attention=_plain(40, 8, 128),
        context=MIDDLE,
        released=2024.5,
    ),
    OpenModel(
        tag="granite4.1:3b",
        repository="ibm-granite/granite-4.1-3b",
        parameters=3.4 * BILLION,
        attention=_plain(40, 8, 64),
        context=MIDDLE,
        released=2026.25,
    ),
    OpenModel(
        tag="granite4.1:8b",
        repository="ibm-granite/granite-4.1-8b",
        parameters=8.79 * BILLION,
        attention=_plain(40, 8, 128),
        context=MIDDLE,
        released=2026.25,
    ),
    OpenModel(
        tag="phi4-mini:3.8b",
        repository="microsoft/Phi-4-mini-instruct",
        parameters=3.84 * BILLION,
        attention=_plain(32, 8, 128),
        context=MIDDLE,
        released=2025.08,
        licence="MIT",
    ),
    OpenModel(
        tag="phi4:14b",
        repository="microsoft/phi-4",
        parameters=14.66 * BILLION,
        attention=_plain(40, 10, 128),
        context=16_384,
        released=2024.92,
        licence="MIT",
        tools=False,
    ),
    OpenModel(
        tag="gpt-oss:20b",
        repository="openai/gpt-oss-20b",
        parameters=20.9 * BILLION,
        active=3.6 * BILLION,
        attention=(Attention(12, 8, 64), Attention(12, 8, 64, 128)),
        context=MIDDLE,
        released=2025.58,
    ),
    OpenModel(
        tag="gpt-oss:120b",
        repository="openai/gpt-oss-120b",
        parameters=116.8 * BILLION,
        active=5.1 * BILLION,
        attention=(Attention(18, 8, 64), Attention(18, 8, 64, 128)),
        context=MIDDLE,
        released=2025.58,
    ),
    OpenModel(
        tag="deepseek-r1:8b",
        repository="deepseek-ai/DeepSeek-R1-0528-Qwen3-8B",
        parameters=8.19 * BILLION,
        attention=_plain(36, 8, 128),
        context=MIDDLE,
        released=2025.42,
        licence="MIT",
        special="reasoning",
    ),
    OpenModel(
        tag="deepseek-r1:14b",
        repository="deepseek-ai/DeepSeek-R1-Distill-Qwen-14B",
        parameters=14.77 * BILLION,
        attention=_plain(48, 8, 128),
        context=MIDDLE,
        released=2025.0,
        licence="MIT",
        special="reasoning",
    ),
)
"""all of them, by family"""
