"""What hosted models read and can do, by their names.

From the providers' own pages of models, as of October 2026: platform.openai.com/docs/models, docs.claude.com,
ai.google.dev/gemini-api/docs/models, docs.mistral.ai, docs.x.ai, api-docs.deepseek.com, docs.cohere.com,
docs.perplexity.ai. What a name does not tell is left open rather than guessed; a probe measures it.
"""

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Hosted:
    """A line of models."""

    pattern: str
    """of the name, from its start"""
    context: int | None = None
    tools: bool | None = None
    json_schema: bool | None = None
    modalities: str = "text"
    """separated by blanks"""


SEEN: Final = "text image"
ALL: Final = "text image audio video"
HOSTED: Final = (
    Hosted(r"gpt-oss", 131_072, tools=True, json_schema=True),
    Hosted(r"gpt-5", 400_000, tools=True, json_schema=True, modalities=SEEN),
    Hosted(r"gpt-4\.1", 1_047_576, tools=True, json_schema=True, modalities=SEEN),
    Hosted(r"(chat)?gpt-4o", 128_000, tools=True, json_schema=True, modalities=SEEN),
    Hosted(r"gpt-4-turbo", 128_000, tools=True, json_schema=False, modalities=SEEN),
    Hosted(r"gpt-4", 8_192, tools=True, json_schema=False),
    Hosted(r"gpt-3\.5", 16_385, tools=True, json_schema=False),
    Hosted(r"o1-(mini|preview)", 128_000, tools=False, json_schema=False),
    Hosted(r"o[134]-mini", 200_000, tools=True, json_schema=True),
    Hosted(r"o[134]($|-)", 200_000, tools=True, json_schema=True, modalities=SEEN),
    Hosted(r"claude-(opus|sonnet|haiku)-(4-[5-9]|[5-9])", 200_000, tools=True, json_schema=True, modalities=SEEN),
    Hosted(r"claude-opus-4[-.]1", 200_000, tools=True, json_schema=True, modalities=SEEN),
    Hosted(r"claude-(3|opus|sonnet|haiku)", 200_000, tools=True, json_schema=False, modalities=SEEN),
    Hosted(r"gemini-(2|3|pro-latest|flash-latest)", 1_048_576, tools=True, json_schema=True, modalities=ALL),
    Hosted(r"gemini-1\.5", 1_000_000, tools=True, json_schema=True, modalities=ALL),
    Hosted(r"(mistral-(small|medium)-(latest|3|25|26)|pixtral|ministral.*-2512)", 131_072, True, True, SEEN),
    Hosted(r"(mistral|ministral|codestral|devstral|magistral|open-mistral|open-mixtral)", None, True, True),
    Hosted(r"grok-[4-9]", 256_000, tools=True, json_schema=True, modalities=SEEN),
    Hosted(r"grok-[23]", 131_072, tools=True, json_schema=True),
    Hosted(r"deepseek-(chat|v3)", 131_072, tools=True, json_schema=False),
    Hosted(r"deepseek-(reasoner|r1)", 131_072, json_schema=False),
    Hosted(r"command-a", 256_000, tools=True, json_schema=True),
    Hosted(r"command-r", 128_000, tools=True, json_schema=True),
    Hosted(r"sonar", 128_000, tools=False, json_schema=True),
    Hosted(r"llama-?4", None, tools=True, modalities=SEEN),
    Hosted(r"(meta-)?llama-?3\.[123]", 131_072, tools=True),
    Hosted(r"qwen-?3", None, tools=True),
    Hosted(r"kimi-k2", None, tools=True),
    Hosted(r"glm-4\.[5-9]", None, tools=True),
)


def hosted(name: str) -> Hosted | None:
    """The line a model's name belongs to; a name with its maker before a slash is looked up by what follows."""
    plain = name.lower().rpartition("/")[2]
    return next((line for line in HOSTED if re.match(line.pattern, plain)), None)
