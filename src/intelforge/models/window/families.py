"""Families of models by how they count: which tokenizer, and how far the estimate of it is off.

OpenAI's recent models are counted exactly. For families whose tokenizer is public, coefficients over `Features` were
fitted to it and the 95th percentile of the relative error measured on texts held out, 1,320 pieces of prose, code, web
pages, tables and 14 languages: `benchmarks/token_estimates.py`. No table of the others is public: what stands for them
is a rough one, and says so.
"""

import re
from dataclasses import dataclass
from typing import Final

from intelforge.models.window.features import Features


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """How one family counts. Errors are shares of the true count, at the 95th percentile."""

    name: str
    coefficients: tuple[float, ...] = ()
    """of `Features`, in order; none means o200k_base is the tokenizer itself"""
    error: float = 0.0
    """on ASCII text"""
    error_beyond_ascii: float = 0.0
    measured: bool = True
    """whether the error was measured against the tokenizer, or is a guess because none is public"""
    message: int = 5
    """tokens a turn costs beside its parts: the marks of the chat template around it"""

    @property
    def exact(self) -> bool:
        return not self.coefficients

    def tokens(self, features: Features) -> int:
        """About as many tokens, no more than bytes allow."""
        if self.exact:
            return features.o200k
        found = sum(each * count for each, count in zip(self.coefficients, features.values(), strict=True))
        return max(round(found), 1 if features.o200k else 0)


OPENAI: Final = Family(name="openai", message=4)
"""gpt-4o and later; the turn's marks as in OpenAI's cookbook, `How to count tokens with tiktoken`, rounded up"""
GPT_4O_MINI: Final = Family(name="gpt-4o-mini", message=4)
"""as they, but for pictures"""
QWEN: Final = Family(
    name="qwen",
    coefficients=(1.026, 0.509, -0.108, -0.053, -0.071, 0.057, 0.109, 0.063, 0.235),
    error=0.06,
    error_beyond_ascii=0.35,
)
"""tokenizer of Qwen 2.5 and 3"""
LLAMA: Final = Family(
    name="llama",
    coefficients=(1.025, -0.004, -0.114, -0.031, -0.001, 0.009, 0.015, 0.06, 0.1),
    error=0.04,
    error_beyond_ascii=0.13,
)
"""tokenizer of Llama 3; it begins as cl100k_base, which gpt-4, gpt-3.5 and Phi-4 use"""
GEMMA: Final = Family(
    name="gemma",
    coefficients=(0.987, 0.431, 0.742, 0.213, -0.085, 0.034, 0.014, 0.039, -0.059),
    error=0.10,
    error_beyond_ascii=0.13,
)
"""tokenizer of Gemma 3, by which Google's own SDK counts for Gemini 2 and later"""
MISTRAL: Final = Family(
    name="mistral",
    coefficients=(1.041, 0.441, 0.418, -0.047, 0.039, -0.009, 0.012, -0.028, 0.075),
    error=0.09,
    error_beyond_ascii=0.15,
)
"""tokenizer of Mistral Nemo (tekken)"""
DEEPSEEK: Final = Family(
    name="deepseek",
    coefficients=(1.029, -0.08, 0.403, 0.016, -0.081, 0.508, 0.05, 0.057, 0.051),
    error=0.08,
    error_beyond_ascii=0.23,
)
"""tokenizer of DeepSeek V3 and R1"""
COMMAND: Final = Family(
    name="command",
    coefficients=(1.005, 0.399, 0.537, 0.131, -0.078, -0.024, -0.06, 0.062, 0.494),
    error=0.12,
    error_beyond_ascii=0.25,
    message=7,
)
"""tokenizer of Command R+"""
CLAUDE: Final = Family(
    name="claude",
    coefficients=(1.2, 0.1, 0.1, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0),
    error=0.3,
    error_beyond_ascii=0.4,
    measured=False,
)
UNKNOWN: Final = Family(
    name="unknown",
    coefficients=(1.1, 0.3, 0.2, 0.05, 0.1, 0.1, 0.1, 0.1, 0.2),
    error=0.3,
    error_beyond_ascii=0.5,
    measured=False,
)

_BY_NAME: Final = (
    (r"gpt-4o-mini", GPT_4O_MINI),
    (r"gpt-?oss|gpt-4o|gpt-4\.1|gpt-4\.5|gpt-[5-9]|chatgpt|\bo[1-9]\b|\bo[1-9]-|codex", OPENAI),
    (r"deepseek-r1-distill-llama|deepseek-r1:(8|70)b", LLAMA),
    (r"deepseek-r1-distill-qwen|deepseek-r1:(1\.5|7|14|32)b|deepseek-r1-0528-qwen", QWEN),
    (r"deepseek", DEEPSEEK),
    (r"qwen|qwq|qvq", QWEN),
    (r"gemma|gemini", GEMMA),
    (r"llama-?[34]|phi-?4|gpt-4|gpt-3\.5|hermes-?[34]|nemotron", LLAMA),
    (
        r"mistral-nemo|mistral-small|mistral-large|mistral-medium|ministral|devstral|magistral|codestral|pixtral",
        MISTRAL,
    ),
    (r"command|aya", COMMAND),
    (r"claude", CLAUDE),
)
_BY_PROVIDER: Final = {
    "openai": OPENAI,
    "anthropic": CLAUDE,
    "gemini": GEMMA,
    "google": GEMMA,
    "mistral": MISTRAL,
    "cohere": COMMAND,
    "deepseek": DEEPSEEK,
}


def family_of(model: str) -> Family:
    """The family of `provider:name`. The name decides; a name that says nothing leaves it to the provider."""
    provider, colon, name = model.lower().partition(":")
    if not colon:
        provider, name = "", model.lower()
    for pattern, family in _BY_NAME:
        if re.search(pattern, name):
            return family
    return _BY_PROVIDER.get(provider, UNKNOWN)
